"""Inputs of measures: converts NumPy arrays and nested lists to tensors.

    positions = to_tensor("positions", array)            # or an error that names the argument
    clips = to_tensors("clips", arrays, names)           # one tensor per motion

Unusual: integers become float64; arrays are copied, because PyTorch cannot use all of them in place.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

Numbers = Tensor | ArrayLike
"""A tensor, a NumPy array, or lists of numbers."""


def to_tensor(name: str, value: Any) -> Tensor:
    """`value` as a tensor of real numbers; such a tensor is returned unchanged.

    Args:
        name: name of the argument, for errors.
        value: a tensor, an array or nested lists of equal lengths.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, Tensor):
        if value.dtype == torch.bool or value.is_complex():
            raise _wrong(name, f"a tensor of {value.dtype}")
        return value if value.is_floating_point() else value.double()
    try:
        array = np.array(value)
    except (TypeError, ValueError, RuntimeError):  # lists of unequal lengths, tensors of another device in a list
        raise _wrong(name, f"a {type(value).__name__} that is not an array") from None
    if array.dtype.kind not in "fiu":
        raise _wrong(name, f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__)
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return torch.from_numpy(np.ascontiguousarray(array, np.float32 if single else np.float64))


def to_tensors(name: str, values: Iterable[Any], names: Sequence[str] | None = None) -> list[Tensor]:
    """`values` as tensors, one for each motion.

    Args:
        name: name of the argument, for errors.
        values: tensors, arrays or nested lists; an array or a tensor is split along its first axis.
        names: names of the values, for errors; "clips[3]" otherwise.

    Raises:
        ValueError: for anything else, or a wrong number of names.
    """
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise ValueError(f"{name} must be a list with one array per motion, got {type(values).__name__}")
    values = list(values)
    if names is not None and len(names) != len(values):
        raise ValueError(f"names must have one entry per clip, got {len(names)} for {len(values)} clips")
    return [
        to_tensor(f"{name}[{place}]" if names is None else names[place], value) for place, value in enumerate(values)
    ]


def _wrong(name: str, got: str) -> ValueError:
    return ValueError(f"{name} must be real numbers in a tensor, an array or nested lists, got {got}")
