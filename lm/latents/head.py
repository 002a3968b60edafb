"""FlowHead: a small network that predicts the flow to the next latent, conditioned on the transformer's state.

    velocity = head(x, sigma, states)                  # x [M, Q], sigma [M], states [M, C] -> [M, Q]

Residual blocks on the noised latent, scaled, shifted and gated by noise level and state (adaptive layer norm); gates
and output are initialised to zero. Source: MAR (arXiv 2406.11838), with flow matching instead of diffusion.

Letters: M positions, Q latent channels, C width of the transformer, W width of the head.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionmillion.lm.flow import TIMESTEPS

_FREQUENCIES = 64
_LONGEST_PERIOD = 10000.0


class HeadLinear(nn.Linear):
    """Linear layer initialised to zero, or with Glorot's rule.

    transformers initialises weights layer by layer and skips modules without weights of their own, so each layer has
    to know its own initialisation.
    """

    def __init__(self, inputs: int, outputs: int, zero: bool = False) -> None:
        super().__init__(inputs, outputs)
        self.zero = zero

    def fresh(self) -> None:
        """Initialise the weights, unless transformers has marked them as loaded."""
        nn.init.zeros_(self.bias)
        if self.zero:
            nn.init.zeros_(self.weight)
        else:
            nn.init.xavier_uniform_(self.weight)


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
        self.read_latent = HeadLinear(latent_dim, width)
        self.read_state = HeadLinear(state_dim, width)
        self.read_time = nn.Sequential(HeadLinear(2 * _FREQUENCIES, width), nn.SiLU(), HeadLinear(width, width))
        self.blocks = nn.ModuleList(_Block(width) for _ in range(layers))
        self.modulate = HeadLinear(width, 2 * width, zero=True)
        self.write = HeadLinear(width, latent_dim, zero=True)

    def forward(self, x: Tensor, sigma: Tensor, states: Tensor) -> Tensor:
        """Velocities `[M, Q]`, float32.

        Args:
            x: noised latents `[M, Q]`, normalised.
            sigma: noise levels in 0..1, `[M]` or `[1]` for all.
            states: hidden states of the transformer `[M, C]`.
        """
        return self.velocity(x, self.times(sigma), self.read_state(states.to(self.write.weight.dtype)))

    def times(self, sigma: Tensor) -> Tensor:
        """Embeddings `[M, W]` of noise levels `[M]`, which are added to the condition."""
        return self.read_time(time_features(sigma).to(self.write.weight.dtype))

    def velocity(self, x: Tensor, times: Tensor, states: Tensor) -> Tensor:
        """Velocities from inputs already embedded: `times` `[M or 1, W]`, and `states` `[M, W]` by `read_state`."""
        condition = F.silu(times + states)
        hidden = self.read_latent(x.to(condition.dtype))
        for block in self.blocks:
            hidden = block(hidden, condition)
        scale, shift = self.modulate(condition).chunk(2, dim=-1)
        return self.write(_modulated(hidden, scale, shift)).float()


class _Block(nn.Module):
    """A residual block of two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulate = HeadLinear(width, 3 * width, zero=True)
        self.inner, self.outer = HeadLinear(width, width), HeadLinear(width, width)

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
