"""FlowHead: the small network that follows a flow to the next latent, given the state of the transformer.

    velocity = head(x, sigma, states)                  # x [M, Q], sigma [M], states [M, C] -> [M, Q]

Residual blocks on the noised latent whose norms are scaled, shifted and gated by noise level and state (adaptive layer
norm); gates and output begin at zero. Source: MAR (arXiv 2406.11838), with flow matching in place of diffusion.

Letters: M positions, Q latent channels, C width of the transformer, W width of the head.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionmillion.lm.flow import TIMESTEPS

_FREQUENCIES = 64
_LONGEST_PERIOD = 10000.0


class FlowHead(nn.Module):
    """Velocity of a noised latent.

    Args:
        latent_dim: Q.
        state_dim: C.
        width: W.
        layers: residual blocks.
    """

    def __init__(self, latent_dim: int, state_dim: int, width: int, layers: int) -> None:
        super().__init__()
        self.read_latent = nn.Linear(latent_dim, width)
        self.read_state = nn.Linear(state_dim, width)
        self.read_time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_Block(width) for _ in range(layers))
        self.modulate = nn.Linear(width, 2 * width)
        self.write = nn.Linear(width, latent_dim)

    @torch.no_grad()
    def reset(self) -> None:
        """Fresh weights; gates, modulations and output are zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for linear in (self.modulate, self.write, *(block.modulate for block in self.blocks)):
            nn.init.zeros_(linear.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor, sigma: Tensor, states: Tensor) -> Tensor:
        """Velocities `[M, Q]`, float32.

        Args:
            x: noised latents `[M, Q]`, normalised.
            sigma: noise levels in 0..1, `[M]` or `[1]` for all.
            states: hidden states of the transformer `[M, C]`.
        """
        dtype = self.write.weight.dtype
        condition = F.silu(self.read_time(time_features(sigma).to(dtype)) + self.read_state(states.to(dtype)))
        hidden = self.read_latent(x.to(dtype))
        for block in self.blocks:
            hidden = block(hidden, condition)
        scale, shift = self.modulate(condition).chunk(2, dim=-1)
        return self.write(_modulated(hidden, scale, shift)).float()


class _Block(nn.Module):
    """A residual block of two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(width, 3 * width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.modulate(condition).chunk(3, dim=-1)
        return hidden + gate * self.outer(F.silu(self.inner(_modulated(hidden, scale, shift))))


def _modulated(hidden: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.layer_norm(hidden, hidden.shape[-1:], eps=1e-6) * (1 + scale) + shift


def time_features(sigma: Tensor) -> Tensor:
    """Cosines and sines `[M, 2 * _FREQUENCIES]` of noise levels `[M]` times 1000, float32."""
    steps = torch.arange(_FREQUENCIES, device=sigma.device) / _FREQUENCIES
    angles = sigma.float()[:, None] * TIMESTEPS * torch.exp(-math.log(_LONGEST_PERIOD) * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
