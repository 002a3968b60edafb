"""No codebook: continuous latents with a small Kullback-Leibler weight."""

from dataclasses import dataclass

import torch
from torch import Tensor

from motionmillion.configuration import check_number, check_whole
from motionmillion.tokenizer.layers import ExactLinear
from motionmillion.tokenizer.quantizers.base import Quantizer


@dataclass
class ContinuousOptions:
    """Options of `NoQuantizer`.

    Args:
        channels: dimension Q of the latents.
        kl: weight of the Kullback-Leibler divergence to a standard Gaussian, in nats per channel.
    """

    channels: int = 32
    kl: float = 1e-4

    def __post_init__(self) -> None:
        check_whole("quantizer channels", self.channels, 1)
        check_number("quantizer kl", self.kl)

    @property
    def codebook_size(self) -> int:
        return 0


class NoQuantizer(Quantizer):
    """Continuous latents: a sample from a Gaussian with predicted mean and variance in training, else its mean."""

    options_type = ContinuousOptions

    def __init__(self, dim: int, options: ContinuousOptions) -> None:
        super().__init__(dim, options.channels, 0)
        self.project_in = ExactLinear(dim, 2 * options.channels)
        self.kl = options.kl

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, None, Tensor]:
        mean, log_variance = channels.chunk(2, dim=-1)
        log_variance = log_variance.clamp(-20, 10)
        # KL divergence to a standard Gaussian, mean over channels
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(-1)  # [B, N]
        loss = divergence.mean() if mask is None else (divergence * mask).sum() / mask.sum().clamp(min=1)
        if self.training:
            mean = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return mean, None, self.kl * loss

    def embed(self, codes: Tensor) -> Tensor:
        raise ValueError('codes must come from a quantizer with a codebook, this one is "none"; use decode_latents')
