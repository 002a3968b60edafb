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


@pytest.mark.parametrize(
    ("representation", "width", "fps"), [("rot272", 272, 30), ("rot276", 276, 20), ("hml263", 263, 20)]
)
def test_the_width_says_which_representation_it_is(
    motion: Motion, tmp_path: Path, representation: str, width: int, fps: float
):
    path = write_features(motion, tmp_path / "wave.npy", representation=representation)
    assert np.load(path).shape[1] == width
    again, named = Motion.load(path), Motion.load(path, representation=representation)
    assert again.fps == fps
    assert torch.equal(again.rotations, named.rotations)
    frames = again.num_frames
    start = motion.resample(fps).canonicalize().positions()[:frames]
    assert (again.canonicalize().positions() - start).norm(dim=-1).mean() < 0.01


def test_a_representation_of_the_same_width_is_named(motion: Motion, tmp_path: Path):
    path = write_features(motion, tmp_path / "wave.npy", representation="rot276")
    array = np.load(path)
    array[:, 264:270] = [1, 0, 0, 1, 0, 0]
    np.save(path, array)
    turned = Motion.load(path).rotations[:, 0]
    still = Motion.load(path, representation="rot276_velocity").rotations[:, 0]
    assert torch.allclose(still, still[:1].expand_as(still), atol=1e-5)
    assert not torch.allclose(turned, still, atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"representation": "rot276"}, r"must have shape \[T, 276\] for rot276, got \(24, 272\)"),
        ({"representation": "rot1"}, "features must be one of"),
        ({"fps": 20}, "fps must be 30 for rot272 features, got 20 for '.*a.npy'; leave it out"),
        ({"up": "z"}, "up must be left out for rot272 features, .* got 'z' for '.*a.npy'"),
        ({"representation": "joints", "fps": 20}, r"joint positions of '.*a.npy' must have shape .*, got \(24, 272\)"),
    ],
)
def test_options_that_do_not_fit(motion: Motion, tmp_path: Path, options: dict, message: str):
    path = write_features(motion, tmp_path / "a.npy")
    assert read_features(path, fps=30).fps == 30
    with pytest.raises(ValueError, match=message):
        read_features(path, **options)


def test_other_frame_rates_are_resampled(motion: Motion, tmp_path: Path):
    assert np.load(write_features(motion.resample(60), tmp_path / "wave.npy")).shape == (24, 272)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((5, 261), np.float32),
            r"features .* must have shape \[T, 263 \| 272 \| 276\], or \[T, 22, 3\] or \[T, 66\] .*, got \(5, 261\)",
        ),
        (np.zeros((5, 23, 3), np.float32), r"got \(5, 23, 3\)"),
        (np.zeros((5, 263), np.float32), "features .*a.npy' must be in physical units, got legs 0 m long"),
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


def test_pickles_are_read_as_plain_data_only(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"must hold SMPL poses .*, got only the keys \['a'\]"):
        read_features(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([Path("x")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="must hold plain numbers, text and arrays, got an object of pathlib"):
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
        write_features(motion, tmp_path / "b.npy", representation="rot1")
    assert os.listdir(tmp_path) == ["a.npy"]
