"""BVH: exact round trip, foreign rigs of any names and rest pose, and every way a file can be wrong."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from motionmillion.io.bvh import read_bvh, write_bvh
from motionmillion.io.bvh_rows import frame_rate
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow")


def side_names(pattern: str, left: str, right: str, words: dict[str, str]) -> dict[str, str]:
    sides = {"left": left, "right": right}
    return {f"{s}_{j}": pattern.format(side=sides[s], joint=word) for s in sides for j, word in words.items()}


def limb_words(*words: str) -> dict[str, str]:
    return dict(zip(("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist"), words, strict=True))


def trunk(*names: str) -> dict[str, str]:
    return dict(zip(("pelvis", "spine1", "spine2", "spine3", "neck", "head"), names, strict=True))


BUILDER = limb_words("UpLeg", "Leg", "Foot", "ToeBase", "Shoulder", "Arm", "ForeArm", "Hand")
SCHEMES = {
    "ours": {name: name for name in SMPL22.names},
    "smpl": trunk("Pelvis", "Spine1", "Spine2", "Spine3", "Neck", "Head")
    | side_names("{side}_{joint}", "L", "R", limb_words(*"Hip Knee Ankle Foot Collar Shoulder Elbow Wrist".split())),
    "cmu": trunk("Hips", "LowerBack", "Spine", "Spine1", "Neck", "Head")
    | side_names("{side}{joint}", "Left", "Right", BUILDER),
    "mixamo": trunk(*(f"mixamorig:{n}" for n in ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")))
    | side_names("mixamorig:{side}{joint}", "Left", "Right", BUILDER),
    "asf": trunk("root", "lowerback", "upperback", "thorax", "lowerneck", "head")
    | side_names(
        "{side}{joint}", "l", "r", limb_words(*"femur tibia foot toes clavicle humerus radius wrist".split())
    ),
    "bandai": trunk("Hips", "Spine", "Spine2", "Chest", "Neck", "Head")
    | side_names(
        "{joint}_{side}",
        "L",
        "R",
        limb_words(*"UpperLeg LowerLeg Foot Toes Shoulder UpperArm LowerArm Hand".split()),
    ),
    "lafan": trunk("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")
    | side_names("{side}{joint}", "Left", "Right", {**BUILDER, "foot": "Toe"}),
    "biped": trunk("Bip01", "Bip01 Spine", "Bip01 Spine1", "Bip01 Spine2", "Bip01 Neck", "Bip01 Head")
    | side_names(
        "Bip01 {side} {joint}", "L", "R", limb_words(*"Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand".split())
    ),
    "unreal": trunk("pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head")
    | side_names(
        "{joint}_{side}", "l", "r", limb_words(*"thigh calf foot ball clavicle upperarm lowerarm hand".split())
    ),
    "rigify": trunk("hips", "spine", "spine.001", "chest", "neck", "head")
    | side_names(
        "{joint}.{side}", "L", "R", limb_words(*"thigh shin foot toe shoulder upper_arm forearm hand".split())
    ),
}


def turn(axis: str, degrees: float) -> torch.Tensor:
    return roma.euler_to_rotmat(axis, torch.tensor([degrees], dtype=torch.float64), degrees=True)


def limb_directions(positions: torch.Tensor) -> torch.Tensor:
    bones = [
        (joint, SMPL22.parents[joint])
        for joint in range(1, 22)
        if SMPL22.names[SMPL22.parents[joint]].split("_")[-1] in LIMBS
    ]
    ends, starts = zip(*bones, strict=True)
    return torch.nn.functional.normalize(positions[:, list(ends)] - positions[:, list(starts)], dim=-1)


@pytest.mark.parametrize("scale", [100.0, 1.0, 39.37])
def test_round_trip(motion: Motion, tmp_path: Path, scale: float):
    path = write_bvh(motion, tmp_path / "wave.bvh", scale=scale)
    for again in (read_bvh(path), read_bvh(path, scale=scale)):
        assert again.fps == 30.0
        assert (again.positions() - motion.positions()).abs().max() < 1e-4
        assert roma.rotmat_geodesic_distance(again.rotations.double(), motion.rotations.double()).max() < 1e-3


def test_default_unit_is_the_centimetre(motion: Motion, tmp_path: Path):
    lines = write_bvh(motion, tmp_path / "wave.bvh").read_text().splitlines()
    assert lines[1] == "ROOT pelvis"
    assert "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation" in lines[4]
    first = [float(word) for word in lines[lines.index("Frames: 24") + 2].split()]
    np.testing.assert_allclose(first[:3], motion.translation[0] * 100, atol=1e-4)


def test_euler_angles_near_the_pole_and_without_jumps(tmp_path: Path):
    """The middle angle runs through a quarter turn, where the other two are not unique."""
    angles = torch.zeros(61, 3, dtype=torch.float64)
    angles[:, 0] = torch.linspace(60, 120, 61)
    angles[:, 1] = 10.0
    rotations = torch.eye(3).repeat(61, 22, 1, 1)
    rotations[:, 16] = roma.euler_to_rotmat("XYZ", angles, degrees=True).float()
    motion = Motion(rotations, torch.zeros(61, 3))
    path = write_bvh(motion, tmp_path / "wave.bvh")
    assert (read_bvh(path).rotations - rotations).abs().max() < 1e-5
    lines = path.read_text().splitlines()
    values = np.array([[float(word) for word in line.split()] for line in lines[lines.index("Frames: 61") + 2 :]])
    assert np.abs(np.diff(values, axis=0)).max() < 45.0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_naming_schemes(motion: Motion, tmp_path: Path, foreign_rig, scheme: str):
    path = tmp_path / "foreign.bvh"
    path.write_text(foreign_rig(motion, SCHEMES[scheme]).text())
    assert (read_bvh(path).positions() - motion.positions()).abs().max() < 1e-4


@pytest.mark.parametrize("order", ["ZYX", "XYZ", "YXZ", "ZXY"])
@pytest.mark.parametrize("unit", [1.0, 17.7, 1000.0])
def test_channel_orders_and_units(motion: Motion, tmp_path: Path, foreign_rig, order: str, unit: float):
    path = tmp_path / "foreign.bvh"
    path.write_text(foreign_rig(motion, SCHEMES["cmu"], unit=unit, order=order).text())
    assert (read_bvh(path).positions() - motion.positions()).abs().max() < 1e-4


def test_any_rest_pose_of_our_own_body(motion: Motion, tmp_path: Path, foreign_rig):
    generator = torch.Generator().manual_seed(1)
    rig = foreign_rig(motion, SCHEMES["cmu"])
    rig.rest = roma.rotvec_to_rotmat(0.4 * torch.randn(22, 3, generator=generator, dtype=torch.float64))
    path = tmp_path / "foreign.bvh"
    path.write_text(rig.text())
    again = read_bvh(path)
    assert (again.positions() - motion.positions()).abs().max() < 1e-4


def cmu_like(rig) -> None:
    """Legs splayed, dummies before the hips, no length from chest to neck and collars, other proportions."""
    index = SMPL22.index
    for side, sign in (("left", 1), ("right", -1)):
        for joint in ("hip", "knee", "ankle", "foot"):
            rig.rest[index(f"{side}_{joint}")] = turn("Z", sign * 20)
        for joint in ("shoulder", "elbow", "wrist"):
            rig.rest[index(f"{side}_{joint}")] = turn("Z", sign * -45)
        rig.dummies.add(rig.names[f"{side}_hip"])
        rig.offsets[index(f"{side}_knee")] *= 1.1
        rig.offsets[index(f"{side}_elbow")] *= 0.9
    for joint in ("spine1", "neck", "left_collar", "right_collar"):
        rig.offsets[index(joint)] = 0.0


def source_positions(rig) -> torch.Tensor:
    """Forward kinematics of the rig, straight from how it is defined, in metres."""
    rotations, root = rig.motion.rotations.double(), rig.motion.translation.double()
    turned = SMPL22.forward_kinematics(rotations, root)[1]
    positions = [root]
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        positions.append(positions[parent] + turned[:, parent] @ rig.offsets[joint])
    return torch.stack(positions, dim=1)


def test_limbs_point_where_the_source_s_do(motion: Motion, tmp_path: Path, foreign_rig):
    rig = foreign_rig(motion, SCHEMES["cmu"], unit=17.7)
    cmu_like(rig)
    path = tmp_path / "foreign.bvh"
    path.write_text(rig.text())
    again = read_bvh(path)
    source = source_positions(rig)
    cosine = (limb_directions(again.positions().double()) * limb_directions(source)).sum(-1)
    assert torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).max() < 0.05
    # The joints' own rotations survive too: nobody's knee is twisted by the other rest pose.
    angle = roma.rotmat_geodesic_distance(again.rotations.double(), motion.rotations.double())
    assert torch.rad2deg(angle).max() < 12.0
    # Legs of SMPL's length: steps shrink by the ratio, and the lowest foot joint stays at its height.
    leg = [0.379, 0.398]
    ratio = sum(leg) / (1.1 * leg[0] + leg[1])
    feet = [7, 8, 10, 11]
    lowest = again.positions()[:, feet, 1].min() - ratio * source[:, feet, 1].min()
    assert abs(lowest) < 2e-3
    steps, source_steps = (p[1:, 0] - p[:-1, 0] for p in (again.positions().double(), source))
    assert (steps - ratio * source_steps).norm(dim=-1).max() < 0.01


def test_bones_of_the_spine_on_request(motion: Motion, tmp_path: Path, foreign_rig):
    rig = foreign_rig(motion, SCHEMES["lafan"])
    rig.offsets[SMPL22.index("head")] = torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64)
    path = tmp_path / "foreign.bvh"
    path.write_text(rig.text())
    source = source_positions(rig)
    neck, head = SMPL22.index("neck"), SMPL22.index("head")
    expected = torch.nn.functional.normalize(source[:, head] - source[:, neck], dim=-1)
    bones = read_bvh(path, align="bones").positions().double()
    torch.testing.assert_close(
        torch.nn.functional.normalize(bones[:, head] - bones[:, neck], dim=-1), expected, atol=1e-4, rtol=0
    )
    # By default the head keeps its place on SMPL's neck, and its rotation.
    limbs = read_bvh(path)
    assert roma.rotmat_geodesic_distance(limbs.rotations[:, 12].double(), motion.rotations[:, 12].double()).max() < 0.1


def test_rest_pose_that_no_human_could_hold(motion: Motion, tmp_path: Path, foreign_rig):
    """All bones along x: directions are exact and twists are found from the clip."""
    rig = foreign_rig(motion, SCHEMES["lafan"])
    rig.offsets[SMPL22.index("left_elbow")] *= 1.2
    rig.offsets[SMPL22.index("right_elbow")] *= 1.2
    for joint in range(22):
        children = [child for child, parent in enumerate(SMPL22.parents) if parent == joint]
        bone = rig.offsets[children[0] if len(children) == 1 else SMPL22.index("spine1")]
        side = turn("Y", 90) @ turn("Z", 90) if len(children) != 1 else None
        axis = torch.linalg.cross(bone / bone.norm(), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
        angle = torch.atan2(axis.norm(), bone[0] / bone.norm())
        swing = roma.rotvec_to_rotmat(axis / axis.norm().clamp(min=1e-9) * angle)
        twist = roma.rotvec_to_rotmat(torch.tensor([1.3 * (joint % 3), 0.0, 0.0], dtype=torch.float64))
        rig.rest[joint] = side if side is not None else twist @ swing
    path = tmp_path / "foreign.bvh"
    path.write_text(rig.text())
    again = read_bvh(path)
    cosine = (limb_directions(again.positions().double()) * limb_directions(source_positions(rig))).sum(-1)
    assert torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).max() < 0.05
    limbs = [j for j, name in enumerate(SMPL22.names) if name.split("_")[-1] in LIMBS]
    angle = roma.rotmat_geodesic_distance(again.rotations[:, limbs].double(), motion.rotations[:, limbs].double())
    assert torch.rad2deg(angle).mean() < 20.0


def test_z_up(motion: Motion, tmp_path: Path, foreign_rig):
    lift = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # y up -> z up
    rotations = motion.rotations.clone()
    rotations[:, 0] = lift @ rotations[:, 0]
    lying = motion.replace(rotations=rotations, translation=motion.translation @ lift.mT)
    path = write_bvh(lying, tmp_path / "z.bvh")
    assert (read_bvh(path, up="z").positions() - motion.positions()).abs().max() < 2e-4


def test_z_up_is_found(motion: Motion, tmp_path: Path):
    walk = motion.replace(rotations=upright(motion.rotations))
    lift = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # y up -> z up
    rotations = walk.rotations.clone()
    rotations[:, 0] = lift @ rotations[:, 0]
    path = write_bvh(walk.replace(rotations=rotations, translation=walk.translation @ lift.mT), tmp_path / "z.bvh")
    with pytest.warns(UserWarning, match=r'stands along the z axis, .*format.s y axis; up="y" keeps that'):
        again = read_bvh(path)
    assert (again.positions() - walk.positions()).abs().max() < 2e-4


def upright(rotations: torch.Tensor) -> torch.Tensor:
    """Straight legs and a straight trunk."""
    rotations = rotations.clone()
    rotations[:, [0, 1, 2, 3, 4, 5, 6, 9]] = torch.eye(3)
    return rotations


@pytest.mark.parametrize("unit", [100.0, 1.0, 39.3701])
def test_bodies_with_bones_of_other_lengths_are_kept(motion: Motion, tmp_path: Path, unit: float):
    lengths = torch.linspace(0.85, 1.2, 22)[:, None]
    offsets = (torch.tensor(SMPL22.offsets) * lengths).tolist()
    skeleton = Skeleton(SMPL22.names, SMPL22.parents, tuple((x, y, z) for x, y, z in offsets))
    own = motion.replace(skeleton=skeleton)
    again = read_bvh(write_bvh(own, tmp_path / "own.bvh", scale=unit))
    torch.testing.assert_close(torch.tensor(again.skeleton.offsets), torch.tensor(offsets), atol=1e-5, rtol=0)
    assert (again.positions() - own.positions()).abs().max() < 1e-4


def test_position_channels_of_other_joints_replace_the_offset(tmp_path: Path):
    rest = Motion(torch.eye(3).repeat(2, 22, 1, 1), torch.tensor([[0.0, 0.95, 0.0]]).repeat(2, 1))
    lines = write_bvh(rest, tmp_path / "a.bvh").read_text().splitlines()
    row = lines.index("\tJOINT left_hip") + 3
    lines[row] = lines[row].replace("CHANNELS 3", "CHANNELS 6 Xposition Yposition Zposition")
    start = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    for index in range(start, len(lines)):
        words = lines[index].split()
        lines[index] = " ".join([*words[:6], "6.9", "-9.1", "-0.6", *words[6:]])
    (tmp_path / "b.bvh").write_text("\n".join(lines))
    torch.testing.assert_close(read_bvh(tmp_path / "b.bvh").positions(), rest.positions(), atol=1e-5, rtol=0)


def test_windows_line_ends_and_braces_behind_names(motion: Motion, tmp_path: Path):
    text = write_bvh(motion, tmp_path / "a.bvh").read_text()
    lines = text.replace("pelvis\n{", "pelvis {").replace("\n", "\r\n")
    (tmp_path / "b.bvh").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert (read_bvh(tmp_path / "b.bvh").positions() - motion.positions()).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("step", "fps"),
    [("0.033333", 30), ("0.0333", 30), ("0.0333667", 29.97), ("0.008333", 120), (".01666", 60), ("2.0", 0.5)],
)
def test_frame_rates(step: str, fps: float):
    assert math.isclose(frame_rate(step), fps, rel_tol=1e-4)
    if fps == int(fps):
        assert frame_rate(step) == fps


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "BONES", "line 1: the file must begin with HIERARCHY"),
        ("ROOT", "TREE", "line 2: ROOT must follow"),
        ("ROOT pelvis\n{", "ROOT pelvis\nOFFSET 0 0 0", "line 3: { must follow the joint 'pelvis'"),
        ("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0 0", "line 4: OFFSET must be 3 finite numbers"),
        ("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0 0 nan", "line 4: OFFSET must be 3 finite numbers"),
        ("\tOFFSET 0.000000 0.000000 0.000000\n", "", "OFFSET must be given for 'pelvis'"),
        ("CHANNELS 6", "CHANNELS 5", "line 5: CHANNELS must be a count and as many"),
        ("Xposition", "Wposition", "line 5: CHANNELS must be a count and as many"),
        ("\tJOINT left_hip", "\tBONE left_hip", "line 6: a joint, OFFSET, CHANNELS or } must follow"),
        ("JOINT left_hip", "JOINT", "line 6: a joint must have a name"),
        ("MOTION", "MOVES", "MOTION must follow the hierarchy"),
        ("Frames: 24", "Count: 24", "Frames: and 1 number must follow"),
        ("Frame Time: 0", "Frame Time: -0", "Frame Time must be positive"),
        ("Frame Time: 0", "Frame Time: x", "Frame Time must be 1 finite number,"),
    ],
)
def test_damaged_files(motion: Motion, tmp_path: Path, old: str, new: str, message: str):
    text = write_bvh(motion, tmp_path / "a.bvh").read_text()
    assert old in text
    (tmp_path / "b.bvh").write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError) as error:
        read_bvh(tmp_path / "b.bvh")
    assert message in str(error.value) and "b.bvh, line" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["nan", "inf", "1,5", "oops"])
def test_frames_that_are_not_finite_numbers(motion: Motion, tmp_path: Path, value: str):
    lines = write_bvh(motion, tmp_path / "a.bvh").read_text().splitlines()
    lines[-2] = " ".join([*lines[-2].split()[:-1], value])
    (tmp_path / "b.bvh").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=f"b.bvh, line {len(lines) - 1}: a frame must be finite numbers"):
        read_bvh(tmp_path / "b.bvh")


@pytest.mark.parametrize("part", [0.0, 0.001, 0.05, 0.1, 0.12])
def test_truncated_files(motion: Motion, tmp_path: Path, part: float):
    data = write_bvh(motion, tmp_path / "a.bvh").read_bytes()
    (tmp_path / "b.bvh").write_bytes(data[: int(part * len(data))])
    with pytest.raises(ValueError, match=r"b\.bvh, line \d+: ") as error:
        read_bvh(tmp_path / "b.bvh")
    assert "\n" not in str(error.value)


def test_binary_files(tmp_path: Path):
    (tmp_path / "b.bvh").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(ValueError, match="line 1: the file must begin with HIERARCHY"):
        read_bvh(tmp_path / "b.bvh")


def test_unknown_names_are_found_by_structure_and_a_mapping_overrides(motion: Motion, tmp_path: Path, foreign_rig):
    names = {**SCHEMES["ours"], "left_knee": "Bone.012", "head": "Bone.030"}
    path = tmp_path / "foreign.bvh"
    path.write_text(foreign_rig(motion, names).text())
    for mapping in (None, {"left_knee": "Bone.012", "head": "Bone.030"}):
        assert (read_bvh(path, mapping=mapping).positions() - motion.positions()).abs().max() < 1e-4


def test_missing_joints_are_listed(motion: Motion, tmp_path: Path):
    text = write_bvh(motion, tmp_path / "a.bvh").read_text()
    # a body without legs
    text = text.replace("left_hip", "left_hand_a").replace("right_hip", "right_hand_a").replace("knee", "finger")
    text = text.replace("ankle", "thumb").replace("left_foot", "left_ring_b").replace("right_foot", "right_ring_b")
    (tmp_path / "b.bvh").write_text(text)
    with pytest.raises(ValueError, match="got no legs: no joint for .*left_knee.*--mapping left_hip=NAME") as error:
        read_bvh(tmp_path / "b.bvh")
    assert "left_finger" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"up": "x"}, 'up must be "y" or "z"'),
        ({"scale": 0.0}, "scale must be a positive number"),
        ({"scale": float("nan")}, "scale must be a positive number"),
        ({"align": "all"}, "align must be"),
        ({"mapping": {"knee": "left_knee"}}, "mapping must have SMPL22 names as keys, got 'knee'"),
        ({"mapping": {"left_knee": "Bone"}}, "mapping must name joints of .*, got 'Bone' for 'left_knee'"),
        ({"mapping": {"left_knee": "right_knee"}}, "got 'right_knee' for left_knee, which does not hang below"),
    ],
)
def test_wrong_options(motion: Motion, tmp_path: Path, options: dict, message: str):
    path = write_bvh(motion, tmp_path / "a.bvh")
    with pytest.raises(ValueError, match=message):
        read_bvh(path, **options)


def test_wrong_scale_to_write_leaves_no_file(motion: Motion, tmp_path: Path):
    with pytest.raises(ValueError, match="scale must be"):
        write_bvh(motion, tmp_path / "a.bvh", scale=-1.0)
    assert os.listdir(tmp_path) == []
