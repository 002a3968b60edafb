"""Rotary position embedding (RoPE) with angles in float32, or with the rounding that a checkpoint was trained with.

    cos, sin = RotaryEmbedding(config)(hidden, positions)      # each [B, S, head_dim], for Llama layers

Unusual: there is no table and no buffer. Angles are computed in float32 from the positions of each call, so neither
`model.to(torch.bfloat16)` nor loading on the meta device affects them; only their cosines and sines are cast to the
dtype of the hidden states. Source: RoFormer (arXiv 2104.09864), in Llama's layout of two halves.
"""

import torch
from torch import Tensor, nn

from motionmillion.lm.config import MotionLMConfig


class RotaryEmbedding(nn.Module):
    """Cosines and sines of position times frequency; `config.rope_precision` sets the rounding."""

    def __init__(self, config: MotionLMConfig) -> None:
        super().__init__()
        self.dim = config.head_dim or config.hidden_size // config.num_attention_heads
        self.theta: float = (config.rope_parameters or {}).get("rope_theta") or 10000.0  # type: ignore[assignment]
        self.precision = config.rope_precision

    @torch.no_grad()
    def forward(self, hidden: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Tables for `positions` `[B, S]`, each `[B, S, head_dim]` in the dtype of `hidden`."""
        angles = self.angles(positions)  # [B, S, head_dim / 2]
        both = torch.cat([angles, angles], dim=-1)
        return both.cos().to(hidden.dtype), both.sin().to(hidden.dtype)

    def angles(self, positions: Tensor) -> Tensor:
        """Radians `[..., head_dim / 2]`, float32.

        "bfloat16" rounds frequency, position and product; "autocast" rounds position and exponent only, because
        autocast takes powers and reciprocals in float32.
        """
        with torch.autocast(positions.device.type, enabled=False):
            exponents = torch.arange(0, self.dim, 2, device=positions.device)
            if self.precision == "float32":
                frequencies = self.theta ** -(exponents.float() / self.dim)
                return positions[..., None].float() * frequencies
            rounded = exponents.bfloat16() / self.dim
            places = positions[..., None].bfloat16()
            if self.precision == "autocast":
                return places.float() * (1.0 / self.theta ** rounded.float())
            return (places * (1.0 / self.theta**rounded)).float()
