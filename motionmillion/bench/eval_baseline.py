"""The physical metrics of one motion in plain loops over its frames: the baseline of `motionmillion bench eval`.

    physics_in_loops(positions, fps=30.0)       # the values of motionmillion.eval.physics, to rounding

Implements the formulas frame by frame, with NumPy over the joints, as evaluation scripts usually do.

Shapes: T frames.
"""

import math
from collections.abc import Sequence

import numpy as np

from motionmillion.eval.padded_clips import FPS

_TOES = (10, 11)


def physics_in_loops(positions: np.ndarray, fps: float) -> dict[str, float]:
    """Compute the metrics of a motion.

    Args:
        positions: `[T, 22, 3]`, metres, y up.
        fps: frames per second.
    """
    joints = _resampled([frame[:, [2, 0, 1]].astype(np.float64) for frame in positions], fps)
    steps = _steps(joints)
    touching = [
        [bool(_length(step[toe]) < 0.01 or joint[toe, 2] < 0.02) for toe in _TOES]
        for joint, step in zip(joints, steps, strict=True)
    ]
    return {
        "jitter_degree": _differences(joints, 2),
        "jerk": _differences(joints, 3),
        "dynamic_degree": _differences(joints, 1),
        "ground_penetration": _penetration(joints),
        "foot_sliding": _sliding(steps, touching),
        "foot_floating": _floating(joints, steps, touching),
        "foot_contact": sum(sum(pair) for pair in touching) / (2 * len(joints)),
    }


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def _resampled(joints: Sequence[np.ndarray], fps: float) -> list[np.ndarray]:
    """Frames at 20 per second, by Catmull-Rom splines."""
    last = len(joints) - 1
    if fps == FPS or last == 0:
        return list(joints)
    points = [2 * joints[0] - joints[1], *joints, 2 * joints[-1] - joints[-2], 3 * joints[-1] - 2 * joints[-2]]
    frames = []
    for number in range(math.floor(last * FPS / fps + 1e-6) + 1):
        index = min(math.floor(number * (fps / FPS)), last)
        t = min(number * (fps / FPS) - index, 1.0)
        p0, p1, p2, p3 = points[index : index + 4]
        bend = t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
        frames.append(p1 + t / 2 * (p2 - p0 + bend))
    return frames


def _steps(joints: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Difference of each frame to the next; the last one is repeated."""
    steps = [after - before for before, after in zip(joints, joints[1:], strict=False)]
    return [*steps, steps[-1] if steps else np.zeros_like(joints[0])]


def _differences(joints: Sequence[np.ndarray], order: int) -> float:
    total = 0.0
    for relative in (False, True):
        points = [joint - joint[:1] if relative else joint for joint in joints]
        for _ in range(order):
            points = [after - before for before, after in zip(points, points[1:], strict=False)]
        total += float(np.mean([np.linalg.norm(point, axis=1).mean() for point in points])) if points else 0.0
    return total


def _penetration(joints: Sequence[np.ndarray]) -> float:
    depths = [-float(joint[toe, 2]) for joint in joints for toe in _TOES if joint[toe, 2] < -0.005]
    return float(np.mean(depths)) if depths else 0.0


def _sliding(steps: Sequence[np.ndarray], touching: Sequence[Sequence[bool]]) -> float:
    means = []
    for foot, toe in enumerate(_TOES):
        speeds = [_length(step[toe, :2]) for step, touch in zip(steps, touching, strict=True) if touch[foot]]
        means.append(sum(speeds) / (len(speeds) + 1e-6))
    return sum(means) / 2


def _floating(joints: Sequence[np.ndarray], steps: Sequence[np.ndarray], touching: Sequence[Sequence[bool]]) -> float:
    root = [_length(step[0]) for step in steps]
    ratio = [[_length(step[toe] - step[0]) / (r + 1e-6) for toe in _TOES] for step, r in zip(steps, root, strict=True)]
    frames = 0.0
    for frame, step in enumerate(steps):
        feet = [foot for foot in (0, 1) if touching[frame][foot]]
        odd = [not 0.6 <= ratio[frame][f] <= 1.75 and _length(step[_TOES[f]]) > 1.2e-4 for f in feet]
        frames += bool(feet) and all(odd) and root[frame] >= 1e-3
    for foot in (0, 1):
        for flight in _flights([not pair[foot] for pair in touching]):
            if sum(root[frame] < 1e-3 for frame in flight) <= len(flight) / 2:
                frames += sum(ratio[frame][foot] < 0.4 for frame in flight) / 2
    for flight in _flights([not any(pair) for pair in touching]):
        if _swings([joints[frame][_TOES[0]] for frame in flight]) > 2:
            frames += len(flight)
    return frames / len(joints)


def _flights(in_air: Sequence[bool]) -> list[range]:
    """Runs of four or more true values."""
    flights, start = [], None
    for frame, flag in enumerate([*in_air, False]):
        if flag and start is None:
            start = frame
        elif not flag and start is not None:
            if frame - start >= 4:
                flights.append(range(start, frame))
            start = None
    return flights


def _swings(path: Sequence[np.ndarray]) -> int:
    """Number of local minima of the cosine between the directions from the start to each point and to the end."""
    directions = [(point - path[0]) / (_length(point - path[0]) + 1e-6) for point in path[1:]]
    cosines = []
    for direction in directions:
        cosine = float(direction @ directions[-1])
        if not cosines or cosine != cosines[-1]:
            cosines.append(cosine)
    return sum(b < min(a, c) for a, b, c in zip(cosines, cosines[1:], cosines[2:], strict=False))
