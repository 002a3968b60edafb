"""What all configurations share: unknown keys are errors, in model configs and in recipe files alike."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def unknown_key_error(kind: str, unknown: Iterable[str], known: Iterable[str]) -> ValueError:
    """One line that names the unknown keys and the nearest known ones."""
    known = sorted(known)
    names = sorted(unknown)
    near = sorted({match for name in names for match in difflib.get_close_matches(name, known, n=1)})
    remedy = f"did you mean {', '.join(near)}?" if near else f"the known ones are {', '.join(known)}"
    return ValueError(f"{kind} must hold known keys only, got {', '.join(map(repr, names))}; {remedy}")


def check_keys(kwargs: Mapping[str, Any], base: type, kind: str) -> None:
    """Raise `ValueError` for keyword arguments that the transformers config class `base` does not know either."""
    written = set(base().to_dict()) | {"_name_or_path", "name_or_path", "attn_implementation", "model_type", "dtype"}
    unknown = [key for key in kwargs if key not in written and not key.startswith("_")]
    if unknown:
        raise unknown_key_error(kind, unknown, written)
