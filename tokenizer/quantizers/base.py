"""Quantizers with a common interface: latents `[B, N, C]` -> quantized latents, codes and a loss.

    quantizer = build_quantizer({"type": "fsq", "size": 1024}, dim=512)
    output = quantizer(latents)                 # output.latents [B, N, C], output.codes [B, N]
    latents = quantizer.lookup(output.codes)

Types and options are defined in `motionmillion.tokenizer.quantizers.registry`. The quantizers themselves are those of
vector-quantize-pytorch, in float32. A new one needs a class here, an options class there, and an entry in both tables.

Shapes: B batch, N codes in time, C latent channels, Q quantized channels, K codebook size.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, LFQ, ResidualFSQ, VectorQuantize

from motionmillion.tokenizer.layers import ExactLinear
from motionmillion.tokenizer.quantizers.registry import (
    ContinuousOptions,
    FSQOptions,
    LFQOptions,
    Options,
    ResidualFSQOptions,
    VQOptions,
    parse_options,
)


@dataclass
class QuantizerOutput:
    """Result of a quantizer."""

    latents: Tensor  # [B, N, C] for the decoder, with straight-through gradients
    codes: Tensor | None  # [B, N] int64, 0..K-1; None without a codebook
    quantized: Tensor  # [B, N, Q] the quantized channels
    loss: Tensor  # [] the quantizer's part of the training loss


class Quantizer(nn.Module):
    """The interface: C latent channels are projected to Q, quantized in float32, and projected back."""

    inner: Any  # the module of the library

    def __init__(self, dim: int, channels: int, codebook_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.codebook_size = codebook_size
        self.project_in = ExactLinear(dim, channels)
        self.project_out = nn.Linear(channels, dim)

    @abstractmethod
    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | float]:
        """Quantized channels `[B, N, Q]`, codes `[B, N]` and loss of channels `[B, N, Q]`, float32.

        Args:
            mask: valid steps `[B, N]`; statistics and losses use only these.
        """

    @abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """Quantized channels `[B, N, Q]` of codes `[B, N]`."""

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> QuantizerOutput:
        """Quantize `[B, N, C]`; `mask` `[B, N]` marks valid steps."""
        with torch.autocast(latents.device.type, enabled=False):
            channels = self.project_in(latents)
            quantized, codes, loss = self.quantize(channels, mask)
        codes = None if codes is None else codes.long()
        return QuantizerOutput(self.expand(quantized), codes, quantized, torch.as_tensor(loss, device=latents.device))

    def lookup(self, codes: Tensor) -> Tensor:
        """Latents `[B, N, C]` of codes `[B, N]`."""
        return self.expand(self.embed(codes))

    def expand(self, quantized: Tensor) -> Tensor:
        """Latents `[B, N, C]` of quantized channels `[B, N, Q]`."""
        with torch.autocast(quantized.device.type, enabled=False):
            return self.project_out(quantized.to(self.project_out.weight.dtype))

    def library(self) -> nn.Module | None:
        """A new instance of the library's module, with the same options as `inner`."""
        return None

    def reset_buffers(self) -> None:
        """Restore the buffers that are not in checkpoints; transformers builds models without their values."""
        fresh = self.library()
        if fresh is None:
            return
        kept, own = fresh.state_dict(), dict(self.inner.named_buffers())
        for name, buffer in fresh.named_buffers():
            if name not in kept:  # the fresh one, for a model that is built in half precision has rounded ones
                owner, _, last = name.rpartition(".")
                setattr(self.inner.get_submodule(owner), last, buffer.to(own[name].device))

    def _install(self) -> None:
        with torch.device("cpu"):  # the library reads its buffers, which fails on transformers' meta device
            self.inner = self.library()


class FiniteScalarQuantizer(Quantizer):
    """FSQ (arXiv 2309.15505): a few channels, each rounded to a fixed number of levels."""

    def __init__(self, dim: int, options: FSQOptions) -> None:
        self.levels = list(options.levels or [])
        super().__init__(dim, len(self.levels), options.codebook_size)
        self.norm = nn.BatchNorm1d(len(self.levels), affine=False) if options.normalize else None
        self._install()

    def library(self) -> nn.Module:
        return FSQ(self.levels, preserve_symmetry=2 in self.levels)  # two levels need the symmetric rounding

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, float]:
        if self.norm is not None and mask is not None and self.training:
            # batch norm over valid steps only
            channels = channels.masked_scatter(mask[..., None], self.norm(channels[mask]))
        elif self.norm is not None:
            channels = self.norm(channels.transpose(1, 2)).transpose(1, 2)
        quantized, codes = self.inner(channels)
        return quantized, codes, 0.0

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.indices_to_codes(codes)


class ResidualFiniteScalarQuantizer(Quantizer):
    """Several FSQ stages, each on the residual of the previous one; their codes are the digits of a joint code."""

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


class VectorQuantizer(Quantizer):
    """VQ: the nearest vector of a codebook that is updated by exponential moving averages (arXiv 1711.00937)."""

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


class LookupFreeQuantizer(Quantizer):
    """LFQ (arXiv 2310.05737): the signs of log2(size) channels form the code; an entropy loss spreads the codes."""

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


class NoQuantizer(Quantizer):
    """Continuous latents: a sample from a Gaussian with predicted mean and variance in training, else its mean."""

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


_QUANTIZERS: dict[type[Options], type[Quantizer]] = {
    FSQOptions: FiniteScalarQuantizer,
    ResidualFSQOptions: ResidualFiniteScalarQuantizer,
    VQOptions: VectorQuantizer,
    LFQOptions: LookupFreeQuantizer,
    ContinuousOptions: NoQuantizer,
}


def build_quantizer(options: Mapping[str, Any], dim: int) -> Quantizer:
    """The quantizer of `options`, e.g. `{"type": "fsq", "levels": [8, 5, 5, 5]}`, for latents of `dim` channels.

    Raises:
        ValueError: for an unknown type or options that do not fit it.
    """
    parsed = parse_options(options)
    return _QUANTIZERS[type(parsed)](dim, parsed)  # type: ignore[call-arg,arg-type]


def code_usage(codes: Tensor, size: int) -> dict[str, float]:
    """Fraction of the codebook in use, perplexity and entropy in bits, from counts (no one-hot matrix)."""
    counts = torch.bincount(codes.flatten(), minlength=size).double()
    fraction = counts / counts.sum().clamp(min=1)
    entropy = float(-(fraction[fraction > 0] * fraction[fraction > 0].log2()).sum())
    return {"usage": float((counts > 0).double().mean()), "perplexity": 2**entropy, "entropy_bits": entropy}


def code_perplexity(codes: Tensor, size: int) -> Tensor:
    """Perplexity `[]` of codes, on their device, cheap enough to log at every training step."""
    counts = torch.bincount(codes.flatten(), minlength=size).float()
    return torch.special.entr(counts / counts.sum()).sum().exp()
