"""`.npy` files of 272-dimensional features."""

import os
import pickle
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from motionmillion.io.features import read_features, write_features
from motionmillion.motion import Motion


@pytest.mark.parametrize("route", ["rotations", "positions"])
def test_round_trip(motion: Motion, tmp_path: Path, route: Literal["rotations", "positions"]):
    start = motion.canonicalize()
    path = write_features(start, tmp_path / "wave.npy")
    array = np.load(path, allow_pickle=False)
    assert array.shape == (24, 272) and array.dtype == np.float32
    again = read_features(path, route=route)
    torch.testing.assert_close(again.positions(), start.positions(), atol=1e-3, rtol=0)


def test_other_frame_rates_are_resampled(motion: Motion, tmp_path: Path):
    assert np.load(write_features(motion.resample(60), tmp_path / "wave.npy")).shape == (24, 272)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 263), np.float32), r"features .* must have shape \[T, 272\] for rot272, got \(5, 263\)"),
        (np.zeros((0, 272), np.float32), r"got \(0, 272\)"),
        (np.zeros((1, 5, 272), np.float32), r"got \(1, 5, 272\)"),
        (np.full((5, 272), np.nan, np.float32), "must be finite, got NaN or infinity in frame 0"),
        (np.full((5, 272), "x"), "must hold real numbers"),
    ],
)
def test_wrong_arrays(tmp_path: Path, array: np.ndarray, message: str):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        read_features(tmp_path / "a.npy")


def test_pickles_are_never_opened(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="got a pickled object"):
        read_features(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(np.zeros((5, 272))))
    with pytest.raises(ValueError, match="pickles are never opened"):
        read_features(tmp_path / "b.npy")


@pytest.mark.parametrize("keep", [0, 3, 30, 100, 3000])
def test_truncated(motion: Motion, tmp_path: Path, keep: int):
    path = write_features(motion, tmp_path / "a.npy")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="truncated|is empty|another kind"):
        read_features(path)


def test_unknown_route_and_representation(motion: Motion, tmp_path: Path):
    path = write_features(motion, tmp_path / "a.npy")
    with pytest.raises(ValueError, match="route must be"):
        read_features(path, route="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="features must be one of"):
        write_features(motion, tmp_path / "b.npy", features="rot1")
    assert os.listdir(tmp_path) == ["a.npy"]
