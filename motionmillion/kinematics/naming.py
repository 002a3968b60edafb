"""Names of SMPL22's joints in the skeletons of other programs.

    names = joint_names(SMPL22, "mixamo")         # ("mixamorig:Hips", "mixamorig:LeftUpLeg", ...)

| naming | programs |
|---|---|
| "smpl" | ours and SMPL's |
| "mixamo" | Mixamo, and Unity's and Blender's tools for it |
| "cmu" | the CMU database as BVH, MotionBuilder |
| "unreal" | the mannequin of Unreal Engine |

Unusual: only names differ; bones, their number and their axes stay SMPL22's. All are recognised by
`motionmillion.kinematics.joint_names`.
"""

from motionmillion.skeleton import SMPL22, Skeleton


def _all_names(trunk: str, limbs: str, pattern: str, left: str, right: str) -> dict[str, str]:
    """SMPL22 name -> name of another convention.

    Args:
        trunk: names of pelvis, spine1 to spine3, neck and head.
        limbs: words for hip, knee, ankle, foot, collar, shoulder, elbow and wrist.
        pattern: how a side and a word make a name.
    """
    middle = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
    found: dict[str, str] = dict(zip(middle, trunk.split(), strict=True))
    ours = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
    for side, word in (("left", left), ("right", right)):
        for joint, name in zip(ours, limbs.split(), strict=True):
            found[f"{side}_{joint}"] = pattern.format(side=word, joint=name)
    return found


_BUILDER = "UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand"
_MIXAMO = _all_names("Hips Spine Spine1 Spine2 Neck Head", _BUILDER, "{side}{joint}", "Left", "Right")

NAMINGS: dict[str, dict[str, str]] = {
    "smpl": {name: name for name in SMPL22.names},
    "mixamo": {joint: f"mixamorig:{name}" for joint, name in _MIXAMO.items()},
    "cmu": _all_names("Hips LowerBack Spine Spine1 Neck Head", _BUILDER, "{side}{joint}", "Left", "Right"),
    "unreal": _all_names(
        "pelvis spine_01 spine_02 spine_03 neck_01 head",
        "thigh calf foot ball clavicle upperarm lowerarm hand",
        "{joint}_{side}",
        "l",
        "r",
    ),
}
"""For each naming, SMPL22 name -> its name."""


def joint_names(skeleton: Skeleton, naming: str) -> tuple[str, ...]:
    """The names of a skeleton's joints in one of `NAMINGS`; a bone below the pelvis keeps its own.

    Raises:
        ValueError: for an unknown naming, or one other than "smpl" for a skeleton without SMPL22's joints.
    """
    if naming not in NAMINGS:
        raise ValueError(f"names must be one of {sorted(NAMINGS)}, got {naming!r}")
    if naming == "smpl":
        return skeleton.names
    if skeleton.names[1:] == SMPL22.names:
        return (skeleton.names[0], *joint_names(SMPL22, naming))
    if skeleton.names != SMPL22.names:
        raise ValueError(f'names must be "smpl" for a skeleton without SMPL22\'s joints, got {naming!r}')
    return tuple(NAMINGS[naming][name] for name in skeleton.names)
