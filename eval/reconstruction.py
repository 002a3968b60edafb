"""Reconstruction errors of motions.

    mpjpe(predicted, target)                                  # joint positions [T, J, 3] of two motions
    values, codes = measure_clip(tokenizer, features)         # all measures of one clip through a tokenizer
    evaluate_tokenizer(tokenizer, [features, ...])            # the quick means printed in training

Functions of positions take `[T, J, 3]` (or `[..., T, J, 3]`), joint 0 the pelvis, as tensors, NumPy arrays or nested
lists. Unless stated otherwise they align each frame by its pelvis only, not by rotation, so heading drift counts as
error. Results are in the unit of the positions, normally metres; accelerations are per frame squared, jerks per frame
cubed. Leading dimensions are clips of equal length: a value is the mean over all.

Acceleration is reported in two ways because its magnitude alone misleads: `acceleration_error` compares vectors,
`excess_acceleration` is how much more (jitter) or less (smoothing) acceleration a reconstruction has than its
original. The same holds for `jerk` and `excess_jerk`.

`motionmillion.eval.suites.tokenizer.report` gives intervals, datasets and categories.

Shapes: T frames, J joints, D feature size, N codes in time.
"""

from collections.abc import Sequence

import roma
import torch
from torch import Tensor

from motionmillion.eval.inputs import Numbers, to_tensor, to_tensors
from motionmillion.eval.physics import foot_sliding
from motionmillion.features import Representation
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.tokenizer.quantizers.usage import code_usage

QUICK_MEASURES = (
    "mpjpe_mm",
    "mpjpe_rotations_mm",
    "pa_mpjpe_mm",
    "acceleration_error_mm",
    "excess_acceleration_mm",
    "acceleration_mm",
    "rotation_degrees",
    "root_path_m",
)


def mpjpe(predicted: Numbers, target: Numbers) -> float:
    """Mean per-joint position error after moving both pelvises to the origin; in the unit of the positions."""
    predicted, target = _check(predicted, target)
    return float((_about_pelvis(predicted) - _about_pelvis(target)).norm(dim=-1).mean())


def global_mpjpe(predicted: Numbers, target: Numbers) -> float:
    """Mean per-joint position error without any alignment; in the unit of the positions."""
    predicted, target = _check(predicted, target)
    return float((predicted - target).norm(dim=-1).mean())


def pa_mpjpe(predicted: Numbers, target: Numbers) -> float:
    """MPJPE after the best similarity transform of each frame (Procrustes); in the unit of the positions."""
    predicted, target = _check(predicted, target)
    predicted, target = predicted.double(), target.double()
    predicted = predicted - predicted.mean(-2, keepdim=True)
    target = target - target.mean(-2, keepdim=True)
    rotation, values = roma.special_procrustes(target.mT @ predicted, return_singular_values=True)
    size = predicted.square().sum((-2, -1)).clamp(min=1e-12)
    scale = (values.sum(-1) / size)[..., None, None]
    return float((scale * predicted @ rotation.mT - target).norm(dim=-1).mean())


def acceleration_error(predicted: Numbers, target: Numbers) -> float:
    """Mean length of the difference of joint accelerations relative to the pelvis; positions per frame squared.

    Fewer than three frames have no acceleration: the value is then 0.0, which means "not measured", not "no error".
    """
    predicted, target = _check(predicted, target)
    return float(_lengths(_about_pelvis(predicted) - _about_pelvis(target), 2).mean())


def accelerations(positions: Numbers) -> Tensor:
    """Lengths `[..., T - 2, J]` of joint accelerations relative to the pelvis; one zero for fewer than 3 frames."""
    positions = _check_positions("positions", positions)
    return _lengths(_about_pelvis(positions), 2)


def excess_acceleration(predicted: Numbers, target: Numbers) -> float:
    """Mean acceleration of prediction minus target, relative to the pelvis; positions per frame squared."""
    predicted, target = _check(predicted, target)
    return float(accelerations(predicted).mean() - accelerations(target).mean())


def jerk(positions: Numbers) -> float:
    """Mean length of the third differences relative to the pelvis, positions per frame cubed; 0 below 4 frames."""
    positions = _check_positions("positions", positions)
    return float(_lengths(_about_pelvis(positions), 3).mean())


def excess_jerk(predicted: Numbers, target: Numbers) -> float:
    """Mean jerk of prediction minus target, relative to the pelvis; positions per frame cubed."""
    predicted, target = _check(predicted, target)
    return jerk(predicted) - jerk(target)


def rotation_error(predicted: Numbers, target: Numbers) -> float:
    """Mean angle in degrees between rotation matrices `[..., 3, 3]`, of equal or broadcastable shapes."""
    predicted, target = to_tensor("predicted", predicted), to_tensor("target", target)
    for name, value in (("predicted", predicted), ("target", target)):
        if value.ndim < 2 or value.shape[-2:] != (3, 3):
            raise ValueError(f"{name} must have shape [..., 3, 3], got {tuple(value.shape)}")
        _check_finite(name, value)
    angle = roma.rotmat_geodesic_distance(predicted.double(), target.double())
    return float(torch.rad2deg(angle).mean())


def reconstruct(tokenizer: MotionTokenizer, clips: Sequence[Numbers]) -> tuple[list[Tensor], list[Tensor | None]]:
    """One padded batch through a tokenizer: features `[T, D]` in, features `[T, D]` and codes `[N]` out.

    A clip's result does not depend on the others; it is on the clip's device. Without a codebook, latents are used
    instead of codes, and the second list holds None.

    Raises:
        ValueError: for no clips, a wrong shape, or non-finite features.
    """
    clips = [_check_features(f"clips[{n}]", tokenizer, clip) for n, clip in enumerate(to_tensors("clips", clips))]
    if not clips:
        raise ValueError("clips must hold the features of at least one motion, got none")
    frames = torch.tensor([clip.shape[0] for clip in clips], device=tokenizer.device)
    features = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True).to(tokenizer.device)
    padded = bool((frames != frames[0]).any())
    lengths, code_lengths = (frames, tokenizer.code_lengths(frames)) if padded else (None, None)
    own: list[Tensor | None] = [None] * len(clips)
    if tokenizer.config.codebook_size:
        codes = tokenizer.encode(features, lengths)  # [B, N]
        decoded = tokenizer.decode(codes, code_lengths)
        counts = tokenizer.code_lengths(frames).tolist()
        own = [row[:count].to(clip.device) for row, count, clip in zip(codes, counts, clips, strict=True)]
    else:
        decoded = tokenizer.decode_latents(tokenizer.encode_latents(features, lengths), code_lengths)
    return [row[: clip.shape[0]].to(clip.device) for row, clip in zip(decoded, clips, strict=True)], own


def compare_features(representation: Representation, predicted: Numbers, target: Numbers) -> dict[str, float]:
    """All measures of a reconstruction, features `[T, D]`, against its original, features `[T, D]`.

    Returns:
        `mpjpe_mm`, `global_mpjpe_mm`, `pa_mpjpe_mm`: position route; `mpjpe_rotations_mm`,
        `global_mpjpe_rotations_mm`: rotation route, which exported files use;
        `rotation_degrees`: mean geodesic error of the local rotations, heading included;
        `root_path_m`: mean distance of the pelvis paths;
        `acceleration_error_mm`, mm per frame squared; magnitudes `acceleration_mm`, `jerk_mm` (per frame cubed) and
        `foot_sliding_mm` (per frame of 1/20 s) of the original, each also as `reconstructed_...` and `excess_...`,
        position route; `reconstructed_foot_sliding_rotations_mm`: rotation route.
    """
    predicted, target = to_tensor("predicted", predicted), to_tensor("target", target)
    rotations, root = representation.rotations(target)
    predicted_rotations, predicted_root = representation.rotations(predicted)
    truth, ours = representation.positions(target), representation.positions(predicted)
    by_rotations = representation.skeleton.forward_kinematics(predicted_rotations, predicted_root)[0]
    values = {
        "mpjpe_mm": 1000 * mpjpe(ours, truth),
        "mpjpe_rotations_mm": 1000 * mpjpe(by_rotations, truth),
        "global_mpjpe_mm": 1000 * global_mpjpe(ours, truth),
        "global_mpjpe_rotations_mm": 1000 * global_mpjpe(by_rotations, truth),
        "pa_mpjpe_mm": 1000 * pa_mpjpe(ours, truth),
        "rotation_degrees": rotation_error(predicted_rotations, rotations),
        "root_path_m": float((predicted_root - root).norm(dim=-1).mean()),
        "acceleration_error_mm": 1000 * acceleration_error(ours, truth),
    }
    magnitudes = {
        "acceleration": lambda positions: float(accelerations(positions).mean()),
        "jerk": jerk,
        "foot_sliding": lambda positions: foot_sliding(positions, fps=representation.fps),
    }
    for name, magnitude in magnitudes.items():
        before, after = 1000 * magnitude(truth), 1000 * magnitude(ours)
        values |= {f"{name}_mm": before, f"reconstructed_{name}_mm": after, f"excess_{name}_mm": after - before}
    values["reconstructed_foot_sliding_rotations_mm"] = 1000 * magnitudes["foot_sliding"](by_rotations)
    return values


def measure_clip(tokenizer: MotionTokenizer, features: Numbers) -> tuple[dict[str, float], Tensor | None]:
    """The measures of `compare_features` for one clip, features `[T, D]`, and its codes `[N]` if it has any."""
    features = _check_features("features", tokenizer, features)
    decoded, codes = reconstruct(tokenizer, [features])
    return compare_features(tokenizer.representation, decoded[0], features), codes[0]


def evaluate_tokenizer(tokenizer: MotionTokenizer, clips: Sequence[Numbers]) -> dict[str, float]:
    """Reconstruct whole clips of features `[T, D]` and average over frames.

    Returns:
        the measures of `compare_features` that are monitored in training (`QUICK_MEASURES`), and with a codebook
        `code_usage` and `code_perplexity`.

    Raises:
        ValueError: for no clips, a wrong shape, or non-finite features.
    """
    clips = to_tensors("clips", clips)
    if not clips:
        raise ValueError("clips must hold the features of at least one motion, got none")
    totals = dict.fromkeys(QUICK_MEASURES, 0.0)
    codes = []
    for clip in clips:
        values, own = measure_clip(tokenizer, clip)
        codes += [] if own is None else [own]
        for name in totals:
            totals[name] += values[name] * clip.shape[0]
    frames = sum(clip.shape[0] for clip in clips)
    report = {name: total / frames for name, total in totals.items()}
    if not codes:
        return report
    usage = code_usage(torch.cat(codes), tokenizer.config.codebook_size)
    return {**report, "code_usage": usage["usage"], "code_perplexity": usage["perplexity"]}


def _about_pelvis(positions: Tensor) -> Tensor:
    return positions - positions[..., :1, :]


def _lengths(positions: Tensor, order: int) -> Tensor:
    """Lengths of the differences of an order, `[..., T - order, J]`; one zero for clips that are too short."""
    if positions.shape[-3] <= order:
        return positions.new_zeros(1)
    return positions.diff(n=order, dim=-3).norm(dim=-1)


def _check(predicted: Numbers, target: Numbers) -> tuple[Tensor, Tensor]:
    predicted, target = to_tensor("predicted", predicted), to_tensor("target", target)
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted and target must have one shape [..., T, J, 3], got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}; cut both to the same frames"
        )
    return _check_positions("predicted", predicted), _check_positions("target", target)


def _check_positions(name: str, positions: Numbers) -> Tensor:
    positions = to_tensor(name, positions)
    if positions.ndim < 3 or positions.shape[-1] != 3 or not positions.numel():
        raise ValueError(f"{name} must have shape [..., T, J, 3] with T > 0, got {tuple(positions.shape)}")
    _check_finite(name, positions)
    return positions


def _check_features(name: str, tokenizer: MotionTokenizer, features: Numbers) -> Tensor:
    features = to_tensor(name, features).float()
    dim = tokenizer.representation.dim
    if features.ndim != 2 or features.shape[0] == 0 or features.shape[1] != dim:
        raise ValueError(f"{name} must have shape [T, {dim}] with T > 0, got {tuple(features.shape)}")
    _check_finite(name, features)
    return features


def _check_finite(name: str, values: Tensor) -> None:
    if not values.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; leave the motion out")
