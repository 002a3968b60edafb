"""FSQ: a few channels, each rounded to its own number of levels. Options and quantizer."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from vector_quantize_pytorch import FSQ

from motionmillion.tokenizer.quantizers.base import Quantizer

FSQ_LEVELS = {
    256: [8, 6, 5],
    512: [8, 8, 8],
    1024: [8, 5, 5, 5],
    2048: [8, 8, 6, 5],
    4096: [7, 5, 5, 5, 5],
    16384: [8, 8, 8, 6, 5],
    65536: [8, 8, 8, 5, 5, 5],
}
"""Nominal codebook size -> levels, as published (FSQ, arXiv 2309.15505; Go to Zero, arXiv 2507.07095)."""


@dataclass
class FSQOptions:
    """Options of `FiniteScalarQuantizer`.

    Args:
        levels: number of levels of each quantized channel.
        size: nominal size of a published set of levels, instead of `levels`; see `FSQ_LEVELS`.
        normalize: keep each quantized channel at zero mean and unit variance over the training data, by batch norm
            without parameters. Without it, channels drift into the saturated ends of the rounding function early in
            training on little data, and most codes stay unused.
    """

    levels: list[int] | None = None
    size: int | None = None
    normalize: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and (self.levels is not None or self.size not in FSQ_LEVELS):
            raise ValueError(
                f"quantizer size must be one of {sorted(FSQ_LEVELS)} and come without levels, got size {self.size!r} "
                f"and levels {self.levels!r}; give the levels for any other"
            )
        if not isinstance(self.normalize, bool):
            raise ValueError(f"quantizer normalize must be true or false, got {self.normalize!r}")
        self.levels = _levels(self.levels) if self.size is None else list(FSQ_LEVELS[self.size])

    @property
    def codebook_size(self) -> int:
        return math.prod(self.levels or [])


def _levels(levels: Any) -> list[int]:
    if levels is None:
        raise ValueError("quantizer must have levels or size, got neither; try levels [8, 5, 5, 5]")
    whole = isinstance(levels, list | tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in levels)
    if not whole or not levels or min(levels) < 2:
        raise ValueError(f"quantizer levels must be a list of whole numbers of at least 2, got {levels!r}")
    return list(levels)


class FiniteScalarQuantizer(Quantizer):
    """FSQ (arXiv 2309.15505): a few channels, each rounded to a fixed number of levels."""

    options_type = FSQOptions

    def __init__(self, dim: int, options: FSQOptions) -> None:
        self.levels = list(options.levels or [])
        super().__init__(dim, len(self.levels), options.codebook_size)
        self.norm = nn.BatchNorm1d(len(self.levels), affine=False) if options.normalize else None
        self._install()

    def library(self) -> nn.Module:
        # two levels need the symmetric rounding; with indices the library keeps a table of all codes
        return FSQ(self.levels, preserve_symmetry=2 in self.levels, return_indices=False)

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, float]:
        if self.norm is not None and mask is not None and self.training:
            # batch norm over valid steps only
            channels = channels.masked_scatter(mask[..., None], self.norm(channels[mask]))
        elif self.norm is not None:
            channels = self.norm(channels.transpose(1, 2)).transpose(1, 2)
        quantized, _ = self.inner(channels)
        return quantized, self._codes(quantized), 0.0

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.indices_to_codes(codes)

    def _codes(self, quantized: Tensor) -> Tensor:
        """Codes `[B, N]` of quantized channels. The library adds floats, which are exact up to 2^24 only."""
        digits = self.inner._scale_and_shift(quantized.detach()).round().long()
        return (digits * self.inner._basis).sum(-1)
