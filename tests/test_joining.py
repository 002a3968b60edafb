"""Joining: what is given stays, and nothing jumps where it goes on."""

import pytest
import torch

from motionmillion.joining import backwards, continue_from, lead_into, place
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
