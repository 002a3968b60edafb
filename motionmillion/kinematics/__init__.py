"""Joints and inverse kinematics, joining, retargeting, joint names."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.kinematics.joining import continue_from, joined
    from motionmillion.kinematics.joints import motion_from_joints, rotations_from_joints
    from motionmillion.kinematics.target_options import RetargetOptions

__all__ = ["RetargetOptions", "continue_from", "joined", "motion_from_joints", "rotations_from_joints"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "joining": ["continue_from", "joined"],
        "joints": ["motion_from_joints", "rotations_from_joints"],
        "target_options": ["RetargetOptions"],
    },
)
