"""Clips for games: options that turn a motion into a loop, a cycle of a given speed, a mirror image, a clip in place.

    clip = prepare_clip(motion, ClipOptions(loop=True, in_place=True, fps=60))
    clip.motion.save("walk.glb")                       # its last frame is the first of the next cycle
    clip.loop.speed                                    # what the engine has to move it by

They are applied in this order: frame rate, mirror image, trimming, loop or cycle, in place. `ClipOptions` makes the
options of the command line, as `motionmillion.io.write_options` does for those of writers.
Unusual: a loop is prepared with its closing frame, because engines take the last frame of a clip for the moment at
which the first is shown again.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from motionmillion.kinematics.loops import Loop
    from motionmillion.motion import Motion

PANEL = "Clips for games"
"""Panel of `--help`."""


def _option(default: Any, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"panel": PANEL, "help": help})


@dataclass(frozen=True)
class ClipOptions:
    """What a motion is made into before it is written.

    Raises:
        ValueError: for options that exclude each other, and numbers that are not positive.
    """

    fps: float | None = _option(None, "Resample to this frame rate, such as 24 or 60.")
    mirror: bool = _option(False, "Write the left/right mirror image, sides in captions swapped.")
    trim: Literal["left", "right", "any"] | None = _option(
        None, "Keep the frames from the first landing of this foot to its last."
    )
    loop: bool = _option(False, "Write a loop: the best cycle in the motion, closed without a seam.")
    cycle_speed: float | None = _option(None, "Write a loop of a walk or run of this speed, m/s.")
    in_place: bool = _option(False, "Keep the pelvis above the origin.")

    def __post_init__(self) -> None:
        if self.loop and self.cycle_speed is not None:
            raise ValueError(f"loop must be left out with cycle_speed, which makes one, got {self.cycle_speed!r}")
        for name in ("fps", "cycle_speed"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")


@dataclass(frozen=True, eq=False)
class GameClip:
    """A clip and how it was made.

    Args:
        motion: as it is to be written.
        travelling: the same before it was put in place.
        loop: how it repeats; None for a clip that does not.
    """

    motion: "Motion"
    travelling: "Motion"
    loop: "Loop | None" = None


def prepare_clip(motion: "Motion", options: ClipOptions) -> GameClip:
    """Apply the options to a motion.

    Raises:
        ValueError: for a motion without contacts to trim to or without a loop, and a speed out of its range.
    """
    from motionmillion.data.mirror_words import mirror_caption
    from motionmillion.kinematics.cycles import cycle
    from motionmillion.kinematics.loops import find_loop

    loop = None
    if options.fps is not None:
        motion = motion.resample(options.fps)
    if options.mirror:
        motion = motion.mirror().replace(caption=mirror_caption(motion.caption))
    if options.trim is not None:
        motion = motion.trim(options.trim)
    if options.loop or options.cycle_speed is not None:
        loop = find_loop(motion) if options.cycle_speed is None else cycle(motion, options.cycle_speed)
        motion = loop.closed
    return GameClip(motion.in_place() if options.in_place else motion, motion, loop)
