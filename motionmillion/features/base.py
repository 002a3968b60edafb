"""Base class of motion representations: an ordered layout of named blocks, encode and decode.

Shapes: T frames, D feature size; `...` is any leading dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

Route = Literal["rotations", "positions"]


def check_route(route: Route) -> Route:
    """Raise `ValueError` unless `route` is known."""
    if route not in ("rotations", "positions"):
        raise ValueError(f'route must be "rotations" or "positions", got {route!r}')
    return route


class Layout(Mapping[str, slice]):
    """Ordered block names and sizes; slices along the feature axis are derived from them."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self._slices: dict[str, slice] = {}
        start = 0
        for name, size in sizes.items():
            self._slices[name] = slice(start, start + size)
            start += size
        self.dim = start

    def __getitem__(self, name: str) -> slice:
        return self._slices[name]

    def __iter__(self):
        return iter(self._slices)

    def __len__(self) -> int:
        return len(self._slices)

    def __repr__(self) -> str:
        return "Layout(" + ", ".join(f"{name}={size}" for name, size in self.sizes.items()) + ")"

    def split(self, features: Tensor) -> dict[str, Tensor]:
        """The blocks of `[..., D]` by name."""
        return {name: features[..., span] for name, span in self.items()}


class Representation(ABC):
    """A feature codec. Subclasses set `name`, `fps`, `skeleton` and `layout`."""

    name: str
    fps: float
    layout: Layout
    skeleton: Skeleton = SMPL22
    ahead: tuple[str, ...] = ()
    """Blocks whose values describe the step from a frame to the next one."""
    reference_blocks: tuple[str, ...] = ()
    """Blocks that a DiT reads of a reference motion; without any it takes none."""
    edited_blocks: Mapping[str, Literal["rotations", "descendants", "root"]] = {}
    """What of an edited joint each block holds: rotations of the joints below the root, six values each; three values
    of every joint, which its ancestors move too; or the root alone. Without any, models of these features cannot edit.
    """

    floor_channels: Mapping[str, tuple[int, ...]] = {}
    """Values of blocks that put the pelvis on the floor, for a DiT that follows a path; without any it cannot."""
    heading_blocks: tuple[str, ...] = ()
    """Blocks that hold the orientation of the pelvis in the world, for a DiT that faces a direction."""

    @property
    def dim(self) -> int:
        return self.layout.dim

    @abstractmethod
    def encode(self, motion: Motion) -> Tensor:
        """Features `[T, D]` of a motion, which is resampled to `fps` first."""

    @abstractmethod
    def rotations(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Local rotations `[..., T, J, 3, 3]` and pelvis positions `[..., T, 3]`; batched and differentiable."""

    @abstractmethod
    def positions(self, features: Tensor) -> Tensor:
        """Global joint positions `[..., T, J, 3]` read from the position block; batched and differentiable."""

    @abstractmethod
    def decode(self, features: Tensor, route: Route = "rotations") -> Motion:
        """Motion of features `[T, D]`, joint rotations taken from the named block."""

    def root(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Heading `[..., T]` in radians and pelvis positions `[..., T, 3]`, both integrated over time."""
        raise NotImplementedError(f"{self.name} has no root that is integrated over time")

    def with_root(self, features: Tensor, yaw: Tensor, path: Tensor) -> Tensor:
        """Features `[T, D]` on another way: heading `[T]` in radians and pelvis positions `[T, 3]`, as from `root`.

        Heights are kept.
        """
        raise NotImplementedError(f"{self.name} has no root that is integrated over time")

    def window(self, features: Tensor, start: int, stop: int) -> Tensor:
        """Features `[stop - start, D]` of a window of frames of `[T, D]`, as if the motion began there."""
        return features[start:stop]

    def source(self, motion: Motion, frames: int = 1) -> Motion:
        """The motion at `fps`.

        Raises:
            ValueError: if its joints are not those of `skeleton`, or fewer than `frames` frames remain.
        """
        if motion.skeleton.names != self.skeleton.names:
            raise ValueError(
                f"motion must use the SMPL22 joints, got {len(motion.skeleton)} joints of another skeleton"
            )
        motion = motion.resample(self.fps)
        if motion.num_frames < frames:
            raise ValueError(
                f"motion must have at least {frames} frames at {self.fps:g} per second for {self.name}, "
                f"got {motion.num_frames}"
            )
        return motion

    def check(self, features: Tensor) -> Tensor:
        """Raise `ValueError` unless `features` is a finite `[T, D]` with at least one frame."""
        if features.ndim != 2 or features.shape[0] == 0 or features.shape[1] != self.dim:
            raise ValueError(f"features must have shape [T, {self.dim}] for {self.name}, got {tuple(features.shape)}")
        if not bool(torch.isfinite(features).all()):
            frame = int((~torch.isfinite(features)).any(1).nonzero()[0])
            raise ValueError(f"features must be finite, got NaN or infinity in frame {frame}; repair or cut it")
        return features
