"""Joining: what is given stays, and nothing jumps where it goes on."""

import pytest
import torch

from motionmillion.kinematics import joining
from motionmillion.kinematics.joining import backwards, continue_from, extended, fill_in, go_on, lead_into, place
from motionmillion.motion import Motion, rotation_y


@pytest.fixture
def moved(turning_motion):
    """The same motion elsewhere, turned, and with the small errors of a reconstruction."""
    generator = torch.Generator().manual_seed(1)
    turn = rotation_y(torch.tensor(2.0))
    noise = rotation_y(0.05 * torch.randn(22, generator=generator))
    rotations = noise @ turning_motion.rotations
    rotations[:, 0] = turn @ rotations[:, 0]
    path = turning_motion.translation @ turn.mT + torch.tensor([5.0, 0.02, -2.0])
    return Motion(rotations, path)


def jump(motion: Motion, frame: int) -> float:
    """Largest second difference of a joint around a frame, metres."""
    positions = motion.positions()[frame - 2 : frame + 3]
    return float((positions[2:] - 2 * positions[1:-1] + positions[:-2]).norm(dim=-1).max())


def test_placing_undoes_a_move_along_the_ground(turning_motion, moved):
    turn = rotation_y(torch.tensor(2.0))
    rotations = turning_motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    path = turning_motion.translation @ turn.mT + torch.tensor([5.0, 0.0, -2.0])
    back = place(Motion(rotations, path), 17, turning_motion, 17)
    assert torch.allclose(back.positions(), turning_motion.positions(), atol=1e-4)


def test_what_was_given_stays_and_nothing_jumps(turning_motion, moved):
    first = turning_motion.slice(0, 150)
    joined = continue_from(first, moved.slice(100, 300), overlap=50)
    assert joined.num_frames == 300
    assert torch.equal(joined.rotations[:150], first.rotations)
    assert torch.equal(joined.translation[:150], first.translation)
    plain = Motion(
        torch.cat([first.rotations, moved.rotations[150:]]), torch.cat([first.translation, moved.translation[150:]])
    )
    usual = max(jump(turning_motion, frame) for frame in range(10, 290, 10))
    assert jump(joined, 150) < 1.5 * usual < jump(plain, 150)
    late = place(moved, 149, turning_motion, 149).positions()[200:]
    assert torch.allclose(joined.positions()[200:], late, atol=1e-4)  # the offset has faded out


def test_leading_into_a_motion_is_the_same_in_reverse(turning_motion, moved):
    last = turning_motion.slice(150, 300)
    joined = lead_into(moved.slice(0, 200), last, overlap=50)
    assert joined.num_frames == 300
    assert torch.allclose(joined.rotations[150:], last.rotations)
    usual = max(jump(turning_motion, frame) for frame in range(10, 290, 10))
    assert jump(joined, 150) < 1.5 * usual
    assert torch.equal(backwards(backwards(joined)).rotations, joined.rotations)


def test_one_common_frame_is_enough(turning_motion, moved):
    joined = continue_from(turning_motion.slice(0, 1), moved.slice(0, 20), overlap=1)
    assert joined.num_frames == 20
    assert continue_from(turning_motion, moved, overlap=300) is turning_motion  # nothing follows


@pytest.mark.parametrize("overlap", [0, 51])
def test_bad_overlaps_are_named(turning_motion, overlap):
    with pytest.raises(ValueError, match=r"overlap must be in 1\.\.50"):
        continue_from(turning_motion.slice(0, 50), turning_motion, overlap)
    with pytest.raises(ValueError, match="generated must have the fps of first, 30, got 20"):
        continue_from(turning_motion, turning_motion.resample(20), 10)


def test_new_motion_is_bent_until_it_goes_on(turning_motion):
    first, rest = turning_motion.slice(0, 150), turning_motion.slice(150, 300)
    usual = max(jump(turning_motion, frame) for frame in range(10, 290, 10))
    aside = rest.replace(translation=rest.translation + torch.tensor([2.0, 0.03, 1.0]))
    for new in (rest, aside):
        motion = go_on(first, new)
        assert motion.num_frames == 300 and torch.equal(motion.rotations[:150], first.rotations)
        assert jump(motion, 150) < 1.5 * usual
    assert float((motion.translation[200:] - turning_motion.translation[200:]).norm(dim=-1).max()) < 0.5  # moved over
    still = go_on(first, aside, moves=False)
    assert torch.allclose(still.translation[180:], aside.translation[30:], atol=1e-5)  # faded out
    assert go_on(first.slice(0, 1), rest).num_frames == 151 and go_on(first, rest.slice(0, 1)).num_frames == 151


def test_a_gap_is_filled_without_changing_its_ends(turning_motion):
    first, new, last = (turning_motion.slice(start, start + 100) for start in (0, 100, 200))
    new = new.replace(translation=new.translation + torch.tensor([0.0, 0.05, 0.0]))
    usual = max(jump(turning_motion, frame) for frame in range(10, 290, 10))
    for count in (100, 5, 1):
        motion = fill_in(first, new.slice(0, count), last, moves=False)
        assert motion.num_frames == 200 + count
        assert torch.equal(motion.rotations[:100], first.rotations)
        assert torch.allclose(motion.rotations[-100:], last.rotations, atol=1e-5)
        assert torch.allclose(motion.translation[-100:], last.translation, atol=1e-5)
    motion = fill_in(first, new, last)
    assert jump(motion, 100) < 1.5 * usual and jump(motion, 200) < 1.5 * usual
    assert fill_in(None, new, None) is new


@pytest.mark.parametrize("angle", [1.6, 3.1])
def test_new_motion_that_leaps_at_its_end_is_bent_without_a_tear(turning_motion, angle):
    first, new, last = (turning_motion.slice(start, start + 60) for start in (0, 60, 120))
    usual = max(jump(turning_motion, frame) for frame in range(10, 290, 10))
    turn = rotation_y(torch.tensor(angle))
    rotations, path = new.rotations.clone(), new.translation + torch.linspace(0, 0.5, 60)[:, None]
    rotations[:, 0] = turn @ rotations[:, 0]
    rotations[-1] = rotation_y(torch.tensor(-angle / 2)) @ rotations[-1]  # half of the way back in one frame
    path[-1] -= 0.3
    rough = rotation_y(0.02 * torch.randn(60, 22, generator=torch.Generator().manual_seed(0)))
    leaping = Motion(rough @ rotations, path)
    motion = fill_in(first, leaping, last, moves=False)
    assert torch.equal(motion.rotations[:60], first.rotations)
    assert torch.allclose(motion.rotations[-60:], last.rotations, atol=1e-5)
    own = max(jump(leaping, frame) for frame in range(2, 50))
    worst = max(jump(motion, frame) for frame in range(50, 130))
    assert jump(leaping, 57) > 2 * own and worst < 2 * max(own, usual)
    back = fill_in(backwards(last), backwards(leaping), None, moves=False)
    assert max(jump(back, frame) for frame in range(50, 118)) < 2 * max(own, usual)


def test_a_large_difference_of_speed_does_not_lead_far(turning_motion):
    first, still = turning_motion.slice(0, 20), turning_motion.slice(20, 21)
    path = first.translation.clone()
    path[-1, 1] += 0.5  # half a metre up in one frame
    rest = still.replace(rotations=still.rotations.expand(40, -1, -1, -1), translation=path[-1:].expand(40, -1))
    motion = go_on(first.replace(translation=path), rest, moves=False)
    assert float((motion.translation[20:, 1] - path[-1, 1]).max()) < 0.7


def test_extending_goes_on_at_the_last_speed(turning_motion):
    motion = extended(turning_motion, 3)
    steps = motion.translation.diff(dim=0)[-4:]
    assert motion.num_frames == 303 and torch.allclose(steps, steps[:1].expand(4, 3), atol=1e-5)
    turns = motion.rotations[-4:] @ motion.rotations[-5:-1].mT
    assert torch.allclose(turns, turns[:1].expand(4, -1, -1, -1), atol=1e-4)
    mean = extended(turning_motion, 1, steps=4)
    step = (turning_motion.translation[-1] - turning_motion.translation[-5]) / 4
    assert torch.allclose(mean.translation[-1] - mean.translation[-2], step, atol=1e-5)
    alone = extended(turning_motion.slice(0, 1), 2)
    assert torch.allclose(alone.rotations[2], alone.rotations[0], atol=1e-6)


def test_pieces_are_joined_as_they_stand(turning_motion):
    pieces = [turning_motion.slice(0, 10), turning_motion.slice(10, 25)]
    assert torch.equal(joining.joined(pieces).rotations, turning_motion.rotations[:25])
