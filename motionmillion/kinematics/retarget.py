"""Retargeting of motions of other bodies to SMPL22.

    retargeting = Retargeting(mapping, parents, rest, positions, rotations)    # constants, from a sample of frames
    local, root = retargeting(positions, rotations)                            # all frames, whole or in pieces
    motion = on_smpl22(motion)

A joint takes the global rotation of its source joint relative to the rest pose, times a constant rotation from SMPL's
rest frame to the source's (`motionmillion.kinematics.corrections`). So rest poses may differ (arms down, legs splayed,
every bone along x) and limbs still point in the source's directions in every frame, whatever joints are in between.
Spine, neck and collars bend like the source's but keep SMPL's own curvature, since the position of those joints within
the trunk is a property of the rig, not of the pose. (They also match the source's directions where these differ by
more than 40 degrees, if the source has SMPL's own bone lengths, or with `align="bones"`.)

Shapes: T frames, N source joints, J = 22 joints.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from motionmillion.kinematics.bodies import SMPL, SMPL_REST, Bodies
from motionmillion.kinematics.corrections import FOOT, Corrections, apply_correction
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

SAMPLE = 4096
"""Frames, evenly spaced over the clip, that suffice to find the constants."""
_ANKLE = 0.085
"""Height of the ankle above the ball of the foot, in lengths of the leg."""


class Retargeting:
    """Carries a source body's motion to SMPL22.

    Args:
        mapping: SMPL22 name -> source joint.
        parents: index of each source joint's parent, -1 for the root.
        rest: source joint positions `[N, 3]` in the rest pose, in any unit and orientation.
        positions: source joint positions `[T, N, 3]`, y up, of the clip or of frames spread over it.
        rotations: global rotations `[T, N, 3, 3]` of the same frames relative to the rest pose.
        metres: metres per source unit; None scales the source's legs to the length of SMPL22's, so that feet stay on
            the floor and steps stay in proportion to the body.
        align: "limbs" or "bones", see the module's docstring.

    Raises:
        ValueError: if the source's legs have no length, or its left and right cannot be told apart.
    """

    def __init__(
        self,
        mapping: Mapping[str, int],
        parents: Sequence[int],
        rest: np.ndarray,
        positions: np.ndarray,
        rotations: np.ndarray,
        metres: float | None = None,
        align: str = "limbs",
    ) -> None:
        self.bodies = Bodies(mapping, parents, rest)
        self.metres = self.bodies.leg_scale if metres is None else metres
        self._corrections = Corrections(self.bodies, positions, rotations, align)
        self._feet = [f"{side}_{name}" for side in ("left", "right") for name in ("ankle", "foot")]

    def __call__(self, positions: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local rotations `[T, 22, 3, 3]`, and pelvis positions `[T, 3]` in metres by the middle of the hips.

        Feet are as far above the floor as SMPL22's proportions have it: see `lift`.
        """
        mapping, turned = self.bodies.mapping, self._global(positions, rotations)
        joints = _around_pelvis(turned)
        # the middle of the hips is matched, since rigs disagree on the position of the pelvis joint
        source = positions[:, [mapping["left_hip"], mapping["right_hip"]]].mean(1) * self.metres
        root = source - joints[:, [SMPL["left_hip"], SMPL["right_hip"]]].mean(1)
        parents = list(SMPL22.parents)
        local = turned.copy()
        local[:, 1:] = turned[:, parents[1:]].swapaxes(-1, -2) @ turned[:, 1:]
        return local, root

    def heights(self, positions: np.ndarray, local: np.ndarray, root: np.ndarray) -> tuple[float, float]:
        """The height of the lowest foot joint of these frames: of the source, in metres, and of the result.

        Where feet have no toes these are the ankles, the source's lowered by what SMPL22's are lower above the toes.
        """
        names = [name for name in self._feet if name in self.bodies.mapping]
        source = positions[:, [self.bodies.mapping[name] for name in names], 1].min()
        if len(names) == 2:
            smpl = -FOOT[1] * np.linalg.norm(SMPL_REST[SMPL["left_foot"]] - SMPL_REST[SMPL["left_ankle"]])
            source -= _ANKLE * self.bodies.leg - smpl / self.bodies.leg_scale
        joints = SMPL22.forward_kinematics(torch.from_numpy(local), torch.from_numpy(root))[0]
        return float(source * self.metres), float(joints[:, [SMPL[name] for name in names], 1].min())

    def _global(self, positions: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """SMPL's global rotations `[T, 22, 3, 3]`; joints without a source move with their parent."""
        turned = np.zeros((len(positions), len(SMPL22), 3, 3))
        for joint, name in enumerate(SMPL22.names):
            if name in self.bodies.mapping:
                turned[:, joint] = apply_correction(self._corrections, name, positions, rotations)
            else:
                turned[:, joint] = turned[:, SMPL22.parents[joint]]
        return turned


def retarget(
    mapping: Mapping[str, int],
    parents: Sequence[int],
    rest: np.ndarray,
    positions: np.ndarray,
    rotations: np.ndarray,
    metres: float | None = None,
    align: str = "limbs",
) -> tuple[np.ndarray, np.ndarray]:
    """Retarget a whole clip: local rotations `[T, 22, 3, 3]` and pelvis positions `[T, 3]` in metres, y up.

    Args, Raises: as for `Retargeting`.
    """
    some = sample(len(positions))
    retargeting = Retargeting(mapping, parents, rest, positions[some], rotations[some], metres, align)
    local, root = retargeting(positions, rotations)
    # keep the height of the clip's lowest foot joint: proportions of shins, feet and hips may differ
    source, lowest = retargeting.heights(positions, local, root)
    root[:, 1] += source - lowest
    return local, root


def sample(frames: int) -> np.ndarray:
    """Indices of at most `SAMPLE` frames, evenly spaced over a clip."""
    return np.unique(np.linspace(0, frames - 1, min(frames, SAMPLE)).round().astype(int))


def on_smpl22(motion: Motion, align: str = "limbs") -> Motion:
    """Retarget a motion of any human skeleton to SMPL22, mapped as in BVH files; unchanged if it has SMPL22's joints.

    Args:
        align: see the module's docstring.

    Raises:
        ValueError: if its joints cannot be mapped, listing the missing ones.
    """
    skeleton = motion.skeleton
    if skeleton.names == SMPL22.names:
        return motion
    joints = map_joints(skeleton.names, skeleton.parents, path="motion")
    rest, _ = skeleton.forward_kinematics(torch.eye(3).expand(len(skeleton), 3, 3), torch.zeros(3))
    positions, rotations = skeleton.forward_kinematics(motion.rotations.double(), motion.translation.double())
    bodies = [array.detach().cpu().double().numpy() for array in (rest, positions, rotations)]
    local, root = retarget(joints, skeleton.parents, bodies[0], bodies[1], bodies[2], align=align)
    return motion.replace(rotations=torch.from_numpy(local), translation=torch.from_numpy(root), skeleton=SMPL22)


def _around_pelvis(turned: np.ndarray) -> np.ndarray:
    """Joint positions `[T, 22, 3]` of global rotations `[T, 22, 3, 3]`, the pelvis at the origin."""
    joints = np.zeros(turned.shape[:-1])
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ np.array(SMPL22.offsets[joint])
    return joints
