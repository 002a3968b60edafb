"""Configuration of the motion tokenizer; validates and derives, unknown keys are errors."""

import math
from typing import Any

from transformers import PretrainedConfig

from motionmillion import features as representations
from motionmillion.configuration import check_keys
from motionmillion.tokenizer.losses import LOSSES
from motionmillion.tokenizer.quantizer_options import parse_options
from motionmillion.tokenizer.wavelet import Wavelet

_DEFAULT_LOSSES = {"features": 1.0, "local_positions": 0.5}


class MotionTokenizerConfig(PretrainedConfig):
    """Settings of a `MotionTokenizer`.

    Args:
        features: name of the motion representation, see `motionmillion.features`.
        wavelet: "none", "rearrange" or a discrete wavelet of PyWavelets.
        wavelet_levels: levels of the wavelet packet; each halves the rate.
        strides: stride of each convolution stage; `2**wavelet_levels * prod(strides)` frames become one code.
        width: channels of the convolutions.
        depth: residual blocks a stage.
        dilation_growth: dilation of the blocks of a stage grows by this factor.
        latent_dim: channels between encoder and quantizer.
        refiner_width: channels of a residual convolution over the frames after the inverse wavelet; 0 leaves it out.
        quantizer: `{"type": "fsq", "levels": [...]}`, see `motionmillion.tokenizer.quantizer_options` for the others.
        losses: weight of each loss of `motionmillion.tokenizer.losses.LOSSES`; those left out are not computed.
        dropout: share of latent channels silenced in training, against overfitting on little data.
        causal: frames depend on their own and earlier codes only, and codes on frames up to the last that they stand
            for, so that motion leaves while codes arrive.
        normalize_bands: give every wavelet band unit variance for the network, see `MotionTokenizer.measure_bands`.

    Raises:
        ValueError: for unknown keys and for values that do not fit together.
    """

    model_type = "motionmillion-tokenizer"

    def __init__(
        self,
        features: str = "rot272",
        wavelet: str = "haar",
        wavelet_levels: int = 1,
        strides: tuple[int, ...] | list[int] = (2,),
        width: int = 512,
        depth: int = 3,
        dilation_growth: int = 3,
        latent_dim: int | None = None,
        refiner_width: int = 0,
        quantizer: dict[str, Any] | None = None,
        losses: dict[str, float] | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        normalize_bands: bool = False,
        **kwargs: Any,
    ) -> None:
        check_keys(kwargs, type(self), "tokenizer config")
        self.features = features
        self.wavelet = wavelet
        self.wavelet_levels = wavelet_levels
        self.strides = list(strides)
        self.width = width
        self.depth = depth
        self.dilation_growth = dilation_growth
        self.latent_dim = width if latent_dim is None else latent_dim
        self.refiner_width = refiner_width
        self.quantizer = {"type": "fsq", "levels": [8, 8, 8, 5, 5, 5]} if quantizer is None else dict(quantizer)
        self.losses = dict(_DEFAULT_LOSSES) if losses is None else dict(losses)
        self.dropout = dropout
        self.causal = causal
        self.normalize_bands = normalize_bands
        self._validate()
        super().__init__(**kwargs)

    def _validate(self) -> None:
        representations.get(self.features)
        wavelet = Wavelet(self.wavelet, self.wavelet_levels)
        if self.wavelet == "none" and self.wavelet_levels:
            raise ValueError(f'wavelet_levels must be 0 with wavelet "none", got {self.wavelet_levels!r}')
        if any(not isinstance(stride, int) or stride < 1 for stride in self.strides):
            raise ValueError(f"strides must be positive whole numbers, got {self.strides!r}")
        for name in ("width", "depth", "dilation_growth", "latent_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.refiner_width < 0:
            raise ValueError(f"refiner_width must not be negative, got {self.refiner_width!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout!r}")
        unknown = set(self.losses) - set(LOSSES)
        if unknown:
            raise ValueError(f"losses must be among {sorted(LOSSES)}, got {sorted(unknown)}")
        if self.causal and wavelet.wraps:
            raise ValueError(
                f'wavelet must be "none", "rearrange" or "haar" where causal is set, got {self.wavelet!r}; filters of '
                "more than two taps cannot be inverted without frames to come"
            )
        if self.uses_band_statistics and wavelet.bands == 1:
            raise ValueError('normalize_bands and the loss "bands" must have wavelet bands, got wavelet_levels 0')
        parse_options(self.quantizer)

    @property
    def uses_band_statistics(self) -> bool:
        """Whether the model keeps standard deviations of its wavelet bands."""
        return self.normalize_bands or bool(self.losses.get("bands"))

    @property
    def codebook_size(self) -> int:
        """Number of codes K; 0 for continuous latents."""
        return parse_options(self.quantizer).codebook_size

    @property
    def frames_per_token(self) -> int:
        """Frames that one code stands for."""
        return 2**self.wavelet_levels * math.prod(self.strides)

    @property
    def tokens_per_second(self) -> float:
        return representations.get(self.features).fps / self.frames_per_token
