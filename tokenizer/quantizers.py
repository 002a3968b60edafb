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

from motionmillion.configuration import unknown_key_error


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
    """FSQ (arXiv 2309.15505): a few channels, each rounded to its own number of levels; fp32 inside.

    Args:
        dim: latent channels C.
        levels: number of levels of each quantized channel.
        normalize: keep each quantized channel at zero mean and unit variance over the training data, by batch norm
            without parameters. Without it channels drift into the flat ends of the rounding function early in
            training on little data, and most codes stay unused.
    """

    def __init__(self, dim: int, levels: list[int], normalize: bool = False) -> None:
        super().__init__()
        self.levels = levels
        self.codebook_size = math.prod(levels)
        self.project_in = nn.Linear(dim, len(levels))
        self.project_out = nn.Linear(len(levels), dim)
        self.norm = nn.BatchNorm1d(len(levels), affine=False) if normalize else None
        with torch.device("cpu"):  # FSQ reads its own buffers, which transformers' meta device does not allow
            self.fsq = FSQ(levels)

    def forward(self, latents: Tensor) -> QuantizerOutput:
        with torch.autocast(latents.device.type, enabled=False):
            channels = self.project_in(latents.to(self.project_in.weight.dtype)).float()
            if self.norm is not None:
                channels = self.norm(channels.transpose(1, 2)).transpose(1, 2)
            quantized, codes = self.fsq(channels)
        return QuantizerOutput(self._expand(quantized), codes.long(), latents.new_zeros(()))

    def lookup(self, codes: Tensor) -> Tensor:
        return self._expand(self.fsq.indices_to_codes(codes))

    def reset_buffers(self) -> None:
        for name, buffer in FSQ(self.levels).named_buffers():
            getattr(self.fsq, name).copy_(buffer)

    def _expand(self, quantized: Tensor) -> Tensor:
        return self.project_out(quantized.to(self.project_out.weight.dtype))


def _check_levels(levels: Any) -> list[int]:
    if not isinstance(levels, list | tuple) or not levels or any(not isinstance(n, int) or n < 3 for n in levels):
        raise ValueError(f"quantizer levels must be a list of whole numbers of at least 3, got {levels!r}")
    return list(levels)


_QUANTIZERS: dict[str, tuple[type[Quantizer], dict[str, Any]]] = {
    "fsq": (FiniteScalarQuantizer, {"levels": _check_levels, "normalize": bool}),
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
    if set(given) - set(checks):
        raise unknown_key_error(f"quantizer options of {kind!r}", set(given) - set(checks), checks)
    if "levels" not in given:
        raise ValueError(f"quantizer of type {kind!r} must name its levels, got {dict(options)!r}; try [8, 5, 5, 5]")
    return cls, {key: checks[key](value) for key, value in given.items()}


def code_usage(codes: Tensor, size: int) -> dict[str, float]:
    """Share of the codebook in use, perplexity and entropy in bits, from counts (never a one-hot)."""
    counts = torch.bincount(codes.flatten(), minlength=size).double()
    share = counts / counts.sum().clamp(min=1)
    entropy = float(-(share[share > 0] * share[share > 0].log2()).sum())
    return {"usage": float((counts > 0).double().mean()), "perplexity": 2**entropy, "entropy_bits": entropy}
