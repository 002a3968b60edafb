"""The vertical axis of a file that is read: stated, or expected by its format and checked on the whole clip.

    up = settle_up(positions, given=None, expected="z", what=repr(path))      # "y", "z", "-y" or "-z"

Where the option `up` or the file itself states the axis, that is used. Otherwise the joint positions decide
(`motionmillion.kinematics.upright`): a clip that certainly stands about another axis is read by it, and a clip that
may lie or may have been saved with another axis is read as expected; both with a warning of one line.
"""

import warnings

import numpy as np
import torch
from torch import Tensor

from motionmillion.io.options import option
from motionmillion.kinematics.upright import UP_TURNS, find_up

_FRAMES = 3000


def check_up(up: str | None) -> None:
    """Raise `ValueError` unless `up` is None or one of "y", "z", "-y" and "-z"."""
    if up is not None and up not in UP_TURNS:
        raise ValueError(f'up must be "y" or "z", got {up!r}; "-y" and "-z" for axes that point down')


def settle_up(positions: Tensor | np.ndarray, given: str | None, expected: str, what: str) -> str:
    """The vertical axis that a file is read by; warns unless it is given or fits.

    Args:
        positions: SMPL's joints `[T, 22, 3]` in the axes of the file, in any unit.
        given: the axis by option or by the file itself, which is used.
        expected: the axis of the format.
        what: the file in warnings.

    Raises:
        ValueError: for an unknown axis.
    """
    check_up(given)
    if given is not None:
        return given
    joints = np.asarray(positions, dtype=np.float64)
    found = find_up(joints[:: 1 + len(joints) // _FRAMES], expected)
    if found.axis != expected:
        warnings.warn(
            f"the person in {what} stands along the {_axis(found.axis)}, which is taken for the vertical one instead "
            f"of the format's {_axis(expected)}; {option('up', expected)} keeps that",
            stacklevel=2,
        )
    elif found.alternative:
        warnings.warn(
            f"the person in {what} lies down in all frames; did you mean {option('up', found.alternative)}? "
            f"({option('up', expected)} if not)",
            stacklevel=2,
        )
    return found.axis


def turn_of(up: str) -> Tensor:
    """Rotation matrix `[3, 3]`, float64, from the axes of a file with this vertical axis to y up."""
    return torch.from_numpy(UP_TURNS[up].copy())


def _axis(axis: str) -> str:
    return f"{axis} axis"
