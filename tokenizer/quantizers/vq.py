"""VQ: the nearest vector of a codebook that follows the latents."""

from dataclasses import dataclass

from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

from motionmillion.configuration import check_number, check_whole
from motionmillion.tokenizer.quantizers.base import Quantizer, check_table


@dataclass
class VQOptions:
    """Options of `VectorQuantizer`.

    Args:
        size: number of codes.
        codebook_dim: dimension Q of the codebook vectors.
        decay: of the exponential moving averages.
        dead_code_threshold: codes with a smaller average count are replaced by a latent of the batch; 0 is off.
        commitment: weight of the loss that pulls latents towards their codes.
    """

    size: int | None = None
    codebook_dim: int = 32
    decay: float = 0.99
    dead_code_threshold: float = 2.0
    commitment: float = 0.25

    def __post_init__(self) -> None:
        check_table(self.size)
        check_whole("quantizer codebook_dim", self.codebook_dim, 1)
        check_number("quantizer dead_code_threshold", self.dead_code_threshold)
        check_number("quantizer commitment", self.commitment)
        if not 0 < check_number("quantizer decay", self.decay) < 1:
            raise ValueError(f"quantizer decay must be between 0 and 1, got {self.decay!r}")

    @property
    def codebook_size(self) -> int:
        return self.size or 0


class VectorQuantizer(Quantizer):
    """VQ: the nearest vector of a codebook that is updated by exponential moving averages (arXiv 1711.00937)."""

    options_type = VQOptions

    def __init__(self, dim: int, options: VQOptions) -> None:
        self.options = options
        super().__init__(dim, options.codebook_dim, options.codebook_size)
        self._install()

    def library(self) -> nn.Module:
        return VectorQuantize(
            dim=self.channels,
            codebook_size=self.codebook_size,
            decay=self.options.decay,
            threshold_ema_dead_code=self.options.dead_code_threshold,  # type: ignore[arg-type]
            commitment_weight=self.options.commitment,
            kmeans_init=self.codebook_size <= 4096,
        )

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.inner(channels, mask=mask)
        return quantized, codes.clamp(min=0), loss.sum()  # the library marks padding with -1

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.get_codes_from_indices(codes)
