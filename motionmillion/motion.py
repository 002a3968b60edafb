"""Motion: the type of motions that go into and come out of the library.

    motion = Motion.load("walk.bvh").resample(30).canonicalize()
    motion.save("walk.html")

A motion has parent-relative joint rotations, a pelvis path, a frame rate and a skeleton; y up, metres, right-handed.
Unusual: `translation` is the position of the pelvis joint itself, not SMPL's `transl` (which sits a rest offset away);
files in SMPL's convention are converted where they are read and written (`motionmillion.io.smpl`).

Shapes: T frames, J joints.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import roma
import torch
from torch import Tensor

from motionmillion.skeleton import SMPL22, Skeleton

if TYPE_CHECKING:
    from motionmillion.kinematics.target_options import RetargetOptions
    from motionmillion.kinematics.trimming import Foot

FPS_RANGE = (0.1, 1000.0)
"""Valid frame rates; others are probably mistakes, and resampling could exhaust the memory."""

_ORTHONORMAL_TOLERANCE = 1e-3
_FARTHEST = 1e6
"""Distance from the origin, metres, beyond which float32 positions are off by more than 3 cm."""


@dataclass(frozen=True, eq=False, repr=False)
class Motion:
    """Human motion as local joint rotations and a root path.

    Args:
        rotations: parent-relative rotation matrices `[T, J, 3, 3]`; stored as float32.
        translation: pelvis positions `[T, 3]`, metres; stored as float32.
        fps: frames per second.
        skeleton: the body; `SMPL22` unless a file brings its own bone lengths.
        caption: description of the motion, saved in file formats that support one.

    Raises:
        ValueError: for wrong shapes, no frames, values that are not finite, positions beyond 1000 km, matrices that
            are not rotations, or a frame rate outside `FPS_RANGE`.
    """

    rotations: Tensor
    translation: Tensor
    fps: float = 30.0
    skeleton: Skeleton = field(default=SMPL22)
    caption: str = ""

    def __post_init__(self) -> None:
        rotations = torch.as_tensor(self.rotations, dtype=torch.float32)
        translation = torch.as_tensor(self.translation, dtype=torch.float32)
        joints = len(self.skeleton)
        if rotations.ndim != 4 or rotations.shape[1:] != (joints, 3, 3):
            raise ValueError(f"rotations must have shape [T, {joints}, 3, 3], got {tuple(rotations.shape)}")
        if rotations.shape[0] == 0:
            raise ValueError("rotations must hold at least one frame, got 0")
        if translation.shape != (rotations.shape[0], 3):
            raise ValueError(
                f"translation must have shape [{rotations.shape[0]}, 3] like rotations, got {tuple(translation.shape)}"
            )
        error = _rotation_error(rotations)
        farthest = translation.abs().amax(1)  # [T]
        if not math.isfinite(error + float(farthest.amax())):
            _check_finite(rotations=rotations, translation=translation)
        if float(farthest.amax()) > _FARTHEST:
            frame = int(farthest.argmax())
            raise ValueError(
                f"translation must stay within {_FARTHEST:g} m, got {float(farthest[frame]):.3g} m in frame {frame}; "
                "check the unit, or subtract an origin"
            )
        if not error <= _ORTHONORMAL_TOLERANCE:  # also where large elements overflow to NaN
            raise ValueError(
                f"rotations must be rotation matrices, got one that is off by {error:.3g}; "
                "project them with roma.special_procrustes"
            )
        _check_fps(self.fps)
        # frozen dataclass: fields are set through object
        object.__setattr__(self, "rotations", rotations)
        object.__setattr__(self, "translation", translation)
        object.__setattr__(self, "fps", float(self.fps))

    def __repr__(self) -> str:
        caption = f", caption={self.caption!r}" if self.caption else ""
        return f"Motion({self.num_frames} frames, {self.fps:g} fps, {len(self.skeleton)} joints{caption})"

    @property
    def num_frames(self) -> int:
        return self.rotations.shape[0]

    @property
    def seconds(self) -> float:
        return self.num_frames / self.fps

    def positions(self) -> Tensor:
        """Global joint positions `[T, J, 3]` by forward kinematics, metres."""
        return self.skeleton.forward_kinematics(self.rotations, self.translation)[0]

    def replace(self, **changes: Any) -> "Motion":
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def resample(self, fps: float) -> "Motion":
        """The motion at another frame rate: rotations by slerp, the root path linearly.

        The first frame stays; the last one of the result lies at or before the last one of the source.
        """
        _check_fps(fps)
        if fps == self.fps:
            return self
        last = self.num_frames - 1
        # frames that fit into the duration; the tolerance absorbs rounding
        count = int(math.floor(last * fps / self.fps + 1e-6)) + 1
        source = (torch.arange(count, dtype=torch.float64) * self.fps / fps).clamp(max=last)
        left = source.floor().long()
        right = (left + 1).clamp(max=last)
        blend = (source - left).to(self.rotations)[:, None]
        start = self.rotations[left]
        # slerp: follow the relative rotation by the fraction `blend`
        arc = roma.rotmat_to_rotvec(start.mT @ self.rotations[right])  # [T, J, 3]
        rotations = start @ roma.rotvec_to_rotmat(arc * blend[..., None])
        translation = torch.lerp(self.translation[left], self.translation[right], blend)
        return self.replace(rotations=rotations, translation=translation, fps=fps)

    def mirror(self) -> "Motion":
        """The left/right mirror image (x becomes -x); the caption is not changed."""
        flip = torch.tensor([-1.0, 1.0, 1.0], device=self.rotations.device)
        # conjugation by the reflection: R becomes F R F
        rotations = self.rotations[:, list(self.skeleton.mirror_order)] * flip[:, None] * flip
        return self.replace(rotations=rotations, translation=self.translation * flip)

    def canonicalize(self) -> "Motion":
        """The motion with its lowest joint at height 0, starting at x = z = 0 and facing +z."""
        yaw = heading(self.rotations[:1, 0])[0]
        turn = rotation_y(-yaw)
        path = (self.translation - self.translation[0] * self.translation.new_tensor([1.0, 0.0, 1.0])) @ turn.mT
        rotations = self.rotations.clone()
        rotations[:, 0] = turn @ rotations[:, 0]
        lowest = self.skeleton.forward_kinematics(rotations, path)[0][..., 1].min()
        return self.replace(rotations=rotations, translation=path - path.new_tensor([0.0, 1.0, 0.0]) * lowest)

    def slice(self, start: int, stop: int) -> "Motion":
        """Frames `start` to `stop` (exclusive), counted as in Python."""
        start, stop, _ = slice(start, stop).indices(self.num_frames)
        if stop <= start:
            raise ValueError(f"slice must leave at least one frame, got {start}:{stop} of {self.num_frames}")
        return self.replace(rotations=self.rotations[start:stop], translation=self.translation[start:stop])

    def in_place(self, heading: bool = False) -> "Motion":
        """The motion with its pelvis above the origin in every frame; `heading` holds the heading as well, at +z."""
        from motionmillion.kinematics.roots import in_place

        return in_place(self, heading)

    def trim(self, foot: "Foot" = "any") -> "Motion":
        """The frames from the first landing of a foot ("left", "right" or "any") to the last one.

        Raises:
            ValueError: for a motion without contacts or with fewer than two landings, and other joints than SMPL22's.
        """
        from motionmillion.kinematics.trimming import trimmed

        return trimmed(self, foot)

    def loop(
        self,
        min_seconds: float = 0.5,
        max_seconds: float | None = None,
        fade: float = 0.4,
        feet: bool = True,
        straight: bool = False,
        closed: bool = False,
    ) -> "Motion":
        """The part of the motion that repeats best, its seam blended away; see `motionmillion.kinematics.loops`.

        The N frames of one cycle: frame N would be frame 0 again, moved by the cycle's travel and turn, which
        `find_loop(motion)` reports along with the acceleration at the seam.

        Args:
            min_seconds, max_seconds: shortest and longest cycle.
            fade: seconds on either side of the seam in which the motion returns to what it was.
            feet: hold feet that touch the floor, across the seam too.
            straight: take the cycle's turn out, so that the loop goes straight on.
            closed: add frame N, as engines expect it.

        Raises:
            ValueError: for a motion in which no two frames are alike and far enough apart.
        """
        from motionmillion.kinematics.loops import LoopOptions, find_loop

        loop = find_loop(self, LoopOptions(min_seconds, max_seconds, fade, feet, straight))
        return loop.closed if closed else loop.motion

    def cycle(self, speed: float, closed: bool = False) -> "Motion":
        """A loop at a mean speed along the floor, metres per second; see `motionmillion.kinematics.cycles`.

        Args:
            closed: add the first frame of the next cycle, as engines expect it.

        Raises:
            ValueError: for a motion without a loop or one that stays in place, other joints than SMPL22's, and a speed
                that is more than 1.6 times as high or as low as that of the motion.
        """
        from motionmillion.kinematics.cycles import cycle

        loop = cycle(self, speed)
        return loop.closed if closed else loop.motion

    def repaired(
        self,
        feet: bool = True,
        floor: bool = True,
        jitter: bool = True,
        swing: bool = True,
        floor_height: float | None = None,
    ) -> "Motion":
        """The motion without sliding feet, feet in the floor and jitter; see `motionmillion.kinematics.repair`.

        Args:
            feet: feet that touch the floor stay where they are.
            floor: the floor is put at height 0 and what is below it is lifted.
            jitter: rotations and path are steadied, accents kept.
            swing: feet that swing just above the floor are lifted.
            floor_height: height of the floor in the motion, metres; None finds it.

        Raises:
            ValueError: for a skeleton of other joints than SMPL22's.
        """
        from motionmillion.kinematics.repair import RepairOptions, repaired

        return repaired(self, RepairOptions(feet, floor, jitter, swing, floor_height))

    def retarget(
        self,
        skeleton: Skeleton,
        options: "RetargetOptions | None" = None,
        mapping: Mapping[str, str] | None = None,
    ) -> "Motion":
        """The motion on a skeleton of any joint names, proportions and rest pose.

        Args:
            options: feet and hands placed by IK, and the scale of the path.
            mapping: SMPL22 name -> name in the skeleton, for joints that are not found automatically.

        Raises:
            ValueError: if the skeleton's joints cannot be mapped, listing the missing ones, or it has no legs.
        """
        from motionmillion.kinematics.targets import onto_skeleton

        return onto_skeleton(self, skeleton, options, mapping)

    @staticmethod
    def join(pieces: Iterable["Motion"]) -> "Motion":
        """Concatenate motions unchanged, such as the pieces of `MotionPipeline.stream`.

        Frame rate, skeleton and caption are those of the first.

        Raises:
            ValueError: for no pieces, and pieces of different frame rates or skeletons.
        """
        pieces = list(pieces)
        if not pieces:
            raise ValueError("pieces must hold at least one motion, got none")
        first = pieces[0]
        for piece in pieces:
            if piece.fps != first.fps or piece.skeleton.names != first.skeleton.names:
                raise ValueError(
                    f"pieces must have one frame rate and skeleton, got {piece.fps:g} and {first.fps:g} frames per "
                    f"second with {len(piece.skeleton.names)} and {len(first.skeleton.names)} joints; resample them"
                )
        rotations = torch.cat([piece.rotations for piece in pieces])
        return first.replace(rotations=rotations, translation=torch.cat([piece.translation for piece in pieces]))

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a file, its format chosen by suffix: .npz .bvh .npy .html .mp4 .png; see `motionmillion.io`."""
        from motionmillion.io import write_motion

        return write_motion(self, path, **options)

    @staticmethod
    def load(path: str | Path, **options: Any) -> "Motion":
        """Read a .npz, .bvh or .npy file (features, or joint positions with `fps=20`); see `motionmillion.io`."""
        from motionmillion.io import read_motion

        return read_motion(path, **options)


def _check_finite(**values: Tensor) -> None:
    for name, value in values.items():
        bad = ~torch.isfinite(value).flatten(1).all(1)  # [T]
        if bool(bad.any()):
            frame = int(bad.nonzero()[0])
            raise ValueError(f"{name} must be finite, got NaN or infinity in frame {frame}; repair or cut it")


def _rotation_error(rotations: Tensor) -> float:
    """Largest deviation of matrices `[T, J, 3, 3]` from rotation matrices, in dot and cross products of their rows.

    NaN or infinite if an element is.
    """
    x, y, z = rotations.permute(2, 3, 0, 1).contiguous()  # rows, each [3, T, J]
    products = [(x * x).sum(0) - 1, (y * y).sum(0) - 1, (x * y).sum(0)]
    # the third row is the cross product of the first two; in a reflection it is the opposite
    products += [x[i - 2] * y[i - 1] - x[i - 1] * y[i - 2] - z[i] for i in range(3)]
    return float(torch.stack(products).abs().amax())


def _check_fps(fps: float) -> None:
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise ValueError(f"fps must be in {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}, got {fps!r}")


def heading(rotations: Tensor) -> Tensor:
    """Yaw of a rotation's own +z axis, radians, `[..., 3, 3]` -> `[...]`."""
    return torch.atan2(rotations[..., 0, 2], rotations[..., 2, 2])


def rotation_y(angle: Tensor) -> Tensor:
    """Rotation matrices about +y by `angle` radians, `[...]` -> `[..., 3, 3]`."""
    cos, sin, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], dim=-1).unflatten(-1, (3, 3))
