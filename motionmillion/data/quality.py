"""Numbers that say how good a motion is.

    values = quality_of(motion)             # {"jerk": 61.2, ...}, see `QUALITY`

They are computed when a data set is built, so that filters and reports need not read the motions again.

Shapes: T frames.
"""

import numpy as np
import roma
import torch

from motionmillion.kinematics.contacts import FEET as _FEET
from motionmillion.kinematics.contacts import check_positions, find_contacts, floor_level, floor_speed
from motionmillion.motion import Motion

QUALITY = {
    "jerk": "m/s³, mean over joints and frames of the third derivative of positions",
    "turn": "degrees, largest change of the pelvis' orientation within 1/30 s",
    "speed": "m/s, mean over joints and frames",
    "sliding": "m/s, mean speed along the floor of feet that touch it; 0 without contacts",
    "lowest": "m, height of the lowest joint over all frames",
    "floor": "m, height of the floor that the feet stand on",
    "height": "m, median distance between the lowest and the highest joint",
}
"""Names, units and meanings."""


def quality_of(motion: Motion) -> dict[str, float]:
    """The numbers of `QUALITY` for a motion on SMPL22's joints; derivatives of clips that are too short are 0."""
    positions = check_positions(motion.positions().numpy())  # [T, 22, 3]
    fps = motion.fps
    contacts = find_contacts(positions, fps)  # [T, 2, 2]
    speeds = floor_speed(positions[:, _FEET], fps)
    low, high = positions[..., 1].min(1), positions[..., 1].max(1)
    steps = motion.rotations[:-1, 0].mT @ motion.rotations[1:, 0]
    angles = torch.rad2deg(roma.rotmat_to_rotvec(steps).norm(dim=-1)) * min(max(fps / 30, 1 / 3), 3)
    return {
        "jerk": _mean_norm(np.diff(positions, 3, axis=0)) * fps**3,
        "turn": float(angles.max()) if len(angles) else 0.0,
        "speed": _mean_norm(np.diff(positions, axis=0)) * fps,
        "sliding": float(speeds[contacts].mean()) if contacts.any() else 0.0,
        "lowest": float(low.min()),
        "floor": floor_level(positions, fps),
        "height": float(np.median(high - low)),
    }


def _mean_norm(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean()) if len(vectors) else 0.0
