"""Configuration of the text-motion evaluator; validates, unknown keys are errors."""

from typing import Any

from transformers import PretrainedConfig

from motionmillion import features as representations
from motionmillion.configuration import check_keys, check_number, check_whole
from motionmillion.text.encoder import MINILM

LOSSES = ("contrast", "latents", "prior", "reconstruction")
_DEFAULT_LOSSES = {"contrast": 0.1, "latents": 1e-5, "prior": 1e-5}


class TextMotionEvaluatorConfig(PretrainedConfig):
    """Settings of a `TextMotionEvaluator`.

    Args:
        features: name of the motion representation.
        blocks: blocks of its layout that are read, in order; None reads all of them.
        path: also read the heading and the place on the floor, both summed up since the first frame.
        patch: frames that make one position of the motion encoder.
        max_frames: a motion's further frames are not read.
        text_encoder, sentence, text_length, text_dim: the frozen encoder of texts and the width of its features, see
            `motionmillion.text.encoder.TextEncoder`.
        width: size E of the embeddings, and of all layers.
        motion_layers, text_layers, decoder_layers: transformer layers; 0 decoder layers leave the decoder out.
        heads, feedforward, dropout: of each layer.
        normalize: put embeddings on the unit sphere, where distance and cosine order alike.
        losses: weight of each loss of `motionmillion.eval.evaluator.losses`; those left out are not computed. None
            takes MotionStreamer's weights.
        contrast_temperature: of the contrast.
        same_meaning: texts whose sentence embeddings have a cosine above this are not contrasted; 1 contrasts all.

    Raises:
        ValueError: for unknown keys and values that do not fit together.
    """

    model_type = "motionmillion-evaluator"

    features: str = "rot272"
    blocks: list[str] | None = None
    path: bool = False
    patch: int = 1
    max_frames: int = 300
    text_encoder: str = MINILM
    sentence: bool = True
    text_length: int = 150
    text_dim: int = 384
    width: int = 256
    motion_layers: int = 4
    text_layers: int = 4
    decoder_layers: int = 0
    heads: int = 4
    feedforward: int = 1024
    dropout: float = 0.1
    normalize: bool = True
    losses: dict[str, float] = None  # type: ignore[assignment]
    contrast_temperature: float = 0.1
    same_meaning: float = 0.85

    def __post_init__(self, **kwargs: Any) -> None:
        check_keys(kwargs, type(self), "evaluator config")
        if self.losses is None:
            self.losses = {**_DEFAULT_LOSSES, **({"reconstruction": 1.0} if self.decoder_layers else {})}
        self._validate()
        super().__post_init__(**kwargs)

    def _validate(self) -> None:
        layout = representations.get(self.features).layout
        if self.blocks is not None and (not self.blocks or set(self.blocks) - set(layout)):
            raise ValueError(f"blocks must be among {', '.join(layout)}, got {self.blocks!r}")
        if not isinstance(self.path, bool):
            raise ValueError(f"path must be true or false, got {self.path!r}")
        if self.path and type(representations.get(self.features)).root is representations.Representation.root:
            raise ValueError(f"path must be false with features {self.features!r}, whose root is not summed up")
        positive = ("patch", "max_frames", "text_dim", "width", "motion_layers", "text_layers", "heads", "feedforward")
        for name in positive:
            check_whole(name, getattr(self, name), 1)
        check_whole("decoder_layers", self.decoder_layers, 0)
        check_whole("text_length", self.text_length, 2)
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width must be even and a multiple of heads, {self.heads}, got {self.width!r}")
        for name in ("dropout", "contrast_temperature", "same_meaning"):
            check_number(name, getattr(self, name))
        if self.dropout >= 1 or not self.contrast_temperature:
            raise ValueError(
                f"dropout must be below 1 and contrast_temperature above 0, got {self.dropout!r} and "
                f"{self.contrast_temperature!r}"
            )
        if not isinstance(self.losses, dict) or set(self.losses) - set(LOSSES):
            raise ValueError(f"losses must be among {', '.join(LOSSES)}, got {self.losses!r}")
        for name, weight in self.losses.items():
            check_number(f"losses.{name}", weight)
        if self.losses.get("reconstruction") and not self.decoder_layers:
            raise ValueError("losses.reconstruction must come with decoder_layers above 0, got no decoder")

    @property
    def dim(self) -> int:
        """Features that are read, D."""
        layout = representations.get(self.features).layout
        return sum(layout.sizes[name] for name in (layout if self.blocks is None else self.blocks)) + 3 * self.path
