"""Stage 2: people in a shot, found coarse to fine and followed, one clip for each.

1. Coarse: small pictures, a few a second, with a low threshold. A shot without anyone is dropped here.
2. Fine: the pictures in which there was someone, at full size.
3. Followed: SAM 2 starts where a person is found that no track covers, forwards and backwards through the shot. The
   confidence of a box is that of the finder in the fine pictures, and linear in between.

Instead of models, the boxes of another tracker can be read: `boxes` names a folder with a file of the MOT challenge
for each video, `film.txt` for `film.mp4`.

Shapes: N people, T frames of the shot, F fine pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.configuration import check_device, check_share, check_whole
from motionmillion.curation.boxes import filled, overlaps, read_mot
from motionmillion.curation.clips import Clip, Dropped, Stage, Verdict
from motionmillion.curation.models import Finder, Follower
from motionmillion.curation.video import Video, VideoError
from motionmillion.provenance import file_stamps

_SAME = 0.5
"""Overlap of a found box and a track that are one person."""


@dataclass(frozen=True)
class PeopleOptions:
    """How people are found.

    Args:
        boxes: folder with files of the MOT challenge; "" runs the models.
        detector, tracker: hub ids or folders of Grounding DINO and SAM 2.
        prompt: what is looked for.
        device: of the models.
        every: frames from one picture that is looked at to the next.
        coarse_size, fine_size: shorter side of the pictures, pixels.
        coarse, fine: least confidence.
        most: people of a shot at the most, the most confident first.
    """

    boxes: str = ""
    detector: str = "IDEA-Research/grounding-dino-tiny"
    tracker: str = "facebook/sam2.1-hiera-small"
    prompt: str = "a person."
    device: str = "auto"
    every: int = 10
    coarse_size: int = 400
    fine_size: int = 800
    coarse: float = 0.2
    fine: float = 0.35
    most: int = 4

    def __post_init__(self) -> None:
        for name in ("every", "coarse_size", "fine_size", "most"):
            check_whole(name, getattr(self, name), 1)
        if check_share("coarse", self.coarse) > check_share("fine", self.fine):
            raise ValueError(f"coarse must be at most fine, got {self.coarse!r} and {self.fine!r}")


class People(Stage):
    """One clip for each person of a shot, with a box in every frame."""

    name = "people"
    Options = PeopleOptions

    def inputs(self) -> Any:
        folder = self.options.boxes
        return file_stamps(sorted(Path(folder).glob("*.txt"))) if folder else None

    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        verdict = Verdict()
        known = self._read(video) if self.options.boxes else None
        for clip in clips:
            if known is not None:
                tracks = {person: boxes[clip.start : clip.stop] for person, boxes in known.items()}
            else:
                tracks = dict(enumerate(self._follow(list(video.read(clip.start, clip.stop))), 1))
            there = {person: boxes for person, boxes in tracks.items() if np.isfinite(boxes[:, 0]).any()}
            verdict.kept += [clip.with_boxes(person, filled(boxes)) for person, boxes in there.items()]
            if not there:
                verdict.dropped.append(Dropped(clip, "no person"))
        return verdict

    def _read(self, video: Video) -> dict[int, np.ndarray]:
        path = Path(self.options.boxes) / f"{video.path.stem}.txt"
        try:
            return read_mot(path, video.frames)
        except ValueError as error:
            raise VideoError(f"people.boxes: {error}") from None

    @cached_property
    def finder(self) -> Finder:
        return Finder(self.options.detector, check_device(self.options.device), self.options.prompt)

    @cached_property
    def follower(self) -> Follower:
        return Follower(self.options.tracker, check_device(self.options.device))

    def _follow(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Tracks `[T, 5]` of the people in a shot."""
        options: PeopleOptions = self.options
        # 1. coarse
        looked = range(0, len(pictures), options.every)
        rough = {frame: self.finder(pictures[frame], options.coarse_size) for frame in looked}
        # 2. fine
        fine = {frame: np.zeros((0, 5)) for frame in looked}
        for frame in (frame for frame, boxes in rough.items() if (boxes[:, 4] >= options.coarse).any()):
            fine[frame] = self.finder(pictures[frame], options.fine_size)
        sure = {frame: boxes[boxes[:, 4] >= options.fine] for frame, boxes in fine.items()}
        # 3. followed, from the frame with the most confident person that no track covers
        tracks: list[np.ndarray] = []
        while len(tracks) < options.most:
            new = {frame: _uncovered(boxes, tracks, frame) for frame, boxes in sure.items()}
            frame = max(new, key=lambda each: new[each][:, 4].max(initial=0))
            if not len(new[frame]):
                break
            found = self.follower(pictures, frame, new[frame][: options.most - len(tracks)])
            found[:, frame] = new[frame][: len(found), :4]  # so that it is covered now, whatever the mask
            tracks += list(found)
        return [_with_confidence(track, fine) for track in tracks]


def _uncovered(boxes: np.ndarray, tracks: Sequence[np.ndarray], frame: int) -> np.ndarray:
    """The boxes `[N, 5]` of people that none of the tracks follows."""
    if not tracks or not len(boxes):
        return boxes
    there = np.nan_to_num(np.array([track[frame] for track in tracks]))
    return boxes[overlaps(boxes, there).max(1) < _SAME]


def _with_confidence(track: np.ndarray, fine: dict[int, np.ndarray]) -> np.ndarray:
    """A track `[T, 4]` with the confidence of the boxes that it agrees with, `[T, 5]`; 0 where there is no box."""
    scores = {}
    for frame, boxes in fine.items():
        same = overlaps(np.nan_to_num(track[frame : frame + 1]), boxes)[0] >= _SAME if len(boxes) else []
        scores[frame] = float(boxes[same, 4].max(initial=0)) if len(boxes) else 0.0
    confidence = np.interp(np.arange(len(track)), list(scores), list(scores.values()))
    return np.concatenate([track, np.where(np.isfinite(track[:, 0]), confidence, 0.0)[:, None]], 1)
