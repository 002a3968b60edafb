"""Windows, the units that a DiT generates, and the motions that are assembled from them.

A motion consists of windows of at most `config.max_frames` frames. Each but the first keeps the last frames of the
previous one as context, so that a motion can be of any length.

Letters: T frames, D feature size, K kept frames, S frames of a reference.
"""

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionmillion.kinematics.joining import go_on, joined, place
from motionmillion.motion import Motion
from motionmillion.pipeline.dit.tracks import Track


@dataclasses.dataclass
class Window:
    """Input of the model for one window; tensors are normalised features.

    Args:
        frames: T.
        known, keep: the first K <= T frames `[K, D]`, and a mask of the features to keep `[K, D]`.
        reference: `[S, D]`; `share` is its weight, 0 to 1.
        start: `[T, D]` to start from, noised according to the sampling's strength.
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
    """State of a motion while its windows are generated.

    Args:
        steps: text, new frames and seed of each window.
        tail: the last frames so far, in world coordinates.
        floor: height of the floor under `tail`, metres.
        guide: the reference, at most one frame per new frame.
        share: weight of the reference, 0 to 1.
        track: where the body has to be.
    """

    steps: list[tuple[str, int, int]]
    tail: Motion | None = None
    floor: float = 0.0
    guide: Motion | None = None
    share: float = 0.0
    track: Track | None = None
    done: int = 0  # new frames so far

    def guide_after(self, tail: Motion | None, count: int) -> Motion | None:
        """The part of the reference for a window of `count` new frames; None if none is left.

        Args:
            tail: frames that the window keeps; the reference is placed after them.
        """
        stop = min(self.done + count, 0 if self.guide is None else self.guide.num_frames)
        if self.guide is None or stop <= self.done:
            return None
        if tail is None:
            return self.guide.slice(self.done, stop)
        placed = place(self.guide, max(self.done - 1, 0), tail, -1).slice(self.done, stop)
        return joined([tail, placed])

    def grow(self, made: Motion, overlap: int) -> Motion:
        """Append the next window; returns its new frames in world coordinates.

        Args:
            made: the generated window, which begins with the row's last frames.
            overlap: frames that the following window keeps.
        """
        new = made if self.track is None else self.track.in_world(made, self.tail)
        if self.tail is not None and self.track is not None:
            kept = self.tail.num_frames
            new = go_on(self.tail, new.slice(kept, new.num_frames), moves=False).slice(kept, new.num_frames)
        elif self.tail is not None:
            kept = self.tail.num_frames
            new = go_on(self.tail, made.slice(kept, made.num_frames)).slice(kept, made.num_frames)
        self.tail = last_frames(new if self.tail is None else joined([self.tail, new]), overlap)
        self.floor = 0.0
        self.done += new.num_frames
        return new


def window_sizes(frames: int, before: int, overlap: int, longest: int) -> list[int]:
    """New frames per window for `frames` frames after `before` given ones, in windows of about equal length."""
    if frames + before <= longest:
        return [frames]
    count = 1 + math.ceil((frames + before - longest) / (longest - overlap))
    # total length of all windows, shared frames counted in each
    rows = frames + before + (count - 1) * overlap
    ends = [rows * (number + 1) // count for number in range(count)]
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return [size - (overlap if number else before) for number, size in enumerate(sizes)]


def smoothed(features: Tensor, sigma: float) -> Tensor:
    """Smooth features `[T, D]` over time with a Gaussian, `sigma` in frames, truncated at 2 sigma; 0 is off."""
    reach = math.ceil(2 * sigma)
    if not reach:
        return features
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).view(1, 1, -1)
    # repeat the end frames: [T + 2 * reach, D]
    padded = torch.cat([features[:1].expand(reach, -1), features, features[-1:].expand(reach, -1)])
    return F.conv1d(padded.T[:, None], weights)[:, 0].T


def lowered(motion: Motion, height: float) -> Motion:
    """The motion moved down by `height` metres."""
    return motion.replace(translation=motion.translation - motion.translation.new_tensor([0.0, height, 0.0]))


def floor_of(motion: Motion) -> float:
    """Height of the lowest joint of a motion, metres."""
    return float(motion.positions()[..., 1].min())


def last_frames(motion: Motion, count: int) -> Motion:
    """The last `count` frames of a motion, or all if there are fewer."""
    return motion.slice(max(motion.num_frames - count, 0), motion.num_frames)
