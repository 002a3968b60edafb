"""Measures of motion by which estimates of bodies in videos are judged; all at 30 frames per second.

    measures_of(motion)          # {"jerk": 95.2, ...}, see `MEASURES`

`recipes/curation/thresholds.py` tells how well each finds which fault.

Shapes: T frames, J joints.
"""

import numpy as np
import roma
import torch

from motionmillion.kinematics.contacts import FEET, floor_level, floor_speed, windows
from motionmillion.motion import Motion

MEASURES = {
    "jerk": "m/s³, third derivative of positions: mean over joints, then over the worst third of a second",
    "spike": "median over joints of the greatest jerk of a frame, relative to the median over time",
    "turn": "degrees, greatest change of the pelvis' orientation from frame to frame",
    "flip": "degrees, greatest change of any joint's rotation from frame to frame",
    "sliding": "m/s, speed along the floor of the slowest of ankles and toes, median over frames with a foot near it",
    "range": "m, extent of a joint's smoothed positions; 90th percentile over joints, as a wave moves one arm only",
}
"""Names, units and meanings."""

FPS = 30.0
_NEAR_FLOOR = 0.1
_SMOOTH = 3


def measures_of(motion: Motion) -> dict[str, float]:
    """The numbers of `MEASURES` for a motion on SMPL22's joints of at least five frames.

    Raises:
        ValueError: if it is shorter.
    """
    motion = motion.resample(FPS)
    if motion.num_frames < 5:
        raise ValueError(f"motion must have at least 5 frames at {FPS:g} per second, got {motion.num_frames}")
    positions = motion.positions().double().numpy()  # [T, 22, 3]
    jerk = np.linalg.norm(np.diff(positions, 3, axis=0), axis=-1) * FPS**3  # [T - 3, 22]
    steps = motion.rotations[:-1].mT @ motion.rotations[1:]
    angles = torch.rad2deg(roma.rotmat_to_rotvec(steps).norm(dim=-1))  # [T - 1, 22]
    return {
        "jerk": float(windows(jerk.mean(1), 5).mean(-1).max()),
        "spike": float(np.median(jerk.max(0) / np.maximum(np.median(jerk, axis=0), 1.0))),
        "turn": float(angles[:, 0].max()),
        "flip": float(angles.max()),
        "sliding": _sliding(positions),
        "range": _range(positions),
    }


def _sliding(positions: np.ndarray) -> float:
    """Median over frames of the slowest of ankles and toes while one is near the floor; 0 where none ever is."""
    parts = positions[:, FEET.ravel()]  # [T, 4, 3]
    near = parts[..., 1].min(1) < floor_level(positions, FPS) + _NEAR_FLOOR
    return float(np.median(floor_speed(parts, FPS).min(1)[near])) if near.any() else 0.0


def _range(positions: np.ndarray) -> float:
    """90th percentile over joints of the diagonal of the box that holds the joint's smoothed positions."""
    smooth = windows(positions, _SMOOTH).mean(-1)
    return float(np.percentile(np.linalg.norm(smooth.max(0) - smooth.min(0), axis=-1), 90))
