"""Quantizers behind one small interface: latents `[B, N, C]` -> quantized latents, codes and a loss.

The quantizers themselves are those of vector-quantize-pytorch. A new one is one class and one line in `_QUANTIZERS`.

Shapes: B batch, N codes in time, C latent channels, K codebook size.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ


@dataclass
class QuantizerOutput:
    """Result of a quantizer."""

    latents: Tensor  # [B, N, C] quantized, gradients pass straight through
    codes: Tensor  # [B, N] int64, 0..K-1
    loss: Tensor  # [] what the quantizer adds to the training loss


class Quantizer(nn.Module):
    """The interface."""

    codebook_size: int

    @abstractmethod
    def forward(self, latents: Tensor) -> QuantizerOutput:
        """Quantize `[B, N, C]`."""

    @abstractmethod
    def lookup(self, codes: Tensor) -> Tensor:
        """Latents `[B, N, C]` of codes `[B, N]`."""

    def reset_buffers(self) -> None:
        """Fill again the buffers that checkpoints leave out; transformers builds models without their values."""


class FiniteScalarQuantizer(Quantizer):
    """FSQ (arXiv 2309.15505): a few channels, each rounded to its own number of levels; fp32 inside."""

    def __init__(self, dim: int, levels: list[int]) -> None:
        super().__init__()
        self.levels = levels
        with torch.device("cpu"):  # FSQ reads its own buffers, which transformers' meta device does not allow
            self.fsq = FSQ(levels, dim=dim)
        self.codebook_size = math.prod(levels)

    def forward(self, latents: Tensor) -> QuantizerOutput:
        with torch.autocast(latents.device.type, enabled=False):
            quantized, codes = self.fsq(latents.float())
        return QuantizerOutput(quantized.to(latents.dtype), codes.long(), latents.new_zeros(()))

    def lookup(self, codes: Tensor) -> Tensor:
        return self.fsq.indices_to_codes(codes)

    def reset_buffers(self) -> None:
        for name, buffer in FSQ(self.levels, dim=self.fsq.dim).named_buffers():
            getattr(self.fsq, name).copy_(buffer)


def _check_levels(levels: Any) -> list[int]:
    if not isinstance(levels, list | tuple) or not levels or any(not isinstance(n, int) or n < 3 for n in levels):
        raise ValueError(f"quantizer levels must be a list of whole numbers of at least 3, got {levels!r}")
    return list(levels)


_QUANTIZERS = {
    "fsq": (FiniteScalarQuantizer, {"levels": _check_levels}),
}


def build_quantizer(options: Mapping[str, Any], dim: int) -> Quantizer:
    """The quantizer of `options`, e.g. `{"type": "fsq", "levels": [8, 5, 5, 5]}`, for latents of `dim` channels."""
    kind, arguments = _parse(options)
    return kind(dim=dim, **arguments)


def codebook_size(options: Mapping[str, Any]) -> int:
    """Codebook size K that `options` give.

    Raises:
        ValueError: for an unknown type or options that do not fit it.
    """
    _, arguments = _parse(options)
    return math.prod(arguments["levels"])


def _parse(options: Mapping[str, Any]) -> tuple[type[Quantizer], dict[str, Any]]:
    kind = options.get("type")
    if kind not in _QUANTIZERS:
        raise ValueError(f"quantizer type must be one of {sorted(_QUANTIZERS)}, got {kind!r}")
    cls, checks = _QUANTIZERS[kind]
    given = {key: value for key, value in options.items() if key != "type"}
    if set(given) != set(checks):
        raise ValueError(f"quantizer options of {kind!r} must be {sorted(checks)}, got {sorted(given)}")
    return cls, {key: checks[key](value) for key, value in given.items()}


def code_usage(codes: Tensor, size: int) -> dict[str, float]:
    """Share of the codebook in use, perplexity and entropy in bits, from counts (never a one-hot)."""
    counts = torch.bincount(codes.flatten(), minlength=size).double()
    share = counts / counts.sum().clamp(min=1)
    entropy = float(-(share[share > 0] * share[share > 0].log2()).sum())
    return {"usage": float((counts > 0).double().mean()), "perplexity": 2**entropy, "entropy_bits": entropy}
