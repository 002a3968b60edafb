"""Residual FSQ: several FSQ in a row, each on what the one before left over."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualFSQ

from motionmillion.configuration import check_whole
from motionmillion.tokenizer.quantizers.base import Quantizer
from motionmillion.tokenizer.quantizers.fsq import _levels


@dataclass
class ResidualFSQOptions:
    """Options of `ResidualFiniteScalarQuantizer`.

    Args:
        levels: number of levels of each quantized channel, the same in every stage.
        stages: number of stages.
    """

    levels: list[int] | None = None
    stages: int = 2

    def __post_init__(self) -> None:
        self.levels = _levels(self.levels)
        check_whole("quantizer stages", self.stages, 1)

    @property
    def codebook_size(self) -> int:
        return math.prod(self.levels or []) ** self.stages


class ResidualFiniteScalarQuantizer(Quantizer):
    """Several FSQ stages, each on the residual of the previous one; their codes are the digits of a joint code."""

    options_type = ResidualFSQOptions

    def __init__(self, dim: int, options: ResidualFSQOptions) -> None:
        self.levels, self.stages = list(options.levels or []), options.stages
        super().__init__(dim, len(self.levels), options.codebook_size)
        self._install()

    def library(self) -> nn.Module:
        return ResidualFSQ(levels=self.levels, num_quantizers=self.stages)

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, float]:
        quantized, digits = self.inner(channels)  # [B, N, Q], [B, N, stages]
        return quantized, (digits.long() * self._places(digits)).sum(-1), 0.0

    def embed(self, codes: Tensor) -> Tensor:
        # [B, N] -> [B, N, stages]
        digits = codes[..., None] // self._places(codes) % math.prod(self.levels)
        return self.inner.get_output_from_indices(digits)

    def _places(self, like: Tensor) -> Tensor:
        return math.prod(self.levels) ** torch.arange(self.stages, device=like.device)
