"""Stage 4: transitions within a clip, such as cuts that stage 1 missed and tracks that change from person to person.

A clip is divided where the box jumps or what is in it changes suddenly: by more than a limit, and by several times as
much as in the frames around.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motionmillion.configuration import check_number
from motionmillion.curation.clips import Clip, Dropped, Stage, Verdict
from motionmillion.curation.video import Video

_SIDE = 12
_AROUND = 5


@dataclass(frozen=True)
class TransitionOptions:
    """Limits of changes from one frame to the next, for 30 frames per second.

    Args:
        move: of the centre, in heights of the box.
        scale: of the height, as a natural logarithm.
        look: of the picture in the box, mean grey values of 255.
        ratio: how many times the median of the frames around a change must be.
        shortest: of a clip, seconds.
    """

    move: float = 0.25
    scale: float = 0.25
    look: float = 25.0
    ratio: float = 4.0
    shortest: float = 1.0

    def __post_init__(self) -> None:
        for name in ("move", "scale", "look", "ratio", "shortest"):
            check_number(name, getattr(self, name))


class Transitions(Stage):
    """Divides clips at sudden jumps."""

    name = "transitions"
    Options = TransitionOptions

    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        options: TransitionOptions = self.options
        verdict = Verdict()
        for clip in clips:
            boxes = clip.box_array()
            scale = min(max(30 / clip.fps, 1 / 3), 3)
            sizes = np.log(np.maximum(boxes[:, 3] - boxes[:, 1], 1))
            changes = (
                ("box jumps", box_moves(boxes), options.move * scale),
                ("size jumps", np.abs(np.diff(sizes)), options.scale * scale),
                ("picture changes", _looks(video, clip), options.look),
            )
            cuts = {0, clip.frames}
            for reason, values, limit in changes:
                for frame in np.flatnonzero(sudden(values, limit, options.ratio)) + 1:
                    cuts.add(int(frame))
                    verdict.dropped.append(
                        Dropped(clip.part(int(frame), int(frame)), reason, round(float(values[frame - 1]), 3))
                    )
            ordered = sorted(cuts)
            verdict.keep_long(clip, list(zip(ordered[:-1], ordered[1:], strict=True)), options.shortest)
        return verdict


def box_moves(boxes: np.ndarray) -> np.ndarray:
    """How far the centres of boxes `[T, 5]` move, in heights, `[T - 1]`."""
    centres = (boxes[:, :2] + boxes[:, 2:4]) / 2
    heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1)
    return np.linalg.norm(np.diff(centres, axis=0), axis=1) / np.minimum(heights[:-1], heights[1:])


def sudden(values: np.ndarray, limit: float, ratio: float) -> np.ndarray:
    """Which of `[N]` are above a limit and above `ratio` times the median of the values around them."""
    padded = np.pad(values, _AROUND, mode="reflect" if len(values) > _AROUND else "edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1), axis=1)
    return (values > limit) & (values > ratio * around)


def _looks(video: Video, clip: Clip) -> np.ndarray:
    """Mean difference of the pictures in the boxes, from frame to frame, `[T - 1]`."""
    small = []
    for picture, box in zip(video.read(clip.start, clip.stop), clip.box_array(), strict=True):
        columns, rows = (
            np.linspace(box[first], box[first + 2] - 1, _SIDE).round().astype(int).clip(0, side - 1)
            for first, side in ((0, picture.shape[1]), (1, picture.shape[0]))
        )
        small.append(picture[np.ix_(rows, columns)].astype(np.float32))
    return np.abs(np.diff(np.array(small), axis=0)).mean((1, 2, 3))
