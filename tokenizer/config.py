"""Configuration of the motion tokenizer; validated on creation, unknown keys are errors."""

import math
from typing import Any

from transformers import PretrainedConfig

from motionmillion import features as representations
from motionmillion.configuration import check_keys, check_number, check_whole
from motionmillion.tokenizer.feedback import can_feed_back
from motionmillion.tokenizer.losses import BLOCKS, LOSSES
from motionmillion.tokenizer.quantizers.fsq import FSQOptions
from motionmillion.tokenizer.quantizers.registry import parse_options
from motionmillion.tokenizer.quantizers.residual_fsq import ResidualFSQOptions
from motionmillion.tokenizer.wavelet import Wavelet

LONGEST_TOKEN = 1024  # frames
_DEFAULT_LOSSES = {"features": 1.0, "local_positions": 0.5}


class MotionTokenizerConfig(PretrainedConfig):
    """Settings of a `MotionTokenizer`.

    Args:
        features: name of the motion representation, see `motionmillion.features`.
        wavelet: "none", "rearrange" or a discrete wavelet of PyWavelets.
        wavelet_levels: levels of the wavelet packet; each halves the frame rate.
        strides: stride of each convolution stage; `2**wavelet_levels * prod(strides)` frames become one code.
        width: channels of the convolutions.
        depth: residual blocks per stage.
        dilation_growth: factor by which the dilation grows from block to block within a stage.
        latent_dim: channels between encoder and quantizer; None for the width.
        refiner_width: channels of residual convolutions over frames after the inverse wavelet; 0 is off.
        quantizer: `{"type": "fsq", "levels": [...]}`, see `motionmillion.tokenizer.quantizers.registry`.
        losses: weights of losses of `motionmillion.tokenizer.losses.LOSSES`; those not listed are not computed.
        dropout: fraction of latent channels dropped in training, against overfitting on little data.
        causal: frames depend only on their own and earlier codes, and codes only on their own and earlier frames, so
            that motion can be decoded as codes arrive.
        root_corrections: times that a clip is encoded again with the drift of its heading and path subtracted, see
            `motionmillion.tokenizer.feedback`; costs as many decodings and encodings. It changes no weights and no
            decoding, so it can be set on a trained tokenizer.
        normalize_bands: scale wavelet bands to unit variance for the network, see `MotionTokenizer.measure_bands`.

    Raises:
        ValueError: for unknown keys and for values that do not fit together.
    """

    model_type = "motionmillion-tokenizer"

    features: str = "rot272"
    wavelet: str = "haar"
    wavelet_levels: int = 1
    strides: list[int] = (2,)  # type: ignore[assignment]
    width: int = 512
    depth: int = 3
    dilation_growth: int = 3
    latent_dim: int = None  # type: ignore[assignment]
    refiner_width: int = 0
    quantizer: dict[str, Any] = None  # type: ignore[assignment]
    losses: dict[str, float] = None  # type: ignore[assignment]
    dropout: float = 0.0
    causal: bool = False
    normalize_bands: bool = False
    root_corrections: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        check_keys(kwargs, type(self), "tokenizer config")
        self.strides = list(self.strides) if isinstance(self.strides, tuple) else self.strides
        self.latent_dim = self.width if self.latent_dim is None else self.latent_dim
        self.quantizer = {"type": "fsq", "levels": [8, 8, 8, 5, 5, 5]} if self.quantizer is None else self.quantizer
        if self.losses is None:
            self.losses = {name: weight for name, weight in _DEFAULT_LOSSES.items() if not self._lacking(name)}
        self._validate()
        super().__post_init__(**kwargs)

    def _validate(self) -> None:
        representations.get(self.features)
        for name, least in (
            ("width", 1),
            ("depth", 1),
            ("dilation_growth", 1),
            ("latent_dim", 1),
            ("refiner_width", 0),
            ("root_corrections", 0),
        ):
            check_whole(name, getattr(self, name), least)
        for name in ("causal", "normalize_bands"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        if self.root_corrections and not can_feed_back(representations.get(self.features)):
            raise ValueError(
                f"root_corrections must be 0 for the features {self.features!r}, got {self.root_corrections!r}"
            )
        check_number("dropout", self.dropout)
        if self.dropout >= 1:
            raise ValueError(f"dropout must be below 1, got {self.dropout!r}")
        self._validate_losses()
        self._validate_rate()
        parse_options(self.quantizer)

    def _validate_rate(self) -> None:
        # raises for unknown names and invalid levels
        wavelet = Wavelet(self.wavelet, self.wavelet_levels)
        if self.wavelet == "none" and self.wavelet_levels:
            raise ValueError(f'wavelet_levels must be 0 with wavelet "none", got {self.wavelet_levels!r}')
        if self.wavelet != "none" and not self.wavelet_levels:
            raise ValueError(f'wavelet_levels must be at least 1 with wavelet {self.wavelet!r}, got 0; or use "none"')
        if not isinstance(self.strides, list):
            raise ValueError(f"strides must be a list of whole numbers such as [2], got {self.strides!r}")
        for stride in self.strides:
            check_whole("strides", stride, 1)
        if self.frames_per_token > LONGEST_TOKEN:
            frames = self.frames_per_token
            raise ValueError(
                f"wavelet_levels and strides must give at most {LONGEST_TOKEN} frames per code, got {frames}"
            )
        if self.causal and wavelet.wraps:
            raise ValueError(
                f'wavelet must be "none", "rearrange" or "haar" where causal is set, got {self.wavelet!r}; filters of '
                "more than two taps cannot be inverted without future frames"
            )
        if self.uses_band_statistics and wavelet.bands == 1:
            raise ValueError('normalize_bands and the loss "bands" must have wavelet bands, got wavelet_levels 0')

    def _validate_losses(self) -> None:
        if not isinstance(self.losses, dict) or set(self.losses) - set(LOSSES):
            raise ValueError(f"losses must be among {', '.join(LOSSES)}, got {self.losses!r}")
        for name, weight in self.losses.items():
            check_number(f"losses.{name}", weight)
            if weight and (lacking := self._lacking(name)):
                raise ValueError(
                    f"losses.{name} must be left out for features without {', '.join(lacking)}, got {weight!r} for "
                    f"{self.features!r}"
                )
        if not any(self.losses.values()):
            raise ValueError(f"losses must name at least one with a weight above 0, got {self.losses!r}")

    def _lacking(self, loss: str) -> list[str]:
        """Blocks that a loss needs and the representation does not have."""
        layout = representations.get(self.features).layout
        return [name for name in BLOCKS.get(loss, ()) if name not in layout]

    @property
    def uses_band_statistics(self) -> bool:
        """Whether the model keeps standard deviations of its wavelet bands."""
        return self.normalize_bands or bool(self.losses.get("bands"))

    @property
    def codebook_size(self) -> int:
        """Number of codes K; 0 for continuous latents."""
        return parse_options(self.quantizer).codebook_size

    @property
    def code_levels(self) -> list[int] | None:
        """Values of each digit of a code, least significant first; None for quantizers without levels."""
        options = parse_options(self.quantizer)
        if isinstance(options, ResidualFSQOptions):
            return list(options.levels or []) * options.stages
        return list(options.levels or []) if isinstance(options, FSQOptions) else None

    @property
    def frames_per_token(self) -> int:
        """Number of frames per code."""
        return 2**self.wavelet_levels * math.prod(self.strides)

    @property
    def tokens_per_second(self) -> float:
        return representations.get(self.features).fps / self.frames_per_token
