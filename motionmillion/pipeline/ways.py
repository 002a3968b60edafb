"""Where a generated person is to go: the arguments `path`, `speed`, `turn` and `facing` of a pipeline's call.

    way = Way.of(path=[(0, 0), (1, 2)], seconds=4)
    way = Way.of(speed=1.4, turn=90, seconds=4)
    way.path, way.seconds

| argument | meaning |
|---|---|
| path | points (x, z) in metres or (seconds, x, z) on the floor; the motion begins at the first |
| speed | metres per second; alone a straight way from the origin towards +z, with a path its pace |
| turn | degrees about +y over the whole motion, to the left if positive; with speed the way is an arc |
| facing | the direction of the body in degrees, 0 for +z and 90 for +x; only a DiT holds it; alone, the way is free |

Unusual: a path without times or seconds is walked at 1.3 m/s.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motionmillion.configuration import check_number
from motionmillion.kinematics.floor_paths import FASTEST, FloorPath, check_speed
from motionmillion.kinematics.path_following import covered, nearest, onto_path
from motionmillion.motion import Motion
from motionmillion.pipeline.checks import check_seconds

WALK = 1.3
"""Metres per second of a path without times."""
DEFAULT_SECONDS = 4.0
CANDIDATES = 8
"""Motions of a language model of which the one nearest to a path is taken."""
_MOST_STRETCH = 1.6
"""Factor between the length of a path and that of a motion's own way from which feet may slide."""


@dataclass(frozen=True)
class Way:
    """A way to go.

    Args:
        seconds: length of the motion.
        path: on the floor; None to stay in place.
        turn: of the heading over the whole motion in place, degrees.
        facing: direction of the body, degrees; None leaves it to the model.
        free: whether the model chooses the way, because only `facing` was asked for.
    """

    seconds: float
    path: FloorPath | None = None
    turn: float = 0.0
    facing: float | None = None
    free: bool = False

    @staticmethod
    def of(
        path: Any = None,
        speed: float | None = None,
        turn: float | None = None,
        facing: float | None = None,
        seconds: float | None = None,
    ) -> "Way | None":
        """The way that the arguments of a call ask for; None for none.

        Raises:
            ValueError: for arguments that are not numbers, cannot be combined, or ask for more than a person can do.
        """
        if path is None and speed is None and turn is None and facing is None:
            return None
        for name, value in (("turn", turn), ("facing", facing)):
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not (number and abs(value) <= 3600):
                raise ValueError(f"{name} must be a number of degrees within 3600, got {value!r}")
        if speed is not None and check_number("speed", speed) > FASTEST:
            raise ValueError(f"speed must be at most {FASTEST:g} m/s, got {speed!r}")
        if path is not None:
            return _along(FloorPath.of(path), speed, turn, facing, seconds)
        seconds = DEFAULT_SECONDS if seconds is None else seconds
        check_seconds("seconds", seconds)
        if not speed:
            return Way(seconds, None, turn or 0.0, facing, free=speed is None and turn is None)
        return Way(seconds, FloorPath.arc(speed * seconds, turn or 0.0), 0.0, facing)

    def places(self, count: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
        """Places on the floor `[T, 2]` and headings `[T]` in radians of so many frames."""
        time = np.arange(count) / fps
        if self.path is None:
            places = np.zeros((count, 2))
            headings = math.radians(self.turn) * time / max(self.seconds - 1 / fps, 1e-9)
        else:
            places, headings = self.path.at(self.path.distances(time))
        return places, headings if self.facing is None else np.full(count, math.radians(self.facing))

    @property
    def turns(self) -> bool:
        """Whether the heading is asked for."""
        return self.facing is not None or bool(self.turn)


def on_way(candidates: Sequence[Motion], way: Way) -> Motion:
    """The candidate nearest to the path of a way, brought onto it; warns if its own way is much shorter or longer."""
    if way.path is None:
        raise ValueError("way must have a path, got none")
    motion = candidates[nearest(candidates, way.path)]
    own, wanted = covered(motion), way.path.length
    if not 1 / _MOST_STRETCH < wanted / max(own, 1e-9) < _MOST_STRETCH:
        warnings.warn(
            f"the model moves {own:.1f} m in {motion.seconds:g} s where the path is {wanted:.1f} m long, so feet may "
            f"slide; {wanted / max(own / motion.seconds, 0.1):.1f} s would suit it, or another prompt",
            stacklevel=5,
        )
    return onto_path(motion, way.path)


def _along(
    path: FloorPath, speed: float | None, turn: float | None, facing: float | None, seconds: float | None
) -> Way:
    if turn is not None:
        raise ValueError(f"turn must be left out with path, which turns by itself, got {turn!r}")
    if path.times is not None and (seconds is not None or speed is not None):
        name, value = ("seconds", seconds) if seconds is not None else ("speed", speed)
        raise ValueError(f"{name} must be left out with a path that has times, got {value!r}")
    if seconds is not None and speed is not None:
        raise ValueError(f"speed must be left out with path and seconds, got {speed!r}; two of the three are enough")
    seconds = path.seconds or seconds or path.length / (speed or WALK)
    check_speed(path.length, seconds)
    check_seconds("seconds", seconds)
    return Way(seconds, path, 0.0, facing)
