"""The forward pass of the published tokenizer, on the weights of ours: the baseline of the benchmark.

    baseline = PublishedForward(published_tokenizer(65536, width=512))

Convolutions run on `[B, C, T]`, layer norms need transposes, and after every quantization, in encoding as well, the
perplexity is computed from a one-hot matrix over the whole codebook.

Shapes: B batch, T frames, D feature size, C channels, N codes, K codebook size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.tokenizer.layers import ResidualBlock


class PublishedForward(nn.Module):
    """Runs the published forward pass with the weights of `tokenizer`, which must have FSQ and no wavelet."""

    def __init__(self, tokenizer: MotionTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def encode(self, features: Tensor) -> Tensor:
        """Codes `[B, N]` of normalised features `[B, T, D]`."""
        return self._quantize(self._encoder(features))[1]

    def decode(self, codes: Tensor) -> Tensor:
        """Normalised features `[B, T, D]` of codes `[B, N]`."""
        return self._decoder(self.tokenizer.quantizer.lookup(codes))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction `[B, T, D]` and perplexity of normalised features `[B, T, D]`."""
        latents, _, perplexity = self._quantize(self._encoder(features))
        return self._decoder(latents), perplexity

    def loss(self, features: Tensor) -> Tensor:
        """The published loss: smooth L1, with 0.5 times that of positions added."""
        reconstruction = self(features)[0]
        span = self.tokenizer.representation.layout["positions"]
        again = F.smooth_l1_loss(reconstruction[..., span], features[..., span])
        return F.smooth_l1_loss(reconstruction, features) + 0.5 * again

    def _quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output = self.tokenizer.quantizer(latents)
        with torch.no_grad():  # the one-hot matrix [K, B * N]
            codes = output.codes.flatten()
            one_hot = torch.zeros(self.tokenizer.config.codebook_size, codes.shape[0], device=codes.device)
            share = one_hot.scatter_(0, codes[None], 1).sum(-1) / codes.shape[0]
            perplexity = torch.exp(-(share * torch.log(share + 1e-7)).sum())
        return output.latents, output.codes, perplexity

    def _encoder(self, features: Tensor) -> Tensor:
        encoder = self.tokenizer.encoder
        x = torch.relu(_convolve(encoder.conv_in, features.transpose(1, 2)))
        for down, stack in zip(encoder.downs, encoder.stacks, strict=True):
            x = _residual(stack.blocks, _convolve(down, x))  # type: ignore[union-attr,arg-type]
        return _convolve(encoder.conv_out, x).transpose(1, 2)

    def _decoder(self, latents: Tensor) -> Tensor:
        decoder = self.tokenizer.decoder
        x = torch.relu(_convolve(decoder.conv_in, latents.transpose(1, 2)))
        for stride, stack, up in zip(decoder.strides, decoder.stacks, decoder.ups, strict=True):
            x = _convolve(up, F.interpolate(_residual(stack.blocks, x), scale_factor=stride))  # type: ignore[union-attr,arg-type]
        x = torch.relu(_convolve(decoder.conv_mid, x))
        return _convolve(decoder.conv_out, x).transpose(1, 2)


def _convolve(layer: Any, x: Tensor) -> Tensor:
    return F.conv1d(x, layer.weight, layer.bias, layer.stride, layer.left, layer.dilation)


def _residual(blocks: Sequence[ResidualBlock], x: Tensor) -> Tensor:
    for block in blocks:
        y = torch.relu(_channel_norm(block.norm1, x))
        y = torch.relu(_channel_norm(block.norm2, _convolve(block.conv1, y)))
        x = x + _convolve(block.conv2, y)
    return x


def _channel_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x.transpose(1, 2), norm.normalized_shape, norm.weight, norm.bias, norm.eps).transpose(1, 2)


def published_tokenizer(codebook: int, width: int, device: str) -> MotionTokenizer:
    """The published architecture with random weights; `codebook` is a nominal size of `fsq.FSQ_LEVELS`.

    Raises:
        ValueError: for a size that was not published, or an invalid width.
    """
    config = MotionTokenizerConfig(
        wavelet="none",
        wavelet_levels=0,
        strides=[2],
        width=width,
        quantizer={"type": "fsq", "size": codebook},
        losses={"features": 1.0, "local_positions": 0.5},
    )
    torch.manual_seed(0)
    return MotionTokenizer(config).to(device)  # type: ignore[arg-type]
