"""Stage 6: motion that looks like a person's: no jitter, flips, sliding feet; and not static.

The default thresholds are ours: each alone drops 1 % of clean clips of real motion, `spike` and `sliding` 2 %,
`range` less, as short clips move less; see docs/curation.md.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from motionmillion.configuration import check_number
from motionmillion.curation.clips import Clip, Dropped, Stage, Verdict
from motionmillion.curation.measures import measures_of
from motionmillion.curation.video import Video
from motionmillion.motion import Motion


@dataclass(frozen=True)
class QualityOptions:
    """Limits of `motionmillion.curation.measures.MEASURES`; None passes all.

    Args:
        jerk, spike, turn, flip, sliding: greatest values.
        range: least value.
    """

    jerk: float | None = 1300.0
    spike: float | None = 25.0
    turn: float | None = 20.0
    flip: float | None = 65.0
    sliding: float | None = 0.39
    range: float | None = 0.05

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None:
                check_number(name, value)


class Quality(Stage):
    """Judges the motions of clips."""

    name = "quality"
    Options = QualityOptions

    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        verdict = Verdict()
        for clip in clips:
            measures = measures_of(Motion.load(self.folder / clip.motion))
            clip = dataclasses.replace(clip, measures={name: round(value, 4) for name, value in measures.items()})
            fault = self._fault(measures)
            if fault is None:
                verdict.kept.append(clip)
            else:
                verdict.dropped.append(Dropped(clip, *fault))
        return verdict

    def _fault(self, measures: dict[str, float]) -> tuple[str, float] | None:
        """Why a motion is dropped, with the value, None if it is kept."""
        for name, limit in dataclasses.asdict(self.options).items():
            value = measures[name]
            if limit is not None and (value < limit if name == "range" else value > limit):
                return "static" if name == "range" else f"{name} above {limit:g}", round(value, 4)
        return None
