"""Whole hierarchies of well-known data sets, with their own counts of spine and neck joints."""

import pytest

from motionmillion.kinematics.joint_names import map_joints, side_and_base


def tree(*chains: str) -> tuple[list[str], list[int]]:
    """Names and parents from chains "a b c"; a chain begins with a joint that is known already."""
    names, parents = [], []
    for chain in chains:
        words = chain.split()
        for above, name in zip([None, *words], words, strict=False):
            if name not in names:
                names.append(name)
                parents.append(names.index(above) if above else -1)
    return names, parents


CMU = tree(
    "Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase",
    "Hips RHipJoint RightUpLeg RightLeg RightFoot RightToeBase",
    "Hips LowerBack Spine Spine1 Neck Neck1 Head",
    "Spine1 LeftShoulder LeftArm LeftForeArm LeftHand LeftFingerBase LeftHandIndex1",
    "LeftHand LThumb",
    "Spine1 RightShoulder RightArm RightForeArm RightHand RightFingerBase RightHandIndex1",
    "RightHand RThumb",
)
ASF = tree(
    "root lhipjoint lfemur ltibia lfoot ltoes",
    "root rhipjoint rfemur rtibia rfoot rtoes",
    "root lowerback upperback thorax lowerneck upperneck head",
    "thorax lclavicle lhumerus lradius lwrist lhand lfingers",
    "thorax rclavicle rhumerus rradius rwrist rhand rfingers",
)
BANDAI = tree(
    "joint_Root Hips Spine Chest Neck Head",
    "Chest Shoulder_L UpperArm_L LowerArm_L Hand_L",
    "Chest Shoulder_R UpperArm_R LowerArm_R Hand_R",
    "Hips UpperLeg_L LowerLeg_L Foot_L Toes_L",
    "Hips UpperLeg_R LowerLeg_R Foot_R Toes_R",
)
BIOVISION = tree(
    "Hips LeftHip LeftKnee LeftAnkle",
    "Hips RightHip RightKnee RightAnkle",
    "Hips Chest Neck Head",
    "Chest LeftCollar LeftShoulder LeftElbow LeftWrist",
    "Chest RightCollar RightShoulder RightElbow RightWrist",
)


def named(hierarchy: tuple[list[str], list[int]]) -> dict[str, str]:
    return {joint: hierarchy[0][index] for joint, index in map_joints(*hierarchy).items()}


def test_cmu():
    found = named(CMU)
    assert [found[f"spine{n}"] for n in (1, 2, 3)] == ["LowerBack", "Spine", "Spine1"]
    assert (found["pelvis"], found["neck"], found["head"]) == ("Hips", "Neck", "Head")
    assert (found["left_hip"], found["left_foot"]) == ("LeftUpLeg", "LeftToeBase")
    assert (found["right_collar"], found["right_shoulder"], found["right_wrist"]) == (
        *("RightShoulder", "RightArm", "RightHand"),
    )
    assert len(found) == 22


def test_cmu_asf():
    found = named(ASF)
    assert found["pelvis"] == "root" and found["spine2"] == "upperback" and found["neck"] == "lowerneck"
    assert found["left_wrist"] == "lwrist" and found["left_foot"] == "ltoes" and len(found) == 22


def test_bandai_has_two_spine_joints():
    found = named(BANDAI)
    assert found["pelvis"] == "Hips" and found["spine1"] == "Spine" and found["spine3"] == "Chest"
    assert "spine2" not in found and found["left_collar"] == "Shoulder_L" and found["left_shoulder"] == "UpperArm_L"


def test_biovision_has_one_spine_joint_and_no_toes():
    found = named(BIOVISION)
    assert found["spine1"] == "Chest" and "spine3" not in found and "left_foot" not in found
    assert found["left_collar"] == "LeftCollar" and found["left_shoulder"] == "LeftShoulder"


def test_end_sites_stand_for_missing_tips():
    names, parents = tree(*("Hips LeftHip LeftKnee LeftAnkle", "Hips RightHip RightKnee RightAnkle"))
    for chain in ("Hips Chest Neck", "Chest LeftShoulder LeftElbow", "Chest RightShoulder RightElbow"):
        *_, top = chain.split()
        for above, name in zip(chain.split(), chain.split()[1:], strict=False):
            if name not in names:
                names.append(name)
                parents.append(names.index(above))
        names.append(f"{top} end")
        parents.append(names.index(top))
    found = map_joints(names, parents)
    assert names[found["neck"]] == "Neck"
    assert names[found["head"]] == "Neck end" and names[found["left_wrist"]] == "LeftElbow end"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LeftUpLeg", ("left", "upleg")),
        ("mixamorig:RightHand", ("right", "hand")),
        ("mixamorigRightHand", ("right", "hand")),
        ("L_Hip", ("left", "hip")),
        ("upper_arm.R", ("right", "upperarm")),
        ("Bip01 L Thigh", ("left", "thigh")),
        ("lShldr", ("left", "shldr")),
        ("rfemur", ("right", "femur")),
        ("left_collar", ("left", "collar")),
        ("LowerBack", ("", "lowerback")),
        ("Root", ("", "root")),
        ("lowerneck", ("", "lowerneck")),
        ("Neck", ("", "neck")),
    ],
)
def test_sides(name: str, expected: tuple[str, str]):
    assert side_and_base(name) == expected
