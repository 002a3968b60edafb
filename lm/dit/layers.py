"""The parts of MotionDiT: attention with QK norm, modulated blocks, sinusoidal embeddings of frames and timesteps.

Modules take plain arguments, no config. Attention masks are boolean, true where a query may attend.

Letters: B batch, T frames, S keys, C width, H heads, P blocks of one modulation.

Source: DiT (arXiv 2212.09748), Wan 2.1 (2503.20314), ViMoGen (2510.26794).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from motionmillion.precision import widened, widest


class Attention(nn.Module):
    """Multi-head attention; queries and keys go through an RMS norm over the whole width.

    Args:
        width: C, a multiple of `heads`.
        eps: of the norms.
    """

    def __init__(self, width: int, heads: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm_query, self.norm_key = nn.RMSNorm(width, eps=eps), nn.RMSNorm(width, eps=eps)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of x `[B, T, C]` over `context` `[B, S, C]`; `mask` `[B, S]` marks its valid positions."""
        query = _normed(self.norm_query, self.query(x))
        key = _normed(self.norm_key, self.key(context))
        value = self.value(context)
        query, key, value = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        seen = None if mask is None else mask[:, None, None]  # [B, 1, 1, S]
        found = F.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value, seen)
        return self.output(found.transpose(1, 2).flatten(2))


class Modulation(nn.Module):
    """Shifts, scales and gates `[B, 1, C]`: learned offsets plus the projection of the timestep."""

    def __init__(self, parts: int, width: int) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.randn(1, parts, width) / width**0.5)

    def forward(self, time: Tensor) -> tuple[Tensor, ...]:
        """The P parts, from `time` `[B, P, C]`, or from `[B, 1, C]` for all of them."""
        return (self.learned + time).chunk(self.learned.shape[1], dim=1)


class Context(NamedTuple):
    """What rows of a batch attend to.

    Args:
        states: `[K, S, C]`, for K of the B rows.
        mask: valid positions `[K, S]`; None for all.
        rows: which rows these are `[K]`; None for all.
    """

    states: Tensor
    mask: Tensor | None
    rows: Tensor | None = None


class Block(GradientCheckpointingLayer):
    """Self-attention, then in blocks with `conditions` ONE cross-attention per row, then the feed-forward layer.

    Self-attention and feed-forward are modulated by the timestep; cross-attention is not.

    Args:
        conditions: number of kinds of context, each with its own cross-attention.
    """

    def __init__(
        self, width: int, hidden: int, heads: int, conditions: int = 0, dropout: float = 0.0, eps: float = 1e-6
    ) -> None:
        super().__init__()
        self.modulation = Modulation(6, width)
        self.self_attention = Attention(width, heads, eps)
        self.cross_attentions = nn.ModuleList(Attention(width, heads, eps) for _ in range(conditions))
        self.cross_norms = nn.ModuleList(nn.LayerNorm(width, eps=eps) for _ in range(conditions))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.width, self.eps = width, eps
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, time: Tensor, mask: Tensor | None, contexts: Sequence[Context] = ()) -> Tensor:
        """One block over x `[B, T, C]`.

        Args:
            time: the timestep `[B, 6, C]`.
            mask: valid frames `[B, T]`.
            contexts: one for each cross-attention to use, in their order; a row belongs to one of them.
        """
        # adaptive layer norm (DiT): each [B, 1, C]
        shift, scale, gate, shift_up, scale_up, gate_up = self.modulation(time)
        h = self._norm(x) * (1 + scale) + shift
        x = x + gate * self.dropout(self.self_attention(h, h, mask))
        if contexts:
            x = x + self.dropout(self._attended(x, contexts))
        # feed-forward
        h = self._norm(x) * (1 + scale_up) + shift_up
        return x + gate_up * self.dropout(self.down(F.gelu(self.up(h), approximate="tanh")))

    def _attended(self, x: Tensor, contexts: Sequence[Context]) -> Tensor:
        """What each row of x `[B, T, C]` finds in its context `[B, T, C]`."""
        found = [
            attend(norm(rows_of(x, context.rows)), context.states, context.mask)
            for attend, norm, context in zip(self.cross_attentions, self.cross_norms, contexts, strict=False)
        ]
        rows = [context.rows for context in contexts if context.rows is not None]
        return torch.cat(found)[torch.cat(rows).argsort()] if rows else found[0]

    def _norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,), eps=self.eps)


class VelocityHead(nn.Module):
    """The final modulated norm and the projection to features."""

    def __init__(self, width: int, features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.modulation = Modulation(2, width)
        self.linear = nn.Linear(width, features)
        self.width, self.eps = width, eps

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Features `[B, T, D]` of x `[B, T, C]` and the timestep `[B, 1, C]`."""
        shift, scale = self.modulation(time)
        return self.linear(F.layer_norm(x, (self.width,), eps=self.eps) * (1 + scale) + shift)


def faded(output: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross-fade positions that each predict 2 K frames `[B, N, 2 K, D]` into frames `[B, N * K, D]`.

    A position covers its own patch of K frames and half a patch on either side. Where two positions predict a frame,
    one fades out while the other fades in; where only one does, it counts fully. `mask` `[B, N]` excludes positions.
    """
    patch = output.shape[2] // 2
    rise = ((torch.arange(patch, device=output.device, dtype=output.dtype) + 0.5) / patch)[:, None]  # [K, 1]
    there = torch.ones_like(output[..., :1])  # [B, N, 2 K, 1]
    if mask is not None:
        there = there * mask[..., None, None]

    def added(values: Tensor) -> Tensor:  # [B, N, 2 K, *] -> [B, (N + 1) * K, *], from half a patch before frame 0 on
        early, late = (values * there).split(patch, dim=2)
        return (F.pad(early * rise, (0, 0, 0, 0, 0, 1)) + F.pad(late * (1 - rise), (0, 0, 0, 0, 1, 0))).flatten(1, 2)

    frames = added(output) / added(torch.ones_like(there)).clamp(min=1e-6)
    return frames[:, patch // 2 : patch // 2 + output.shape[1] * patch]


def rows_of(x: Tensor, rows: Tensor | None) -> Tensor:
    """The rows `[K, ...]` of x `[B, ...]`; None stands for all."""
    return x if rows is None else x[rows]


def _normed(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    return norm(x.to(norm.weight.dtype))  # autocast runs norms in their input's dtype


def frame_sines(frames: int, width: int, device: torch.device) -> Tensor:
    """Interleaved sines and cosines of frame numbers `[T, C]` (Vaswani et al., arXiv 1706.03762), float32."""
    angles = _angles(torch.arange(frames, device=device), width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


def time_sines(timestep: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of timesteps `[B]` -> `[B, width]`, float32."""
    angles = _angles(timestep, width)
    return torch.cat([angles.cos(), angles.sin()], dim=-1).float()


def _angles(places: Tensor, width: int) -> Tensor:
    half = torch.arange(0, width, 2, device=places.device, dtype=widest(places.device))
    return widened(places)[:, None] * 10000 ** (-half / width)
