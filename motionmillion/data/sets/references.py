"""Corrupted references, which make a model robust to the errors of estimated motion.

    reference = Corruption()(reference)              # [S, R], normalised, drawn from torch's generator

In training a reference is the motion itself; if it were clean, the model would copy it. So errors that are typical of
estimates from video are added at random.

Letters: S frames, R features of a reference's frame.

Source: the settings are those of ViMoGen (arXiv 2510.26794).
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from motionmillion.configuration import check_number


@dataclasses.dataclass(frozen=True)
class Corruption:
    """How references are corrupted; all ranges are (minimum, maximum), drawn once for each reference.

    Args:
        rate: fraction of frames that get noise.
        scale: standard deviation of the noise, in units of the features' standard deviations.
        blend: fraction of frames that are replaced by the mean of their neighbours.
        jitter: fraction of references with a constant offset from a random frame on, as after a lost track.
        dropout: fraction of frames that are lost, and repeat the previous frame.

    Raises:
        ValueError: for ranges that do not rise, and fractions above 1.
    """

    rate: tuple[float, float] = (0.0, 0.4)
    scale: tuple[float, float] = (0.05, 0.15)
    blend: tuple[float, float] = (0.03, 0.08)
    jitter: float = 0.3
    dropout: float = 0.02

    def __post_init__(self) -> None:
        for name in ("rate", "scale", "blend"):
            value = getattr(self, name)
            numbers = isinstance(value, Sequence) and all(isinstance(each, int | float) for each in value)
            if not numbers or len(value) != 2 or not 0 <= value[0] <= value[1]:
                raise ValueError(f"{name} must be two rising numbers from 0 on, got {value!r}")
            if name != "scale" and value[1] > 1:
                raise ValueError(f"{name} must be shares in [0, 1], got {value!r}")
        for name in ("jitter", "dropout"):
            if check_number(name, getattr(self, name)) > 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)!r}")

    def __call__(self, reference: Tensor) -> Tensor:
        """A corrupted copy of `[S, R]`."""
        frames = reference.shape[0]
        rate, scale, blend = (_between(*getattr(self, name)) for name in ("rate", "scale", "blend"))
        # 1. blend with neighbouring frames
        before, after = reference.roll(1, 0), reference.roll(-1, 0)
        before[0], after[-1] = reference[0], reference[-1]
        spoiled = torch.where(_some(frames, blend), (before + after) / 2, reference)
        # 2. noise
        spoiled = spoiled + _some(frames, rate) * scale * torch.randn_like(spoiled)
        # 3. a constant offset from a random frame on
        if float(torch.rand(())) < self.jitter:
            start = int(torch.randint(frames, ()))
            spoiled[start:] += scale * torch.randn(spoiled.shape[1])
        # 4. lost frames
        last = torch.where(_some(frames, self.dropout)[:, 0], 0, torch.arange(frames)).cummax(0).values
        return spoiled[last]


def _between(least: float, most: float) -> float:
    return least + (most - least) * float(torch.rand(()))


def _some(frames: int, share: float) -> Tensor:
    """Frames drawn with probability `share`, `[S, 1]`."""
    return torch.rand(frames, 1) < share
