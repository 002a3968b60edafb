"""Stage 3: the parts of a track that are certain, large enough and whole in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motionmillion.configuration import check_number, check_share
from motionmillion.curation.clips import Clip, Dropped, Stage, Verdict
from motionmillion.curation.video import Video
from motionmillion.kinematics.contacts import runs


@dataclass(frozen=True)
class ConfidenceOptions:
    """Limits of boxes.

    Args:
        frame, mean: least confidence in each frame, and in the mean over a clip.
        height: least height, fraction of the picture's.
        cut_off: fraction of the frames in which a box may touch the left, right or lower edge of the picture.
        gap: seconds below `frame` that are passed over.
        shortest: of a clip, seconds.
    """

    frame: float = 0.3
    mean: float = 0.4
    height: float = 0.2
    cut_off: float = 0.3
    gap: float = 0.1
    shortest: float = 1.0

    def __post_init__(self) -> None:
        for name in ("frame", "mean", "height", "cut_off"):
            check_share(name, getattr(self, name))
        check_number("gap", self.gap)
        check_number("shortest", self.shortest)


class Confidence(Stage):
    """Keeps runs of certain boxes."""

    name = "confidence"
    Options = ConfidenceOptions

    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        options: ConfidenceOptions = self.options
        verdict, certain = Verdict(), Verdict()
        for clip in clips:
            sure = clip.box_array()[:, 4] >= options.frame
            for start, stop in runs(~sure):
                if 0 < start and stop < len(sure) and stop - start <= options.gap * clip.fps:
                    sure[start:stop] = True
            verdict.dropped += [Dropped(clip.part(*run), "low confidence") for run in runs(~sure)]
            certain.keep_long(clip, runs(sure), options.shortest)
        verdict.dropped += certain.dropped
        for clip in certain.kept:
            reason, value = self._fault(clip, video)
            if reason:
                verdict.dropped.append(Dropped(clip, reason, round(value, 3)))
            else:
                verdict.kept.append(clip)
        return verdict

    def _fault(self, clip: Clip, video: Video) -> tuple[str, float]:
        """Why a clip is dropped, with the value; "" if it is kept."""
        options: ConfidenceOptions = self.options
        left, top, right, bottom, score = clip.box_array().T
        mean, height = float(score.mean()), float(np.median(bottom - top)) / video.height
        touches = float(((left <= 1) | (right >= video.width - 1) | (bottom >= video.height - 1)).mean())
        if mean < options.mean:
            return "low confidence", mean
        if height < options.height:
            return "too small", height
        return ("cut off by the picture", touches) if touches > options.cut_off else ("", 0.0)
