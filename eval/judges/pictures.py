"""Motions as pictures for vision-language judges.

    shown = Rendering(fps=5, size=384).show(motion)
    shown.pictures, shown.note                     # Pillow images, and a sentence that describes them

Frames come from the library's own renderer, without a window, a GPU or a file; needs Pillow. Unusual: captions are
never drawn. A sheet, all poses in one picture, is for models that accept one picture only.
"""

from dataclasses import asdict, dataclass
from typing import Any

from motionmillion.configuration import check_number, check_whole
from motionmillion.io.video import draw_frames, draw_sheet
from motionmillion.motion import Motion

DRAWING = 1
"""Version of the renderer, incremented when its pictures change; part of `Rendering.describe`."""

_SHEET_COLUMNS, _SHEET_POSES = 6, 24


@dataclass(frozen=True)
class Shown:
    """Pictures of one motion, and a sentence that describes them in the judge's instruction."""

    pictures: list[Any]
    note: str


@dataclass(frozen=True)
class Rendering:
    """How a motion is drawn for a judge.

    Args:
        fps: pictures per second (MBench: 5); a motion with a lower frame rate is shown in full.
        size: side of a picture in pixels; a pose on a sheet has half of it.
        sheet: whether to put all poses, at most 24, evenly spread, into one picture.
        most: maximum number of pictures; those of a longer motion are further apart.
        azimuth: degrees between the initial facing direction and the direction to the camera.

    Raises:
        ValueError: for invalid values.
    """

    fps: float = 5.0
    size: int = 384
    sheet: bool = False
    most: int = 48
    azimuth: float = 35.0

    def __post_init__(self) -> None:
        if not 0.1 <= check_number("fps", self.fps) <= 60:
            raise ValueError(f"fps must be 0.1 to 60 pictures per second, got {self.fps!r}")
        if not 64 <= check_whole("size", self.size, 1) <= 2048:
            raise ValueError(f"size must be 64 to 2048 pixels, got {self.size!r}")
        check_whole("most", self.most, 1)

    def describe(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "drawing": DRAWING}

    def show(self, motion: Motion) -> Shown:
        """Pictures of `motion` in order.

        Raises:
            ImportError: if Pillow is missing.
        """
        last = (motion.num_frames - 1) / motion.fps  # time of the last frame, seconds
        rate = min(self.fps, motion.fps)
        count = int(last * rate + 1e-6) + 1
        if self.sheet:
            count = min(count, _SHEET_POSES, self.most)
            columns, cell = min(count, _SHEET_COLUMNS), (self.size // 2, self.size // 2)
            sheet = draw_sheet(motion, columns, -(-count // columns), cell, azimuth=self.azimuth, body="mannequin")
            note = f"The picture holds poses of a video of {last:.1f} seconds, to be read row by row."
            return Shown([sheet], note)
        if count > self.most:
            rate = max(0.1, (self.most - 1) / last)
        pictures = list(
            draw_frames(motion.resample(rate), (self.size, self.size), azimuth=self.azimuth, body="mannequin")
        )
        note = f"The {len(pictures)} pictures are frames of a video of {last:.1f} seconds, {rate:.3g} a second."
        return Shown(pictures, note)
