"""Distance of a pose to real poses: a small network trained on motion capture, measure `pose_prior_distance`.

    prior = PosePrior.bundled()                           # or PosePrior.from_pretrained("my_prior")
    prior.distance(motion.rotations)                      # [T] degrees, one value per frame
    pose_prior_distances(motions)                         # [N] degrees, mean over the frames of each motion

The distance between two poses is the root mean square over the 21 body joints of the angle between their
parent-relative rotations, in degrees, without the pelvis. The network predicts the distance to the nearest pose that
can be composed of limbs of real poses: the nearest real limb is found separately for each leg, each arm and the trunk
with the head. One network serves both arms and one both legs, with right limbs mirrored.

Unusual: it detects unnatural joints, such as a knee bent backwards, but not unlikely combinations of limbs;
self-penetration is covered by `motionmillion.eval.body`. Real poses are those of the CMU database, their mirror
images, the same poses with rotation distributed differently over neighbouring joints, and the same poses recovered
from joint positions alone (`motionmillion.kinematics.joints`).

Skeletons and studios distribute rotation over joints differently, which says nothing about the pose: recorded
rotations of another studio are 7 degrees off. So `pose_prior_distances` first recovers the rotations from joint
positions, as MBench does with SMPLify; then that studio's poses are 2.7 degrees off and CMU's held-out ones 1.8. Wrong
twists of single joints, and the orientation of wrists, feet and head, affect `distance` only.

Source: neural distance fields of poses, Tiwari et al., Pose-NDF (2022); He et al., NRDF (2024), whose network is
implemented in `motionmillion.eval.body.nrdf`. Trained by `recipes/evaluator/pose_prior.py`.

Shapes: T frames, J joints (22, or 21 without the pelvis), N motions; `...` stands for any leading dimensions.
"""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from motionmillion.checkpoints import StrictLoading
from motionmillion.configuration import check_keys, check_whole
from motionmillion.kinematics.joints import motion_from_joints, rotations_from_joints
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

BODY_JOINTS = len(SMPL22) - 1
"""All joints but the pelvis."""

LIMBS = {
    "left_leg": ("left_hip", "left_knee", "left_ankle", "left_foot"),
    "right_leg": ("right_hip", "right_knee", "right_ankle", "right_foot"),
    "left_arm": ("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
    "right_arm": ("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
    "trunk": ("spine1", "spine2", "spine3", "neck", "head"),
}
"""Joints of each limb; together they are the 21 body joints."""

KINDS = {"leg": 4, "arm": 4, "trunk": 5}
"""Networks, and the number of joints of each."""

_ORTHONORMAL_TOLERANCE = 1e-2
_SCALE = 10.0  # degrees
_FRAMES_AT_ONCE = 2**14


class PosePriorConfig(PretrainedConfig):
    """Settings of a `PosePrior`.

    Args:
        width: width of the hidden layers.
        depth: number of hidden layers.

    Raises:
        ValueError: for unknown keys and values that are not positive integers.
    """

    model_type = "motionmillion-pose-prior"

    def __init__(self, width: int = 256, depth: int = 3, **kwargs: Any) -> None:
        check_keys(kwargs, type(self), "pose prior config")
        self.width = check_whole("width", width, 1)
        self.depth = check_whole("depth", depth, 1)
        super().__init__(**kwargs)


class PosePrior(StrictLoading, PreTrainedModel):
    """Body rotations -> distance of each limb to the nearest real one."""

    config_class = PosePriorConfig
    config: PosePriorConfig
    main_input_name = "rotations"

    def __init__(self, config: PosePriorConfig) -> None:
        super().__init__(config)
        self.networks = nn.ModuleDict(
            {kind: _perceptron(9 * joints, config.width, config.depth) for kind, joints in KINDS.items()}
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            module.reset_parameters()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """Load a folder or hub id in float32; see `motionmillion.checkpoints.StrictLoading`."""
        kwargs.setdefault("dtype", torch.float32)
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs).eval()

    @classmethod
    def bundled(cls) -> Self:
        """The bundled prior."""
        return cls.from_pretrained(str(resources.files("motionmillion") / "bundled" / "pose_prior"))

    def forward(self, rotations: Tensor) -> Tensor:
        """Distance of each limb `[..., 5]`, degrees, in the order of `LIMBS`; rotations `[..., 21, 3, 3]`."""
        limbs = [self.limb_distance(kind_of(name), limb_rotations(rotations, name)) for name in LIMBS]
        return torch.stack(limbs, dim=-1)

    def limb_distance(self, kind: str, rotations: Tensor) -> Tensor:
        """Distance `[...]` of limbs of one of `KINDS`, degrees; rotations as returned by `limb_rotations`."""
        return nn.functional.softplus(self.networks[kind](rotations.flatten(-3))[..., 0]) * _SCALE

    @torch.no_grad()
    def distance(self, rotations: Tensor) -> Tensor:
        """Distance to real poses `[...]`, degrees, root mean square over the body's joints.

        Args:
            rotations: parent-relative rotation matrices `[..., 22 | 21, 3, 3]`, SMPL's joints in order; of 22
                the first, the pelvis, is ignored.

        Raises:
            ValueError: for a wrong shape, non-finite values, or matrices that are not rotations.
        """
        return combine_limbs(self(body_rotations(rotations).to(self.device, self.dtype)))


def pose_prior_distances(
    motions: Sequence[Motion], prior: PosePrior | None = None, from_joints: bool = True
) -> Tensor:
    """Mean distance to real poses of each motion, degrees, float64 `[N]`.

    Args:
        motions: on SMPL22's joints.
        prior: the prior; None: the bundled one.
        from_joints: use only the joint positions of each motion, not its rotations.

    Raises:
        ValueError: for no motions, or one that is not on SMPL22's joints.
    """
    prior = PosePrior.bundled() if prior is None else prior
    motions = checked_motions(motions)
    poses = rotations_of_joints(motions) if from_joints else [motion.rotations for motion in motions]
    return mean_over_frames(poses, prior.distance)


def rotations_of_joints(motions: Sequence[Motion]) -> list[Tensor]:
    """Rotations `[T, 22, 3, 3]` of each motion, recovered from its joint positions by `kinematics.joints`."""
    own = [motion for motion in motions if motion.skeleton == SMPL22]
    found = rotations_from_joints(torch.cat([motion.positions() for motion in own])).float() if own else torch.empty(0)
    parts = iter(found.split([motion.num_frames for motion in own]))
    return [
        next(parts) if motion.skeleton == SMPL22 else motion_from_joints(motion.positions(), motion.fps).rotations
        for motion in motions
    ]


def mean_over_frames(poses: Sequence[Tensor], measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean of a measure of poses, `[T, 22, 3, 3]` -> `[T]`, over the frames of each motion, float64 `[N]`."""
    values = torch.cat([measure(part) for part in torch.cat(list(poses)).split(_FRAMES_AT_ONCE)]).double().cpu()
    return torch.stack([part.mean() for part in values.split([len(part) for part in poses])])


def checked_motions(motions: Sequence[Motion]) -> Sequence[Motion]:
    """`motions`, checked to be non-empty and on SMPL22's joints; raises `ValueError` otherwise."""
    if not motions:
        raise ValueError("motions must hold at least one motion, got none")
    for index, motion in enumerate(motions):
        if motion.skeleton.names != SMPL22.names:
            raise ValueError(
                f"motions[{index}] must use the SMPL22 joints, got {len(motion.skeleton)} joints of another skeleton"
            )
    return motions


def combine_limbs(distances: Tensor) -> Tensor:
    """Distance of the whole body `[...]` from those of the limbs `[..., 5]`: root mean square over all joints."""
    joints = distances.new_tensor([len(names) for names in LIMBS.values()])
    return ((distances.square() * joints).sum(-1) / BODY_JOINTS).sqrt()


def limb_rotations(rotations: Tensor, name: str) -> Tensor:
    """Rotations of one of `LIMBS` from body rotations `[..., 21, 3, 3]`, right limbs mirrored to the left."""
    limb = rotations[..., [SMPL22.index(joint) - 1 for joint in LIMBS[name]], :, :]
    return mirrored(limb) if name.startswith("right_") else limb


def mirrored(rotations: Tensor) -> Tensor:
    """Rotations `[..., 3, 3]` mirrored between left and right."""
    flip = rotations.new_tensor([-1.0, 1.0, 1.0])
    return rotations * flip[:, None] * flip


def kind_of(limb: str) -> str:
    """Key of `KINDS` for a key of `LIMBS`."""
    return limb.split("_")[-1]


def body_rotations(rotations: Tensor) -> Tensor:
    """The 21 body joints of `[..., 22 | 21, 3, 3]`, checked; raises as `checked_rotations`."""
    return checked_rotations(rotations, (BODY_JOINTS + 1, BODY_JOINTS))[..., -BODY_JOINTS:, :, :]


def checked_rotations(rotations: Tensor, joints: Sequence[int]) -> Tensor:
    """`rotations` if they are rotation matrices `[..., J, 3, 3]` with J one of `joints`.

    Raises:
        ValueError: for a wrong shape, non-finite values, or matrices that are not rotations.
    """
    if rotations.ndim < 3 or rotations.shape[-3] not in joints or rotations.shape[-2:] != (3, 3):
        wanted = " or ".join(map(str, joints))
        raise ValueError(f"rotations must have shape [..., {wanted}, 3, 3], got {tuple(rotations.shape)}")
    if not bool(torch.isfinite(rotations).all()):
        raise ValueError("rotations must be finite, got NaN or infinity; repair or cut those frames")
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    if rotations.numel() and float((rotations @ rotations.mT - identity).abs().amax()) > _ORTHONORMAL_TOLERANCE:
        raise ValueError("rotations must be rotation matrices, got others; project them with roma.special_procrustes")
    return rotations


def _perceptron(size: int, width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.SiLU()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, 1))
