"""The suite mbench: MBench's prompts or the user's own, its questions to a judge, and its nine dimensions.

Custom prompts (a JSON suite as `--prompts`) get all questions and measures, and distractors if they have none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from motionmillion.eval.prompts import Suite
from motionmillion.eval.suites.base import Axes, SuiteKind, SuiteSource
from motionmillion.eval.suites.clips import balanced_distractors
from motionmillion.eval.suites.mbench.prompts import (
    EVAL_INFO,
    FINAL,
    NAME,
    SOURCE,
    mbench_suite,
    published,
)

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip
    from motionmillion.eval.judges.judge import Kind, Question
    from motionmillion.eval.results import SampleResult
    from motionmillion.eval.scoring import Sample, Scorer
    from motionmillion.eval.suites.scores import Batch, Scores

_DISTRACTORS = 9


class MBench(SuiteKind):
    """MBench (ViMoGen, arXiv 2510.26794). By default the evaluator itself is the judge."""

    name = NAME
    help = f"MBench's 450 prompts; --prompts for the folder of {FINAL} and {EVAL_INFO} ({SOURCE})"
    options = frozenset({"axes", "nrdf", "smpl"})
    judge = "retrieval"
    answers: ClassVar[Mapping["Kind", str]] = {
        "choice": "Motion_Condition_Consistency",
        "match": "Motion_Generalizability",
    }

    def read(self, source: SuiteSource, clips: "Sequence[MotionClip]" = ()) -> Suite:
        """MBench's prompts, or those of a JSON suite."""
        path = self.given(source)
        suite = replace(Suite.load(path), name=NAME) if path.suffix == ".json" else mbench_suite(path)
        return suite if published(suite.categories) else with_distractors(suite, source.seed)

    def questions(self, suite: Suite, samples: "Sequence[Sample]") -> "list[Question]":
        """A choice or a match, by the category of the prompt; both for prompts that are not MBench's."""
        from motionmillion.eval.judges.judge import Question

        everything = not published(suite.categories)
        return [
            Question(s.id, kind, s.motion, s.prompt.text, s.prompt.distractors if kind == "choice" else ())
            for s in samples
            for kind, dimension in self.answers.items()
            if everything or s.prompt.category == dimension
        ]

    def values(
        self,
        samples: "Sequence[Sample]",
        rows: "Sequence[SampleResult]",
        scorer: "Scorer",
        axes: Axes = "corrected",
    ) -> list[dict[str, float]]:
        """The dimensions without a judge, under MBench's names."""
        from motionmillion.eval.suites.mbench.measures import mbench_values

        return mbench_values(samples, rows, axes, scorer.nrdf, scorer.body)

    def scores(self, batch: "Batch", real: "Batch | None" = None) -> "Scores":
        """Each dimension over its own prompts."""
        from motionmillion.eval.suites.mbench.scores import mbench_scores

        return mbench_scores(batch)


def with_distractors(suite: Suite, seed: int) -> Suite:
    """Nine wrong answers for each prompt, from other categories, or from all other texts if those have too few."""
    texts = {prompt.category: set() for prompt in suite.prompts}
    for prompt in suite.prompts:
        texts[prompt.category].add(prompt.text.lower())
    count = len(set().union(*texts.values()))
    if min(count - len(own) for own in texts.values()) >= _DISTRACTORS:
        return balanced_distractors(suite, _DISTRACTORS, seed)
    alone = replace(suite, prompts=tuple(replace(prompt, category=prompt.text) for prompt in suite.prompts))
    drawn = balanced_distractors(alone, min(_DISTRACTORS, count - 1), seed).prompts
    pairs = zip(suite.prompts, drawn, strict=True)
    return replace(suite, prompts=tuple(replace(own, distractors=other.distractors) for own, other in pairs))
