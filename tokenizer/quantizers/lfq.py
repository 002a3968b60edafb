"""LFQ: the signs of the channels are the code."""

from dataclasses import dataclass

from torch import Tensor, nn
from vector_quantize_pytorch import LFQ

from motionmillion.configuration import check_number
from motionmillion.tokenizer.quantizers.base import Quantizer, check_table


@dataclass
class LFQOptions:
    """Options of `LookupFreeQuantizer`.

    Args:
        size: number of codes, a power of two.
        entropy: weight of the entropy loss; it compares every latent with every code, `[B * N, K]`.
        commitment: weight of the loss that pulls channels towards -1 and 1.
    """

    size: int | None = None
    entropy: float = 0.1
    commitment: float = 0.25

    def __post_init__(self) -> None:
        check_number("quantizer entropy", self.entropy)
        check_number("quantizer commitment", self.commitment)
        size = check_table(self.size)
        if size & (size - 1):
            raise ValueError(
                f"quantizer size must be a power of two for lfq, got {size}; try {1 << size.bit_length()}"
            )

    @property
    def codebook_size(self) -> int:
        return self.size or 0


class LookupFreeQuantizer(Quantizer):
    """LFQ (arXiv 2310.05737): the signs of log2(size) channels form the code; an entropy loss spreads the codes."""

    options_type = LFQOptions

    def __init__(self, dim: int, options: LFQOptions) -> None:
        self.options = options
        super().__init__(dim, options.codebook_size.bit_length() - 1, options.codebook_size)
        self._install()

    def library(self) -> nn.Module:
        return LFQ(
            codebook_size=self.codebook_size,
            dim=self.channels,
            entropy_loss_weight=self.options.entropy,
            commitment_loss_weight=self.options.commitment,
        )

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.inner(channels, mask=mask)
        return quantized, codes, loss

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.indices_to_codes(codes)
