"""Two-bone inverse kinematics: the end is at its goal, bones keep their lengths, and nothing flips."""

import numpy as np
import pytest

from motionmillion.kinematics.limbs import reach
from motionmillion.kinematics.rotations import unit

AHEAD = np.array([[0.0, 0.0, 1.0]])


def placed(start, middle, end, goal):
    found = reach(start, middle, end, goal, np.repeat(AHEAD, len(start), axis=0))
    knee = start + (found.upper @ (middle - start)[..., None])[..., 0]
    return found, knee, knee + (found.lower @ (end - middle)[..., None])[..., 0]


def limbs(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(count, 3))
    middle = start + unit(rng.normal(size=(count, 3))) * 0.4
    end = middle + unit(rng.normal(size=(count, 3))) * 0.38
    return start, middle, end, rng


def test_ends_are_at_goals_within_reach():
    start, middle, end, rng = limbs(200)
    goal = start + unit(rng.normal(size=(200, 3))) * rng.uniform(0.1, 0.77, (200, 1))
    found, knee, tip = placed(start, middle, end, goal)
    np.testing.assert_allclose(tip, goal, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(knee - start, axis=1), 0.4)
    np.testing.assert_allclose(np.linalg.norm(tip - knee, axis=1), 0.38)
    assert found.short.max() < 1e-9


def test_a_limb_at_its_goal_stays():
    start, middle, end, _ = limbs(50)
    found, _, _ = placed(start, middle, end, end)
    # only the little that `ahead` counts for
    assert np.abs(found.upper - np.eye(3)).max() < 0.15


def test_a_goal_too_far_is_approached():
    start = np.zeros((1, 3))
    found, _, tip = placed(start, start + [[0, -0.4, 0.01]], start + [[0, -0.8, 0]], start + [[0, 0.0, 1.0]])
    np.testing.assert_allclose(tip, [[0, 0, 0.8]], atol=2e-3)
    assert found.short[0] == pytest.approx(0.2, abs=2e-3)


def test_a_straight_limb_bends_ahead():
    start = np.zeros((1, 3))
    _, knee, tip = placed(start, start + [[0, -0.4, 0]], start + [[0, -0.8, 0]], start + [[0, -0.7, 0]])
    assert knee[0, 2] > 0.1 and abs(knee[0, 0]) < 1e-9
    np.testing.assert_allclose(tip, [[0, -0.7, 0]], atol=1e-9)
