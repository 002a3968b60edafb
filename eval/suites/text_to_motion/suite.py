"""The suite text-to-motion: the captions of real motions, and the usual metrics against these motions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from motionmillion.eval.prompts import Suite
from motionmillion.eval.suites.base import SuiteKind, SuiteSource
from motionmillion.eval.suites.clips import clips_suite

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip
    from motionmillion.eval.suites.scores import Batch, Scores


class TextToMotion(SuiteKind):
    """A prompt for each captioned clip; FID and other metrics against the clips (`.scores`)."""

    name = "text-to-motion"
    help = "the captions of your own motions; --data for their folder"
    options = frozenset({"data"})

    def clips(self, source: SuiteSource) -> "list[MotionClip]":
        """The captioned clips of the split."""
        from motionmillion.data.clips import SPLITS, load_clips

        if source.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {source.split!r}")
        return [clip for clip in load_clips(source.data or "", [source.split]) if clip.captions]

    def read(self, source: SuiteSource, clips: "Sequence[MotionClip]" = ()) -> Suite:
        """A caption of each clip, with the clip's length and category."""
        from motionmillion.provenance import plain_name

        suite = clips_suite(clips, source.split, source.seed)
        return replace(suite, name=self.name, source=plain_name(source.data or "", 1))

    def scores(self, batch: "Batch", real: "Batch | None" = None) -> "Scores":
        """Retrieval, FID, MM-Dist, diversity and multimodality, with those of the real motions as a group."""
        from motionmillion.eval.suites.text_to_motion.scores import text_to_motion_scores

        if real is None:
            raise ValueError("real must hold the motions of the clips, got none")
        return text_to_motion_scores(batch, real)
