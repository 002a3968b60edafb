"""MotionDiT: a flow-matching transformer over motion frames, conditioned on a text or on a reference motion.

    dit = MotionDiT(MotionDiTConfig.from_name("mini", text_dim=384))
    velocity = dit(x, timestep, text=text, text_mask=text_mask)                # [B, T, D]
    velocity = dit(x, timestep, text=text, reference=reference)                # rows with a reference follow it
    output = dit(labels=clean, text=text, frame_mask=mask)                     # training: output.loss

Every block has two cross-attentions, to the words and to the encoded reference motion, and a row goes through ONE of
them: that of the reference where `use_reference` is true, or by default where the reference is not all zero. Each is
computed for its own rows only.

Unusual: x, labels, reference and velocity are normalised; `normalize` and `denormalize` convert from and to physical
units, `reference_of` selects the features that make up a reference. Padding (of frames, words and reference) is never
attended to, and the result of a row does not depend on the other rows of the batch. A row without words attends to a
single zero vector, the unconditional case of classifier-free guidance. Mean and std stay float32 under any cast.

Letters: B batch, T frames, D feature size, R size of a reference's frame, S frames of the reference, L text length,
C width.

Source: ViMoGen (arXiv 2510.26794), whose checkpoints `motionmillion.convert.load_upstream_dit` reads.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from motionmillion.checkpoints import ExactStatistics, StrictLoading
from motionmillion.features import get
from motionmillion.features.stats import FeatureStats
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.layers import Block, Context, VelocityHead, faded, frame_sines, rows_of, time_sines
from motionmillion.lm.flow import TIMESTEPS

_LEAST_SIGMA = 0.05
"""Lower bound of sigma in training where a prediction of clean motion is converted to a velocity."""


@dataclass
class MotionDiTOutput(ModelOutput):
    """Result of a training step."""

    loss: Tensor | None = None  # []
    velocity: Tensor | None = None  # [B, T, D]
    losses: dict[str, Tensor] | None = None  # key: config.prediction; mean squared error


class MotionDiT(ExactStatistics, StrictLoading, PreTrainedModel):
    """Predicts the velocity of noisy motion, given a text or a reference motion; see `MotionDiTConfig`."""

    config_class = MotionDiTConfig
    config: MotionDiTConfig
    mean: Tensor
    std: Tensor
    main_input_name = "x"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Block"]
    accepts_loss_kwargs = False

    def __init__(self, config: MotionDiTConfig) -> None:
        super().__init__(config)
        width, eps = config.hidden_size, config.layer_norm_eps
        shape = (width, config.intermediate_size, config.num_attention_heads)
        self.representation = get(config.features)
        self.embed_motion = nn.Linear(config.patch * config.motion_dim, width)
        self.embed_text = _two_layers(config.text_dim, width, nn.GELU(approximate="tanh"))
        self.embed_time = _two_layers(config.frequency_dim, width, nn.SiLU())
        self.project_time = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(
            Block(*shape, conditions=2 if config.num_reference_layers else 1, dropout=config.dropout, eps=eps)
            for _ in range(config.num_hidden_layers)
        )
        if config.num_reference_layers:
            self.embed_reference = nn.Linear(config.patch * config.reference_dim, width)
            self.reference_blocks = nn.ModuleList(
                Block(*shape, dropout=config.dropout, eps=eps) for _ in range(config.num_reference_layers)
            )
        # with overlap each position predicts two patches
        self.head = VelocityHead(width, config.patch * config.motion_dim * (1 + config.overlap), eps)
        self.register_buffer("mean", torch.zeros(config.motion_dim))
        self.register_buffer("std", torch.ones(config.motion_dim))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.head.linear:  # a new model predicts zero
            nn.init.zeros_(self.head.linear.weight)
            nn.init.zeros_(self.head.linear.bias)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            module.reset_parameters()

    def get_input_embeddings(self) -> None:  # type: ignore[override]
        """None, since there is no token embedding; accelerate asks for one under FSDP."""

    def set_statistics(self, stats: FeatureStats) -> None:
        """Set mean and standard deviation `[D]` to those of the training data."""
        self.mean.copy_(stats.mean)
        self.std.copy_(stats.std)

    def normalize(self, features: Tensor) -> Tensor:
        """Normalise features `[..., D]` in physical units."""
        return (features - self.mean) / self.std

    def denormalize(self, x: Tensor) -> Tensor:
        """Features `[..., D]` in physical units, float32, from normalised ones."""
        return x.float() * self.std + self.mean

    def reference_of(self, x: Tensor) -> Tensor:
        """The features that make up a reference `[..., R]`, from normalised features `[..., D]`."""
        blocks = self.representation.layout.split(x)
        return torch.cat([blocks[name] for name in self.config.reference_blocks], dim=-1)

    def forward(
        self,
        x: Tensor | None = None,
        timestep: Tensor | None = None,
        text: Tensor | None = None,
        text_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        reference: Tensor | None = None,
        reference_mask: Tensor | None = None,
        use_reference: Tensor | None = None,
        labels: Tensor | None = None,
        feature_mask: Tensor | None = None,
        target: Tensor | None = None,
    ) -> Tensor | MotionDiTOutput:
        """The velocity `[B, T, D]` of x at its timesteps; with `labels` or `target` a training loss.

        Args:
            x: noisy motion `[B, T, D]`.
            timestep: 1000 times sigma `[B]`, 0..1000.
            text: word features `[B, L, text_dim]`.
            text_mask: valid words `[B, L]`; None for all, in which case no padding is added whatever the config.
            frame_mask: valid frames `[B, T]`.
            reference: `[B, S, R]`, see `reference_of`.
            reference_mask: valid frames of the reference `[B, S]`; None uses `frame_mask` if S equals T.
            use_reference: rows `[B]` that follow the reference; None for those whose reference is not zero.
            labels: clean motion `[B, T, D]` instead of x and timestep; noise and timesteps are sampled.
            feature_mask: features `[B, D]` that count in the loss of each row, with labels or target.
            target: the target velocity `[B, T, D]` for x at its timesteps.

        Raises:
            ValueError: for shapes that do not match, and for a reference given to a text-only model.
        """
        conditions: dict[str, Any] = dict(text=text, text_mask=text_mask, frame_mask=frame_mask)
        conditions |= dict(reference=reference, reference_mask=reference_mask, use_reference=use_reference)
        weight = None
        if labels is not None:
            _check_shape("labels", labels, [None, None, self.config.motion_dim])
            draw = self.config.flow_matching.draw(labels)
            x, timestep, target, weight = draw.x, draw.timestep, draw.target, draw.weight
            if self.config.prediction == "clean":
                target = self._velocity(labels, x, timestep)
        elif target is None:
            # when sampling, sigma is clamped only enough to avoid a division by zero
            return self._velocity(self._transform(x, timestep, **conditions), x, timestep, least=1e-4)
        velocity = self._velocity(self._transform(x, timestep, **conditions), x, timestep)
        scale = None
        if self.config.prediction == "clean" and timestep is not None:
            scale = _sigmas(timestep, _LEAST_SIGMA)
        return self._loss(velocity, target, weight, frame_mask, feature_mask, scale)

    def loss_counts(
        self, labels: Tensor, frame_mask: Tensor | None = None, feature_mask: Tensor | None = None, **_: Any
    ) -> dict[str, Tensor]:
        """Number of values over which `forward` takes the mean loss of a batch, features of frames, and of frames."""
        trusted = self._trusted(labels, frame_mask, feature_mask)
        return {"values": trusted.sum(), "frames": trusted.any(dim=-1).sum()}

    def _trusted(self, like: Tensor, frame_mask: Tensor | None, feature_mask: Tensor | None) -> Tensor:
        """1 where a frame and a feature count, else 0: `[B, T, D]`, float32."""
        trusted = torch.ones_like(like, dtype=torch.float32)
        if frame_mask is not None:
            trusted = trusted * frame_mask[..., None].to(trusted)
        if feature_mask is not None:
            trusted = trusted * feature_mask[:, None].to(trusted)
        return trusted

    def _loss(
        self,
        velocity: Tensor,
        target: Tensor,
        weight: Tensor | None,
        frame_mask: Tensor | None,
        feature_mask: Tensor | None,
        scale: Tensor | None,
    ) -> MotionDiTOutput:
        """Squared error of velocities `[B, T, D]` over valid frames and features, weighted per row by `weight` `[B]`.

        `scale` `[B, 1, 1]` converts a velocity error to the error of the last layer's output; None means 1.
        """
        error = (velocity.float() - target).square()
        trusted = self._trusted(error, frame_mask, feature_mask)
        weights = self._block_weights(error) if weight is None else weight[:, None, None] * self._block_weights(error)
        count = trusted.sum().clamp(min=1)
        loss = (error * trusted * weights).sum() / count
        plain = error.detach() if scale is None else error.detach() * scale.square()
        losses = {self.config.prediction: (plain * trusted).sum() / count}
        if self.config.smoothness:
            # smoothness: the error of frame-to-frame differences [B, T - 1, D]
            steps = (velocity.float() - target).diff(dim=1).square() * trusted[:, 1:] * weights
            loss = loss + self.config.smoothness * steps.sum() / count
        return MotionDiTOutput(loss=loss, velocity=velocity, losses=losses)

    def _velocity(
        self, output: Tensor, x: Tensor | None, timestep: Tensor | None, least: float = _LEAST_SIGMA
    ) -> Tensor:
        """The velocity `[B, T, D]` from the last layer's output; sigma is clamped to at least `least`."""
        if self.config.prediction == "velocity" or x is None or timestep is None:
            return output
        return (x - output) / _sigmas(timestep, least).to(x)

    def _transform(
        self,
        x: Tensor | None,
        timestep: Tensor | None,
        text: Tensor | None,
        text_mask: Tensor | None,
        frame_mask: Tensor | None,
        reference: Tensor | None,
        reference_mask: Tensor | None,
        use_reference: Tensor | None,
    ) -> Tensor:
        """The transformer's output `[B, T, D]`; arguments are those of `forward`."""
        if x is None or timestep is None:
            raise ValueError("x and timestep must be given unless labels are, got None")
        _check_shape("x", x, [None, None, self.config.motion_dim])
        _check_shape("timestep", timestep, [x.shape[0]])
        if frame_mask is not None:
            _check_shape("frame_mask", frame_mask, list(x.shape[:2]))
        dtype = self.embed_motion.weight.dtype
        time = self.embed_time(time_sines(timestep, self.config.frequency_dim).to(dtype))  # [B, C]
        modulation = self.project_time(F.silu(time)).unflatten(1, (6, -1))  # [B, 6, C]
        tokens, mask = self._patches(x, None if frame_mask is None else frame_mask.bool())
        if reference is None:
            if use_reference is not None and bool(use_reference.any()):
                raise ValueError("use_reference must be all false without a reference, got rows that want one")
            contexts = [self._words(text, text_mask, x)]
        else:
            if reference_mask is None and reference.shape[1] == x.shape[1]:
                reference_mask = frame_mask
            chosen = self._followers(reference, reference_mask, use_reference, x)
            words, followed = (~chosen).nonzero()[:, 0], chosen.nonzero()[:, 0]
            contexts = [
                self._words(text, text_mask, x, words),
                self._reference(reference, reference_mask, modulation, followed),
            ]
        hidden = _with_places(self.embed_motion(tokens.to(dtype)))
        for block in self.blocks:
            hidden = block(hidden, modulation, mask, contexts)
        output = self.head(hidden, time[:, None])
        output = output.unflatten(2, (-1, self.config.motion_dim))  # [B, N, patch, D], with overlap twice patch
        output = faded(output, mask) if self.config.overlap else output.flatten(1, 2)
        return output[:, : x.shape[1]]

    def _words(self, text: Tensor | None, mask: Tensor | None, x: Tensor, rows: Tensor | None = None) -> Context:
        """The words of some rows of x, of all by default, as a context; a single zero for rows without words."""
        count, dtype = x.shape[0], self.embed_motion.weight.dtype
        if text is None:
            text = x.new_zeros(count, 1, self.config.text_dim)
            mask = torch.zeros(count, 1, dtype=torch.bool, device=x.device)
        _check_shape("text", text, [count, None, self.config.text_dim])
        text = rows_of(text, rows).to(dtype)
        if mask is not None:
            _check_shape("text_mask", mask, [count, text.shape[1]])
            mask = rows_of(mask, rows).bool()
            text = text * mask[..., None]
        if mask is not None and self.config.text_padding == "attended":
            text = text[:, : self.config.text_length]
            text, mask = F.pad(text, (0, 0, 0, self.config.text_length - text.shape[1])), None
        if mask is not None:
            # attention over no key is NaN: rows without words attend to their first, zeroed position
            first = torch.arange(mask.shape[1], device=mask.device) == 0
            mask = mask | (first & ~mask.any(dim=1, keepdim=True))
        return Context(self.embed_text(text), mask, rows)

    def _followers(self, reference: Tensor, mask: Tensor | None, use_reference: Tensor | None, x: Tensor) -> Tensor:
        """Which rows of x follow their reference `[B]`; arguments are those of `forward`."""
        if not self.config.num_reference_layers:
            raise ValueError(
                "reference must be left out for a text-only model, got one; see config.num_reference_layers"
            )
        _check_shape("reference", reference, [x.shape[0], None, self.config.reference_dim])
        if mask is not None:
            _check_shape("reference_mask", mask, list(reference.shape[:2]))
        if use_reference is None:
            # a reference of zeros counts as none
            said = reference.ne(0).any(dim=2)  # [B, S]
            use_reference = (said if mask is None else said & mask.bool()).any(dim=1)
        _check_shape("use_reference", use_reference, [x.shape[0]])
        return use_reference.bool()

    def _reference(self, reference: Tensor, mask: Tensor | None, modulation: Tensor, rows: Tensor) -> Context:
        """The encoded references of some rows as a context."""
        mask = None if mask is None else mask[rows].bool()
        # [K, N, patch * R], [K, N]
        tokens, mask = self._patches(reference[rows], mask)
        hidden = _with_places(self.embed_reference(tokens.to(self.embed_reference.weight.dtype)))
        for block in self.reference_blocks:
            hidden = block(hidden, modulation[rows], mask)
        return Context(hidden, mask, rows)

    def _patches(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Frames `[B, T, D]` as positions `[B, N, patch * D]`; a position is valid if any of its frames is."""
        patch = self.config.patch
        if patch == 1:
            return x, mask
        if mask is not None:
            # frames after the end must not leak into a patch that is partly valid
            x = torch.where(mask[..., None], x, 0.0)
        added = -x.shape[1] % patch
        if added:
            x = F.pad(x, (0, 0, 0, added))
            mask = None if mask is None else F.pad(mask, (0, added))
        x = x.unflatten(1, (-1, patch)).flatten(2)
        return x, None if mask is None else mask.unflatten(1, (-1, patch)).any(dim=2)

    def _block_weights(self, like: Tensor) -> Tensor:
        """Loss weights of the features `[D]`, from the config's weights of blocks."""
        weights = like.new_ones(self.config.motion_dim)
        for name, weight in self.config.block_weights.items():
            weights[self.representation.layout[name]] = weight
        return weights


def _two_layers(size: int, width: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, width), activation, nn.Linear(width, width))


def _sigmas(timestep: Tensor, least: float) -> Tensor:
    """Sigmas `[B, 1, 1]` of timesteps `[B]`, at least `least`."""
    return (timestep / TIMESTEPS).clamp(min=least)[:, None, None]


def _with_places(hidden: Tensor) -> Tensor:
    return hidden + frame_sines(hidden.shape[1], hidden.shape[2], hidden.device).to(hidden.dtype)


def _check_shape(name: str, value: Tensor, shape: list[int | None]) -> None:
    """Raise `ValueError` unless `value` has `shape`, in which None matches any size above 0."""
    fits = value.ndim == len(shape) and all(
        size > 0 if wanted is None else size == wanted for size, wanted in zip(value.shape, shape, strict=True)
    )
    if not fits:
        wanted = "[" + ", ".join("*" if size is None else str(size) for size in shape) + "]"
        raise ValueError(f"{name} must have shape {wanted}, got {list(value.shape)}")
