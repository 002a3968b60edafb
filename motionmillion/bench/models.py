"""Language models with random weights, to be timed.

lm = make_lm("44m", codebook=65536, dtype="float32", device="cpu")
"""

from typing import Any

import torch

from motionmillion.configuration import MODEL_DTYPES, find_dtype
from motionmillion.lm import MotionLM, MotionLMConfig

TEXT = 20
"""Number of text positions."""


def make_lm(size: str, codebook: int, dtype: str, device: str, text_dim: int = 2048, **options: Any) -> MotionLM:
    """A model with random weights, from a fixed seed.

    Raises:
        ValueError: for unknown sizes and dtypes.
    """
    chosen: Any = find_dtype(dtype, MODEL_DTYPES)
    torch.manual_seed(0)
    config = MotionLMConfig.from_name(size, codebook_size=codebook, text_dim=text_dim, **options)
    return MotionLM(config).to(chosen).to(torch.device(device)).eval()  # type: ignore[arg-type]
