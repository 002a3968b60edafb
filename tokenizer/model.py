"""MotionTokenizer: wavelet, encoder, quantizer, decoder, inverse wavelet; a transformers model.

    tokenizer = MotionTokenizer(MotionTokenizerConfig(wavelet="haar", wavelet_levels=1, strides=[2]))
    tokenizer.set_statistics(stats)
    codes = tokenizer.encode(features, lengths)
    features = tokenizer.decode(codes)

Inputs and outputs are features in physical units: mean and standard deviation are buffers of the model and part of its
checkpoint. A clip whose length is not a multiple of `frames_per_token` is padded with its last frame.

Unusual: in half precision (bfloat16, float16) convolutions alone are rounded; statistics, wavelet, quantizer and the
decoder's last layer stay float32, because rounding there would be jitter in the motion. Features come out in float32.

Shapes: B batch, T frames, D feature size, N codes in time.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from motionmillion import features as representations
from motionmillion.checkpoints import ExactStatistics, StrictLoading
from motionmillion.features.stats import FeatureStats
from motionmillion.tokenizer.config import MotionTokenizerConfig
from motionmillion.tokenizer.feedback import best_of_passes
from motionmillion.tokenizer.layers import Decoder, Encoder, History, Refiner
from motionmillion.tokenizer.losses import KINEMATIC_LOSSES, loss_counts, reconstruction_losses
from motionmillion.tokenizer.quantizers.base import QuantizerOutput
from motionmillion.tokenizer.quantizers.registry import build_quantizer
from motionmillion.tokenizer.quantizers.usage import code_perplexity
from motionmillion.tokenizer.streaming import checked_parts, stream_settled
from motionmillion.tokenizer.wavelet import Wavelet


@dataclass
class TokenizerOutput(ModelOutput):
    """Result of a forward pass."""

    loss: Tensor | None = None  # [] weighted sum of the losses
    reconstruction: Tensor | None = None  # [B, T, D] physical units
    codes: Tensor | None = None  # [B, N] int64
    losses: dict[str, Tensor] | None = None  # each loss before its weight
    parts: dict[str, Tensor] | None = None  # each loss with its weight, by the names of `loss_counts`
    perplexity: Tensor | None = None  # [] of the batch's codes


class MotionTokenizer(ExactStatistics, StrictLoading, PreTrainedModel):
    """Motion features <-> codes; see `MotionTokenizerConfig` for the parts."""

    config_class = MotionTokenizerConfig
    config: MotionTokenizerConfig
    main_input_name = "features"
    _statistics = ("mean", "std", "band_std", "quantizer.norm", "quantizer.inner")

    mean: Tensor
    std: Tensor
    band_std: Tensor

    def __init__(self, config: MotionTokenizerConfig) -> None:
        super().__init__(config)
        self.representation = representations.get(config.features)
        self.wavelet = Wavelet(config.wavelet, config.wavelet_levels)
        channels = self.representation.dim * self.wavelet.bands
        shape = (config.latent_dim, config.width, config.depth, config.dilation_growth, config.strides, config.causal)
        self.encoder = Encoder(channels, *shape)
        self.quantizer = build_quantizer(config.quantizer, config.latent_dim)
        self.decoder = Decoder(channels, *shape)
        width = config.refiner_width
        self.refiner = Refiner(self.representation.dim, width, config.causal) if width else None
        self.dropout = nn.Dropout1d(config.dropout)
        self.kinematics = True  # False skips the kinematic losses, see motionmillion.training.tokenizer
        self.register_buffer("mean", torch.zeros(self.representation.dim))
        self.register_buffer("std", torch.ones(self.representation.dim))
        if config.uses_band_statistics:
            self.register_buffer("band_std", torch.ones(channels))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if self.refiner is not None and module is self.refiner.conv2:
            nn.init.zeros_(self.refiner.conv2.weight)
            nn.init.zeros_(self.refiner.conv2.bias)  # type: ignore[arg-type]
        elif isinstance(module, nn.Conv1d | nn.Linear | nn.LayerNorm):
            module.reset_parameters()

    def set_statistics(self, stats: FeatureStats) -> None:
        """Set mean and standard deviation `[D]` to those of the training data."""
        self.mean.copy_(stats.mean)
        self.std.copy_(stats.std)

    @torch.no_grad()
    def measure_bands(self, clips: Iterable[Tensor]) -> Tensor:
        """Standard deviations of the wavelet coefficients `[bands, D]`, one value per feature block and band.

        Call it after `set_statistics`, and copy the result to `band_std` if the config uses band statistics. The
        squares are the energies of the bands.

        Args:
            clips: features `[T, D]`, physical units.
        """
        total, count = torch.zeros(self.wavelet.bands, self.representation.dim, dtype=torch.float64), 0
        for clip in clips:
            bands = self.wavelet(((clip - self.mean) / self.std).T[None])[0].unflatten(0, (self.wavelet.bands, -1))
            total, count = total + bands.cpu().double().square().sum(-1), count + bands.shape[-1]
        energy = total / max(count, 1)  # [bands, D]
        for span in self.representation.layout.values():
            # one scale per block keeps the proportions of its dimensions
            energy[:, span] = energy[:, span].mean(1, keepdim=True)
        return energy.sqrt().clamp(min=1e-4).float()

    @property
    def decoder_reach(self) -> int | None:
        """Number of later codes that a frame can depend on; None for all, if the wavelet wraps around."""
        if self.wavelet.wraps:
            return None
        if self.config.causal:
            return 0
        frames = self.decoder.reach * self.wavelet.bands
        frames += self.refiner.reach if self.refiner is not None else 0
        return -(-frames // self.config.frames_per_token)

    def code_lengths(self, lengths: Tensor) -> Tensor:
        """Number of codes of clips of `lengths` frames."""
        return -(-lengths // self.config.frames_per_token)

    @torch.no_grad()
    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes `[B, N]` of features `[B, T, D]`, physical units.

        Args:
            lengths: valid frames of each row `[B]`; row b has `code_lengths(lengths)[b]` codes, followed by zeros.

        Raises:
            ValueError: for a wrong feature width, no frames, NaN, lengths outside 1..T, or a tokenizer without codes.
        """
        output, code_mask = self._encoded(features, lengths)
        if output.codes is None:
            raise ValueError(
                'encode must be called on a tokenizer with a codebook, got quantizer "none"; use encode_latents'
            )
        return output.codes if code_mask is None else output.codes * code_mask

    @torch.no_grad()
    def encode_latents(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Quantized channels `[B, N, Q]` of features `[B, T, D]`: the latents of a continuous tokenizer.

        Args and errors are those of `encode`.
        """
        output, code_mask = self._encoded(features, lengths)
        return output.quantized if code_mask is None else output.quantized * code_mask[..., None]

    @torch.no_grad()
    def decode(self, codes: Tensor, lengths: Tensor | None = None, chunk: int | None = None) -> Tensor:
        """Features `[B, N * frames_per_token, D]` of codes `[B, N]`, physical units.

        Args:
            lengths: valid codes of each row `[B]`; frames beyond them are zero.
            chunk: number of codes decoded at a time, with overlaps that keep the result the same; bounds the memory
                for long motions.

        Raises:
            ValueError: for codes outside 0..K-1, no codes, or lengths outside 1..N.
        """
        latents = self._lookup(codes)
        return self._features(latents, self._code_mask(latents, lengths), chunk)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor, lengths: Tensor | None = None, chunk: int | None = None) -> Tensor:
        """Features `[B, N * frames_per_token, D]` of quantized channels `[B, N, Q]`; arguments as for `decode`."""
        return self._features(self._expand(latents), self._code_mask(latents, lengths), chunk)

    def decode_stream(self, codes: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield features `[B, t, D]` in pieces, as early as possible, from parts of codes `[B, n]` of any size.

        The pieces concatenated equal `decode` of all codes. A causal tokenizer yields `n * frames_per_token` frames
        for every n codes; any other holds back frames that later codes can still change (`decoder_reach` codes), or
        all of them until the end if its wavelet wraps around. Latents `[B, n, Q]` are streamed in the same way.

        Raises:
            ValueError: for parts of a wrong shape, and as `decode`.
        """
        parts = checked_parts(codes)
        if self.config.causal:
            return self._stream_causal(parts)
        hop, reach = self.config.frames_per_token, self.decoder_reach
        return stream_settled(lambda part: self._features(self._latents_of(part), None), parts, reach, hop)

    @torch.no_grad()
    def _stream_causal(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        history: History = {}
        for part in parts:
            yield self._frames(self.decoder(self._latents_of(part), None, history), None, None, history)

    def _latents_of(self, part: Tensor) -> Tensor:
        return self._expand(part) if part.ndim == 3 else self._lookup(part)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> TokenizerOutput:
        """Reconstruct features `[B, T, D]` and compute the weighted sum of the config's losses."""
        target, frames = features, features.shape[1]
        features, code_mask = self._prepare(features, lengths)
        if not torch.compiler.is_compiling():
            _check_finite(features)
        # Dropout1d drops whole channels of [B, C, N]
        latents = self.dropout(self._latents(features, code_mask).transpose(1, 2)).transpose(1, 2)
        quantized = self.quantizer(latents, code_mask)
        reconstruction = self._features(quantized.latents, code_mask)[:, :frames]
        own = lengths if lengths is not None else torch.full_like(target[:, 0, 0], frames, dtype=torch.long)
        idle = () if self.kinematics else KINEMATIC_LOSSES
        names = tuple(name for name, weight in self.config.losses.items() if weight and name not in idle)
        losses = reconstruction_losses(
            reconstruction, target, _mask(own, frames), self.std, self.representation, names
        )
        if "bands" in names:
            losses["bands"] = self._band_loss(reconstruction, target, own)
        parts = {name: self.config.losses[name] * value for name, value in losses.items()}
        loss = quantized.loss + torch.stack(list(parts.values())).sum()
        perplexity = None
        if quantized.codes is not None:
            valid = quantized.codes if code_mask is None else quantized.codes[code_mask]
            perplexity = code_perplexity(valid)
        return TokenizerOutput(
            loss=loss,
            reconstruction=reconstruction,
            codes=quantized.codes,
            losses=losses,
            perplexity=perplexity,
            parts={"codes": quantized.loss, **parts},
        )

    def loss_counts(self, features: Tensor, lengths: Tensor | None = None, **_: Any) -> dict[str, Tensor]:
        """Numbers of frames, codes or bands over which `forward` takes the mean of each loss of a batch."""
        frames = features.shape[1]
        if lengths is None:
            lengths = torch.full((features.shape[0],), frames, device=features.device)
        counts = {"codes": self.code_lengths(lengths).sum(), **loss_counts(_mask(lengths, frames))}
        counts["frames"] = lengths.sum()
        return {**counts, "bands": (-(-lengths // self.wavelet.bands)).sum()}

    def _band_loss(self, predicted: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        """L1 between wavelet coefficients, divided by the std of their band, so that small high bands count fully."""
        error = torch.where(_mask(lengths, target.shape[1])[..., None], (predicted - target) / self.std, 0.0)
        bands = self.wavelet(error.transpose(1, 2), lengths) / self.band_std[:, None]  # [B, bands * D, N]
        return bands.abs().mean(1).sum() / (-(-lengths // self.wavelet.bands)).sum()

    def _encoded(self, features: Tensor, lengths: Tensor | None) -> tuple[QuantizerOutput, Tensor | None]:
        """`_quantize`, with the corrections that the config asks for."""
        if not self.config.root_corrections:
            return self._quantize(features, lengths)
        code_mask = self._prepare(features, lengths)[1]

        def once(seen: Tensor) -> tuple[QuantizerOutput, Tensor]:
            output = self._quantize(seen, lengths)[0]
            return output, self._features(output.latents, code_mask)

        frames = [features.shape[1]] * len(features) if lengths is None else lengths.tolist()
        return best_of_passes(self.representation, features, frames, once, self.config.root_corrections), code_mask

    def _quantize(self, features: Tensor, lengths: Tensor | None) -> tuple[QuantizerOutput, Tensor | None]:
        features, code_mask = self._prepare(features, lengths)
        _check_finite(features)
        latents = self._latents(features, code_mask)
        if not bool(latents.isfinite().all()):
            largest = float(features.abs().max())
            raise ValueError(f"features must be in the range of motion in metres, got values up to {largest:g}")
        return self.quantizer(latents, code_mask), code_mask

    def _expand(self, quantized: Tensor) -> Tensor:
        """Latents `[B, N, C]` of checked quantized channels."""
        width = self.quantizer.channels
        if quantized.ndim != 3 or quantized.shape[1] == 0 or quantized.shape[2] != width:
            raise ValueError(f"latents must have shape [B, N, {width}] with N > 0, got {tuple(quantized.shape)}")
        _check_finite(quantized, "latents")
        return self.quantizer.expand(quantized).to(self.dtype)

    def _lookup(self, codes: Tensor) -> Tensor:
        """Latents `[B, N, C]` of checked codes."""
        size = self.config.codebook_size
        if codes.ndim != 2 or codes.shape[1] == 0:
            raise ValueError(f"codes must have shape [B, N] with at least one code, got {tuple(codes.shape)}")
        if codes.is_floating_point() or codes.dtype == torch.bool:
            raise ValueError(f"codes must be whole numbers, got {codes.dtype}")
        if size and (bool((codes < 0).any()) or bool((codes >= size).any())):
            raise ValueError(f"codes must be in 0..{size - 1}, got {int(codes.min())}..{int(codes.max())}")
        return self.quantizer.lookup(codes).to(self.dtype)

    def _prepare(self, features: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Check features and pad rows with their last frame to whole codes; also the mask of codes `[B, N]`."""
        dim = self.representation.dim
        if features.ndim != 3 or features.shape[1] == 0 or features.shape[2] != dim:
            raise ValueError(f"features must have shape [B, T, {dim}] with T > 0, got {tuple(features.shape)}")
        hop, frames = self.config.frames_per_token, features.shape[1]
        own = torch.full((features.shape[0],), frames, device=features.device)
        if lengths is not None:
            own = _check_lengths(lengths, features.shape[0], frames).to(features.device)
        count = -(-frames // hop)
        if lengths is None and count * hop == frames:
            return features, None
        # indices beyond a row's end are clamped to its last frame
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
            mask = code_mask.repeat_interleave(hop // bands, dim=1)[..., None].to(self.dtype)
        x = self.wavelet(x, own).transpose(1, 2)  # [B, N * hop / bands, bands * D]
        if self.config.normalize_bands:
            x = x / self.band_std
        return self.encoder(x.to(self.dtype), mask)

    def _features(self, latents: Tensor, code_mask: Tensor | None, chunk: int | None = None) -> Tensor:
        """Features `[B, N * hop, D]`, physical units, of latents `[B, N, C]`."""
        count, hop = latents.shape[1], self.config.frames_per_token
        mask, own, frame_mask = None, None, None
        if code_mask is not None:
            own = code_mask.sum(1) * hop
            mask = code_mask[..., None].to(latents.dtype)
            frame_mask = mask.repeat_interleave(hop, dim=1)
        if chunk is None or chunk >= count:
            return self._frames(self.decoder(latents, mask), own, frame_mask)
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk!r}")
        rate = math.prod(self.config.strides)
        # context on both sides of a chunk, in codes, rounded up
        reach = -(-max(self.decoder.reach, self.decoder.past) // rate)
        pieces = []
        for start in range(0, count, chunk):
            first, stop = max(start - reach, 0), min(start + chunk, count)
            seen = slice(first, min(stop + reach, count))
            piece = self.decoder(latents[:, seen], None if mask is None else mask[:, seen])
            pieces.append(piece[:, (start - first) * rate : (stop - first) * rate])
        return self._frames(torch.cat(pieces, dim=1), own, frame_mask)

    def _frames(
        self, bands: Tensor, lengths: Tensor | None, mask: Tensor | None, history: History | None = None
    ) -> Tensor:
        """Features `[B, T, D]`, physical units, of the decoder's output `[B, T / bands, bands * D]`."""
        if self.config.normalize_bands:
            bands = bands.float() * self.band_std
        frames = bands.shape[1] * self.wavelet.bands
        x = self.wavelet.inverse(bands.transpose(1, 2), frames, lengths).transpose(1, 2)  # float32
        if self.refiner is not None:
            x = self.refiner(x, mask, history)
        features = x * self.std + self.mean
        return features if mask is None else features * mask

    def _code_mask(self, latents: Tensor, lengths: Tensor | None) -> Tensor | None:
        if lengths is None:
            return None
        rows, count = latents.shape[:2]
        return _mask(_check_lengths(lengths, rows, count).to(latents.device), count)


def _mask(lengths: Tensor, size: int) -> Tensor:
    """Lengths `[B]` -> mask of valid positions, bool `[B, size]`."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _check_finite(values: Tensor, name: str = "features") -> None:
    """Raise `ValueError` unless all `values` `[B, T, D]` are finite."""
    if not bool(values.isfinite().all()):
        row, step = (~values.isfinite()).any(2).nonzero()[0].tolist()
        raise ValueError(f"{name} must be finite, got NaN or infinity in row {row}, frame {step}; repair or cut it")


def _check_lengths(lengths: Tensor, rows: int, size: int) -> Tensor:
    whole = isinstance(lengths, Tensor) and not lengths.is_floating_point() and lengths.dtype != torch.bool
    if not whole or lengths.shape != (rows,):
        shape = tuple(lengths.shape) if isinstance(lengths, Tensor) else type(lengths).__name__
        raise ValueError(f"lengths must be a tensor of {rows} whole numbers, one per row, got {shape}")
    if bool((lengths < 1).any()) or bool((lengths > size).any()):
        raise ValueError(f"lengths must be in 1..{size}, got {lengths.tolist()}")
    return lengths
