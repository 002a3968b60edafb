"""Windows with rare events are drawn more often."""

import pytest
import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.sets.events import event_weights
from motionmillion.data.sets.windows import FeatureWindows
from motionmillion.data.synthetic import synthesize
from motionmillion.features import get
from tests.data.composition.test_moments import raising

FRAMES = 60


@pytest.fixture(scope="module")
def clips() -> list[MotionClip]:
    walks = [MotionClip(f"walk{n}", synthesize("walk", n, seconds=8), ("walk",)) for n in range(4)]
    return [*walks, raising("left")]


@pytest.fixture(scope="module")
def windows(clips) -> FeatureWindows:
    return FeatureWindows(clips, get("rot272"), FRAMES, copies=3)


def raised(windows: FeatureWindows) -> torch.Tensor:
    """Windows around the middle of the event, up to the range of speeds."""
    clip, middle = 4, 193
    inside = [windows.origins[v] == clip and start + 15 < middle < start + FRAMES - 15 for v, start in windows.starts]
    return torch.tensor(inside)


def test_rare_events_gain_with_balance(clips, windows):
    every = [event_weights(windows, clips, balance) for balance in (0.0, 0.5, 1.0)]
    shares = [float(weights[raised(windows)].sum() / weights.sum()) for weights in every]
    assert shares[0] == pytest.approx(float(raised(windows).double().mean()))
    assert shares[0] < shares[1] < shares[2]


def test_windows_without_events_are_the_least_likely(clips, windows):
    weights = event_weights(windows, clips, 0.5)
    assert weights.min() >= len(windows) ** -0.5 and weights.shape == (len(windows),)
