"""Quantizers with a common interface: latents `[B, N, C]` -> quantized latents, codes and a loss.

    quantizer = build_quantizer({"type": "fsq", "size": 1024}, dim=512)     # of the registry
    output = quantizer(latents)                 # output.latents [B, N, C], output.codes [B, N]
    latents = quantizer.lookup(output.codes)

Types and options are defined in `motionmillion.tokenizer.quantizers.registry`. The quantizers themselves are those of
vector-quantize-pytorch, in float32. A new one is one new file, with a dataclass of options and a `Quantizer` that
names it, and one new line in the registry.

Shapes: B batch, N codes in time, C latent channels, Q quantized channels, K codebook size.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from motionmillion.configuration import check_whole
from motionmillion.tokenizer.layers import ExactLinear

LARGEST_TABLE = 2**24
"""Most codes of a quantizer that keeps a vector or a statistic of each."""


@dataclass
class QuantizerOutput:
    """Result of a quantizer."""

    latents: Tensor  # [B, N, C] for the decoder, with straight-through gradients
    codes: Tensor | None  # [B, N] int64, 0..K-1; None without a codebook
    quantized: Tensor  # [B, N, Q] the quantized channels
    loss: Tensor  # [] the quantizer's part of the training loss


def check_table(size: Any) -> int:
    """`size` if it is a number of codes of which a table can be kept.

    Raises:
        ValueError: for other sizes.
    """
    if check_whole("quantizer size", size, 2) > LARGEST_TABLE:
        raise ValueError(f"quantizer size must be at most {LARGEST_TABLE:,}, got {size:,}; fsq has no table of codes")
    return size


class QuantizerOptions(Protocol):
    """What the options of a quantizer have in common: they are a dataclass that checks its values."""

    @property
    def codebook_size(self) -> int:
        """K; 0 without a codebook."""
        ...


class Quantizer(nn.Module):
    """The interface: C latent channels are projected to Q, quantized in float32, and projected back.

    A subclass names the dataclass of its options as `options_type`, and is made with `(dim, options)`.
    """

    options_type: ClassVar[type]

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
