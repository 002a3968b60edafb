"""What is wrong with a motion, in three numbers: sliding feet, feet in the floor, jerk.

    before, after = find_faults(motion), find_faults(motion.repaired())
    print(before.told(after))                     # sliding 0.20 -> 0.03 of frames, penetration ...

Unusual: a foot slides, in this count, wherever its toes are within 5 cm of the lowest joint of the clip and move
faster than 0.5 m/s, at 20 frames per second. That includes feet that swing low: 0.1 to 0.4 of a real walk's frames.
"""

from dataclasses import dataclass

import numpy as np

from motionmillion.kinematics.contacts import FEET, floor_level
from motionmillion.motion import Motion

_FPS, _LOW, _STEP = 20.0, 0.05, 0.025
_DEEP = 0.005


@dataclass(frozen=True)
class Faults:
    """Faults of a motion.

    Args:
        sliding: fraction of frames with a sliding foot.
        penetration: mean depth of toes that are more than 5 mm below the floor, metres.
        jerk: mean third derivative of the joints' positions, metres per second cubed.
    """

    sliding: float
    penetration: float
    jerk: float

    def told(self, after: "Faults") -> str:
        """These faults and those after a repair, on one line."""
        return (
            f"sliding {self.sliding:.2f} -> {after.sliding:.2f} of frames, "
            f"penetration {1000 * self.penetration:.1f} -> {1000 * after.penetration:.1f} mm, "
            f"jerk {self.jerk:.0f} -> {after.jerk:.0f} m/s^3"
        )


def find_faults(motion: Motion, floor: float | None = None) -> Faults:
    """The faults of a motion on SMPL22's joints.

    Args:
        floor: height of the floor, metres; None finds it.
    """
    own = motion.positions().double().cpu().numpy()
    level = floor_level(own, motion.fps) if floor is None else floor
    depth = level - own[:, FEET[:, 1], 1]
    deep = depth[depth > _DEEP]
    jerk = np.linalg.norm(np.diff(own, n=3, axis=0), axis=-1).mean() * motion.fps**3 if len(own) > 3 else 0.0
    return Faults(_sliding(motion), float(deep.mean()) if len(deep) else 0.0, float(jerk))


def _sliding(motion: Motion) -> float:
    if motion.num_frames < 2:
        return 0.0
    joints = motion.resample(_FPS).positions().double().cpu().numpy()
    if len(joints) < 2:
        return 0.0
    feet = joints[:, FEET[:, 1]]
    low = feet[..., 1] - joints[..., 1].min() < _LOW
    step = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1)
    return float(((step > _STEP) & low[1:] & low[:-1]).any(1).mean())
