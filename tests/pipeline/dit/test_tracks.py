"""A DiT held on a path: the pelvis is where the path has it in every frame, over one window and over several."""

import math

import numpy as np
import pytest
import torch

from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.kinematics.roots import headings
from motionmillion.motion import Motion
from motionmillion.pipeline.dit.tracks import Track
from motionmillion.pipeline.ways import Way

CORNER = [(1, 1), (1, 3), (2.5, 4)]


def test_masked_values_are_followed(smooth_pipeline):
    way = Way.of(path=CORNER, seconds=4)
    assert way is not None
    motion = smooth_pipeline("a person walks", seconds=4, path=CORNER, seed=1)[0]
    places, _ = way.places(80, 20.0)
    assert motion.num_frames == 80
    np.testing.assert_allclose(motion.translation[:, [0, 2]].numpy(), places, atol=1e-3)
    # heights and joints are the model's, not those of the standing body on the track
    track = Track.of(way, 80, 20.0).motion
    assert (motion.translation[:, 1] - track.translation[:, 1]).abs().max() > 0.005
    assert (motion.rotations[:, 1:] - track.rotations[:, 1:]).abs().max() > 0.05


def test_without_a_path_it_goes_elsewhere(smooth_pipeline):
    free = smooth_pipeline("a person walks", seconds=4, seed=1)[0]
    assert path_error(free, FloorPath.of(CORNER)).mean > 0.5


def test_several_windows(smooth_pipeline):
    """More frames than the model's window of 100; at the seams the way is not lost."""
    path = FloorPath.of([(0, 0), (0, 6), (4, 8)])
    motion = smooth_pipeline("a person walks", seconds=10, path=path, seed=2)[0]
    error = path_error(motion, path)
    assert motion.num_frames == 200 and error.mean < 0.03 and error.largest < 0.15
    steps = motion.positions().diff(dim=0).norm(dim=-1).amax(-1)
    assert steps.max() < 4 * steps.median()


def test_times_speed_and_turn(smooth_pipeline):
    timed = smooth_pipeline("walk", path=[(0, 0, 0), (2, 0, 1), (4, 0, 4)])[0]
    assert timed.num_frames == 80 and float(timed.translation[40, 2]) == pytest.approx(1.0, abs=0.2)
    straight = smooth_pipeline("walk", seconds=3, speed=1.5)[0]
    ends = straight.translation[[0, -1]][:, [0, 2]]
    assert torch.allclose(ends, torch.tensor([[0.0, 0.0], [0.0, 4.5]]), atol=1e-2)
    left = smooth_pipeline("walk", seconds=3, speed=1.0, turn=90)[0]
    assert path_error(left, FloorPath.arc(3.0, 90)).largest < 0.03


def test_the_body_faces_where_it_is_asked_to(smooth_pipeline):
    for facing in (0.0, 90.0, -135.0):
        motion = smooth_pipeline("walk", seconds=3, path=[(0, 0), (0, 3)], facing=facing)[0]
        yaw = headings(motion.rotations[:, 0].double())
        assert torch.cos(yaw - math.radians(facing)).min() > 0.9
        assert path_error(motion, FloorPath.of([(0, 0), (0, 3)])).largest < 0.03
    free = smooth_pipeline("walk", seconds=3, facing=90, seed=1)[0]  # alone it holds the heading, not the place
    yaw = headings(free.rotations[:, 0].double())
    assert torch.cos(yaw - math.radians(90)).min() > 0.9
    assert free.translation[:, [0, 2]].abs().max() > 0.02
    turned = smooth_pipeline("turn", seconds=3, turn=120)[0]
    yaw = headings(turned.rotations[:, 0].double())
    assert math.degrees(float(yaw[-1] - yaw[0])) == pytest.approx(120, abs=3)
    assert turned.translation[:, [0, 2]].abs().max() < 0.01


def test_company_changes_nothing(tiny_dit_pipeline):
    alone = tiny_dit_pipeline("a person walks", path=CORNER, seconds=2)[0]
    pair = tiny_dit_pipeline(["a person walks", "a person jumps"], path=CORNER, seconds=2)
    assert torch.allclose(pair[0].positions(), alone.positions(), atol=1e-4)
    assert path_error(alone, FloorPath.of(CORNER)).largest < 0.05


def test_what_cannot_be_asked(tiny_dit_pipeline):
    still = Motion(torch.eye(3).repeat(40, 22, 1, 1), torch.tensor([[0.0, 0.95, 0.0]]).repeat(40, 1), fps=20)
    with pytest.raises(ValueError, match="path, speed, turn and facing must come without prefix and reference"):
        tiny_dit_pipeline("a person walks", path=CORNER, prefix=still)
    with pytest.raises(ValueError, match=r"which needs 13\.3 m/s"):
        tiny_dit_pipeline("a person walks", path=[(0, 0), (0, 40)], seconds=3)
