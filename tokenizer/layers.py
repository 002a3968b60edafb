"""Convolutional encoder and decoder over time.

The layout follows the published tokenizer (dilated residual blocks, strided convolutions down, nearest-neighbour
upsampling), so that its weights fit. Every convolution sees zeros outside a row's valid steps, whether they are the
zeros of the border or of padding: a clip gives the same result alone and in a padded batch.

Shapes: B batch, C channels, N steps in time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MaskedConv1d(nn.Conv1d):
    """Convolution that reads zeros at invalid steps; `mask` `[B, 1, N]` or None for all valid."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return super().forward(x if mask is None else x * mask)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of `[B, C, N]`, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2).float()).transpose(1, 2).to(x.dtype)


class ResidualBlock(nn.Module):
    """Norm, ReLU, dilated convolution, norm, ReLU, pointwise convolution; added to the input."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.conv1 = MaskedConv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm2 = ChannelNorm(width)
        self.conv2 = MaskedConv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)), mask)
        return x + self.conv2(torch.relu(self.norm2(y)), mask)


class ResidualStack(nn.Module):
    """`depth` residual blocks, the widest dilation first."""

    def __init__(self, width: int, depth: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width, growth**power) for power in reversed(range(depth)))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


class Encoder(nn.Module):
    """`[B, in_channels, N * prod(strides)]` -> latents `[B, latent_dim, N]`."""

    def __init__(
        self, in_channels: int, latent_dim: int, width: int, depth: int, growth: int, strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.strides = list(strides)
        self.conv_in = MaskedConv1d(in_channels, width, 3, padding=1)
        # kernel and padding chosen so that N steps become exactly N / stride
        self.downs = nn.ModuleList(
            MaskedConv1d(width, width, 2 * s if s % 2 == 0 else s + 2, stride=s, padding=s // 2 if s % 2 == 0 else 1)
            for s in self.strides
        )
        self.stacks = nn.ModuleList(ResidualStack(width, depth, growth) for _ in self.strides)
        self.conv_out = MaskedConv1d(width, latent_dim, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = torch.relu(self.conv_in(x, mask))
        for stride, down, stack in zip(self.strides, self.downs, self.stacks, strict=True):
            x = down(x, mask)
            mask = None if mask is None else mask[..., ::stride]
            x = stack(x, mask)
        return self.conv_out(x, mask)


class Decoder(nn.Module):
    """Latents `[B, latent_dim, N]` -> `[B, out_channels, N * prod(strides)]`."""

    def __init__(
        self, out_channels: int, latent_dim: int, width: int, depth: int, growth: int, strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.strides = list(reversed(strides))
        self.conv_in = MaskedConv1d(latent_dim, width, 3, padding=1)
        self.stacks = nn.ModuleList(ResidualStack(width, depth, growth) for _ in self.strides)
        self.ups = nn.ModuleList(MaskedConv1d(width, width, 3, padding=1) for _ in self.strides)
        self.conv_mid = MaskedConv1d(width, width, 3, padding=1)
        self.conv_out = MaskedConv1d(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = torch.relu(self.conv_in(x, mask))
        for stride, stack, up in zip(self.strides, self.stacks, self.ups, strict=True):
            x = stack(x, mask).repeat_interleave(stride, dim=2)
            mask = None if mask is None else mask.repeat_interleave(stride, dim=2)
            x = up(x, mask)
        x = torch.relu(self.conv_mid(x, mask))
        with torch.autocast(x.device.type, enabled=False):  # rounding to bfloat16 here would be jitter in the motion
            return self.conv_out(x.to(self.conv_out.weight.dtype), mask)


class Refiner(nn.Module):
    """Residual convolutions over frames, zero at the start: smooths where neighbouring codes meet."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = MaskedConv1d(channels, width, 5, padding=2)
        self.conv2 = MaskedConv1d(width, channels, 5, padding=2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.conv2(torch.relu(self.conv1(x, mask)), mask)
