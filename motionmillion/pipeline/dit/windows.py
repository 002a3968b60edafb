"""Windows, what a DiT makes in one go, and the motions that are made of them.

A motion is made of windows of at most `config.max_frames` frames. Each but the first keeps the last frames of the one
before and is made while the model sees them, so that a motion has no limit of length.

Letters: T frames, D feature size, K frames that are kept, S frames of a reference.
"""

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionmillion.kinematics.joining import go_on, joined, place
from motionmillion.motion import Motion


@dataclasses.dataclass
class Window:
    """What the model is asked for in one go; tensors are normalised features.

    Args:
        frames: T.
        known, keep: `[K, D]` of the first frames, K at most T, and which of it stays.
        reference: `[S, D]`, and how far it is followed, 0 to 1.
        start: `[T, D]` that the sampling's strength leaves something of.
    """

    text: str
    seed: int
    frames: int
    known: Tensor | None = None
    keep: Tensor | None = None
    reference: Tensor | None = None
    share: float = 0.0
    start: Tensor | None = None


@dataclasses.dataclass
class Row:
    """A motion while it is being made.

    Args:
        steps: text, new frames and seed of each window.
        tail: the last frames there are, as they stand in the world.
        floor: height of the floor below `tail`, metres.
        guide: the reference, a frame for each new frame or fewer.
        share: how far the reference is followed, 0 to 1.
    """

    steps: list[tuple[str, int, int]]
    tail: Motion | None = None
    floor: float = 0.0
    guide: Motion | None = None
    share: float = 0.0
    done: int = 0  # new frames

    def guide_after(self, tail: Motion | None, count: int) -> Motion | None:
        """The part of the reference that a window of `count` new frames goes by; None if there is none left.

        Args:
            tail: frames that the window keeps; the reference is put behind them.
        """
        stop = min(self.done + count, 0 if self.guide is None else self.guide.num_frames)
        if self.guide is None or stop <= self.done:
            return None
        if tail is None:
            return self.guide.slice(self.done, stop)
        placed = place(self.guide, max(self.done - 1, 0), tail, -1).slice(self.done, stop)
        return joined([tail, placed])

    def grow(self, made: Motion, overlap: int) -> Motion:
        """The new frames of the next window, where they belong.

        Args:
            made: the window, which begins with the row's last frames.
            overlap: frames that the window after it keeps.
        """
        new = made
        if self.tail is not None:
            kept = self.tail.num_frames
            new = go_on(self.tail, made.slice(kept, made.num_frames)).slice(kept, made.num_frames)
        self.tail = last_frames(new if self.tail is None else joined([self.tail, new]), overlap)
        self.floor = 0.0
        self.done += new.num_frames
        return new


def window_sizes(frames: int, before: int, overlap: int, longest: int) -> list[int]:
    """New frames of the windows that `frames` frames after `before` others are made of, about equally long windows."""
    if frames + before <= longest:
        return [frames]
    count = 1 + math.ceil((frames + before - longest) / (longest - overlap))
    rows = frames + before + (count - 1) * overlap
    ends = [rows * (number + 1) // count for number in range(count)]
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return [size - (overlap if number else before) for number, size in enumerate(sizes)]


def smoothed(features: Tensor, sigma: float) -> Tensor:
    """Features `[T, D]` under a Gaussian over time, `sigma` in frames, cut off after two of them; 0 is off."""
    reach = math.ceil(2 * sigma)
    if not reach:
        return features
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).view(1, 1, -1)
    padded = torch.cat([features[:1].expand(reach, -1), features, features[-1:].expand(reach, -1)])
    return F.conv1d(padded.T[:, None], weights)[:, 0].T


def lowered(motion: Motion, height: float) -> Motion:
    """The motion, `height` metres further down."""
    return motion.replace(translation=motion.translation - motion.translation.new_tensor([0.0, height, 0.0]))


def floor_of(motion: Motion) -> float:
    """Height of the lowest joint of a motion, metres."""
    return float(motion.positions()[..., 1].min())


def last_frames(motion: Motion, count: int) -> Motion:
    """The last `count` frames of a motion, or all of it."""
    return motion.slice(max(motion.num_frames - count, 0), motion.num_frames)
