"""The gate: decides whether a reference motion is good enough to use, or the text is the better condition.

    gate = Gate()                                      # jitter, then the bundled text-motion evaluator
    gate = Gate(judge="https://host/v1#model")         # or a vision-language model, see motionmillion.eval.judges
    for decision in gate(["a person waves"], [reference]):
        print(decision.use, decision.reason)

A reference is used if it is smooth and a judge finds that it shows the text. Motions estimated from real video often
fail the first test, those from generated video the second.

Unusual: the judge is not called for a jittery reference, and a judge's unclear answer counts as no.

Source: the offline gate of ViMoGen (arXiv 2510.26794): jitter degree below 0.04 at 20 frames per second, then a
vision-language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motionmillion.configuration import check_number
from motionmillion.eval.physics import physics_measures
from motionmillion.kinematics.retarget import on_smpl22
from motionmillion.motion import Motion

if TYPE_CHECKING:
    from motionmillion.eval.judges.judge import Judge

JITTER = 0.04
"""Mean acceleration above which a reference is rejected, m/frame^2 at 20 frames per second."""


@dataclass(frozen=True)
class Decision:
    """Decision of the gate about one reference.

    Args:
        use: whether to use it.
        jitter: its jitter degree, m/frame^2 at 20 frames per second; None without a reference.
        matches: whether it shows the text; None if the judge was not asked or gave no clear answer.
        reason: explanation for users.
    """

    use: bool
    jitter: float | None
    matches: bool | None
    reason: str


class Gate:
    """Decides for each text and reference; see the module's docstring.

    Args:
        jitter: jitter degree at and above which a reference is rejected.
        judge: a judge, the name of one (`motionmillion.eval.judges.make_judge`; "similarity" is the bundled
            evaluator), or None to check the jitter only.
        options: of the judge if it is given by name, such as `threshold`.

    Raises:
        ValueError: for a threshold that is not positive, and an invalid judge.
    """

    def __init__(self, jitter: float = JITTER, judge: "Judge | str | None" = "similarity", **options: Any) -> None:
        if not check_number("jitter", jitter) > 0:
            raise ValueError(f"jitter must be above 0, got {jitter!r}; {JITTER} is ViMoGen's")
        if options and not isinstance(judge, str):
            raise ValueError(f"options must be left out unless a judge is named, got {sorted(options)}")
        if judge is not None and not isinstance(judge, str) and not hasattr(judge, "replies"):
            raise ValueError(f"judge must be a judge, the name of one, or None, got {judge!r}")
        self.jitter, self._judge, self._options = jitter, judge, options

    @property
    def judge(self) -> "Judge | None":
        """The judge; one given by name is loaded on first use."""
        if isinstance(self._judge, str):
            from motionmillion.eval.judges.choose import make_judge

            self._judge = make_judge(self._judge, **self._options)
        return self._judge

    def __call__(self, prompts: Sequence[str], references: Sequence[Motion | None]) -> list[Decision]:
        """One decision for each text and its reference.

        Args:
            prompts: texts; for an empty one the reference is always used.
            references: motions of any frame rate and skeleton, or None.

        Raises:
            ValueError: unless there is one reference per text.
        """
        if len(prompts) != len(references):
            raise ValueError(f"references must be one per prompt, {len(prompts)}, got {len(references)}")
        # a motion given for several prompts is retargeted and measured once
        mapped = {id(motion): on_smpl22(motion) for motion in references if motion is not None}
        references = [None if motion is None else mapped[id(motion)] for motion in references]
        jitters = self._jitters(references)
        smooth = [jitter is not None and jitter < self.jitter for jitter in jitters]
        asked = [
            (text, reference)
            for text, reference, fine in zip(prompts, references, smooth, strict=True)
            if fine and text.strip() and reference is not None
        ]
        answers = self._ask(asked)
        return [
            self._decide(text.strip(), jitter, answers.get((text, id(reference))))
            for text, reference, jitter in zip(prompts, references, jitters, strict=True)
        ]

    def _jitters(self, references: Sequence[Motion | None]) -> list[float | None]:
        there = {id(motion): motion for motion in references if motion is not None}
        if not there:
            return [None] * len(references)
        motions = list(there.values())
        measured = physics_measures([m.positions() for m in motions], fps=[m.fps for m in motions])["jitter_degree"]
        known = dict(zip(there, measured.tolist(), strict=True))
        return [known.get(id(motion)) for motion in references]

    def _ask(self, asked: Sequence[tuple[str, Motion]]) -> dict[tuple[str, int], tuple[bool | None, str]]:
        """Whether each motion shows its text, and why, by the text and the motion's identity."""
        # equal questions are asked once
        pairs = {(text, id(motion)): motion for text, motion in asked}
        if not pairs or self.judge is None:
            return {}
        from motionmillion.eval.judges.ask import ask_all
        from motionmillion.eval.judges.judge import Question

        questions = [Question(str(n), "match", motion, key[0]) for n, (key, motion) in enumerate(pairs.items())]
        answers = ask_all(self.judge, questions)
        return {
            key: (answer.right, " ".join((answer.error if answer.right is None else answer.reply).split()))
            for key, answer in zip(pairs, answers, strict=True)
        }

    def _decide(self, text: str, jitter: float | None, answer: tuple[bool | None, str] | None) -> Decision:
        if jitter is None:
            return Decision(False, None, None, "there is no reference")
        if not text:
            return Decision(True, jitter, None, "there is no text, only the reference")
        if jitter >= self.jitter:
            return Decision(False, jitter, None, f"the reference jitters, {jitter:.3f} of {self.jitter:g} m/frame^2")
        smooth = f"the reference is smooth, {jitter:.3f} of {self.jitter:g} m/frame^2"
        if answer is None:  # no judge: the jitter alone decides
            return Decision(True, jitter, None, smooth)
        matches, words = answer
        if matches is None:
            return Decision(False, jitter, None, f"{smooth}, but the judge gave no answer: {words}")
        said = "and shows the text" if matches else "but does not show the text"
        return Decision(matches, jitter, matches, f"{smooth}, {said}: {words}")
