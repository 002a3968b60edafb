"""Paths on the floor: curves through their points, times, errors in metres, and paths that nobody can walk."""

import math

import numpy as np
import pytest
import torch

from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.motion import Motion, rotation_y

CORNER = [(0, 0), (0, 2), (2, 2)]


def standing(places: np.ndarray, fps: float = 20.0) -> Motion:
    """A standing body at places `[T, 2]`."""
    x, z = torch.from_numpy(np.asarray(places, np.float32)).T
    return Motion(torch.eye(3).repeat(len(x), 22, 1, 1), torch.stack([x, torch.full_like(x, 0.95), z], 1), fps=fps)


@pytest.mark.parametrize("points", [CORNER, [(0, 0), (3, 4)], [(1, 1), (2, 3), (0, 4), (-2, 3), (-2, 0)]])
def test_the_curve_goes_through_its_points(points):
    path = FloorPath.of(points)
    places, _ = path.at(np.linspace(0, path.length, 2000))
    for point in points:
        assert np.linalg.norm(places - np.array(point), axis=-1).min() < 0.01
    straight = sum(math.dist(a, b) for a, b in zip(points, points[1:], strict=False))
    assert straight - 1e-6 <= path.length < 1.2 * straight
    # evenly along the curve, without leaps
    assert np.linalg.norm(np.diff(places, axis=0), axis=-1).max() < 1.5 * path.length / 2000


def test_directions():
    places, angles = FloorPath.of([(0, 0), (2, 2)]).at(np.array([0.0, 1.0]))
    assert angles == pytest.approx([math.pi / 4] * 2) and places[1] == pytest.approx([math.sqrt(0.5)] * 2, abs=1e-3)
    left = FloorPath.arc(length=3.0, turn=90.0)
    assert left.length == pytest.approx(3.0, rel=1e-3)
    ends, angles = left.at(np.array([0.0, 3.0]))
    assert angles == pytest.approx([0.0, math.pi / 2], abs=0.06)
    assert ends[1] == pytest.approx([6 / math.pi, 6 / math.pi], abs=0.01)  # to the left, which is +x
    assert FloorPath.arc(2.0).points == ((0.0, 0.0), (0.0, 2.0))
    # no jump where directions pass a half circle
    around = FloorPath.arc(6.0, 400.0)
    assert np.abs(np.diff(around.at(np.linspace(0, 6, 200))[1])).max() < 0.1


def test_times_set_the_pace():
    path = FloorPath.of([(0, 0, 0), (2, 0, 1), (3, 0, 4), (5, 0, 4)])
    found = path.distances(np.arange(101) / 20)
    assert path.seconds == 5 and found[0] == 0
    for second, metres in ((2, 1), (3, 4), (5, 4)):
        assert found[20 * second] == pytest.approx(metres, abs=0.3)
    assert (np.diff(found) > -1e-6).all()
    even = FloorPath.of([(0, 0), (0, 4)]).distances(np.arange(5) / 2)
    assert even == pytest.approx([0, 1, 2, 3, 4])


def test_errors_are_metres():
    line = FloorPath.of([(0, 0), (0, 4)])
    on = np.stack([np.zeros(81), np.linspace(0, 4, 81)], axis=1)
    assert path_error(standing(on), line).largest < 0.03
    aside = path_error(standing(on + [0.5, 0.0]), line)
    assert aside.mean == pytest.approx(0.5, abs=0.01) and aside.largest == pytest.approx(0.5, abs=0.01)
    # who stays at the beginning is on the curve, but leaves it out
    assert path_error(standing(on[:1].repeat(81, 0)), line).mean == pytest.approx(2.0, abs=0.05)
    # with times, being late counts
    timed = FloorPath.of([(0, 0, 0), (4, 0, 4)])
    assert path_error(standing(on), timed).largest < 0.01
    late = path_error(standing(np.concatenate([on[:1].repeat(20, 0), on[:61]])), timed)
    assert late.largest == pytest.approx(1.0, abs=0.01)
    assert str(aside) == "0.50 m from the path on average, 0.50 m at most"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0,0 1,1", "path must be points"),
        (3, "path must be points"),
        ([(0, 0), (1, 2, 3)], "path must be points"),
        ([(0, 0)], "path must be at least two points"),
        ([(0, 0), (0, math.nan)], "path must be at least two points"),
        ([(0, 0), (0, 1e9)], "at most 1000 m away"),
        ([(1, 1), (1, 1)], "path must lead somewhere"),
        ([(1, 0, 0), (2, 0, 1)], "times of path must begin at 0"),
        ([(0, 0, 0), (0, 0, 1)], "times of path must begin at 0 and increase"),
        ([(0, 0, 0), (3, 0, 40)], r"got 40\.0 m in 3 s from point 0 to 1, which needs 13\.3 m/s"),
    ],
)
def test_wrong_paths(value, message: str):
    with pytest.raises(ValueError, match=message):
        FloorPath.of(value)


def test_a_body_turned_about_is_at_the_same_place():
    motion = standing(np.stack([np.zeros(41), np.linspace(0, 2, 41)], axis=1))
    turned = motion.replace(rotations=motion.rotations.clone())
    turned.rotations[:, 0] = rotation_y(torch.tensor(1.0)) @ turned.rotations[:, 0]
    path = FloorPath.of([(0, 0), (0, 2)])
    assert path_error(turned, path) == path_error(motion, path)
