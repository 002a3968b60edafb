"""Quantizers behind one small interface: latents `[B, N, C]` -> quantized latents, codes and a loss.

    quantizer = build_quantizer({"type": "fsq", "size": 1024}, dim=512)
    output = quantizer(latents)                 # output.latents [B, N, C], output.codes [B, N]
    latents = quantizer.lookup(output.codes)

| type | options | codebook size K |
|---|---|---|
| fsq | `levels`, or `size` for a published set; `normalize` | product of levels |
| residual_fsq | `levels`, `stages`: FSQ of what the stage before left over; one code for all stages | product ** stages |
| vq | `size`, `codebook_dim`, `decay`, `dead_code_threshold`, `commitment`: codes are moving averages | size |
| lfq | `size` (a power of two), `entropy`, `commitment`: the signs of log2(size) channels | size |
| none | `channels`, `kl`: continuous latents with a small Kullback-Leibler weight, for flow matching | 0 |

| `size` of fsq | 256 | 512 | 1024 | 2048 | 4096 | 16384 | 65536 |
|---|---|---|---|---|---|---|---|
| true K | 240 | 512 | 1000 | 1920 | 4375 | 15360 | 64000 |

The quantizers themselves are those of vector-quantize-pytorch, in float32. A new one is one class and one line in
`_QUANTIZERS`.

Shapes: B batch, N codes in time, C latent channels, Q channels that are quantized, K codebook size.
"""

import inspect
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, LFQ, ResidualFSQ, VectorQuantize

from motionmillion.configuration import unknown_key_error

LARGEST_CODEBOOK = 2**24

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
class QuantizerOutput:
    """Result of a quantizer."""

    latents: Tensor  # [B, N, C] for the decoder, gradients pass straight through
    codes: Tensor | None  # [B, N] int64, 0..K-1; None where there is no codebook
    quantized: Tensor  # [B, N, Q] the quantized channels
    loss: Tensor  # [] what the quantizer adds to the training loss


class Quantizer(nn.Module):
    """The interface: C latent channels are projected to Q, quantized in float32, and projected back.

    Subclasses take `dim` (C) and their options by keyword, and say in `count` how many codes these give.
    """

    def __init__(self, dim: int, channels: int, codebook_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.codebook_size = codebook_size
        self.project_in = nn.Linear(dim, channels)
        self.project_out = nn.Linear(channels, dim)

    @classmethod
    @abstractmethod
    def count(cls, **options: Any) -> int:
        """Codebook size K; raises `ValueError` for options that do not fit."""

    @abstractmethod
    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | float]:
        """Quantized channels `[B, N, Q]`, codes `[B, N]` and loss of channels `[B, N, Q]`, float32.

        Args:
            mask: valid steps `[B, N]`; statistics and losses look at these only.
        """

    @abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """Quantized channels `[B, N, Q]` of codes `[B, N]`."""

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> QuantizerOutput:
        """Quantize `[B, N, C]`; `mask` `[B, N]` marks valid steps."""
        with torch.autocast(latents.device.type, enabled=False):
            channels = self.project_in(latents.to(self.project_in.weight.dtype)).float()
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
        """A new module of the library, as the one in use was built."""
        return None

    def reset_buffers(self) -> None:
        """Fill again the buffers that checkpoints leave out; transformers builds models without their values."""
        fresh = self.library()
        if fresh is None:
            return
        kept, own = fresh.state_dict(), dict(self.inner.named_buffers())  # type: ignore[union-attr]
        for name, buffer in fresh.named_buffers():
            if name not in kept:
                own[name].copy_(buffer)

    def _install(self) -> None:
        with torch.device("cpu"):  # the library reads its own buffers, which transformers' meta device does not allow
            self.inner = self.library()


class FiniteScalarQuantizer(Quantizer):
    """FSQ (arXiv 2309.15505): a few channels, each rounded to its own number of levels.

    Args:
        levels: number of levels of each quantized channel.
        size: nominal size of a published set of levels instead, see `FSQ_LEVELS`.
        normalize: keep each quantized channel at zero mean and unit variance over the training data, by batch norm
            without parameters. Without it channels drift into the flat ends of the rounding function early in
            training on little data, and most codes stay unused.
    """

    def __init__(
        self, dim: int, levels: list[int] | None = None, size: int | None = None, normalize: bool = False
    ) -> None:
        self.levels = _levels(levels, size)
        super().__init__(dim, len(self.levels), math.prod(self.levels))
        self.norm = nn.BatchNorm1d(len(self.levels), affine=False) if normalize else None
        self._install()

    @classmethod
    def count(cls, levels: Any = None, size: Any = None, normalize: Any = False) -> int:
        if not isinstance(normalize, bool):
            raise ValueError(f"quantizer normalize must be true or false, got {normalize!r}")
        return math.prod(_levels(levels, size))

    def library(self) -> nn.Module:
        return FSQ(self.levels, preserve_symmetry=2 in self.levels)  # two levels need the symmetric rounding

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, float]:
        if self.norm is not None and mask is not None and self.training:
            channels = channels.masked_scatter(mask[..., None], self.norm(channels[mask]))
        elif self.norm is not None:
            channels = self.norm(channels.transpose(1, 2)).transpose(1, 2)
        quantized, codes = self.inner(channels)
        return quantized, codes, 0.0

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.indices_to_codes(codes)


class ResidualFiniteScalarQuantizer(Quantizer):
    """Several FSQ in a row, each on what the one before left over; their codes are digits of one code.

    Args:
        levels: number of levels of each quantized channel, the same in every stage.
        stages: how many.
    """

    def __init__(self, dim: int, levels: list[int] | None = None, stages: int = 2) -> None:
        self.levels, self.stages = _levels(levels, None), stages
        super().__init__(dim, len(self.levels), self.count(levels, stages))
        self._install()

    @classmethod
    def count(cls, levels: Any = None, stages: Any = 2) -> int:
        return math.prod(_levels(levels, None)) ** _positive("stages", stages)

    def library(self) -> nn.Module:
        return ResidualFSQ(levels=self.levels, num_quantizers=self.stages)

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, float]:
        quantized, digits = self.inner(channels)  # [B, N, Q], [B, N, stages]
        return quantized, (digits.long() * self._places(digits)).sum(-1), 0.0

    def embed(self, codes: Tensor) -> Tensor:
        digits = codes[..., None] // self._places(codes) % math.prod(self.levels)
        return self.inner.get_output_from_indices(digits)

    def _places(self, like: Tensor) -> Tensor:
        return math.prod(self.levels) ** torch.arange(self.stages, device=like.device)


class VectorQuantizer(Quantizer):
    """VQ: the nearest vector of a codebook that follows the latents by moving averages (arXiv 1711.00937, appendix A).

    Args:
        size: number of codes.
        codebook_dim: length Q of their vectors.
        decay: of the moving averages.
        dead_code_threshold: codes with a smaller average count are moved to a latent of the batch; 0 never does.
        commitment: weight of the loss that draws latents to their codes.
    """

    def __init__(
        self,
        dim: int,
        size: int | None = None,
        codebook_dim: int = 32,
        decay: float = 0.99,
        dead_code_threshold: float = 2.0,
        commitment: float = 0.25,
    ) -> None:
        super().__init__(dim, codebook_dim, self.count(size, codebook_dim, decay, dead_code_threshold, commitment))
        self.options = dict(decay=decay, threshold_ema_dead_code=dead_code_threshold, commitment_weight=commitment)
        self._install()

    @classmethod
    def count(
        cls,
        size: Any = None,
        codebook_dim: Any = 32,
        decay: Any = 0.99,
        dead_code_threshold: Any = 2.0,
        commitment: Any = 0.25,
    ) -> int:
        _positive("codebook_dim", codebook_dim)
        _weight("dead_code_threshold", dead_code_threshold)
        _weight("commitment", commitment)
        if not 0 < _weight("decay", decay) < 1:
            raise ValueError(f"quantizer decay must be between 0 and 1, got {decay!r}")
        return _positive("size", size, least=2)

    def library(self) -> nn.Module:
        return VectorQuantize(
            dim=self.channels, codebook_size=self.codebook_size, kmeans_init=self.codebook_size <= 4096, **self.options
        )

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.inner(channels, mask=mask)
        return quantized, codes.clamp(min=0), loss.sum()  # the library marks padding by -1

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.get_codes_from_indices(codes)


class LookupFreeQuantizer(Quantizer):
    """LFQ (arXiv 2310.05737): the signs of log2(size) channels are the code; an entropy loss spreads the codes.

    Args:
        size: number of codes, a power of two.
        entropy: weight of the entropy loss; it compares every latent with every code, `[B * N, K]`.
        commitment: weight of the loss that draws channels to -1 and 1.
    """

    def __init__(self, dim: int, size: int | None = None, entropy: float = 0.1, commitment: float = 0.25) -> None:
        count = self.count(size, entropy, commitment)
        super().__init__(dim, count.bit_length() - 1, count)
        self.options = dict(entropy_loss_weight=entropy, commitment_loss_weight=commitment)
        self._install()

    @classmethod
    def count(cls, size: Any = None, entropy: Any = 0.1, commitment: Any = 0.25) -> int:
        _weight("entropy", entropy)
        _weight("commitment", commitment)
        count = _positive("size", size, least=2)
        if count & (count - 1):
            raise ValueError(
                f"quantizer size must be a power of two for lfq, got {size!r}; try {1 << count.bit_length()}"
            )
        return count

    def library(self) -> nn.Module:
        return LFQ(codebook_size=self.codebook_size, dim=self.channels, **self.options)

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.inner(channels, mask=mask)
        return quantized, codes, loss

    def embed(self, codes: Tensor) -> Tensor:
        return self.inner.indices_to_codes(codes)


class NoQuantizer(Quantizer):
    """Continuous latents: mean and variance of a Gaussian, drawn from in training, the mean itself otherwise.

    Args:
        channels: length Q of the latents.
        kl: weight of the Kullback-Leibler divergence to a standard Gaussian, in nats a channel.
    """

    def __init__(self, dim: int, channels: int = 32, kl: float = 1e-4) -> None:
        super().__init__(dim, channels, self.count(channels, kl))
        self.project_in = nn.Linear(dim, 2 * channels)
        self.kl = kl

    @classmethod
    def count(cls, channels: Any = 32, kl: Any = 1e-4) -> int:
        _positive("channels", channels)
        _weight("kl", kl)
        return 0

    def quantize(self, channels: Tensor, mask: Tensor | None) -> tuple[Tensor, None, Tensor]:
        mean, log_variance = channels.chunk(2, dim=-1)
        log_variance = log_variance.clamp(-20, 10)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(-1)  # [B, N]
        loss = divergence.mean() if mask is None else (divergence * mask).sum() / mask.sum().clamp(min=1)
        if self.training:
            mean = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return mean, None, self.kl * loss

    def embed(self, codes: Tensor) -> Tensor:
        raise ValueError('codes must come from a quantizer with a codebook, this one is "none"; use decode_latents')


_QUANTIZERS: dict[str, type[Quantizer]] = {
    "fsq": FiniteScalarQuantizer,
    "residual_fsq": ResidualFiniteScalarQuantizer,
    "vq": VectorQuantizer,
    "lfq": LookupFreeQuantizer,
    "none": NoQuantizer,
}


def build_quantizer(options: Mapping[str, Any], dim: int) -> Quantizer:
    """The quantizer of `options`, e.g. `{"type": "fsq", "levels": [8, 5, 5, 5]}`, for latents of `dim` channels."""
    kind, arguments = _parse(options)
    return kind(dim, **arguments)


def codebook_size(options: Mapping[str, Any]) -> int:
    """Codebook size K that `options` give; 0 without a codebook.

    Raises:
        ValueError: for an unknown type or options that do not fit it.
    """
    kind, arguments = _parse(options)
    size = kind.count(**arguments)
    if size > LARGEST_CODEBOOK:
        raise ValueError(f"quantizer must have at most {LARGEST_CODEBOOK:,} codes, got {size:,} by {dict(options)!r}")
    return size


def _parse(options: Mapping[str, Any]) -> tuple[type[Quantizer], dict[str, Any]]:
    kind = options.get("type")
    if kind not in _QUANTIZERS:
        raise ValueError(f"quantizer type must be one of {sorted(_QUANTIZERS)}, got {kind!r}")
    known = list(inspect.signature(_QUANTIZERS[kind].count).parameters)
    given = {key: value for key, value in options.items() if key != "type"}
    if set(given) - set(known):
        raise unknown_key_error(f"quantizer options of {kind!r}", set(given) - set(known), known)
    return _QUANTIZERS[kind], given


def code_usage(codes: Tensor, size: int) -> dict[str, float]:
    """Share of the codebook in use, perplexity and entropy in bits, from counts (never a one-hot)."""
    counts = torch.bincount(codes.flatten(), minlength=size).double()
    share = counts / counts.sum().clamp(min=1)
    entropy = float(-(share[share > 0] * share[share > 0].log2()).sum())
    return {"usage": float((counts > 0).double().mean()), "perplexity": 2**entropy, "entropy_bits": entropy}


def code_perplexity(codes: Tensor, size: int) -> Tensor:
    """Perplexity `[]` of codes, on their device: what a training step can afford to log."""
    counts = torch.bincount(codes.flatten(), minlength=size).float()
    return torch.special.entr(counts / counts.sum()).sum().exp()


def _levels(levels: Any, size: Any) -> list[int]:
    if size is not None and (levels is not None or size not in FSQ_LEVELS):
        raise ValueError(
            f"quantizer size must be one of {sorted(FSQ_LEVELS)} and stand without levels, got size {size!r} and "
            f"levels {levels!r}; name the levels for any other"
        )
    if size is not None:
        return FSQ_LEVELS[size]
    if levels is None:
        raise ValueError("quantizer must name its levels or size, got neither; try levels [8, 5, 5, 5]")
    whole = isinstance(levels, list | tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in levels)
    if not whole or not levels or min(levels) < 2:
        raise ValueError(f"quantizer levels must be a list of whole numbers of at least 2, got {levels!r}")
    return list(levels)


def _positive(name: str, value: Any, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"quantizer {name} must be a whole number of at least {least}, got {value!r}")
    return value


def _weight(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"quantizer {name} must be a number that is not negative, got {value!r}")
    return value
