"""One run of `evaluate`: motions of a suite, questions about them, results in files."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.run.evaluate import Outcome, evaluate_suite
    from motionmillion.eval.run.evaluation import Evaluation, ForeignMotions
    from motionmillion.eval.run.generation import GenerationOptions, generate_suite

__all__ = ["Evaluation", "ForeignMotions", "GenerationOptions", "Outcome", "evaluate_suite", "generate_suite"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluate": ["Outcome", "evaluate_suite"],
        "evaluation": ["Evaluation", "ForeignMotions"],
        "generation": ["GenerationOptions", "generate_suite"],
    },
)
