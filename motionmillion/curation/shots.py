"""Stage 1: shots, from cut to cut, without dissolves and fades.

Cuts are found by PySceneDetect's ContentDetector, dissolves and fades by `motionmillion.curation.dissolves`. Long
shots are divided into equal parts. Needs PyAV and PySceneDetect: `pip install "motionmillion[curate]"`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motionmillion.configuration import check_number
from motionmillion.curation.clips import Clip, Dropped, Stage, Verdict
from motionmillion.curation.dissolves import find_dissolves
from motionmillion.curation.video import Video

_SMALL = (32, 18)
_WIDTH = 256
"""Width of pictures in which cuts are looked for."""


@dataclass(frozen=True)
class ShotOptions:
    """How a video is divided into shots.

    Args:
        cut: threshold of ContentDetector.
        dissolves: whether dissolves are looked for.
        shortest, longest: of a shot in seconds; longer ones are divided. MotionMillion has at most 200 frames.
    """

    cut: float = 27.0
    dissolves: bool = True
    shortest: float = 1.0
    longest: float = 200 / 30

    def __post_init__(self) -> None:
        if not 0 < check_number("shortest", self.shortest) * 2 <= check_number("longest", self.longest):
            raise ValueError(f"longest must be at least twice shortest, got {self.longest!r} and {self.shortest!r}")


class Shots(Stage):
    """The shots of a video."""

    name = "shots"
    Options = ShotOptions

    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        options: ShotOptions = self.options
        cuts, small = _look(video, options.cut)
        mixed = find_dissolves(small) if options.dissolves else []
        whole, verdict = Clip(video.key, 0, len(small), video.fps), Verdict()
        for start, stop in mixed:
            verdict.dropped.append(Dropped(whole.part(start, stop), "dissolve", stop - start))
        for start, stop in shots_between(len(small), cuts, mixed):
            verdict.keep_long(whole, _divided(start, stop, options.longest * video.fps), options.shortest)
        return verdict


def _look(video: Video, threshold: float) -> tuple[list[int], np.ndarray]:
    """First frames of shots after a cut, and small pictures `[T, 18, 32, 3]`."""
    try:
        import cv2
        from scenedetect import ContentDetector, FrameTimecode
    except ImportError as error:
        raise ImportError(
            'scenedetect-headless must be installed to find shots; run: pip install "motionmillion[curate]"'
        ) from error
    detector = ContentDetector(threshold=threshold, min_scene_len=1)
    shape = (min(_WIDTH, video.width), round(video.height * min(_WIDTH / video.width, 1)))
    cuts: list[int] = []
    small = []
    for number, picture in enumerate(video.read()):
        reduced = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA)
        small.append(cv2.resize(reduced, _SMALL, interpolation=cv2.INTER_AREA))
        found = detector.process_frame(FrameTimecode(number, video.fps), cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR))
        cuts += [cut.frame_num for cut in found]
    return cuts, np.array(small)


def shots_between(frames: int, cuts: Sequence[int], mixed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of what lies between cuts and dissolves."""
    edges = [(0, 0), *sorted([*((cut, cut) for cut in cuts), *mixed]), (frames, frames)]
    shots, begin = [], 0
    for start, stop in edges:
        if start > begin:
            shots.append((begin, start))
        begin = max(begin, stop)
    return shots


def _divided(start: int, stop: int, longest: float) -> list[tuple[int, int]]:
    """Equal parts of at most `longest` frames."""
    parts = max(1, -int(-(stop - start) // longest))
    edges = [start + round((stop - start) * part / parts) for part in range(parts + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))
