"""The body over time, the input of all measures: joints in the body's own frame, heading, heights, angles.

    track = BodyTrack.of(motion)

The motion is resampled to 30 frames per second. Body size is normalised: `local`, `height` and everything derived from
them are scaled to an average adult whose legs are `AVERAGE_LEG` metres long; paths over the floor stay in metres.

Unusual: the heading comes from the line of the hips and shoulders, not from the pelvis rotation, so that it does not
depend on how a file defines its rest pose; the floor is the lowest point of the body around each moment, to handle
stairs, and files whose floor is not at 0.

Shapes: T frames, J joints.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from motionmillion.data.describing.timeline import Array, Mask, smooth
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton

RATE = 30
"""Frames per second at which everything is measured."""
AVERAGE_LEG = 0.78
"""Thigh and shin of the average body, metres."""
FLOOR_SECONDS = 1.0
"""Seconds in which the lowest point is the floor; longer than a flight phase, shorter than a climb of stairs."""
ANKLE_HEIGHT = 0.08
"""Ankle joint above the sole."""


@dataclass(frozen=True)
class BodyTrack:
    """Joints over time.

    Args:
        world: joint positions `[T, J, 3]`, metres.
        skeleton: names of the joints.
        size: leg length relative to the average leg.
    """

    world: Array
    skeleton: Skeleton
    size: float

    @classmethod
    def of(cls, motion: Motion) -> "BodyTrack":
        """The track of a motion.

        Raises:
            ValueError: for fewer than two frames, or a skeleton without the joints of SMPL.
        """
        if motion.num_frames < 2:
            raise ValueError(f"motion must have at least 2 frames to be described, got {motion.num_frames}")
        skeleton = motion.skeleton
        world = motion.resample(RATE).positions().cpu().numpy().astype(np.float64)
        if len(world) < 2:
            raise ValueError(f"motion must be at least {1 / RATE:.2f} s long to be described, got {motion.seconds:g}")
        legs = [skeleton.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
        size = float(sum(np.linalg.norm(skeleton.offsets[joint]) for joint in legs)) / 2 / AVERAGE_LEG
        if size < 1e-6:
            raise ValueError("skeleton must have legs of a length above 0, got 0; give it offsets")
        return cls(smooth(world, 1.0), skeleton, size)

    def __len__(self) -> int:
        return len(self.world)

    def joint(self, name: str) -> Array:
        """World positions `[T, 3]` of a joint."""
        return self.world[:, self.skeleton.index(name)]

    def own(self, name: str) -> Array:
        """Positions `[T, 3]` in the body's frame: x left, y up, z forward, origin on the floor below the pelvis."""
        return self.local[:, self.skeleton.index(name)]

    def up(self, name: str) -> Array:
        """Height `[T]` of a joint above the floor."""
        return self.local[:, self.skeleton.index(name), 1]

    @cached_property
    def across(self) -> Array:
        """Unit vectors `[T, 3]` to the left through the body."""
        hips = _unit(self.joint("left_hip") - self.joint("right_hip"))
        shoulders = _unit(self.joint("left_shoulder") - self.joint("right_shoulder"))
        return _unit(2 * hips + shoulders)

    @cached_property
    def trunk(self) -> Array:
        """Unit vectors `[T, 3]` from the pelvis to the neck."""
        return _unit(self.joint("neck") - self.joint("pelvis"))

    @cached_property
    def chest(self) -> Array:
        """Unit vectors `[T, 3]` out of the chest."""
        return _unit(np.cross(self.across, self.trunk))

    @cached_property
    def heading(self) -> Array:
        """Facing direction `[T]`, radians, unwrapped, positive to the left of +z."""
        return np.unwrap(np.arctan2(-self.across[:, 2], self.across[:, 0]))

    @cached_property
    def floor(self) -> Array:
        """Height of the floor `[T]` in the world."""
        reach = round(FLOOR_SECONDS * RATE)
        low = np.pad(self.world[..., 1].min(1), reach, mode="edge")
        return np.lib.stride_tricks.sliding_window_view(low, 2 * reach + 1).min(-1)

    @cached_property
    def local(self) -> Array:
        """Joints `[T, J, 3]` in the body's frame, see `own`."""
        pelvis = self.joint("pelvis").copy()
        pelvis[:, 1] = self.floor
        moved = (self.world - pelvis[:, None]) / self.size
        cos, sin = np.cos(self.heading)[:, None], np.sin(self.heading)[:, None]
        left = cos * moved[..., 0] - sin * moved[..., 2]
        front = sin * moved[..., 0] + cos * moved[..., 2]
        return np.stack([left, moved[..., 1], front], axis=-1)

    @cached_property
    def tilt(self) -> Array:
        """Angle `[T]` of the trunk from the vertical, degrees."""
        return np.degrees(np.arccos(self.trunk[:, 1].clip(-1, 1)))

    @cached_property
    def pitch(self) -> Array:
        """Pitch of the trunk `[T]`, degrees; positive leans forward, negative back."""
        own = self.own("neck") - self.own("pelvis")
        return np.degrees(np.arctan2(own[:, 2], own[:, 1]))

    @cached_property
    def lean(self) -> Array:
        """Lean of the trunk to the left `[T]`, degrees."""
        own = self.own("neck") - self.own("pelvis")
        return np.degrees(np.arctan2(own[:, 0], own[:, 1]))

    @cached_property
    def upright(self) -> Mask:
        """Frames in which the body is on its feet and its heading is meaningful."""
        return (self.tilt < 60) & (np.abs(self.across[:, 1]) < 0.7) & (self.up("pelvis") > 0.5)

    def knee(self, side: str) -> Array:
        """Bend of a knee `[T]`, degrees, 0 where it is straight."""
        return self._bend(f"{side}_hip", f"{side}_knee", f"{side}_ankle")

    def elbow(self, side: str) -> Array:
        """Bend of an elbow `[T]`, degrees, 0 where it is straight."""
        return self._bend(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")

    def air(self, side: str) -> Array:
        """Height `[T]` of the sole above the floor."""
        return np.minimum(self.up(f"{side}_foot"), self.up(f"{side}_ankle") - ANKLE_HEIGHT)

    def _bend(self, first: str, middle: str, last: str) -> Array:
        one = _unit(self.joint(middle) - self.joint(first))
        two = _unit(self.joint(last) - self.joint(middle))
        return np.degrees(np.arccos((one * two).sum(-1).clip(-1, 1)))


def speed(points: Array) -> Array:
    """Speed `[T]` of points `[T, C]`, units per second."""
    return np.linalg.norm(np.gradient(points, axis=0), axis=-1) * RATE


def seconds(frame: float) -> float:
    """Time of a frame, to a hundredth."""
    return round(frame / RATE, 2)


def angle_between(angle: Array) -> Array:
    """Angles in radians, wrapped to -pi to pi."""
    return np.remainder(angle + math.pi, math.tau) - math.pi


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
