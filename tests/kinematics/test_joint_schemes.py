"""Naming schemes of common tools behind any prefix and between helpers; and structure where names fail."""

from collections.abc import Iterator

import numpy as np
import pytest

from motionmillion.kinematics.joint_names import find_joints, map_joints
from motionmillion.skeleton import SMPL22

LIMBS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")

_TABLE = """
soma        | Hips Spine1 Spine2 Chest Neck1 Head           | Left Right   | {s}{j}         | Leg Shin Foot ToeBase Shoulder Arm ForeArm Hand
mixamo      | Hips Spine Spine1 Spine2 Neck Head            | Left Right   | {s}{j}         | UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand
reallusion  | Hip Waist Spine01 Spine02 NeckTwist01 Head    | L R          | {s}_{j}        | Thigh Calf Foot ToeBase Clavicle Upperarm Forearm Hand
makehuman   | root spine05 spine03 spine01 neck01 head      | L R          | {j}.{s}        | upperleg01 lowerleg01 foot toe1-1 clavicle upperarm01 lowerarm01 wrist
lowleg      | Hips Spine Spine1 Spine2 Neck Head            | Left Right   | {s}{j}         | UpLeg LowLeg Foot Toe Collar UpArm LowArm Hand
vrm         | hips spine chest upperChest neck head         | left right   | {s}{j}         | UpperLeg LowerLeg Foot Toes Shoulder UpperArm LowerArm Hand
vroid       | J_Bip_C_Hips J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest J_Bip_C_Neck J_Bip_C_Head | L R | J_Bip_{s}_{j} | UpperLeg LowerLeg Foot ToeBase Shoulder UpperArm LowerArm Hand
unreal      | pelvis spine_01 spine_02 spine_03 neck_01 head | l r         | {j}_{s}        | thigh calf foot ball clavicle upperarm lowerarm hand
rigify      | spine spine.001 spine.002 spine.003 spine.004 spine.006 | L R | {j}.{s}       | thigh shin foot toe shoulder upper_arm forearm hand
rigify_def  | DEF-spine DEF-spine.001 DEF-spine.002 DEF-spine.003 DEF-spine.004 DEF-spine.006 | L R | DEF-{j}.{s} | thigh shin foot toe shoulder upper_arm forearm hand
secondlife  | mPelvis mTorso mSpine3 mChest mNeck mHead     | Left Right   | m{j}{s}        | Hip Knee Ankle Foot Collar Shoulder Elbow Wrist
sl_upload   | hip abdomen waist chest neck head             | l r          | {s}{j}         | Thigh Shin Foot Toe Collar Shldr ForeArm Hand
asf         | root lowerback upperback thorax lowerneck head | l r         | {s}{j}         | femur tibia foot toes clavicle humerus radius wrist
biped       | Bip01_Pelvis Bip01_Spine Bip01_Spine1 Bip01_Spine2 Bip01_Neck Bip01_Head | L R | Bip01_{s}_{j} | Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand
valve       | ValveBiped.Bip01_Pelvis ValveBiped.Bip01_Spine ValveBiped.Bip01_Spine1 ValveBiped.Bip01_Spine2 ValveBiped.Bip01_Neck1 ValveBiped.Bip01_Head1 | L R | ValveBiped.Bip01_{s}_{j} | Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand
daz         | hip abdomenLower abdomenUpper chestUpper neckLower head | l r | {s}{j}        | ThighBend Shin Foot Toe Collar ShldrBend ForearmBend Hand
xsens       | Pelvis L5 L3 T8 Neck Head                     | Left Right   | {s}{j}         | UpperLeg LowerLeg Foot Toe Shoulder UpperArm ForeArm Hand
xsens_bvh   | Hips Chest Chest2 Chest3 Neck Head            | Left Right   | {s}{j}         | Hip Knee Ankle Toe Collar Shoulder Elbow Wrist
noitom      | Hips Spine Spine1 Spine2 Neck Head            | Left Right   | Robot_{s}{j}   | UpLeg Leg Foot Toe Shoulder Arm ForeArm Hand
motive      | Skeleton_Hip Skeleton_Ab Skeleton_Ab2 Skeleton_Chest Skeleton_Neck Skeleton_Head | L R | Skeleton_{s}{j} | Thigh Shin Foot Toe Shoulder UArm FArm Hand
rokoko      | Hips Spine1 Spine2 Spine3 Neck Head           | Left Right   | {s}{j}         | Thigh Shin Foot Toe Shoulder Arm ForeArm Hand
vicon       | Pelvis Spine Spine1 Thorax Neck Head          | l r          | {s}{j}         | femur tibia foot toes clavicle humerus radius hand
kinect      | SpineBase Spine SpineMid SpineShoulder Neck Head | Left Right | {j}{s}        | Hip Knee Ankle Foot Collar Shoulder Elbow Wrist
azure       | pelvis spine_naval spine_mid spine_chest neck head | left right | {j}_{s}     | hip knee ankle foot clavicle shoulder elbow wrist
ipi         | Hip LowerSpine MiddleSpine Chest Neck Head    | L R          | {s}{j}         | Thigh Shin Foot Toe Clavicle Shoulder Forearm Hand
truebones   | Bip01 BN_Spine BN_Spine1 BN_Spine2 BN_Neck BN_Head | L R     | Bip01_{s}_{j}  | Thigh Calf Foot Toe Clavicle UpperArm Forearm Hand
blender     | hips spine chest chest.001 neck head          | l.001 r.001  | {j}.{s}        | thigh shin foot toe shoulder upper_arm forearm hand
mmd         | センター 上半身 上半身2 上半身3 首 頭              | 左 右         | {s}{j}         | 足 ひざ 足首 つま先 肩 腕 ひじ 手首
mmd_english | center upper_body upper_body2 upper_body3 neck head | L R     | {j}_{s}        | leg knee ankle toe shoulder arm elbow wrist
roblox      | LowerTorso Waist UpperTorso Chest Neck Head   | Left Right   | {s}{j}         | UpperLeg LowerLeg Foot Toe Collar UpperArm LowerArm Hand
maya        | Root_M Spine1_M Spine2_M Chest_M Neck_M Head_M | L R         | {j}_{s}        | Hip Knee Ankle Toes Scapula Shoulder Elbow Wrist
maya_joints | root_jnt spine_01_jnt spine_02_jnt spine_03_jnt neck_jnt head_jnt | l r | {s}_{j}_jnt | upleg loleg foot ball clav uparm loarm hand
skyrim      | NPC_Pelvis NPC_Spine NPC_Spine1 NPC_Spine2 NPC_Neck NPC_Head | L R | NPC_{s}_{j}  | Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand
smplx       | pelvis spine1 spine2 spine3 neck head         | left right   | {s}_{j}        | hip knee ankle foot collar shoulder elbow wrist
hip_joints  | HipsJoint SpineJoint Spine1Joint Spine2Joint NeckJoint HeadJoint | Left Right | {s}{j}Joint | Hip Knee Ankle Toe Collar Shoulder Elbow Wrist
capitals    | HIPS SPINE SPINE1 SPINE2 NECK HEAD            | LEFT RIGHT   | {s}{j}         | UPLEG LEG FOOT TOEBASE SHOULDER ARM FOREARM HAND
"""  # noqa: E501


def schemes() -> dict[str, dict[str, str]]:
    """SMPL22 name -> name in the scheme, of each scheme."""
    table: dict[str, dict[str, str]] = {}
    for line in _TABLE.strip().splitlines():
        scheme, trunk, sides, pattern, limbs = (cell.strip() for cell in line.split("|"))
        names: dict[str, str] = dict(zip(TRUNK, trunk.split(), strict=True))
        for side, word in zip(("left", "right"), sides.split(), strict=True):
            for limb, spelled in zip(LIMBS, limbs.split(), strict=True):
                names[f"{side}_{limb}"] = pattern.format(s=word, j=spelled)
        table[scheme] = names
    return table


HELPERS = {
    "control": "{}_CTRL",
    "twist": "{}Twist",
    "roll": "{}Roll",
    "numbered twist": "{}_twist_01",
    "group": "{}_grp",
    "offset": "{}_offset",
    "dummy": "{}Dummy",
}


def rig(names: dict[str, str], helper: str = "", after: str = "") -> tuple[list[str], list[int], list[list[float]]]:
    """Names, parents and rest positions of SMPL's body with names of a scheme.

    Args:
        helper: pattern of the name of a joint at offset 0 in front of every joint but the root.
        after: pattern of the name of a joint in the middle of every bone.
    """
    made: list[str] = []
    parents: list[int] = []
    rest: list[list[float]] = []
    index: dict[int, int] = {}

    def add(name: str, parent: int, position: list[float]) -> int:
        made.append(name)
        parents.append(parent)
        rest.append(position)
        return len(made) - 1

    for joint in depth_first():
        parent = SMPL22.parents[joint]
        name = names[SMPL22.names[joint]]
        above = index.get(parent, -1)
        start = rest[above] if above >= 0 else [0.0, 0.0, 0.0]
        end = [a + b for a, b in zip(start, SMPL22.offsets[joint], strict=True)]
        if after and above >= 0:
            middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
            above = add(after.format(names[SMPL22.names[parent]]), above, middle)
        if helper and above >= 0:
            above = add(helper.format(name), above, end)
        index[joint] = add(name, above, end)
        if joint not in SMPL22.parents:
            add(f"{name} end", index[joint], [a * 1.05 for a in end])
    return made, parents, rest


def depth_first(joint: int = 0) -> list[int]:
    """Joints of SMPL22 in the order of a file."""
    below = [child for child, parent in enumerate(SMPL22.parents) if parent == joint]
    return [joint, *(inner for child in below for inner in depth_first(child))]


SCHEMES = schemes()
BONES = {name: f"Bone.{joint:03d}" for joint, name in enumerate(SMPL22.names)}


def mapped(names: dict[str, str], mapping: dict[str, str] | None = None, **options: str) -> dict[str, str]:
    made, parents, rest = rig(names, **options)
    return {joint: made[index] for joint, index in map_joints(made, parents, mapping, rest=np.array(rest)).items()}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes(scheme: str):
    names = SCHEMES[scheme]
    made, parents, _ = rig(names)
    assert mapped(names) == names
    assert {joint: made[index] for joint, index in map_joints(made, parents).items()} == names


@pytest.mark.parametrize("scheme", SCHEMES)
def test_helpers_are_not_taken_for_real_joints(scheme: str):
    names = SCHEMES[scheme]
    for pattern in HELPERS.values():
        assert mapped(names, helper=pattern) == names, pattern
    for pattern in ("{}Twist", "{}_twist_01", "{}Roll"):
        assert mapped(names, after=pattern) == names, pattern


@pytest.mark.parametrize("prefix", ["Character1_", "Armature|mixamorig:", "CC_Base_", "sim", "My_", "ns:", "m"])
def test_prefixes(prefix: str):
    for scheme in ("soma", "mixamo", "vrm", "unreal", "daz", "kinect"):
        names = {joint: prefix + name for joint, name in SCHEMES[scheme].items()}
        assert mapped(names) == names, scheme


def test_names_without_meaning():
    assert mapped(BONES) == BONES
    sided = {
        name: f"{ {'l': 'L', 'r': 'R'}.get(name[0] if '_' in name else '', 'C') }_{name[-3:]}{joint}"
        for joint, name in enumerate(SMPL22.names)
    }
    assert mapped(sided) == sided
    some = {**SCHEMES["mixamo"], "left_hip": "A", "left_knee": "B", "left_ankle": "C", "left_foot": "D", "head": "E"}
    assert mapped(some) == some


def test_a_mapping_of_the_hips_is_enough():
    hips = {"left_hip": "LeftLeg", "right_hip": "RightLeg"}
    assert mapped(SCHEMES["soma"], hips) == SCHEMES["soma"]
    assert mapped(BONES, {"left_hip": BONES["left_hip"]}) == BONES


def test_sides_of_unknown_names_need_feet_or_a_mapping():
    """Without toes, nothing tells the left from the right."""
    made, parents, rest = rig(BONES)
    kept = [j for j, name in enumerate(made) if not name.startswith((BONES["left_foot"], BONES["right_foot"]))]
    names = [made[j] for j in kept]
    fewer = [kept.index(parents[j]) if parents[j] >= 0 else -1 for j in kept]
    positions = np.array(rest)[kept]
    for side in ("left", "right"):
        ankle = names.index(BONES[f"{side}_ankle"])
        names.append(f"{names[ankle]} end")
        fewer.append(ankle)
        positions = np.concatenate([positions, positions[ankle : ankle + 1] + [0.0, -0.01, 0.0]])
    with pytest.raises(ValueError, match="got no joint for .*left_hip.*--mapping left_hip=NAME"):
        map_joints(names, fewer, rest=positions)
    found = map_joints(names, fewer, {"right_hip": BONES["right_hip"]}, rest=positions)
    assert names[found["left_wrist"]] == BONES["left_wrist"]


@pytest.mark.parametrize(("top", "expected"), [("upperneck", "upperneck end"), ("Neck1", "Neck1 end")])
def test_the_tip_above_the_shoulders_is_the_head(top: str, expected: str):
    names = {**SCHEMES["mixamo"], "head": top}
    assert mapped(names) == {**names, "head": expected}


def test_collars_on_the_neck_and_thighs_on_the_spine():
    """As in Biped: neither makes the neck a part of the spine, nor the spine the pelvis."""
    chains = ["Bip01 Pelvis/Spine/Spine1/Spine2/Neck/Head"]
    for side in "LR":
        chains.append("Spine/" + "/".join(f"{side} {name}" for name in ("Thigh", "Calf", "Foot", "Toe0")))
        chains.append("Neck/" + "/".join(f"{side} {name}" for name in ("Clavicle", "UpperArm", "Forearm", "Hand")))
    names, parents = [], []
    for chain in chains:
        words = [word if word.startswith("Bip01") else f"Bip01 {word}" for word in chain.split("/")]
        for above, name in zip([None, *words], words, strict=False):
            if name not in names:
                names.append(name)
                parents.append(names.index(above) if above else -1)
    found = {joint: names[index] for joint, index in map_joints(names, parents).items()}
    assert (found["pelvis"], found["neck"], found["spine1"]) == ("Bip01 Pelvis", "Bip01 Neck", "Bip01 Spine")
    assert (found["spine3"], found["left_collar"]) == ("Bip01 Spine2", "Bip01 L Clavicle")


def test_find_joints_leaves_out_what_is_missing():
    made, parents, _ = rig({**BONES, "left_knee": "LeftKnee"})
    found = find_joints(made, parents)
    assert "head" not in found and "left_elbow" not in found


def test_deep_and_wide_trees_take_no_long():
    """Thousands of joints below each other, side by side, or in pairs."""

    def trees() -> Iterator[list[int]]:
        yield list(range(-1, 4000))
        yield [-1] + [0] * 4000
        yield [(joint - 1) // 2 for joint in range(4000)]

    for parents in trees():
        parents[0] = -1
        with pytest.raises(ValueError, match="got no joint for"):
            map_joints([f"J{joint}" for joint in range(len(parents))], parents, rest=np.zeros((len(parents), 3)))
