"""Motions on bodies of other proportions and rest poses: read back they are the same motion."""

import sys
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from motionmillion.data import synthesize
from motionmillion.kinematics import RetargetOptions
from motionmillion.kinematics.retarget import on_smpl22, retarget
from motionmillion.kinematics.targets import Target, ToTarget
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

sys.path[:0] = [str(Path(__file__).parents[2] / "recipes/files")]
from rigs import INDEX, SIDES, Rig, plain_offsets, walk  # noqa: E402

NAMES = ("hips", *SMPL22.names[1:])
ANKLES = [INDEX[f"{side}_{part}"] for side, _ in SIDES for part in ("ankle", "foot")]
REST = [joint for joint in range(22) if joint not in ANKLES]


@pytest.fixture(scope="module")
def motion() -> Motion:
    return synthesize("walk", seed=0, seconds=2)


def skeleton(**factors: float) -> Skeleton:
    offsets = plain_offsets() / 100
    for name, factor in factors.items():
        for joint, own in enumerate(SMPL22.names):
            if own.split("_")[-1] == name or name == "all":
                offsets[joint] *= factor
    return Skeleton(NAMES, SMPL22.parents, tuple((float(x), float(y), float(z)) for x, y, z in offsets))


def degrees_apart(first: Motion, second: Motion) -> np.ndarray:
    return np.rad2deg(roma.rotmat_geodesic_distance(first.rotations.double(), second.rotations.double()).numpy()).max(
        0
    )


@pytest.mark.parametrize("factors", [{}, {"all": 0.6}, {"all": 2.0}, {"elbow": 1.5, "wrist": 1.5}, {"ankle": 0.8}])
def test_read_back_it_is_the_motion(motion: Motion, factors: dict[str, float]):
    again = on_smpl22(motion.retarget(skeleton(**factors), RetargetOptions(feet=False)))
    apart = degrees_apart(again, motion)
    assert apart[REST].max() < 0.1
    assert apart[ANKLES].max() < 8.0  # the slope of the foot is the rig's


@pytest.mark.parametrize("factors", [{}, {"all": 0.6}, {"all": 2.0}, {"ankle": 0.8}, {"hip": 1.5}, {"foot": 1.4}])
def test_feet_stand_where_the_motion_has_them(motion: Motion, factors: dict[str, float]):
    body = skeleton(**factors)
    carried = motion.retarget(body)
    leg = sum(np.linalg.norm(body.offsets[INDEX[f"left_{part}"]]) for part in ("knee", "ankle"))
    size = leg / sum(np.linalg.norm(SMPL22.offsets[INDEX[f"left_{part}"]]) for part in ("knee", "ankle"))
    balls = [INDEX["left_foot"], INDEX["right_foot"]]
    apart = carried.positions()[:, balls] - motion.positions()[:, balls] * size
    assert apart[..., [0, 2]].abs().max() < 2e-3 * size
    # longer feet are lifted where their heels would be below the motion's
    assert -2e-3 < apart[..., 1].min() and apart[..., 1].max() < (0.01 if "foot" in factors else 2e-3) * size
    assert carried.fps == motion.fps and carried.caption == motion.caption


def test_hands_are_placed_where_asked(motion: Motion):
    body = skeleton(elbow=1.4, wrist=1.4)
    hands = [INDEX["left_wrist"], INDEX["right_wrist"]]
    apart = []
    for option in (False, True):
        carried = motion.retarget(body, RetargetOptions(hands=option)).positions()
        hips = [p[:, [INDEX["left_hip"], INDEX["right_hip"]]].mean(1) for p in (carried, motion.positions())]
        size = 0.83 / 0.78
        apart.append(
            float(
                (carried[:, hands] - hips[0][:, None] - size * (motion.positions()[:, hands] - hips[1][:, None]))
                .norm(dim=-1)
                .max()
            )
        )
    assert apart[0] > 0.15 and apart[1] < 0.03


def test_the_path_is_scaled_as_asked(motion: Motion):
    body = skeleton(all=2.0)
    start, end = motion.translation[[0, -1]]
    for options, factor in ((RetargetOptions(), 2 * 0.8325 / 0.78), (RetargetOptions(scale=1.0, feet=False), 1.0)):
        path = motion.retarget(body, options).translation
        assert float((path[-1] - path[0])[[0, 2]].norm()) == pytest.approx(
            factor * float((end - start)[[0, 2]].norm()), rel=0.03
        )


@pytest.mark.parametrize(
    "frames", [Rig(), Rig().turned_about_its_bone(("spine1", "spine2"), 90), Rig().along([1.0, 0, 0])]
)
def test_rigs_of_any_rest_pose_given_their_clip(motion: Motion, frames: Rig):
    """A rig whose rest pose nobody could hold is understood from a clip of its own."""
    rest, clip = frames.rest(), frames.posed(*walk(20))
    target = Target(NAMES, SMPL22.parents, rest, None, *clip)
    carried = ToTarget(target, INDEX, RetargetOptions(feet=False))(motion)
    local, root = retarget(INDEX, SMPL22.parents, rest, carried.positions, carried.rotations)
    again = Motion(torch.from_numpy(local), torch.from_numpy(root))
    # the direction of every limb is the motion's
    assert (again.positions() - again.positions()[:, :1] - motion.positions() + motion.positions()[:, :1]).norm(
        dim=-1
    ).max() < 0.05


def test_a_rest_pose_that_nobody_could_hold(motion: Motion):
    target = Target(NAMES, SMPL22.parents, Rig().along([1.0, 0, 0]).rest(), path="x.bvh")
    with pytest.warns(UserWarning, match=r"x.bvh: nobody could hold the rest pose of its arms and legs and trunk"):
        carried = ToTarget(target, INDEX)(motion)
    shins = carried.positions[:, ANKLES[0]] - carried.positions[:, INDEX["left_knee"]]
    assert (shins[:, 1] < 0).all()  # it stands all the same


def test_joints_without_a_counterpart_keep_their_rest_pose(motion: Motion):
    body = skeleton()
    names = (*body.names, "left_finger", "right_finger")
    more = Skeleton(
        names, (*body.parents, INDEX["left_wrist"], INDEX["right_wrist"]), (*body.offsets, (0.08, 0, 0), (-0.08, 0, 0))
    )
    carried = motion.retarget(more)
    assert (carried.rotations[:, 22:] - torch.eye(3)).abs().max() < 1e-6


@pytest.mark.parametrize(
    "missing", [("neck",), ("left_collar", "right_collar"), ("left_foot", "right_foot"), ("spine1", "spine2")]
)
def test_bodies_with_fewer_joints(motion: Motion, missing: tuple[str, ...]):
    """What hangs on a missing joint hangs on the one above; arms and head still point where the motion has them."""
    kept = [joint for joint, name in enumerate(SMPL22.names) if name not in missing]
    body, parents, offsets = skeleton(), [], []
    for joint in kept:
        offset, above = np.array(body.offsets[joint]), SMPL22.parents[joint]
        while above >= 0 and above not in kept:
            offset, above = offset + body.offsets[above], SMPL22.parents[above]
        parents.append(kept.index(above) if above >= 0 else -1)
        offsets.append(tuple(float(value) for value in offset))
    less = Skeleton(tuple(NAMES[joint] for joint in kept), tuple(parents), tuple(offsets))
    places, wanted = motion.retarget(less).positions(), motion.positions()
    for side, _ in SIDES:
        pair = [less.names.index(f"{side}_{part}") for part in ("shoulder", "elbow")]
        arm = torch.nn.functional.normalize(places[:, pair[1]] - places[:, pair[0]], dim=-1)
        other = wanted[:, INDEX[f"{side}_elbow"]] - wanted[:, INDEX[f"{side}_shoulder"]]
        # bones of SMPL's rest pose are not quite along x
        assert (arm * torch.nn.functional.normalize(other, dim=-1)).sum(-1).min() > 0.98


def test_a_skeleton_without_legs(motion: Motion):
    body = skeleton()
    kept = [joint for joint, name in enumerate(SMPL22.names) if not name.endswith(("hip", "knee", "ankle", "foot"))]
    parents = tuple(kept.index(SMPL22.parents[joint]) if joint else -1 for joint in kept)
    less = Skeleton(tuple(NAMES[j] for j in kept), parents, tuple(body.offsets[j] for j in kept))
    with pytest.raises(
        ValueError, match=r"skeleton: names must map onto SMPL22, got no legs: no joint for left_hip, "
    ):
        motion.retarget(less)


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"scale": float("nan")}, {"sole": -0.1}])
def test_options_out_of_range(options: dict[str, float]):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"{name} must be a"):
        RetargetOptions(**options)
