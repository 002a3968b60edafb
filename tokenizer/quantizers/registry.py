"""Checked options of the quantizers, and the codebook size that follows from them.

    options = parse_options({"type": "fsq", "size": 65536})
    options.codebook_size                                     # 64000

| type | options | codebook size K |
|---|---|---|
| fsq | `levels`, or `size` for a published set; `normalize` | product of levels |
| residual_fsq | `levels`, `stages`: each stage is FSQ of the previous residual; one joint code | product ** stages |
| vq | `size`, `codebook_dim`, `decay`, `dead_code_threshold`, `commitment`: an EMA codebook | size |
| lfq | `size` (a power of two), `entropy`, `commitment`: the signs of log2(size) channels | size |
| none | `channels`, `kl`: continuous latents with a small Kullback-Leibler weight, for flow matching | 0 |

| `size` of fsq | 256 | 512 | 1024 | 2048 | 4096 | 16384 | 65536 |
|---|---|---|---|---|---|---|---|
| true K | 240 | 512 | 1000 | 1920 | 4375 | 15360 | 64000 |
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from motionmillion.configuration import check_number, check_whole, unknown_key_error

LARGEST_CODEBOOK = 2**24

FSQ_LEVELS = {
    256: [8, 6, 5],
    512: [8, 8, 8],
    1024: [8, 5, 5, 5],
    2048: [8, 8, 6, 5],
    4096: [7, 5, 5, 5, 5],
    16384: [8, 8, 8, 6, 5],
    65536: [8, 8, 8, 5, 5, 5],
}
"""Nominal codebook size -> levels, as published (FSQ, arXiv 2309.15505; Go to Zero, arXiv 2507.07095)."""


@dataclass
class FSQOptions:
    """Options of `FiniteScalarQuantizer`.

    Args:
        levels: number of levels of each quantized channel.
        size: nominal size of a published set of levels, instead of `levels`; see `FSQ_LEVELS`.
        normalize: keep each quantized channel at zero mean and unit variance over the training data, by batch norm
            without parameters. Without it, channels drift into the saturated ends of the rounding function early in
            training on little data, and most codes stay unused.
    """

    levels: list[int] | None = None
    size: int | None = None
    normalize: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and (self.levels is not None or self.size not in FSQ_LEVELS):
            raise ValueError(
                f"quantizer size must be one of {sorted(FSQ_LEVELS)} and come without levels, got size {self.size!r} "
                f"and levels {self.levels!r}; give the levels for any other"
            )
        if not isinstance(self.normalize, bool):
            raise ValueError(f"quantizer normalize must be true or false, got {self.normalize!r}")
        self.levels = _levels(self.levels) if self.size is None else list(FSQ_LEVELS[self.size])

    @property
    def codebook_size(self) -> int:
        return math.prod(self.levels or [])


@dataclass
class ResidualFSQOptions:
    """Options of `ResidualFiniteScalarQuantizer`.

    Args:
        levels: number of levels of each quantized channel, the same in every stage.
        stages: number of stages.
    """

    levels: list[int] | None = None
    stages: int = 2

    def __post_init__(self) -> None:
        self.levels = _levels(self.levels)
        check_whole("quantizer stages", self.stages, 1)

    @property
    def codebook_size(self) -> int:
        return math.prod(self.levels or []) ** self.stages


@dataclass
class VQOptions:
    """Options of `VectorQuantizer`.

    Args:
        size: number of codes.
        codebook_dim: dimension Q of the codebook vectors.
        decay: of the exponential moving averages.
        dead_code_threshold: codes with a smaller average count are replaced by a latent of the batch; 0 is off.
        commitment: weight of the loss that pulls latents towards their codes.
    """

    size: int | None = None
    codebook_dim: int = 32
    decay: float = 0.99
    dead_code_threshold: float = 2.0
    commitment: float = 0.25

    def __post_init__(self) -> None:
        check_whole("quantizer size", self.size, 2)
        check_whole("quantizer codebook_dim", self.codebook_dim, 1)
        check_number("quantizer dead_code_threshold", self.dead_code_threshold)
        check_number("quantizer commitment", self.commitment)
        if not 0 < check_number("quantizer decay", self.decay) < 1:
            raise ValueError(f"quantizer decay must be between 0 and 1, got {self.decay!r}")

    @property
    def codebook_size(self) -> int:
        return self.size or 0


@dataclass
class LFQOptions:
    """Options of `LookupFreeQuantizer`.

    Args:
        size: number of codes, a power of two.
        entropy: weight of the entropy loss; it compares every latent with every code, `[B * N, K]`.
        commitment: weight of the loss that pulls channels towards -1 and 1.
    """

    size: int | None = None
    entropy: float = 0.1
    commitment: float = 0.25

    def __post_init__(self) -> None:
        check_number("quantizer entropy", self.entropy)
        check_number("quantizer commitment", self.commitment)
        size = check_whole("quantizer size", self.size, 2)
        if size & (size - 1):
            raise ValueError(
                f"quantizer size must be a power of two for lfq, got {size}; try {1 << size.bit_length()}"
            )

    @property
    def codebook_size(self) -> int:
        return self.size or 0


@dataclass
class ContinuousOptions:
    """Options of `NoQuantizer`.

    Args:
        channels: dimension Q of the latents.
        kl: weight of the Kullback-Leibler divergence to a standard Gaussian, in nats per channel.
    """

    channels: int = 32
    kl: float = 1e-4

    def __post_init__(self) -> None:
        check_whole("quantizer channels", self.channels, 1)
        check_number("quantizer kl", self.kl)

    @property
    def codebook_size(self) -> int:
        return 0


Options = FSQOptions | ResidualFSQOptions | VQOptions | LFQOptions | ContinuousOptions

OPTIONS: dict[str, type[Options]] = {
    "fsq": FSQOptions,
    "residual_fsq": ResidualFSQOptions,
    "vq": VQOptions,
    "lfq": LFQOptions,
    "none": ContinuousOptions,
}


def parse_options(options: Mapping[str, Any]) -> Options:
    """The options of a config, e.g. `{"type": "fsq", "levels": [8, 5, 5, 5]}`.

    Raises:
        ValueError: for an unknown type, unknown keys, invalid values, and too many codes.
    """
    if not isinstance(options, Mapping):
        raise ValueError(f"quantizer must be a mapping such as {{type: fsq, size: 1024}}, got {options!r}")
    kind = options.get("type")
    if not isinstance(kind, str) or kind not in OPTIONS:
        raise ValueError(f"quantizer type must be one of {sorted(OPTIONS)}, got {kind!r}")
    known = [field.name for field in fields(OPTIONS[kind])]
    given = {key: value for key, value in options.items() if key != "type"}
    if set(given) - set(known):
        raise unknown_key_error(f"quantizer options of {kind!r}", set(given) - set(known), known)
    # the dataclass checks its own values
    parsed = OPTIONS[kind](**given)
    size = parsed.codebook_size
    if size > LARGEST_CODEBOOK:
        raise ValueError(f"quantizer must have at most {LARGEST_CODEBOOK:,} codes, got {size:,} from {dict(options)}")
    return parsed


def _levels(levels: Any) -> list[int]:
    if levels is None:
        raise ValueError("quantizer must have levels or size, got neither; try levels [8, 5, 5, 5]")
    whole = isinstance(levels, list | tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in levels)
    if not whole or not levels or min(levels) < 2:
        raise ValueError(f"quantizer levels must be a list of whole numbers of at least 2, got {levels!r}")
    return list(levels)
