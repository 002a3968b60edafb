"""The quantizers by name, their checked options, and the codebook size that follows from them.

    options = parse_options({"type": "fsq", "size": 65536})
    options.codebook_size                                     # 64000
    quantizer = build_quantizer({"type": "fsq", "size": 65536}, dim=512)

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

A new quantizer is one new file and one new line in `_QUANTIZERS`, or in code of your own `register("mine", Mine)`.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from motionmillion.configuration import unknown_key_error
from motionmillion.tokenizer.quantizers.base import Quantizer, QuantizerOptions
from motionmillion.tokenizer.quantizers.continuous import NoQuantizer
from motionmillion.tokenizer.quantizers.fsq import FiniteScalarQuantizer
from motionmillion.tokenizer.quantizers.lfq import LookupFreeQuantizer
from motionmillion.tokenizer.quantizers.residual_fsq import ResidualFiniteScalarQuantizer
from motionmillion.tokenizer.quantizers.vq import VectorQuantizer

LARGEST_CODEBOOK = 2**31 - 1
"""Codes are stored as int32."""

_QUANTIZERS: dict[str, type[Quantizer]] = {
    "fsq": FiniteScalarQuantizer,
    "residual_fsq": ResidualFiniteScalarQuantizer,
    "vq": VectorQuantizer,
    "lfq": LookupFreeQuantizer,
    "none": NoQuantizer,
}


def register(name: str, quantizer: type[Quantizer]) -> None:
    """Add a quantizer, for configs and recipes, in this process.

    Args:
        name: the `type` in the options of a config.
        quantizer: made with `(dim, options)`; its attribute `options_type` is the dataclass of its options.

    Raises:
        ValueError: if the name is taken.
    """
    if name in _QUANTIZERS:
        raise ValueError(f"name must be that of no other quantizer, got {name!r} beside {sorted(_QUANTIZERS)}")
    _QUANTIZERS[name] = quantizer


def parse_options(options: Mapping[str, Any]) -> QuantizerOptions:
    """The options of a config, e.g. `{"type": "fsq", "levels": [8, 5, 5, 5]}`.

    Raises:
        ValueError: for an unknown type, unknown keys, invalid values, and too many codes.
    """
    if not isinstance(options, Mapping):
        raise ValueError(f"quantizer must be a mapping such as {{type: fsq, size: 1024}}, got {options!r}")
    kind = options.get("type")
    if not isinstance(kind, str) or kind not in _QUANTIZERS:
        raise ValueError(f"quantizer type must be one of {sorted(_QUANTIZERS)}, got {kind!r}")
    known = [field.name for field in fields(_QUANTIZERS[kind].options_type)]
    given = {key: value for key, value in options.items() if key != "type"}
    if set(given) - set(known):
        raise unknown_key_error(f"quantizer options of {kind!r}", set(given) - set(known), known)
    # the dataclass checks its own values
    parsed = _QUANTIZERS[kind].options_type(**given)
    size = parsed.codebook_size
    if size > LARGEST_CODEBOOK:
        raise ValueError(f"quantizer must have at most {LARGEST_CODEBOOK:,} codes, got {size:,} from {dict(options)}")
    return parsed


def build_quantizer(options: Mapping[str, Any], dim: int) -> Quantizer:
    """The quantizer of `options`, e.g. `{"type": "fsq", "levels": [8, 5, 5, 5]}`, for latents of `dim` channels.

    Raises:
        ValueError: for an unknown type or options that do not fit it.
    """
    parsed = parse_options(options)
    return _QUANTIZERS[options["type"]](dim, parsed)  # type: ignore[call-arg,arg-type]
