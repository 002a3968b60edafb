"""Convolutional encoder and decoder over time.

The layout follows the published tokenizer (dilated residual blocks, strided convolutions for downsampling,
nearest-neighbour upsampling), so that its weights can be loaded. Every convolution sees zeros outside a row's valid
steps, at borders and in padding alike, so a clip gives the same result alone and in a padded batch.

Unusual: everything is `[B, N, C]`, channels last, as layer norm and matrix products need it; convolutions run as
`conv2d` in that memory format. With `causal=True` a step sees only itself and earlier steps, and a `History` lets a
decoder continue where the last call ended.

Shapes: B batch, N steps in time, C channels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

History = dict[nn.Module, Tensor]
"""The last inputs `[B, left, C]` of every causal convolution; start with an empty one."""


class TimeConv(nn.Conv1d):
    """Convolution along time of `[B, N, C]`; N steps become N / stride.

    Args:
        causal: output step n sees input steps up to `stride * (n + 1) - 1`, the last one it covers.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1, causal: bool = False
    ) -> None:
        super().__init__(channels, out, kernel, stride=stride, dilation=dilation)
        missing = dilation * (kernel - 1) + 1 - stride  # overhang of the kernel over its stride
        self.left = missing if causal else missing // 2
        self.right = missing - self.left
        self.causal = causal

    def forward(  # type: ignore[override]
        self, x: Tensor, mask: Tensor | None = None, history: History | None = None
    ) -> Tensor:
        """`mask` `[B, N, 1]` of valid steps, None for all; `history` is read and renewed. float32 stays float32."""
        x = x if mask is None else x * mask.to(x.dtype)
        weight, bias = self.weight, self.bias
        if x.dtype == torch.float32 and weight.dtype.itemsize < 4:
            weight, bias = weight.float(), bias.float()  # type: ignore[union-attr]
        if self.kernel_size == (1,) and self.stride == (1,):
            return F.linear(x, weight.squeeze(2), bias)
        if history is not None:
            before = history.get(self)
            x = torch.cat([x.new_zeros(x.shape[0], self.left, x.shape[2]) if before is None else before, x], dim=1)
            history[self] = x[:, x.shape[1] - self.left :]
        elif self.left != self.right:
            x = F.pad(x, (0, 0, self.left, self.right))
        padding = 0 if history is not None or self.left != self.right else self.left
        # view [B, N, C] as an image [B, C, 1, N], which is contiguous in channels-last format
        image = F.conv2d(
            x.transpose(1, 2).unsqueeze(2),
            weight.unsqueeze(2),
            bias,
            stride=(1, self.stride[0]),
            padding=(0, padding),
            dilation=(1, self.dilation[0]),
        )
        return image.squeeze(2).transpose(1, 2)


class ExactLinear(nn.Linear):
    """A linear layer computed in float32, whatever precision its input and its weights have."""

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input.float(), self.weight.float(), self.bias.float())


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of `[B, N, C]`, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class ResidualBlock(nn.Module):
    """Norm, ReLU, dilated convolution, norm, ReLU, pointwise convolution; added to the input."""

    def __init__(self, width: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.conv1 = TimeConv(width, width, 3, dilation=dilation, causal=causal)
        self.norm2 = ChannelNorm(width)
        self.conv2 = TimeConv(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None, history: History | None = None) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)), mask, history)
        return x + self.conv2(torch.relu(self.norm2(y)), mask)


class ResidualStack(nn.Module):
    """`depth` residual blocks, largest dilation first."""

    def __init__(self, width: int, depth: int, growth: int, causal: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width, growth**power, causal) for power in reversed(range(depth)))

    def forward(self, x: Tensor, mask: Tensor | None, history: History | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask, history)
        return x


class Encoder(nn.Module):
    """`[B, N * prod(strides), channels]` -> latents `[B, N, latent_dim]`."""

    def __init__(
        self,
        channels: int,
        latent_dim: int,
        width: int,
        depth: int,
        growth: int,
        strides: Sequence[int],
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.strides = list(strides)
        self.conv_in = TimeConv(channels, width, 3, causal=causal)
        self.downs = nn.ModuleList(
            TimeConv(width, width, 2 * s if s % 2 == 0 else s + 2, stride=s, causal=causal) for s in self.strides
        )
        self.stacks = nn.ModuleList(ResidualStack(width, depth, growth, causal) for _ in self.strides)
        self.conv_out = TimeConv(width, latent_dim, 3, causal=causal)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = torch.relu(self.conv_in(x, mask))
        for stride, down, stack in zip(self.strides, self.downs, self.stacks, strict=True):
            x = down(x, mask)
            mask = None if mask is None else mask[:, ::stride]
            x = stack(x, mask)
        return self.conv_out(x, mask)


class Decoder(nn.Module):
    """Latents `[B, N, latent_dim]` -> `[B, N * prod(strides), channels]`."""

    def __init__(
        self,
        channels: int,
        latent_dim: int,
        width: int,
        depth: int,
        growth: int,
        strides: Sequence[int],
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.strides = list(reversed(strides))
        self.conv_in = TimeConv(latent_dim, width, 3, causal=causal)
        self.stacks = nn.ModuleList(ResidualStack(width, depth, growth, causal) for _ in self.strides)
        self.ups = nn.ModuleList(TimeConv(width, width, 3, causal=causal) for _ in self.strides)
        self.conv_mid = TimeConv(width, width, 3, causal=causal)
        self.conv_out = TimeConv(width, channels, 3, causal=causal)

    @property
    def reach(self) -> int:
        """Lookahead: number of later steps that an output step depends on, in output steps; 0 if causal."""
        return self._sum("right")

    @property
    def past(self) -> int:
        """Number of earlier steps that an output step depends on, in output steps."""
        return self._sum("left")

    def _sum(self, side: str) -> int:
        # receptive field on one side: padding of each layer times the output steps per step of that layer
        rate = math.prod(self.strides)
        steps = rate * getattr(self.conv_in, side)
        for stride, stack, up in zip(self.strides, self.stacks, self.ups, strict=True):
            steps += rate * sum(getattr(block.conv1, side) for block in stack.blocks)  # type: ignore[union-attr]
            rate //= stride
            steps += rate * getattr(up, side)
        return steps + getattr(self.conv_mid, side) + getattr(self.conv_out, side)

    def forward(self, x: Tensor, mask: Tensor | None = None, history: History | None = None) -> Tensor:
        x = torch.relu(self.conv_in(x, mask, history))
        for stride, stack, up in zip(self.strides, self.stacks, self.ups, strict=True):
            x = stack(x, mask, history).repeat_interleave(stride, dim=1)
            mask = None if mask is None else mask.repeat_interleave(stride, dim=1)
            x = up(x, mask, history)
        x = torch.relu(self.conv_mid(x, mask, history))
        with torch.autocast(x.device.type, enabled=False):  # rounding to bfloat16 here would be jitter in the motion
            return self.conv_out(x.float(), mask, history)


class Refiner(nn.Module):
    """Residual convolutions over frames, initialised to zero: smooth the borders between codes."""

    def __init__(self, channels: int, width: int, causal: bool = False) -> None:
        super().__init__()
        self.conv1 = TimeConv(channels, width, 5, causal=causal)
        self.conv2 = TimeConv(width, channels, 5, causal=causal)

    @property
    def reach(self) -> int:
        """Number of later frames that a frame depends on."""
        return self.conv1.right + self.conv2.right

    def forward(self, x: Tensor, mask: Tensor | None = None, history: History | None = None) -> Tensor:
        y = x.to(self.conv1.weight.dtype)
        return x + self.conv2(torch.relu(self.conv1(y, mask, history)), mask, history)
