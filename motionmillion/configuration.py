"""Checks that all configurations share; unknown keys are errors in model configs and in recipe files."""

import dataclasses
import difflib
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
"""Names of the data types of weights and stored features."""

MODEL_DTYPES = ("float32", "bfloat16")
"""Those in which models are trained and converted."""


def unknown_key_error(kind: str, unknown: Iterable[str], known: Iterable[str]) -> ValueError:
    """A one-line error that names the unknown keys and the closest known ones."""
    known = sorted(known)
    names = sorted(unknown)
    near = sorted({match for name in names for match in difflib.get_close_matches(name, known, n=1)})
    remedy = f"did you mean {', '.join(near)}?" if near else f"the known ones are {', '.join(known)}"
    return ValueError(f"{kind} must hold known keys only, got {', '.join(map(repr, names))}; {remedy}")


def check_whole(name: str, value: Any, least: int) -> int:
    """Return `value` if it is an integer of at least `least`, else raise `ValueError` for `name`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def check_number(name: str, value: Any) -> float:
    """Return `value` if it is a finite, non-negative number, else raise `ValueError` for `name`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number that is not negative, got {value!r}")
    return value


def check_share(name: str, value: Any) -> float:
    """`value` if it is a number in 0..1; raises `ValueError` otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return float(value)


def check_keys(kwargs: Mapping[str, Any], config_class: type, kind: str) -> None:
    """Raise `ValueError` for keyword arguments that neither `config_class` nor transformers writes into a config."""
    from transformers import PretrainedConfig  # heavy, and only needed here

    own = {name for name in inspect.signature(config_class).parameters if name != "kwargs"}
    own |= {field.name for field in dataclasses.fields(config_class) if not field.name.startswith("_")}
    written = set(PretrainedConfig().to_dict()) | {"use_cache", "name_or_path", "attn_implementation", "model_type"}
    written.add("quantization_config")  # of models saved with 8-bit or 4-bit weights
    unknown = [key for key in kwargs if key not in own | written and not key.startswith("_")]
    if unknown:
        raise unknown_key_error(kind, unknown, own)


def shown(value: Any) -> str:
    """`repr` of a value in one short line, for errors."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def find_dtype(name: str, known: Sequence[str] = DTYPES) -> "torch.dtype":
    """The torch dtype of that name; raises `ValueError` for one that is not among the known ones."""
    import torch  # heavy: not for those that check numbers only

    if name not in known:
        raise ValueError(f"dtype must be one of {sorted(known)}, got {name!r}")
    return getattr(torch, name)


def fast_bfloat16(device: str = "auto") -> bool:
    """Whether computing in bfloat16 is not slower: on GPUs, and on CPUs that have instructions for it."""
    import torch  # heavy: not for those that check numbers only

    if torch.device(check_device(device)).type != "cpu":
        return True
    known = torch.cpu.get_capabilities()
    return known.get("architecture") != "x86_64" or any(known.get(name) for name in ("avx512_bf16", "amx_bf16"))


def check_device(name: "str | torch.device") -> str:
    """The checked name of an available device, "auto" being a GPU if there is one; raises `ValueError`."""
    import torch  # heavy: not for those that check numbers only

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise ValueError(f'device must be one that torch can use here, got {str(name)!r}; try "cpu"') from None
    return str(name)
