"""Training: recipe files, the Trainer subclass they share, and one training function per model."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.training.evaluator import train_evaluator
    from motionmillion.training.recipe import Recipe, load_recipe
    from motionmillion.training.tokenizer import train_tokenizer

__all__ = ["Recipe", "load_recipe", "train_evaluator", "train_tokenizer"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluator": ["train_evaluator"],
        "recipe": ["Recipe", "load_recipe"],
        "tokenizer": ["train_tokenizer"],
    },
)
