"""Interface of a suite for `evaluate`: prompts, questions to a judge, measures, scores, histograms and notes.

    kind = suite_kind("mbench")                                       # motionmillion.eval.suites
    suite = kind.read(SuiteSource(prompts="ViMoGen/data/meta_info"))
    kind.questions(suite, samples), kind.values(samples, rows, scorer), kind.scores(batch)

A new suite is a subclass in a new file, and a line in `KINDS` of `motionmillion.eval.suites`:

    class Steps(SuiteKind):
        name, help = "steps", "three prompts about steps"

        def read(self, source, clips=()):
            return Suite(self.name, "1.0", (Prompt("walk", "a person walks", "slow"), ...))

The other methods have defaults: one yes-or-no question for each motion, no measures beyond those of
`motionmillion.eval.scoring`, and means by category and level.

Unusual: nothing heavy is imported before a method needs it, so suites can be listed and read without torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from motionmillion.eval.prompts import Suite

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip
    from motionmillion.eval.judges.judge import Kind, Question
    from motionmillion.eval.results import SampleResult
    from motionmillion.eval.scoring import Sample, Scorer
    from motionmillion.eval.statistics.calibration import Calibration
    from motionmillion.eval.suites.scores import Batch, Scores

Axes = Literal["corrected", "released"]


@dataclass(frozen=True)
class SuiteSource:
    """Where a suite's prompts come from.

    Args:
        prompts: the user's file or folder of prompts.
        data, split: a folder of captioned real motion and its split.
        seed: seed of the choice of captions and of wrong answers.
    """

    prompts: str | Path | None = None
    data: str | Path | None = None
    split: str = "test"
    seed: int = 0


class SuiteKind(ABC):
    """Base of all suites; see the module's docstring.

    Attributes:
        name: as in `--suite`.
        help: one line: its prompts, and what `--prompts` must name.
        options: fields of `Evaluation` that only some suites read: "data" (which is then required), "axes", "nrdf",
            "smpl".
        judge: the judge if the user names none; "" for no judge.
        answers: name of the measure that a judge's answers become, by kind of question.
    """

    name: ClassVar[str] = ""
    help: ClassVar[str] = ""
    options: ClassVar[frozenset[str]] = frozenset()
    judge: ClassVar[str] = ""
    answers: ClassVar[Mapping["Kind", str]] = {"match": "judge_match"}

    def clips(self, source: SuiteSource) -> "list[MotionClip]":
        """Captioned real motions to compare with; a prompt's id is `clip_id` of its clip. None by default."""
        return []

    @abstractmethod
    def read(self, source: SuiteSource, clips: "Sequence[MotionClip]" = ()) -> Suite:
        """The prompts.

        Args:
            clips: what `clips` returned.

        Raises:
            ValueError: for prompts that are missing, damaged, or given without being used.
        """

    def questions(self, suite: Suite, samples: "Sequence[Sample]") -> "list[Question]":
        """Questions to a judge about the samples: by default whether each shows its text."""
        from motionmillion.eval.judges.judge import Question

        return [Question(sample.id, "match", sample.motion, sample.prompt.text) for sample in samples]

    def values(
        self,
        samples: "Sequence[Sample]",
        rows: "Sequence[SampleResult]",
        scorer: "Scorer",
        axes: Axes = "corrected",
    ) -> list[dict[str, float]]:
        """Measures of each sample in addition to those of every suite; none by default.

        Args:
            rows: the samples' other measures.
            scorer: holds the models.
            axes: "released" for the axes of the suite's released code.
        """
        return [{} for _ in samples]

    def scores(self, batch: "Batch", real: "Batch | None" = None) -> "Scores":
        """Measures, groups and notes of measured motions; by default by category and level.

        Args:
            real: the real motions of `clips`, None without any.
        """
        from motionmillion.eval.suites.scores import category_scores

        return category_scores(batch)

    def histograms(
        self, rows: "Sequence[SampleResult]", calibration: "Calibration"
    ) -> dict[str, dict[str, list[float]]]:
        """Distributions of real motion, plotted with those of the samples: by default for all calibrated measures."""
        from motionmillion.eval.suites.scores import histograms

        return histograms(rows, calibration)

    def given(self, source: SuiteSource) -> Path:
        """The user's prompts, for suites that need them; raises `ValueError` without any."""
        if source.prompts is None:
            raise ValueError(f"--prompts PATH must be given for the suite {self.name!r}, got none; it is {self.help}")
        return Path(source.prompts)


class JsonSuite(SuiteKind):
    """A custom suite: a file that `Suite.load` reads, with the measures that every suite has."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def read(self, source: SuiteSource, clips: "Sequence[MotionClip]" = ()) -> Suite:
        """The prompts of the file."""
        if source.prompts is not None:
            raise ValueError(f"--prompts PATH must be left out if the suite is a file, got {str(source.prompts)!r}")
        return Suite.load(self.path)
