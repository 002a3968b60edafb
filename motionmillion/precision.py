"""The widest floating-point type of a device: float64, except on Apple's GPUs (MPS), which have none.

    yaw = torch.cumsum(widened(change), dim=-1)

Sums over time and angles are computed in it, so that errors do not grow with the length of a motion; on MPS they are
computed in float32.
"""

import torch
from torch import Tensor


def widest(device: torch.device) -> torch.dtype:
    """float64, or float32 where the device has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def widened(values: Tensor) -> Tensor:
    """`values` in the widest type of their device."""
    return values.to(widest(values.device))
