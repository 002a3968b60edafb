"""Figures of validation by which checkpoints can be compared, and whether a greater value of each is better.

    figures_of("lm", recipe)            # {"loss": False, "accuracy": True}: the default first

A name that no evaluation has would be noticed at the first of them, thousands of steps in, and transformers takes the
greatest value for the best of all names but those that end in "loss".
"""

from motionmillion.eval.reconstruction import QUICK_MEASURES
from motionmillion.training.recipe import Recipe

_DIT = ("velocity", "clean")

FIGURES: dict[str, dict[str, bool]] = {
    "tokenizer": {
        "mpjpe_rotations_mm": False,
        **dict.fromkeys(QUICK_MEASURES, False),
        **dict.fromkeys(("code_usage", "code_perplexity"), True),
    },
    "lm": {"loss": False, "accuracy": True},
    "evaluator": {
        "r_precision_top3": True,
        **dict.fromkeys(("r_precision_top1", "r_precision_top2"), True),
        "matching_distance": False,
    },
    "dit": {
        "loss": False,
        **dict.fromkeys((f"{kind}{of}" for kind in _DIT for of in ("", "_text", "_reference")), False),
    },
    "few-step": {"gap": False, **dict.fromkeys(("gap_teacher", "loss", *_DIT), False)},
}
"""By what is trained, as on the command line."""


def figures_of(part: str, recipe: Recipe) -> dict[str, bool]:
    """The figures of a recipe's evaluations; of a DiT those of both kinds of prediction."""
    figures = dict(FIGURES[part])
    if part != "lm":
        return figures
    if recipe.model.get("head") == "flow":
        figures = {"loss": False, "flow_loss": False, "end_loss": False}
    if recipe.data.get("held_out_captions"):
        figures |= {f"wording_{name}": greater for name, greater in figures.items()}
    return figures
