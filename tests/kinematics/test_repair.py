"""Repair: feet held, floor at 0, jitter gone and accents kept; what is not wrong stays; streams equal the whole."""

import numpy as np
import pytest
import roma
import torch

from motionmillion.data import synthesize
from motionmillion.kinematics.contacts import FEET, find_contacts
from motionmillion.kinematics.faults import find_faults
from motionmillion.kinematics.jitter import steady_path, steady_rotations
from motionmillion.kinematics.legs import move_legs, posed
from motionmillion.kinematics.repair import RepairOptions, repair_faults, repaired, repaired_stream
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

UP = torch.tensor([0.0, 1.0, 0.0])
JITTER, FEET_ONLY = RepairOptions(False, False, True, False), RepairOptions(True, False, False, False)
NOTHING = RepairOptions(False, False, False, False)


def sliding_walk(speed: float = 0.25, seconds: float = 4.0) -> Motion:
    """A walk whose body, and so its standing feet, drifts sideways."""
    walk = synthesize("walk", seed=0, seconds=seconds)
    # forth and back, so that nothing gets far
    drift = speed / 3.0 * torch.sin(torch.arange(walk.num_frames) / walk.fps * 3.0)
    return walk.replace(translation=walk.translation + drift[:, None] * torch.tensor([1.0, 0.0, 0.0]))


def shaken(motion: Motion, degrees: float = 0.5, metres: float = 0.002, seed: int = 0) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    turns = np.deg2rad(degrees) * torch.randn(motion.num_frames, 22, 3, generator=generator)
    path = motion.translation + metres * torch.randn(motion.num_frames, 3, generator=generator)
    return motion.replace(rotations=motion.rotations @ roma.rotvec_to_rotmat(turns), translation=path)


def apart(one: Motion, other: Motion) -> float:
    """Mean distance of joints, metres."""
    return float((one.positions() - other.positions()).norm(dim=-1).mean())


def lying(seconds: float = 3.0) -> Motion:
    """A person on the back who moves the arms, the lowest joint at 0."""
    stand = synthesize("wave", seed=0, seconds=seconds)
    flat = roma.rotvec_to_rotmat(torch.tensor([-torch.pi / 2, 0.0, 0.0]))
    rotations = stand.rotations.clone()
    rotations[:, 0] = flat @ rotations[:, 0]
    down = stand.replace(rotations=rotations, translation=stand.translation @ flat.mT)
    return down.replace(translation=down.translation - UP * down.positions()[..., 1].min())


def contact_speed(motion: Motion, contacts: np.ndarray) -> float:
    """Mean speed of toes along the floor within contacts, metres per second."""
    toes = motion.positions().numpy()[:, FEET[:, 1]][..., [0, 2]]
    both = contacts[1:, :, 1] & contacts[:-1, :, 1]
    return float((np.linalg.norm(np.diff(toes, axis=0), axis=-1) * motion.fps)[both].mean())


def test_sliding_feet_are_held():
    walk = sliding_walk()
    fixed = repaired(walk, FEET_ONLY)
    contacts = find_contacts(walk.positions(), walk.fps)
    assert contact_speed(walk, contacts) > 0.1
    assert contact_speed(fixed, contacts) < 0.25 * contact_speed(walk, contacts)
    assert apart(fixed, walk) < 0.015
    # the upper body turns as before
    assert torch.allclose(fixed.rotations[:, 12:], walk.rotations[:, 12:], atol=1e-6)


def test_bones_keep_their_lengths_and_knees_bend_as_before():
    walk = sliding_walk()
    fixed = repaired(walk)
    for motion in (walk, fixed):
        thigh = motion.positions()[:, 4] - motion.positions()[:, 1]
        assert torch.allclose(thigh.norm(dim=-1), torch.tensor(SMPL22.offsets[4]).norm(), atol=1e-5)
    bends = [roma.rotmat_to_rotvec(motion.rotations[:, [4, 5]])[..., 0] for motion in (walk, fixed)]
    assert bends[1].min() > -0.1  # no knee bends forward
    assert (bends[1] - bends[0]).abs().max() < 0.6


def test_legs_whose_targets_are_their_places_do_not_move():
    walk = synthesize("walk", seed=1, seconds=2)
    rotations, root = walk.rotations.double().numpy(), walk.translation.double().numpy()
    points, _ = posed(walk.skeleton, rotations, root)
    ankles, toes = points[:, FEET[:, 0]], points[:, FEET[:, 1]]
    assert np.abs(move_legs(walk.skeleton, rotations, root, ankles, toes, walk.fps) - rotations).max() < 1e-5


def test_legs_reach_targets_within_their_length():
    walk = synthesize("walk", seed=1, seconds=2)
    rotations, root = walk.rotations.double().numpy(), walk.translation.double().numpy()
    points, _ = posed(walk.skeleton, rotations, root)
    shift = np.array([0.04, 0.05, -0.03])
    ankles, toes = points[:, FEET[:, 0]] + shift, points[:, FEET[:, 1]] + shift
    moved, _ = posed(walk.skeleton, move_legs(walk.skeleton, rotations, root, ankles, toes, walk.fps), root)
    assert np.abs(moved[:, FEET[:, 0]] - ankles).max() < 2e-3
    assert np.abs(moved[:, FEET[:, 1]] - toes).max() < 2e-3


def test_jitter_goes_and_the_motion_stays():
    walk = synthesize("walk", seed=0, seconds=4)
    rough = shaken(walk)
    fixed = repaired(rough, JITTER)
    assert find_faults(fixed).jerk < 0.5 * find_faults(rough).jerk
    assert apart(fixed, walk) < apart(rough, walk)


def test_a_clean_motion_has_no_jitter_to_lose():
    walk = synthesize("walk", seed=0, seconds=4)
    assert apart(repaired(walk, JITTER), walk) < 0.001


@pytest.mark.parametrize("fps", [20.0, 30.0, 60.0])
def test_accents_are_kept(fps: float):
    """A hit of a tenth of a second within jitter: an elbow that stretches by 90 degrees and comes back."""
    time = torch.arange(int(3 * fps)) / fps - 1.5
    vectors = torch.zeros(len(time), 22, 3)
    vectors[:, 18, 1] = 1.57 * torch.exp(-((time / 0.12) ** 2))
    rotations = roma.rotvec_to_rotmat(vectors)
    clean = Motion(rotations, torch.zeros(len(time), 3) + UP, fps=fps)
    punch = shaken(clean, 0.3, 0.001)
    fixed = repaired(punch, JITTER)
    speeds = [float(m.positions()[:, 20].diff(dim=0).norm(dim=-1).max()) for m in (clean, fixed)]
    assert speeds[1] == pytest.approx(speeds[0], rel=0.05)
    assert find_faults(fixed).jerk < find_faults(punch).jerk


def test_the_filter_does_not_depend_on_the_heading():
    """In the tangent space there is no special direction."""
    rough = shaken(synthesize("walk", seed=0, seconds=2))
    rotations, turn = rough.rotations.double().numpy(), roma.rotvec_to_rotmat(torch.tensor([0.3, 2.0, -1.0])).numpy()
    assert np.abs(steady_rotations(turn @ rotations, 30.0) - turn @ steady_rotations(rotations, 30.0)).max() < 1e-5


def test_the_filter_keeps_steady_turns_and_parabolas():
    time = torch.arange(60.0, dtype=torch.float64) / 30.0
    spin = roma.rotvec_to_rotmat(time[:, None, None] * torch.tensor([0.0, 20.0, 0.0], dtype=torch.float64)).numpy()
    assert np.abs(steady_rotations(spin, 30.0) - spin).max() < 1e-9
    fall = np.stack([time.numpy(), 1.0 - 4.9 * time.numpy() ** 2, 0.0 * time.numpy()], axis=-1)
    assert np.abs(steady_path(fall, 30.0)[3:-3] - fall[3:-3]).max() < 1e-9


def test_below_fifteen_frames_per_second_movement_is_not_taken_for_jitter():
    rotations = shaken(synthesize("walk", seed=0, seconds=2)).rotations.double().numpy()
    assert steady_rotations(rotations, 14.0) is rotations


@pytest.mark.parametrize("height", [-0.06, 0.5])
def test_the_floor_is_put_at_zero(height: float):
    walk = synthesize("walk", seed=0, seconds=3)
    moved = walk.replace(translation=walk.translation + height * UP)
    fixed = repaired(moved, RepairOptions(False, True, False, False))
    assert -0.005 < float(fixed.positions()[..., 1].min()) < 0.03
    sunk = find_faults(moved, floor=0.0).penetration
    assert find_faults(fixed, floor=0.0).penetration <= min(sunk, 0.006)


def test_a_foot_that_dips_into_the_floor_is_lifted():
    walk = synthesize("walk", seed=0, seconds=3).canonicalize()
    path = walk.translation.clone()
    path[40:46, 1] -= 0.04
    fixed = repaired(walk.replace(translation=path), RepairOptions(False, True, False, False))
    assert float(fixed.positions()[:, [10, 11], 1].min()) > -0.008


def test_low_swings_are_lifted_and_only_them():
    walk = synthesize("walk", seed=0, seconds=3)
    options = RepairOptions(False, False, False, True)
    rise = (repaired(walk, options).positions() - walk.positions())[:, [10, 11], 1]
    assert rise.max() < 0.04 and rise.min() > -0.035
    stand = synthesize("wave", seed=0, seconds=3)
    assert apart(repaired(stand, options), stand) < 0.001


def test_every_part_can_be_left_out():
    rough = shaken(sliding_walk())
    assert apart(repaired(rough, NOTHING), rough) < 1e-6
    for name in ("feet", "floor", "jitter", "swing"):
        with_one = rough.replace(translation=rough.translation - 0.05 * UP).repaired(
            **{other: other == name for other in ("feet", "floor", "jitter", "swing")}
        )
        assert apart(with_one, rough.replace(translation=rough.translation - 0.05 * UP)) > 1e-4, name


@pytest.mark.parametrize("action", ["jump", "lie", "swim", "crawl"])
def test_motions_without_standing_feet_stay(action: str):
    if action == "jump":
        motion = synthesize("jump", seed=0, seconds=3)
    else:
        motion = lying()
        if action != "lie":  # face down and forward: on the floor, or in water far above it
            turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, torch.pi]))
            rotations = motion.rotations.clone()
            rotations[:, 0] = turn @ rotations[:, 0]
            time = torch.arange(motion.num_frames)[:, None] / motion.fps
            path = motion.translation + time * torch.tensor([0.0, 0.0, 0.8]) + UP * (action == "swim")
            motion = motion.replace(rotations=rotations, translation=path)
    fixed = repaired(motion, RepairOptions(True, False, True, True))
    assert apart(fixed, motion) < 0.015
    peak = [float(m.positions()[..., 1].max()) for m in (motion, fixed)]
    assert peak[1] == pytest.approx(peak[0], abs=0.02)
    height = [m.positions()[:, 0, 1] for m in (motion, repaired(motion))]
    assert float((height[1] - height[0]).diff().abs().max()) < 0.02  # the floor moves all frames alike


@pytest.mark.parametrize("height", [0.08, 0.5, -0.1])
def test_bodies_that_only_lie_keep_their_height_above_the_floor(height: float):
    """The back's skin is below its joints, and a bed is above the floor: only what is in the floor moves."""
    motion = lying()
    motion = motion.replace(translation=motion.translation + UP * height)
    fixed = motion.repaired()
    lowest = [float(m.positions()[..., 1].min()) for m in (motion, fixed)]
    assert lowest[1] == pytest.approx(max(lowest[0], 0.0), abs=0.015)
    assert "no foot ever stands" in repair_faults(motion, fixed)
    assert "no foot ever stands" not in repair_faults(sliding_walk(), sliding_walk().repaired())


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_motions_are_repaired(frames: int):
    fixed = sliding_walk().slice(0, frames).repaired()
    assert fixed.num_frames == frames


def test_frame_rate_skeleton_and_caption_stay():
    offsets = tuple(tuple(0.8 * value for value in offset) for offset in SMPL22.offsets)
    child = Skeleton(SMPL22.names, SMPL22.parents, offsets)  # type: ignore[arg-type]
    walk = sliding_walk()
    small = walk.replace(skeleton=child, translation=0.8 * walk.translation, caption="a walk")
    fixed = small.repaired()
    assert (fixed.fps, fixed.skeleton, fixed.caption) == (small.fps, child, "a walk")
    assert apart(fixed, small) < 0.02


def test_repairing_twice_changes_little():
    once = sliding_walk().repaired()
    assert apart(once.repaired(), once) < 0.004


@pytest.mark.parametrize("size", [7, 40])
def test_a_stream_equals_the_whole(size: int):
    walk = shaken(sliding_walk(seconds=8.0), 0.3)
    options = RepairOptions(floor_height=0.0)
    pieces = [walk.slice(start, start + size) for start in range(0, walk.num_frames, size)]
    streamed = Motion.join(repaired_stream(pieces, options))
    whole = repaired(walk, options)
    assert streamed.num_frames == whole.num_frames
    assert float((streamed.positions() - whole.positions()).norm(dim=-1).max()) < 1e-4


def test_a_stream_yields_before_its_source_ends():
    walk = sliding_walk(seconds=8.0)
    taken = []

    def pieces():
        for start in range(0, walk.num_frames, 20):
            taken.append(start)
            yield walk.slice(start, start + 20)

    next(repaired_stream(pieces()))
    assert len(taken) < 6


def test_bad_input_is_refused():
    walk = sliding_walk(seconds=2.0)
    with pytest.raises(ValueError, match="feet must be True or False, got 'no'"):
        walk.repaired(feet="no")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="floor_height must be finite, got nan"):
        walk.repaired(floor_height=float("nan"))
    with pytest.raises(ValueError, match="look_ahead must be at least"):
        list(repaired_stream([walk], look_ahead=0.1))
    two = Skeleton(("pelvis", "spine"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 0.5, 0.0)))
    with pytest.raises(ValueError, match="motion must have SMPL22's joints"):
        Motion(torch.eye(3).expand(2, 2, 3, 3), torch.zeros(2, 3), skeleton=two).repaired()
