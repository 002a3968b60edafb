"""Cuts, dissolves and fades in pictures whose truth is known."""

import numpy as np
import pytest

from motionmillion.curation.dissolves import find_dissolves
from motionmillion.curation.shots import ShotOptions, shots_between


def scene(frames: int, seed: int, moving: float = 1.0) -> np.ndarray:
    """A background with a bright block that moves across it, `[T, 18, 32, 3]`."""
    draw = np.random.default_rng(seed)
    behind = draw.integers(30, 220, (3, 4, 3)).repeat(6, 0).repeat(8, 1)
    pictures = np.tile(behind, (frames, 1, 1, 1)).astype(np.float32)
    for frame in range(frames):
        left = int(5 + moving * frame / 3) % 26
        pictures[frame, 6:16, left : left + 5] = 240
    return pictures


def dissolved(before: np.ndarray, after: np.ndarray, length: int) -> np.ndarray:
    share = ((np.arange(length) + 1) / (length + 1))[:, None, None, None]
    mixed = before[-length:] * (1 - share) + after[:length] * share if length else before[:0]
    return np.concatenate([before[: len(before) - length], mixed, after[length:]]).round().astype(np.uint8)


@pytest.mark.parametrize("length", [6, 12, 25, 45])
def test_a_dissolve_is_found_to_the_frame_or_two(length):
    found = find_dissolves(dissolved(scene(70, 1), scene(80, 2), length))
    assert len(found) == 1
    assert abs(found[0][0] - (70 - length)) <= 3 and abs(found[0][1] - 70) <= 3


def test_a_fade_to_black_is_found():
    faded = dissolved(scene(60, 3), np.zeros((60, 18, 32, 3), np.float32), 20)
    assert len(find_dissolves(faded)) == 1


def test_cuts_motion_and_changes_of_light_are_no_dissolves():
    assert find_dissolves(dissolved(scene(60, 1), scene(60, 2), 0)) == []
    assert find_dissolves(scene(120, 4, moving=4.0).astype(np.uint8)) == []
    light = np.linspace(0.5, 1, 40)[:, None, None, None]
    assert find_dissolves((scene(40, 5, 0.0) * light).astype(np.uint8)) == []
    assert find_dissolves(scene(5, 6).astype(np.uint8)) == []


def test_shots_lie_between_cuts_and_dissolves():
    assert shots_between(100, [30, 65], [(60, 70)]) == [(0, 30), (30, 60), (70, 100)]
    assert shots_between(100, [], []) == [(0, 100)]
    assert shots_between(100, [0, 50], [(90, 100)]) == [(0, 50), (50, 90)]


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="longest must be at least twice shortest, got 1.5 and 1.0"):
        ShotOptions(shortest=1.0, longest=1.5)
