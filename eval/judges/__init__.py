"""Judges answer questions about a motion: offline, local models, and services."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.judges.ask import ask_all, first_failure, tally
    from motionmillion.eval.judges.choose import make_judge
    from motionmillion.eval.judges.judge import Answer, Asked, Judge, JudgeError, Kind, Question

__all__ = [
    "Answer",
    "Asked",
    "Judge",
    "JudgeError",
    "Kind",
    "Question",
    "ask_all",
    "first_failure",
    "make_judge",
    "tally",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ask": ["ask_all", "first_failure", "tally"],
        "choose": ["make_judge"],
        "judge": ["Answer", "Asked", "Judge", "JudgeError", "Kind", "Question"],
    },
)
