"""Configuration of MotionDiT, the flow-matching transformer of ViMoGen.

    config = MotionDiTConfig.from_name("1.3b", text_dim=4096)

Sizes that follow from the representation are derived: `motion_dim` (276 for rot276) and `reference_dim`, the size of
the feature blocks of a reference motion (138: rotations of body and root, and the root's change of heading).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from transformers import PretrainedConfig

from motionmillion.configuration import check_keys, check_number, check_whole, unknown_key_error
from motionmillion.features import get
from motionmillion.lm.flow import FlowMatching

TEXT_PADDINGS = ("masked", "attended")
PREDICTIONS = ("velocity", "clean")
_FEW_STEP = ("steps", "shift", "guidance_scale")


class Size(NamedTuple):
    """Shape of a DiT, and the language model of about the same size, which benchmarks compare it with."""

    num_hidden_layers: int
    num_reference_layers: int
    num_attention_heads: int
    hidden_size: int
    intermediate_size: int
    language_model: str | None = None


SIZES = {
    "nano": Size(4, 2, 4, 128, 384),
    "mini": Size(6, 3, 4, 256, 768, "mini"),
    "44m": Size(8, 4, 8, 512, 1536, "44m"),
    "343m": Size(20, 10, 16, 1024, 4096, "343m"),
    "1.3b": Size(30, 15, 12, 1536, 8960, "1b"),  # ViMoGen (arXiv 2510.26794)
}
"""Sizes by name, smallest first."""


class MotionDiTConfig(PretrainedConfig):
    """Settings of a `MotionDiT`.

    Args:
        features: the representation that is generated, see `motionmillion.features`.
        text_dim: width of the text encoder's features.
        hidden_size, intermediate_size, num_hidden_layers, num_attention_heads: of the transformer.
        num_reference_layers: layers of the reference motion encoder; 0 makes a text-only model (ViMoGen-light).
        patch: frames per position of the transformer; more is faster and coarser.
        overlap: each position predicts twice its frames and neighbours are cross-faded, so that the motion has no
            jumps at patch borders; requires a patch above 1.
        frequency_dim: number of sines and cosines that encode the timestep.
        text_padding: "masked" hides text padding; "attended" pads every text with zeros to `text_length` and attends
            to them, as the released ViMoGen does.
        text_length: words that a text is truncated to, and padded to where padding is attended.
        max_frames: length of the longest training motions; longer ones are generated in windows.
        prediction: output of the last layer: "velocity", as in ViMoGen, or "clean", the motion itself, from which the
            velocity is computed. A velocity contains all of the noise, which a model narrower than
            `patch * motion_dim` cannot represent; clean motion needs far less capacity. None chooses "velocity" for a
            hidden size of at least twice that width, else "clean".
        flow: arguments of `motionmillion.lm.flow.FlowMatching`, the sampling of training noise.
        smoothness: loss weight of the error of frame-to-frame differences; 0 is off.
        block_weights: loss weights by feature block; blocks that are not named have 1.
        text_dropout: fraction of training texts that were dropped; with 0 guidance is not available.
        dropout: in the blocks, for training on little data.
        layer_norm_eps: of all norms.
        few_step: for a distilled model (`motionmillion.training.dit.distillation`) the number of Euler `steps`, their
            `shift`, and the `guidance_scale` that is built into its velocities; None for other models.

    Raises:
        ValueError: for unknown keys and values that do not fit together.
    """

    model_type = "motionmillion-dit"

    features: str = "rot276"
    text_dim: int = 4096
    hidden_size: int = 1536
    intermediate_size: int = 8960
    num_hidden_layers: int = 30
    num_reference_layers: int = 15
    num_attention_heads: int = 12
    patch: int = 1
    overlap: bool = False
    frequency_dim: int = 256
    text_padding: str = "masked"
    text_length: int = 226
    max_frames: int = 200
    prediction: str = None  # type: ignore[assignment]
    flow: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    smoothness: float = 0.0
    block_weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    text_dropout: float = 0.5
    dropout: float = 0.0
    layer_norm_eps: float = 1e-6
    few_step: Mapping[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        check_keys(kwargs, type(self), "DiT config")
        get(self.features)  # raises for unknown names
        self._check_sizes()
        if self.prediction is None:
            self.prediction = PREDICTIONS[self.hidden_size < 2 * self.patch * self.motion_dim]
        for name, known in (("text_padding", TEXT_PADDINGS), ("prediction", PREDICTIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        for name in ("text_dropout", "dropout"):
            if check_number(name, getattr(self, name)) >= 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)!r}")
        check_number("smoothness", self.smoothness)
        if not check_number("layer_norm_eps", self.layer_norm_eps) > 0:
            raise ValueError(f"layer_norm_eps must be above 0, got {self.layer_norm_eps!r}")
        self._check_mappings()
        super().__post_init__(**kwargs)

    def _check_sizes(self) -> None:
        """Raise `ValueError` for sizes that are no whole numbers or do not fit together."""
        for name in ("text_dim", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"):
            check_whole(name, getattr(self, name), 1)
        for name in ("patch", "frequency_dim", "text_length", "max_frames"):
            check_whole(name, getattr(self, name), 1)
        check_whole("num_reference_layers", self.num_reference_layers, 0)
        if self.hidden_size % self.num_attention_heads or self.hidden_size % 2:
            raise ValueError(
                f"hidden_size must be even and a multiple of num_attention_heads, got {self.hidden_size} for "
                f"{self.num_attention_heads} heads"
            )
        if self.frequency_dim % 2:
            raise ValueError(f"frequency_dim must be even, got {self.frequency_dim}")
        if self.num_reference_layers and not get(self.features).reference_blocks:
            raise ValueError(
                f"num_reference_layers must be 0 for features {self.features!r}, got {self.num_reference_layers}; "
                "they name no reference_blocks"
            )
        if not isinstance(self.overlap, bool) or (self.overlap and self.patch == 1):
            raise ValueError(f"overlap must be true or false, and false for a patch of 1, got {self.overlap!r}")

    def _check_mappings(self) -> None:
        """Fill in flow and block weights; raises `ValueError` for unknown keys and values out of range."""
        for name in ("flow", "block_weights", "few_step"):
            if not isinstance(getattr(self, name), Mapping | None):
                raise ValueError(f"{name} must be a mapping, got {getattr(self, name)!r}")
        flow, weights, layout = self.flow or {}, self.block_weights or {}, get(self.features).layout
        known = {field.name for field in dataclasses.fields(FlowMatching)}
        if set(flow) - known:
            raise unknown_key_error("flow", set(flow) - known, known)
        self.flow = dataclasses.asdict(FlowMatching(**flow))
        if set(weights) - set(layout):
            raise unknown_key_error("block_weights", set(weights) - set(layout), layout)
        self.block_weights = {name: check_number(name, weight) for name, weight in weights.items()}
        if self.few_step is not None and set(self.few_step) != set(_FEW_STEP):
            raise unknown_key_error("few_step", set(self.few_step) ^ set(_FEW_STEP), _FEW_STEP)
        self.few_step = None if self.few_step is None else _made_for(self.few_step)

    @property
    def motion_dim(self) -> int:
        """Size of the features."""
        return get(self.features).dim

    @property
    def reference_blocks(self) -> tuple[str, ...]:
        """Feature blocks that make up a reference."""
        return get(self.features).reference_blocks

    @property
    def reference_dim(self) -> int:
        """Total size of these blocks."""
        layout = get(self.features).layout
        return sum(layout.sizes[name] for name in self.reference_blocks)

    @property
    def flow_matching(self) -> FlowMatching:
        """How training noise is sampled."""
        return FlowMatching(**self.flow)

    @classmethod
    def from_name(cls, name: str, **overrides: Any) -> "MotionDiTConfig":
        """A size by name; `overrides` are further arguments of the config.

        Raises:
            ValueError: for an unknown name.
        """
        if name not in SIZES:
            raise ValueError(f"name must be one of {sorted(SIZES)}, got {name!r}")
        shape = SIZES[name]._asdict()
        del shape["language_model"]
        return cls(**{**shape, **overrides})


def _made_for(few_step: Mapping[str, Any]) -> dict[str, Any]:
    """The checked few-step settings of a distilled model; raises `ValueError` for invalid values."""
    check_whole("few_step.steps", few_step["steps"], 1)
    check_number("few_step.guidance_scale", few_step["guidance_scale"])
    if not check_number("few_step.shift", few_step["shift"]) > 0:
        raise ValueError(f"few_step.shift must be above 0, got {few_step['shift']!r}; 1 is off")
    return dict(few_step)
