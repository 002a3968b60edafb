"""Limbs in each other are found: on capsules around joints, and on the triangles of a body mesh."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from motionmillion.data.synthetic.clips import synthetic_clips
from motionmillion.eval.body.capsules import (
    CAPSULES,
    PAIRS,
    TOUCH,
    capsule_depths,
    capsule_penetration,
    capsule_penetrations,
    segment_distance,
)
from motionmillion.eval.body.collisions import MOST_A_FACE, CollisionTree, triangles_meet
from motionmillion.eval.body.mesh import BodyMesh, body_penetration, body_penetrations
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton


def posed(**joints: tuple[float, float, float]) -> Motion:
    """One frame of a body with turns of some joints, in degrees about x, y, z one after the other."""
    rotations = torch.eye(3).repeat(1, 22, 1, 1)
    for name, degrees in joints.items():
        for axis, angle in enumerate(degrees):
            turn = roma.rotvec_to_rotmat(torch.eye(3)[axis] * math.radians(angle))
            rotations[0, SMPL22.index(name)] = turn @ rotations[0, SMPL22.index(name)]
    return Motion(rotations, torch.tensor([[0.0, 0.95, 0.0]]))


ARMS_DOWN = {"left_shoulder": (0.0, 0.0, -72.0), "right_shoulder": (0.0, 0.0, 72.0)}
ARM_THROUGH_CHEST = {**ARMS_DOWN, "left_shoulder": (0.0, 0.0, -60.0), "left_elbow": (0.0, 0.0, -120.0)}
LEG_THROUGH_LEG = {**ARMS_DOWN, "left_hip": (0.0, 0.0, -16.0)}


def random_positions(frames: int, seed: int = 0, degrees: float = 40.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rotations = roma.rotvec_to_rotmat(torch.randn(frames, 22, 3, generator=generator) * math.radians(degrees))
    return SMPL22.forward_kinematics(rotations, torch.randn(frames, 3, generator=generator) * 3)[0]


# capsules


@pytest.mark.parametrize("joints", [{}, ARMS_DOWN, {"left_knee": (90.0, 0.0, 0.0), "left_hip": (-80.0, 0.0, 0.0)}])
def test_ordinary_poses_are_free(joints):
    assert capsule_penetration(posed(**joints).positions()) == 0


@pytest.mark.parametrize(
    ("joints", "wanted"),
    [
        (ARM_THROUGH_CHEST, {("left_chest", "left_forearm"), ("left_forearm", "right_chest")}),
        (
            LEG_THROUGH_LEG,
            {("left_shank", "right_shank"), ("left_shank", "right_thigh"), ("left_thigh", "right_shank")},
        ),
    ],
)
def test_limbs_in_each_other_are_named(joints, wanted):
    depths = capsule_depths(posed(**joints).positions())[0]
    found = {tuple(sorted(PAIRS[pair])) for pair in depths.nonzero()[:, 0].tolist()}
    assert found & wanted


def test_real_looking_motion_is_free_and_an_arm_pushed_through_the_body_is_not():
    motion = next(clip.motion for clip in synthetic_clips(20, seed=0) if clip.category == "walk")
    pushed = motion.rotations.clone()
    for joint in ("left_shoulder", "left_elbow"):
        pushed[:, SMPL22.index(joint)] = posed(**ARM_THROUGH_CHEST).rotations[0, SMPL22.index(joint)]
    values = capsule_penetrations([motion.positions(), motion.replace(rotations=pushed).positions()])
    assert values[0] < 0.1 and values[1] > 0.7


def test_segments_are_as_far_apart_as_a_dense_sampling_says():
    generator = torch.Generator().manual_seed(0)
    ends = torch.randn(200, 4, 3, generator=generator).double()
    ends[100:120, 3] = ends[100:120, 2] + 0.3 * (ends[100:120, 1] - ends[100:120, 0])  # parallel
    ends[120:140, 1] = ends[120:140, 0]  # a point
    ends[140:150, 1], ends[140:150, 3] = ends[140:150, 0], ends[140:150, 2]  # two points
    way = torch.linspace(0, 1, 201).double()[:, None]
    first, second = (ends[:, k, None] + way * (ends[:, k + 1] - ends[:, k])[:, None] for k in (0, 2))
    sampled = torch.cdist(first, second).flatten(1).amin(1)
    exact = segment_distance(*ends.unbind(1))
    assert bool((exact <= sampled + 1e-6).all()) and bool((sampled - exact < 0.02).all())


def test_depths_are_what_a_plain_loop_finds():
    positions = random_positions(20)
    radius = {capsule.name: capsule.radius for capsule in CAPSULES}
    ends = {}
    for capsule in CAPSULES:
        for place, end in (("start", capsule.start), ("stop", capsule.stop)):
            ends[capsule.name, place] = sum(w * positions[:, SMPL22.index(joint)] for joint, w in end.items())
    expected = torch.zeros(20, len(PAIRS))
    for pair, (a, b) in enumerate(PAIRS):
        distance = segment_distance(ends[a, "start"], ends[a, "stop"], ends[b, "start"], ends[b, "stop"])
        expected[:, pair] = (TOUCH * (radius[a] + radius[b]) - distance).clamp(min=0)
    assert bool((expected > 0).any())
    torch.testing.assert_close(capsule_depths(positions), expected, rtol=1e-3, atol=1e-5)
    percent, depth = (capsule_penetration(positions, unit) for unit in ("percent", "mm"))
    assert percent == pytest.approx(100 * float((expected > 0).double().mean()), rel=1e-6)
    assert depth == pytest.approx(1000 * float(expected.sum(1).mean()), rel=1e-3)


def test_left_and_right_weigh_the_same():
    motion = posed(**ARM_THROUGH_CHEST)
    assert capsule_penetration(motion.mirror().positions()) == capsule_penetration(motion.positions()) > 0
    assert not any({"hips", "thigh"} == {a.split("_")[-1], b.split("_")[-1]} for a, b in PAIRS)
    weights = [sum(end.values()) for capsule in CAPSULES for end in (capsule.start, capsule.stop)]
    assert weights == pytest.approx([1.0] * len(weights))


def test_place_axis_and_company_change_nothing():
    clips = [random_positions(7), random_positions(5000, 1), random_positions(1, 2)]
    alone = [capsule_penetration(clip) for clip in clips]
    assert capsule_penetrations(clips).tolist() == pytest.approx(alone, rel=1e-9)
    moved = clips[0][..., [2, 0, 1]] + torch.tensor([50.0, -20.0, 8.0])
    assert capsule_penetration(moved, "mm") == pytest.approx(capsule_penetration(clips[0], "mm"), rel=1e-2)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (torch.zeros(4, 24, 3), r"\[T, 22, 3\] with T > 0, got \(4, 24, 3\)"),
        (torch.zeros(0, 22, 3), "T > 0"),
        (torch.full((4, 22, 3), math.nan), "NaN or infinity in frame 0"),
    ],
)
def test_what_are_no_joints_is_refused(positions, words):
    with pytest.raises(ValueError, match="^positions must .*" + words):
        capsule_penetration(positions)
    with pytest.raises(ValueError, match=r"^clips\[1\] must .*" + words):
        capsule_penetrations([torch.zeros(1, 22, 3), positions])


def test_no_clips_and_unknown_units_are_refused():
    with pytest.raises(ValueError, match="at least one motion"):
        capsule_penetrations([])
    with pytest.raises(ValueError, match='"percent" or "mm", got \'cm\''):
        capsule_penetration(torch.zeros(1, 22, 3), "cm")  # type: ignore[arg-type]


# meshes


def box(centre: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Corners `[8, 3]` and 12 triangles of a box."""
    corners = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size / 2 + centre
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, torch.tensor([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))])


def body_arrays(joints: int = 24, posedirs: bool = False) -> dict[str, Any]:
    """A body of the SMPL form: a box around each bone of SMPL22, moved by the bone's upper joint."""
    places = SMPL22.forward_kinematics(torch.eye(3).expand(22, 3, 3), torch.zeros(3))[0]
    places = torch.cat([places, places[20:22] + torch.tensor([[0.08, 0.0, 0.0], [-0.08, 0.0, 0.0]])])
    places = torch.cat([places, places[:1].expand(joints - 24, 3)])
    parents = [*SMPL22.parents, 20, 21, *[15] * (joints - 24)]
    vertices, faces, owner = [], [], []
    for joint in range(1, 24):
        start, stop = places[parents[joint]], places[joint]
        girth = 0.2 if joint in (6, 9) else 0.02  # of the lower and upper spine
        corners, triangles = box((start + stop) / 2, (stop - start).abs() * 0.6 + girth)
        faces.append(triangles + 8 * len(vertices))
        vertices.append(corners)
        owner += [parents[joint]] * 8
    template = torch.cat(vertices)
    regressor = places @ torch.linalg.pinv(template)  # gives the places exactly
    table = np.array([[2**32 - 1, *parents[1:]], range(joints)], dtype=np.uint32)
    arrays = {
        "v_template": template.double().numpy(),
        "weights": torch.nn.functional.one_hot(torch.tensor(owner), joints).double().numpy(),
        "J_regressor": regressor.double().numpy(),
        "kintree_table": table,
        "f": torch.cat(faces).numpy().astype(np.uint32),
    }
    if posedirs:
        arrays["posedirs"] = np.random.default_rng(0).normal(0, 1e-3, (len(template), 3, 9 * (joints - 1)))
    return arrays


def save_body(folder: Path, **changes: np.ndarray | None) -> Path:
    arrays = {**body_arrays(), **changes}
    np.savez(folder / "BODY.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder / "BODY.npz"


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> BodyMesh:
    return BodyMesh.load(save_body(tmp_path_factory.mktemp("body")))


def test_triangles_meet_where_they_do():
    flat = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    upright = torch.tensor([[0.2, 0.2, -1.0], [0.3, 0.2, 1.0], [0.2, 0.3, 1.0]])
    cases = [
        (upright, True),
        (upright + torch.tensor([1.0, 1.0, 0.0]), False),
        (upright + torch.tensor([0.0, 0.0, 1.5]), False),
        (flat + torch.tensor([0.3, 0.3, 0.0]), True),  # in one plane
        (flat + torch.tensor([0.9, 0.9, 0.0]), False),
        (flat + torch.tensor([0.0, 0.0, 0.01]), False),
        (flat + torch.tensor([1.0, 0.0, 0.0]), True),  # touch in a corner
        (flat * 0.1 + torch.tensor([0.2, 0.2, 0.0]), True),  # one inside the other
    ]
    found = triangles_meet(flat.expand(len(cases), 3, 3), torch.stack([other for other, _ in cases]))
    assert found.tolist() == [wanted for _, wanted in cases]


def test_triangles_meet_where_an_edge_runs_through_the_other():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 3000, 3, 3, generator=generator).double()

    def pierces(a: Tensor, b: Tensor) -> Tensor:
        """Whether an edge of `a` runs through triangle `b`."""
        hit = torch.zeros(len(a), dtype=torch.bool)
        for k in range(3):
            start, way = a[:, k], a[:, (k + 1) % 3] - a[:, k]
            system = torch.stack([-way, b[:, 1] - b[:, 0], b[:, 2] - b[:, 0]], dim=-1)
            t, u, v = torch.linalg.solve(system, start - b[:, 0]).unbind(-1)
            hit |= (t >= 0) & (t <= 1) & (u >= 0) & (v >= 0) & (u + v <= 1)
        return hit

    expected = pierces(first, second) | pierces(second, first)
    assert 0.05 < expected.double().mean() < 0.9
    assert torch.equal(triangles_meet(first, second), expected)


def test_the_tree_finds_every_colliding_pair_once():
    generator = torch.Generator().manual_seed(1)
    vertices = torch.rand(3, 90, 3, generator=generator)
    faces = torch.stack([torch.randperm(90, generator=generator)[:3] for _ in range(45)])
    tree = CollisionTree(vertices[0], faces)
    found = tree.colliding(vertices)
    expected = set()
    for mesh in range(3):
        for a, b in combinations(range(45), 2):
            if not set(faces[a].tolist()) & set(faces[b].tolist()):
                if bool(triangles_meet(vertices[mesh, faces[a]][None], vertices[mesh, faces[b]][None])):
                    expected.add((mesh, a, b))
    assert {(m, min(a, b), max(a, b)) for m, a, b in found.tolist()} == expected
    assert len(found) == len(expected) > 20
    counts = [sum(mesh == m for mesh, _, _ in expected) for m in range(3)]
    assert tree.percent(vertices).tolist() == pytest.approx([100 * count / 45 for count in counts])


def test_two_boxes_collide_only_while_they_overlap():
    (first, faces), (second, _) = (
        box(torch.zeros(3), torch.ones(3)),
        box(torch.zeros(3), torch.tensor([0.5, 3.0, 0.5])),
    )
    faces = torch.cat([faces, faces + 8])
    tree = CollisionTree(torch.cat([first, second]), faces)
    apart, through = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.1, 0.2, 0.05])
    values = tree.percent(torch.stack([torch.cat([first, second + shift]) for shift in (apart, through)]))
    # the 8 long triangles of the second run through both triangles of the top and the bottom, or one of them
    assert values[0] == 0 and 100 * 8 / 24 <= values[1] <= 100 * 32 / 24


def test_no_more_than_eight_pairs_a_face_are_counted():
    generator = torch.Generator().manual_seed(0)
    vertices = torch.rand(180, 3, generator=generator) * torch.tensor([1.0, 1.0, 0.01])
    tree = CollisionTree(vertices, torch.arange(180).view(60, 3))
    assert len(tree.colliding(vertices[None])) > MOST_A_FACE * 60
    assert tree.percent(vertices[None]).tolist() == [100.0 * MOST_A_FACE]


def test_a_mesh_of_one_face_collides_with_nothing():
    assert CollisionTree(torch.eye(3), torch.tensor([[0, 1, 2]])).percent(torch.eye(3)[None]).tolist() == [0.0]


@pytest.mark.parametrize("joints", [24, 52])
def test_the_body_moves_as_its_skeleton(tmp_path, joints):
    np.savez(tmp_path / "body.npz", **body_arrays(joints))
    body = BodyMesh.load(tmp_path / "body.npz")
    assert body.weights.shape == (184, joints)
    rotations = posed(**LEG_THROUGH_LEG, left_elbow=(0.0, -70.0, 0.0), pelvis=(10.0, 40.0, 0.0)).rotations
    offsets = SMPL22.forward_kinematics(torch.eye(3).expand(22, 3, 3), body.joints[0])[0]
    torch.testing.assert_close(body.joints[:22], offsets, rtol=1e-4, atol=1e-4)
    positions, turned = SMPL22.forward_kinematics(rotations, body.joints[:1])
    owner = body.weights[:, :22].argmax(1)
    rest = body.template - body.joints[owner]
    expected = positions[0, owner] + (turned[0, owner] @ rest[..., None])[..., 0]
    torch.testing.assert_close(body.vertices(rotations)[0], expected, rtol=1e-4, atol=1e-4)


def test_pose_shapes_move_the_vertices_before_they_are_turned(tmp_path):
    arrays = body_arrays(posedirs=True)
    np.savez(tmp_path / "body.npz", **arrays)
    plain, shaped = BodyMesh.load(save_body(tmp_path)), BodyMesh.load(tmp_path / "body.npz")
    rest = posed().rotations
    torch.testing.assert_close(shaped.vertices(rest), plain.vertices(rest))
    bent = posed(left_knee=(90.0, 0.0, 0.0)).rotations
    local = torch.eye(3).repeat(23, 1, 1)
    local[:21] = bent[0, 1:]
    shift = arrays["posedirs"] @ (local - torch.eye(3)).flatten().double().numpy()
    np.savez(tmp_path / "moved.npz", **{**body_arrays(), "v_template": arrays["v_template"] + shift})
    moved = replace(BodyMesh.load(tmp_path / "moved.npz"), joints=plain.joints)
    torch.testing.assert_close(shaped.vertices(bent), moved.vertices(bent), rtol=1e-4, atol=1e-5)
    assert float((shaped.vertices(bent) - plain.vertices(bent)).norm(dim=-1).mean()) > 1e-4


@pytest.mark.parametrize(
    ("joints", "wanted"),
    [
        (ARM_THROUGH_CHEST, {("spine3", "left_wrist"), ("spine2", "left_wrist")}),
        (LEG_THROUGH_LEG, {("left_ankle", "right_ankle"), ("left_ankle", "right_knee"), ("right_ankle", "left_knee")}),
    ],
)
def test_bones_in_each_other_collide_and_are_counted(body, joints, wanted):
    """Faces of the box that ends at joint j are the 12 after 12 * (j - 1)."""

    def colliding(rotations: Tensor) -> set[tuple[str, ...]]:
        pairs = body.tree.colliding(body.vertices(rotations))[:, 1:]
        assert body_penetration(rotations, body) == pytest.approx(100 * len(pairs) / len(body.faces))
        ends = pairs // 12 + 1
        return {tuple(SMPL22.names[end] for end in sorted(pair)) for pair in ends.tolist() if max(pair) < 22}

    assert not colliding(posed(**ARMS_DOWN).rotations) & wanted
    assert colliding(posed(**joints).rotations) & wanted


def test_many_motions_at_twenty_frames_a_second(body):
    frames = [posed(**ARMS_DOWN), posed(**LEG_THROUGH_LEG)]
    rotations = torch.cat([frames[0].rotations.expand(30, -1, -1, -1), frames[1].rotations.expand(31, -1, -1, -1)])
    motion = Motion(rotations, torch.zeros(61, 3), fps=30.0)
    found = body_penetrations([motion, frames[0]], body)
    first, second = (body_penetration(frame.rotations, body) for frame in frames)
    assert found[1] == first and found[0] == pytest.approx((20 * first + 21 * second) / 41, rel=1e-9)


def test_body_models_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"smpl.is.tue.mpg.de.*nothing there.*how to convert"):
        BodyMesh.load(tmp_path / "SMPL_NEUTRAL.npz")
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(b"anything")
    with pytest.raises(ValueError, match="a pickle, which is never opened"):
        BodyMesh.load(tmp_path / "SMPL_NEUTRAL.pkl")
    with pytest.raises(ValueError, match="got no weights"):
        BodyMesh.load(save_body(tmp_path, weights=None))
    with pytest.raises(ValueError, match=r"weights .*must have shape \(184, 24\), got \(184, 20\)"):
        BodyMesh.load(save_body(tmp_path, weights=np.zeros((184, 20))))
    with pytest.raises(ValueError, match="posedirs .*must have shape"):
        BodyMesh.load(save_body(tmp_path, posedirs=np.zeros((184, 3, 9))))
    with pytest.raises(ValueError, match="must be finite"):
        BodyMesh.load(save_body(tmp_path, v_template=np.full((184, 3), np.nan)))
    with pytest.raises(ValueError, match="pickled object"):
        BodyMesh.load(save_body(tmp_path, v_template=np.array([{}], dtype=object)))
    table = body_arrays()["kintree_table"].copy()
    table[0, 5] = 3
    with pytest.raises(ValueError, match="must begin with SMPL's 22 joints"):
        BodyMesh.load(save_body(tmp_path, kintree_table=table))
    with pytest.raises(ValueError, match="faces must name vertices 0 to 183"):
        _ = BodyMesh.load(save_body(tmp_path, f=np.full((4, 3), 500))).tree


def test_rotations_and_motions_that_do_not_fit_are_refused(body):
    with pytest.raises(ValueError, match=r"\[..., 22, 3, 3\], got \(2, 21, 3, 3\)"):
        body.vertices(torch.eye(3).expand(2, 21, 3, 3))
    with pytest.raises(ValueError, match="at least one motion"):
        body_penetrations([], body)
    other = Skeleton(("hips", "chest"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 0.5, 0.0)))
    with pytest.raises(ValueError, match="SMPL22 joints"):
        body_penetrations([Motion(torch.eye(3).expand(4, 2, 3, 3), torch.zeros(4, 3), skeleton=other)], body)


def test_meshes_that_do_not_fit_are_refused():
    tree = CollisionTree(torch.eye(3), torch.tensor([[0, 1, 2]]))
    with pytest.raises(ValueError, match=r"\[B, 3, 3\], got \(2, 4, 3\)"):
        tree.colliding(torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match="NaN or infinity"):
        tree.colliding(torch.full((1, 3, 3), math.nan))
    with pytest.raises(ValueError, match=r"shape \[V, 3\]"):
        CollisionTree(torch.zeros(3), torch.tensor([[0, 1, 2]]))
    with pytest.raises(ValueError, match=r"shape \[F, 3\] with F > 0"):
        CollisionTree(torch.eye(3), torch.zeros(0, 3))
