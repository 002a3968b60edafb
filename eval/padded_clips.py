"""Motions of any lengths and frame rates -> padded batches of joint positions: z up, 20 frames per second, float64.

    for batch in padded_clips(clips, up="y", fps=30.0):
        batch.joints, batch.frames, batch.mask           # [B, T, 22, 3], [B], [B, T]

Input of `motionmillion.eval.physics`. Clips of similar length share a batch and a batch holds a bounded number of
frames, so thousands of clips need no more memory than the longest one, or than a few dozen short ones.

Unusual: other frame rates are resampled on the Catmull-Rom spline through the frames, extrapolated linearly at both
ends; frames at 20 per second are unchanged, to the last bit.

Shapes: N clips, B clips in a batch, T frames of its longest clip, J joints.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionmillion.eval.inputs import Numbers, to_tensors
from motionmillion.skeleton import SMPL22

FPS = 20.0
"""Frames per second of every batch, as in MBench."""
_UP = {"y": [2, 0, 1], "z": [0, 1, 2]}
_FRAMES_AT_ONCE = 2**14  # about 9 MB of positions


@dataclass(frozen=True)
class PaddedClips:
    """Some clips at 20 frames per second, z up.

    Args:
        index: `[B]`, their indices in the input sequence.
        joints: `[B, T, 22, 3]`, metres, float64, zero after the end of a clip.
        frames: `[B]`, frames of each clip.
    """

    index: Tensor
    joints: Tensor
    frames: Tensor

    @cached_property
    def mask(self) -> Tensor:
        """Which frames belong to their clip, bool `[B, T]`."""
        return torch.arange(self.joints.shape[1], device=self.frames.device) < self.frames[:, None]

    def velocity(self, points: Tensor) -> Tensor:
        """Steps to the next frame `[B, T, ...]` of points `[B, T, ...]`; the last frame repeats the step before it."""
        last = self.frames[:, None] - 1  # [B, 1]
        start = torch.arange(points.shape[1], device=points.device).minimum(last - 1).clamp(min=0)  # [B, T]
        rows = torch.arange(len(points), device=points.device)[:, None]
        return points[rows, (start + 1).minimum(last)] - points[rows, start]


def padded_clips(
    clips: Sequence[Numbers], up: str, fps: float | Sequence[float] | np.ndarray, names: Sequence[str] | None = None
) -> Iterator[PaddedClips]:
    """Batches that contain every clip once, short ones first.

    Args:
        clips: N positions `[T, 22, 3]`, metres, each of its own length; tensors, arrays or nested lists.
        up: the axis that points up, "y" or "z".
        fps: frames per second, of all clips or of each.
        names: names of the clips, for errors.

    Raises:
        ValueError: for no clips, a wrong shape, non-finite positions, an unknown axis, frame rates that are
            not positive, or another number of rates or names than of clips.
    """
    clips = to_tensors("clips", clips, names)
    count = len(clips)
    if not count:
        raise ValueError("clips must hold the positions of at least one motion, got none")
    if up not in _UP:
        raise ValueError(f'up must be "y" or "z", got {up!r}')
    fps = fps.tolist() if isinstance(fps, np.ndarray | Tensor) else fps
    rates: list[Any] = list(fps) if isinstance(fps, Sequence) and not isinstance(fps, str) else [fps] * count
    names = [f"clips[{place}]" for place in range(count)] if names is None else names
    if len(rates) != count:
        raise ValueError(f"fps must have one entry per clip, got {len(rates)} for {count} clips")
    sizes = [_check_clip(*entry) for entry in zip(clips, rates, names, strict=True)]
    device = clips[0].device
    for places in _groups(sizes):
        chosen = [clips[place].detach().to(device, torch.float64) for place in places]
        joints = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)  # [B, T, 22, 3]
        finite = joints.isfinite().flatten(1).all(1)
        if not finite.all():
            place = int(finite.logical_not().nonzero()[0])
            frame = int(chosen[place].isfinite().flatten(1).all(1).logical_not().nonzero()[0])
            raise ValueError(
                f"{names[places[place]]} must be finite, got NaN or infinity in frame {frame}; leave the motion out "
                f"or generate it again"
            )
        frames = torch.tensor([len(clip) for clip in chosen], device=device)
        rate = torch.tensor([float(rates[place]) for place in places], dtype=torch.float64, device=device)
        yield PaddedClips(torch.tensor(places), *resample(joints[..., _UP[up]], frames, rate))


def resample(joints: Tensor, frames: Tensor, fps: Tensor) -> tuple[Tensor, Tensor]:
    """Resample padded clips `[B, T, J, 3]` of `frames` `[B]` at `fps` `[B]` to 20 frames per second."""
    if (fps == FPS).all():
        return joints, frames
    rows, last = torch.arange(len(joints), device=joints.device)[:, None], frames[:, None] - 1
    counts = (last[:, 0].double() * FPS / fps + 1e-6).floor().long() + 1
    steps = torch.arange(int(counts.max()), device=joints.device)
    time = steps.double() * (fps / FPS)[:, None]  # [B, T'], in units of the clip's frames
    index = time.floor().long().minimum(last)
    t = (time - index).clamp(max=1)[..., None, None]
    first, end = joints[:, :1], joints[rows, last]  # [B, 1, J, 3]
    before = 2 * first - joints[rows, last.clamp(max=1)]
    slope = end - joints[rows, (last - 1).clamp(min=0)]
    padded = torch.cat([before, joints, torch.zeros_like(before), torch.zeros_like(before)], dim=1)
    padded[rows, last + 2], padded[rows, last + 3] = end + slope, end + 2 * slope
    p0, p1, p2, p3 = (padded[rows, index + k] for k in range(4))  # [B, T', J, 3]
    bend = t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    curve = p1 + t / 2 * (p2 - p0 + bend)
    return curve * (steps < counts[:, None])[..., None, None], counts


def _check_clip(clip: Tensor, fps: float, name: str) -> int:
    """Frames of a clip in a batch, before or after resampling, whichever is larger."""
    if clip.ndim != 3 or clip.shape[0] == 0 or clip.shape[1:] != (len(SMPL22), 3):
        raise ValueError(f"{name} must have shape [T, 22, 3] with T > 0, got {tuple(clip.shape)}")
    if not isinstance(fps, Real) or not (math.isfinite(fps) and fps > 0):
        owner = "" if name == "positions" else f" of {name}"
        raise ValueError(f"fps{owner} must be a positive number, got {fps!r}")
    return max(len(clip), math.ceil(len(clip) * FPS / float(fps)))


def _groups(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Indices of the clips of each batch: sorted by size, with a bounded number of padded frames."""
    group: list[int] = []
    for place in sorted(range(len(sizes)), key=sizes.__getitem__):
        if group and (len(group) + 1) * sizes[place] > _FRAMES_AT_ONCE:
            yield group
            group = []
        group.append(place)
    yield group
