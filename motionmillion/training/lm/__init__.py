"""Training of the motion language model: options, data, adapters, samples."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.training.lm.train import LMParts, train_lm

__all__ = ["LMParts", "train_lm"]

__getattr__, __dir__ = lazy_names(__name__, {"train": ["LMParts", "train_lm"]})
