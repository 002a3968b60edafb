"""Training losses of the tokenizer, all means over the valid frames of a batch.

| name | compares | unit |
|---|---|---|
| features | normalised features, smooth L1 | - |
| local_positions | their block `positions` again (published as "velocity loss"), smooth L1 | - |
| root_features | their blocks of root velocity and heading change again: the rest of the motion depends on them | - |
| local_acceleration | second differences of the block `positions`, normalised, L1: a cheap loss against jitter | - |
| bands | wavelet coefficients, divided by the standard deviation of their band, L1; computed by the model | - |
| joints | joints relative to the pelvis, heading integrated, L1 | m |
| fast | the same joints, each times its speed relative to the pelvis in m/s: kicks and punches are short | m |
| root | pelvis path, integrated, L1 | m |
| velocity | joint velocities, L1 | m/s |
| acceleration | joint accelerations, L1 | m/s^2 |
| contact | velocities of ankles and feet in the frames in which the target's are nearly still, L1 | m/s |

The last six compare decoded motion by both routes: positions from the position block, and forward kinematics of the
rotation block. They capture the drift of integrated headings and keep the two routes consistent.

Shapes: B batch, T frames, D feature size, J joints.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from motionmillion.features import Representation

FEATURE_LOSSES = ("features", "local_positions", "root_features", "local_acceleration", "bands")
"""Losses on features."""

KINEMATIC_LOSSES = ("joints", "fast", "root", "velocity", "acceleration", "contact")
"""Losses on decoded motion."""

STANDING_SPEED = 0.15
"""Speed below which a foot counts as in contact, m/s: foot sliding in real motion capture stays below it."""

TOP_SPEED = 4.0
"""Speed from which on joints count alike in the loss "fast", m/s."""

_SWING = 9
"""Frames within which the largest speed counts, so that the ends of a swing, where a limb is slow, count too."""

_FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")

LOSSES = FEATURE_LOSSES + KINEMATIC_LOSSES
"""Names of all losses."""

BLOCKS = {
    "local_positions": ("positions",),
    "root_features": ("root_velocity", "heading_change"),
    "local_acceleration": ("positions",),
}
"""Blocks of a representation that losses on features need."""


def reconstruction_losses(
    predicted: Tensor,
    target: Tensor,
    mask: Tensor,
    scale: Tensor,
    representation: Representation,
    names: tuple[str, ...] = tuple(name for name in LOSSES if name != "bands"),
) -> dict[str, Tensor]:
    """Compute the losses named in `names`.

    Args:
        predicted: features `[B, T, D]` in physical units.
        target: likewise.
        mask: valid frames `[B, T]`, bool.
        scale: standard deviation of the features `[D]`.
    """
    losses = {}
    error = F.smooth_l1_loss(predicted / scale, target / scale, reduction="none")  # [B, T, D]
    if "features" in names:
        losses["features"] = _mean(error, mask)
    if "local_positions" in names:
        losses["local_positions"] = _mean(error[..., representation.layout["positions"]], mask)
    if "root_features" in names:
        spans = [representation.layout[name] for name in BLOCKS["root_features"]]
        losses["root_features"] = _mean(torch.cat([error[..., span] for span in spans], dim=-1), mask)
    if "local_acceleration" in names:
        difference = ((predicted - target) / scale)[..., representation.layout["positions"]]
        whole = mask[:, 2:] & mask[:, 1:-1] & mask[:, :-2]
        losses["local_acceleration"] = _mean(difference.diff(n=2, dim=1).abs(), whole)
    if not set(KINEMATIC_LOSSES) & set(names):
        return losses
    with torch.autocast(predicted.device.type, enabled=False):
        # padding is not a rotation: replace it by a valid frame, so that values and gradients are not NaN
        predicted, target = (torch.where(mask[..., None], x, x[:, :1]).float() for x in (predicted, target))
        ours = _joints(predicted, representation)  # [B, T, 2, J, 3]
        with torch.no_grad():
            theirs = _joints(target, representation)
        difference = ours - theirs
        # relative to the pelvis, so that the error of the path is not counted twice
        posture = (difference - difference[..., :1, :]).abs()  # [B, T, 2, J, 3]
        if "joints" in names:
            losses["joints"] = _mean(posture, mask)
        if "fast" in names:
            speeds = _limb_speeds(theirs[:, :, 1], mask, representation.fps)
            losses["fast"] = _mean(posture * speeds[:, :, None, :, None], mask)
        if "root" in names:
            losses["root"] = _mean(difference[..., 0, :].abs(), mask)
        if "velocity" in names:
            losses["velocity"] = _mean(difference.diff(dim=1).abs(), mask[:, 1:]) * representation.fps
        if "acceleration" in names:
            bend = difference.diff(n=2, dim=1).abs()
            losses["acceleration"] = _mean(bend, mask[:, 2:]) * representation.fps**2
        if "contact" in names:
            feet = [representation.skeleton.index(name) for name in _FEET]
            slip = difference[..., feet, :].diff(dim=1).abs().mean(-1) * representation.fps  # [B, T - 1, 2, 4]
            speed = theirs[..., feet, :].diff(dim=1).norm(dim=-1) * representation.fps
            losses["contact"] = _mean(slip * (speed < STANDING_SPEED), mask[:, 1:])
    return losses


def loss_counts(mask: Tensor) -> dict[str, Tensor]:
    """Number of frames over which each loss but "bands" is a mean.

    Args:
        mask: valid frames `[B, T]`, bool.
    """
    speeds, bends = ("velocity", "contact"), ("acceleration", "local_acceleration")
    frames, pairs, triples = mask.sum(), mask[:, 1:].sum(), mask[:, 2:].sum()
    return {name: pairs if name in speeds else triples if name in bends else frames for name in LOSSES}


def _joints(features: Tensor, representation: Representation) -> Tensor:
    """Global joint positions by both routes `[B, T, 2, J, 3]`."""
    rotations, root = representation.rotations(features)
    by_rotations = representation.skeleton.forward_kinematics(rotations, root)[0]
    return torch.stack([representation.positions(features), by_rotations], dim=2)


def _limb_speeds(joints: Tensor, mask: Tensor, fps: float) -> Tensor:
    """Speeds relative to the pelvis `[B, T, J]` of joints `[B, T, J, 3]`, m/s: the largest within `_SWING` frames."""
    steps = (joints - joints[..., :1, :]).diff(dim=1).norm(dim=-1) * fps * mask[:, 1:, None]
    speeds = F.pad(steps.clamp(max=TOP_SPEED), (0, 0, 1, 0)).transpose(1, 2)  # [B, J, T]
    return F.max_pool1d(speeds, _SWING, stride=1, padding=_SWING // 2).transpose(1, 2)


def _mean(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of `[B, T, ...]` over valid frames and all further dimensions; 0 where no frame is valid."""
    per_frame = error.flatten(2).mean(-1)
    return (per_frame * mask).sum() / mask.sum().clamp(min=1)
