"""What passes between the stages: parts of videos, kept or dropped with a reason.

    clip = Clip("film-1a2b3c4d", start=0, stop=90, fps=30.0)
    clip.part(10, 60)                      # frames 10 to 60 of the clip, with their boxes

Shapes: T frames of a clip. Boxes are `[T, 5]`: left, top, right, bottom in pixels of the video, and confidence.
"""

import abc
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from motionmillion.curation.video import Video


@dataclass(frozen=True)
class Clip:
    """A part of a video.

    Args:
        video: key of the video.
        start, stop: first frame, and the one after the last.
        fps: frames per second of the video.
        person: number of the person in its shot, from 1; 0 before people are found.
        boxes: `[T, 5]` of the person.
        motion: file with the motion, relative to the folder of the run.
        measures: what the last stage measured.
    """

    video: str
    start: int
    stop: int
    fps: float
    person: int = 0
    boxes: tuple[tuple[float, ...], ...] = ()
    motion: str = ""
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique name, also of files."""
        return f"{self.video}_{self.start:06d}-{self.stop:06d}" + (f"_p{self.person}" if self.person else "")

    @property
    def frames(self) -> int:
        return self.stop - self.start

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    def part(self, start: int, stop: int) -> "Clip":
        """Frames `start` to `stop` of this clip, counted from its own first one."""
        return replace(self, start=self.start + start, stop=self.start + stop, boxes=self.boxes[start:stop])

    def with_boxes(self, person: int, boxes: np.ndarray) -> "Clip":
        """The clip with the boxes `[T, 5]` of a person."""
        rounded = tuple((*(round(v, 1) for v in row[:4]), round(row[4], 3)) for row in boxes.tolist())
        return replace(self, person=person, boxes=rounded)

    def box_array(self) -> np.ndarray:
        """Boxes `[T, 5]`, float64."""
        return np.array(self.boxes, np.float64).reshape(-1, 5)


@dataclass(frozen=True)
class Dropped:
    """A clip that a stage drops, in a few words why, and the value that decided it."""

    clip: Clip
    reason: str
    value: float = 0.0


@dataclass
class Verdict:
    """What a stage keeps of one video, and what it drops.

    Args:
        fault: why the video cannot be read.
        final: False if another attempt may give something else, such as with a program that failed.
    """

    kept: list[Clip] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    fault: str = ""
    final: bool = True

    def keep_long(self, clip: Clip, runs: Sequence[tuple[int, int]], shortest: float) -> None:
        """Keep the parts of a clip that last `shortest` seconds or more; drop the others as too short."""
        for start, stop in runs:
            part = clip.part(start, stop)
            if part.seconds >= shortest:
                self.kept.append(part)
            else:
                self.dropped.append(Dropped(part, "too short", round(part.seconds, 3)))

    def reasons(self) -> Counter[str]:
        """Number of dropped clips by reason."""
        return Counter(each.reason for each in self.dropped)

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        del content["final"]  # only final ones are written
        return content

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Verdict":
        kept = [_clip(each) for each in content["kept"]]
        dropped = [Dropped(_clip(each["clip"]), each["reason"], each["value"]) for each in content["dropped"]]
        return Verdict(kept, dropped, content["fault"])


def _clip(content: dict[str, Any]) -> Clip:
    return Clip(**{**content, "boxes": tuple(map(tuple, content["boxes"]))})


class Stage(abc.ABC):
    """A stage: called with a video and the clips that earlier stages keep of it.

    Args:
        options: of the class `Options`.
        folder: of the run, for further files.
    """

    name: ClassVar[str]
    Options: ClassVar[type]

    def __init__(self, options: Any, folder: Path) -> None:
        self.options, self.folder = options, folder

    def inputs(self) -> Any:
        """What results depend on besides options and clips, as JSON values; such as the state of files."""
        return None

    @abc.abstractmethod
    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        """What to keep and what to drop.

        Raises:
            VideoError: if the video turns out to be damaged.
        """
