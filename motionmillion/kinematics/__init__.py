"""Joints and inverse kinematics, joining, retargeting, joint names, contacts and repair."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.kinematics.contacts import find_contacts
    from motionmillion.kinematics.cycles import cycle
    from motionmillion.kinematics.faults import Faults, find_faults
    from motionmillion.kinematics.floor_paths import FloorPath, path_error
    from motionmillion.kinematics.joining import continue_from, joined
    from motionmillion.kinematics.joints import motion_from_joints, rotations_from_joints
    from motionmillion.kinematics.loops import Loop, LoopOptions, find_loop
    from motionmillion.kinematics.path_following import onto_path
    from motionmillion.kinematics.repair import RepairOptions, repaired, repaired_stream
    from motionmillion.kinematics.target_options import RetargetOptions
    from motionmillion.kinematics.trimming import foot_contacts

__all__ = ["Faults", "RepairOptions", "RetargetOptions", "continue_from", "find_contacts", "find_faults", "joined"]
__all__ += ["Loop", "LoopOptions", "cycle", "find_loop", "foot_contacts", "FloorPath", "onto_path", "path_error"]
__all__ += ["motion_from_joints", "repaired", "repaired_stream", "rotations_from_joints"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "contacts": ["find_contacts"],
        "cycles": ["cycle"],
        "faults": ["Faults", "find_faults"],
        "floor_paths": ["FloorPath", "path_error"],
        "joining": ["continue_from", "joined"],
        "joints": ["motion_from_joints", "rotations_from_joints"],
        "loops": ["Loop", "LoopOptions", "find_loop"],
        "path_following": ["onto_path"],
        "repair": ["RepairOptions", "repaired", "repaired_stream"],
        "target_options": ["RetargetOptions"],
        "trimming": ["foot_contacts"],
    },
)
