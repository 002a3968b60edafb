"""How well a reconstruction follows its original.

All functions take joint positions of two motions, `[T, J, 3]` (or `[..., T, J, 3]`), joint 0 the pelvis, and align
each frame by its pelvis only, not by rotation: a heading that drifts counts as error. Results carry the unit of the
positions, metres where positions are metres; accelerations are per frame squared.

Acceleration is reported in two ways because its magnitude alone misleads: `acceleration_error` compares vectors,
`excess_acceleration` tells how much more (jitter) or less (smoothing) a reconstruction accelerates than its original.

Shapes: T frames, J joints, D feature size.
"""

from collections.abc import Sequence

import roma
import torch
from torch import Tensor

from motionmillion.tokenizer import MotionTokenizer
from motionmillion.tokenizer.quantizers import code_usage


def mpjpe(predicted: Tensor, target: Tensor) -> float:
    """Mean per-joint position error after moving both pelvises to the origin; in the unit of the positions."""
    _check(predicted, target)
    return float((_about_pelvis(predicted) - _about_pelvis(target)).norm(dim=-1).mean())


def pa_mpjpe(predicted: Tensor, target: Tensor) -> float:
    """MPJPE after the best similarity transform of each frame (Procrustes); in the unit of the positions."""
    _check(predicted, target)
    predicted, target = predicted.double(), target.double()
    predicted = predicted - predicted.mean(-2, keepdim=True)
    target = target - target.mean(-2, keepdim=True)
    rotation, values = roma.special_procrustes(target.mT @ predicted, return_singular_values=True)
    size = predicted.square().sum((-2, -1)).clamp(min=1e-12)
    scale = (values.sum(-1) / size)[..., None, None]
    return float((scale * predicted @ rotation.mT - target).norm(dim=-1).mean())


def acceleration_error(predicted: Tensor, target: Tensor) -> float:
    """Mean length of the difference of joint accelerations about the pelvis; positions per frame squared."""
    _check(predicted, target)
    return float(_acceleration(_about_pelvis(predicted) - _about_pelvis(target)).mean())


def excess_acceleration(predicted: Tensor, target: Tensor) -> float:
    """Mean acceleration of the prediction minus that of the target, about the pelvis; positions per frame squared."""
    _check(predicted, target)
    ours, theirs = _acceleration(_about_pelvis(predicted)), _acceleration(_about_pelvis(target))
    return float(ours.mean() - theirs.mean())


def evaluate_tokenizer(tokenizer: MotionTokenizer, clips: Sequence[Tensor]) -> dict[str, float]:
    """Reconstruct whole clips of features `[T, D]` and average over frames.

    Returns:
        `mpjpe_mm`, `pa_mpjpe_mm`: position route; `mpjpe_rotations_mm`: rotation route, which files are written from;
        `acceleration_error_mm`, `excess_acceleration_mm`, `acceleration_mm` (of the originals): mm per frame squared;
        `rotation_degrees`: mean geodesic error of the local rotations, heading included;
        `root_path_m`: mean distance of the pelvis paths; `code_usage`, `code_perplexity`.
    """
    representation, device = tokenizer.representation, tokenizer.device
    totals: dict[str, float] = {}
    frames, codes = 0, []
    for clip in clips:
        features = clip.to(device)[None]
        own = tokenizer.encode(features)
        decoded = tokenizer.decode(own)[0, : clip.shape[0]].cpu()
        codes.append(own.flatten().cpu())
        rotations, root = representation.rotations(clip)
        decoded_rotations, decoded_root = representation.rotations(decoded)
        target, predicted = representation.positions(clip), representation.positions(decoded)
        skeleton = representation.skeleton
        by_rotations = skeleton.forward_kinematics(decoded_rotations, decoded_root)[0]
        values = {
            "mpjpe_mm": 1000 * mpjpe(predicted, target),
            "mpjpe_rotations_mm": 1000 * mpjpe(by_rotations, target),
            "pa_mpjpe_mm": 1000 * pa_mpjpe(predicted, target),
            "acceleration_error_mm": 1000 * acceleration_error(predicted, target),
            "excess_acceleration_mm": 1000 * excess_acceleration(predicted, target),
            "acceleration_mm": 1000 * float(_acceleration(_about_pelvis(target)).mean()),
            "rotation_degrees": float(
                torch.rad2deg(roma.rotmat_geodesic_distance(decoded_rotations.double(), rotations.double())).mean()
            ),
            "root_path_m": float((decoded_root - root).norm(dim=-1).mean()),
        }
        frames += clip.shape[0]
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + value * clip.shape[0]
    usage = code_usage(torch.cat(codes), tokenizer.config.codebook_size)
    report = {name: total / frames for name, total in totals.items()}
    return {**report, "code_usage": usage["usage"], "code_perplexity": usage["perplexity"]}


def _about_pelvis(positions: Tensor) -> Tensor:
    return positions - positions[..., :1, :]


def _acceleration(positions: Tensor) -> Tensor:
    """Lengths of the second differences `[..., T - 2, J]`; one zero for clips of less than three frames."""
    bend = positions.diff(n=2, dim=-3).norm(dim=-1)
    return bend if bend.numel() else positions.new_zeros(1)


def _check(predicted: Tensor, target: Tensor) -> None:
    if predicted.shape != target.shape or predicted.ndim < 3 or predicted.shape[-1] != 3:
        raise ValueError(
            f"predicted and target must have one shape [..., T, J, 3], got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}; cut both to the same frames"
        )
