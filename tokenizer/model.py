"""MotionTokenizer: wavelet, encoder, quantizer, decoder, inverse wavelet; a transformers model.

    tokenizer = MotionTokenizer(MotionTokenizerConfig(wavelet="haar", wavelet_levels=1, strides=[2]))
    tokenizer.set_statistics(stats)
    codes = tokenizer.encode(features, lengths)
    features = tokenizer.decode(codes)

Features go in and come out in physical units: mean and standard deviation are buffers of the model and part of its
checkpoint. A clip whose length is no multiple of `frames_per_token` first repeats its last frame.

Shapes: B batch, T frames, D feature size, N codes in time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from motionmillion import features as representations
from motionmillion.checkpoints import StrictLoading
from motionmillion.features.stats import FeatureStats
from motionmillion.tokenizer.config import MotionTokenizerConfig
from motionmillion.tokenizer.layers import Decoder, Encoder, Refiner
from motionmillion.tokenizer.losses import KINEMATIC_LOSSES, reconstruction_losses
from motionmillion.tokenizer.quantizers import build_quantizer
from motionmillion.tokenizer.wavelet import Wavelet


@dataclass
class TokenizerOutput(ModelOutput):
    """Result of a forward pass."""

    loss: Tensor | None = None  # [] weighted sum of the losses
    reconstruction: Tensor | None = None  # [B, T, D] physical units
    codes: Tensor | None = None  # [B, N] int64
    losses: dict[str, Tensor] | None = None  # each loss before its weight


class MotionTokenizer(StrictLoading, PreTrainedModel):
    """Motion features <-> codes; see `MotionTokenizerConfig` for the parts."""

    config_class = MotionTokenizerConfig
    config: MotionTokenizerConfig
    main_input_name = "features"

    mean: Tensor
    std: Tensor

    def __init__(self, config: MotionTokenizerConfig) -> None:
        super().__init__(config)
        self.representation = representations.get(config.features)
        self.wavelet = Wavelet(config.wavelet, config.wavelet_levels)
        channels = self.representation.dim * self.wavelet.bands
        shape = (config.latent_dim, config.width, config.depth, config.dilation_growth, config.strides)
        self.encoder = Encoder(channels, *shape)
        self.quantizer = build_quantizer(config.quantizer, config.latent_dim)
        self.decoder = Decoder(channels, *shape)
        self.refiner = Refiner(self.representation.dim, config.refiner_width) if config.refiner_width else None
        self.dropout = nn.Dropout1d(config.dropout)
        self.kinematics = True  # False leaves the kinematic losses out for now, see motionmillion.training.tokenizer
        self.register_buffer("mean", torch.zeros(self.representation.dim))
        self.register_buffer("std", torch.ones(self.representation.dim))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv1d | nn.Linear | nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, Refiner):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)  # type: ignore[arg-type]

    def set_statistics(self, stats: FeatureStats) -> None:
        """Take over mean and standard deviation `[D]` of the training data."""
        self.mean.copy_(stats.mean)
        self.std.copy_(stats.std)

    @property
    def decoder_reach(self) -> int | None:
        """How many later codes a frame can depend on; None if any, because the wavelet wraps around."""
        if self.wavelet.wraps:
            return None
        hop, rate = self.config.frames_per_token, self.config.frames_per_token
        stack = sum(self.config.dilation_growth**power for power in range(self.config.depth))
        frames = rate  # the first convolution
        for stride in reversed(self.config.strides):
            frames += stack * rate
            rate //= stride
            frames += rate
        frames += 2 * rate + self.wavelet.bands  # the last two convolutions, the wavelet
        frames += 4 if self.refiner is not None else 0
        return -(-frames // hop)

    def code_lengths(self, lengths: Tensor) -> Tensor:
        """Number of codes of clips of `lengths` frames."""
        return -(-lengths // self.config.frames_per_token)

    @torch.no_grad()
    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes `[B, N]` of features `[B, T, D]`, physical units.

        Args:
            lengths: valid frames of each row `[B]`; row b has `code_lengths(lengths)[b]` codes, 0 stands behind them.

        Raises:
            ValueError: for a wrong feature width, no frames, or lengths outside 1..T.
        """
        features, code_mask = self._prepare(features, lengths)
        codes = self.quantizer(self._latents(features, code_mask)).codes
        return codes if code_mask is None else codes * code_mask

    @torch.no_grad()
    def decode(self, codes: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features `[B, N * frames_per_token, D]` of codes `[B, N]`, physical units.

        Args:
            lengths: valid codes of each row `[B]`; frames beyond them are zero.

        Raises:
            ValueError: for codes outside 0..K-1, no codes, or lengths outside 1..N.
        """
        if codes.ndim != 2 or codes.shape[1] == 0:
            raise ValueError(f"codes must have shape [B, N] with at least one code, got {tuple(codes.shape)}")
        if bool((codes < 0).any()) or bool((codes >= self.config.codebook_size).any()):
            raise ValueError(
                f"codes must be in 0..{self.config.codebook_size - 1}, got {int(codes.min())}..{int(codes.max())}"
            )
        mask = None if lengths is None else _mask(_check_lengths(lengths, codes.shape[1]), codes.shape[1])
        return self._features(self.quantizer.lookup(codes).to(self.dtype), mask)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> TokenizerOutput:
        """Reconstruct features `[B, T, D]` and weigh the losses of the config."""
        target, frames = features, features.shape[1]
        features, code_mask = self._prepare(features, lengths)
        quantized = self.quantizer(self.dropout(self._latents(features, code_mask)))
        reconstruction = self._features(quantized.latents, code_mask)[:, :frames]
        own = lengths if lengths is not None else torch.full_like(target[:, 0, 0], frames, dtype=torch.long)
        idle = () if self.kinematics else KINEMATIC_LOSSES
        names = tuple(name for name, weight in self.config.losses.items() if weight and name not in idle)
        losses = reconstruction_losses(
            reconstruction, target, _mask(own, frames), self.std, self.representation, names
        )
        loss = quantized.loss + torch.stack([self.config.losses[k] * v for k, v in losses.items()]).sum()
        return TokenizerOutput(loss=loss, reconstruction=reconstruction, codes=quantized.codes, losses=losses)

    def _prepare(self, features: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Check, and repeat each row's last frame up to a multiple of the hop; also the mask of codes `[B, N]`."""
        dim = self.representation.dim
        if features.ndim != 3 or features.shape[1] == 0 or features.shape[2] != dim:
            raise ValueError(f"features must have shape [B, T, {dim}] with T > 0, got {tuple(features.shape)}")
        hop, frames = self.config.frames_per_token, features.shape[1]
        own = torch.full((features.shape[0],), frames, device=features.device)
        if lengths is not None:
            own = _check_lengths(lengths, frames).to(features.device)
        count = -(-frames // hop)
        index = torch.arange(count * hop, device=features.device).minimum(own[:, None] - 1)  # [B, N * hop]
        features = features.gather(1, index[..., None].expand(-1, -1, dim))
        mask = None if lengths is None else _mask(self.code_lengths(own), count)
        return features, mask

    def _latents(self, features: Tensor, code_mask: Tensor | None) -> Tensor:
        """Latents `[B, N, C]` of features `[B, N * hop, D]`."""
        x = ((features - self.mean) / self.std).transpose(1, 2)
        hop, bands = self.config.frames_per_token, self.wavelet.bands
        mask, own = None, None
        if code_mask is not None:
            own = code_mask.sum(1) * hop
            mask = code_mask.repeat_interleave(hop // bands, dim=1)[:, None].to(x.dtype)
        bands_of_x = self.wavelet(x, own).to(self.dtype)
        return self.encoder(bands_of_x, mask).transpose(1, 2)

    def _features(self, latents: Tensor, code_mask: Tensor | None) -> Tensor:
        """Features `[B, N * hop, D]`, physical units, of latents `[B, N, C]`."""
        hop = self.config.frames_per_token
        frames = latents.shape[1] * hop
        mask, own, frame_mask = None, None, None
        if code_mask is not None:
            own = code_mask.sum(1) * hop
            mask = code_mask[:, None].to(latents.dtype)
            frame_mask = mask.repeat_interleave(hop, dim=2)
        x = self.decoder(latents.transpose(1, 2), mask)
        x = self.wavelet.inverse(x, frames, own)  # float32
        if self.refiner is not None:
            x = self.refiner(x.to(self.dtype), frame_mask).float()
        features = x.transpose(1, 2) * self.std + self.mean
        return features if frame_mask is None else features * frame_mask.transpose(1, 2)


def _mask(lengths: Tensor, size: int) -> Tensor:
    """`[B]` -> bool `[B, size]`."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _check_lengths(lengths: Tensor, size: int) -> Tensor:
    if bool((lengths < 1).any()) or bool((lengths > size).any()):
        raise ValueError(f"lengths must be in 1..{size}, got {lengths.tolist()}")
    return lengths
