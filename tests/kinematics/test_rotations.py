"""Rotations of retargeting against their definitions."""

import numpy as np
import pytest
import roma
import torch

from motionmillion.kinematics.rotations import (
    about,
    angle_between,
    axis_rotation,
    nearest,
    power,
    swing,
    twist_fit,
    unit,
    whole_fit,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def any_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    return roma.random_rotmat(count, generator=torch.Generator().manual_seed(int(rng.integers(1000)))).double().numpy()


def test_axis_rotations_are_those_of_scipy_s_convention():
    angle = np.array([0.3, -2.0])
    for axis, name in enumerate("xyz"):
        expected = roma.euler_to_rotmat(name, torch.from_numpy(angle)[:, None]).numpy()
        np.testing.assert_allclose(axis_rotation(angle, axis), expected, atol=1e-12)


def test_swing_turns_one_direction_to_the_other_by_the_angle_between(rng: np.random.Generator):
    start, end = rng.normal(size=(2, 50, 3))
    turned = swing(start, end)
    np.testing.assert_allclose((turned @ unit(start)[..., None])[..., 0], unit(end), atol=1e-9)
    angles = [angle_between(a, b) for a, b in zip(start, end, strict=True)]
    np.testing.assert_allclose(roma.rotmat_geodesic_distance(torch.from_numpy(turned), torch.eye(3).double()), angles)


@pytest.mark.parametrize("direction", [[1.0, 0, 0], [0, 2.0, 0], [0, 0, -0.5], [1.0, 2.0, -3.0]])
def test_swing_of_opposite_directions_is_half_a_turn(direction: list[float]):
    vector = np.array(direction)
    turned = swing(vector, -vector)
    np.testing.assert_allclose(turned @ vector, -vector, atol=1e-9)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turned) == pytest.approx(1.0)


def test_power_scales_angles_and_nearest_removes_noise(rng: np.random.Generator):
    turned = any_rotations(rng, 20)
    np.testing.assert_allclose(power(turned, 0.5) @ power(turned, 0.5), turned, atol=1e-6)
    np.testing.assert_allclose(power(turned, 0.0), np.broadcast_to(np.eye(3), turned.shape), atol=1e-9)
    np.testing.assert_allclose(nearest(turned * 1.7), turned, atol=1e-6)


def test_fits_find_a_constant_rotation_on_the_right(rng: np.random.Generator):
    turned, constant = any_rotations(rng, 30), any_rotations(rng, 1)[0]
    np.testing.assert_allclose(whole_fit(turned, turned @ constant), constant, atol=1e-6)
    axis = unit(rng.normal(size=3))
    assert twist_fit(turned, turned @ about(axis, -2.2), axis) == pytest.approx(-2.2)
