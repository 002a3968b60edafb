"""Joint positions in `.npy` files: shapes, axes, the frame rate that must be said, and every check."""

from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io.features import read_with_positions, write_features
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton


@pytest.fixture
def file(motion: Motion, tmp_path: Path) -> Path:
    return motion.save(tmp_path / "wave.npy", representation="joints")


def test_what_is_written_comes_back(motion: Motion, file: Path):
    assert np.load(file).shape == (24, 22, 3)
    again = Motion.load(file, fps=30)
    assert again.fps == 30
    assert torch.allclose(again.positions(), motion.positions(), atol=1e-5)


def test_flat_and_z_up_files(motion: Motion, file: Path):
    x, y, z = np.moveaxis(np.load(file), -1, 0)
    np.save(file, np.stack([x, -z, y], axis=-1).reshape(24, 66))
    for name in (None, "joints"):
        again, positions = read_with_positions(file, representation=name, fps=20, up="z")
        assert again.fps == 20
        assert torch.allclose(positions, motion.positions(), atol=1e-6)
        assert torch.allclose(again.positions(), motion.positions(), atol=1e-5)


@pytest.mark.parametrize("representation", ["rot272", "rot276", "hml263"])
def test_positions_are_those_of_the_file(motion: Motion, tmp_path: Path, representation: str):
    path = write_features(motion, tmp_path / "a.npy", representation=representation)
    array = np.load(path)
    first = {"rot272": 8 + 3 * 20, "rot276": 126 + 3 * 20, "hml263": 4 + 3 * 19}[representation]
    array[:, first] += 0.25  # the left wrist
    np.save(path, array)
    found, positions = read_with_positions(path)
    assert positions.shape == (found.num_frames, 22, 3)
    moved = (positions - found.positions()).norm(dim=-1).amax(0)
    if representation != "hml263":  # whose motion is made of the positions
        assert moved[20] == pytest.approx(0.25, abs=1e-4)
    assert moved[[joint for joint in range(22) if joint != 20]].max() < 1e-4


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda a: a, {}, "fps must be given for joint positions, .* got none for '.*wave.npy'; HumanML3D's"),
        (lambda a: a, {"fps": 20, "up": "x"}, "up must be"),
        (lambda a: a, {"fps": 0}, "joint positions of '.*wave.npy' must be a motion: fps must be in"),
        (lambda a: a, {"fps": 20, "route": "positions"}, "route must be left out for joint positions"),
        (
            lambda a: a * 1000,
            {"fps": 20},
            "joint positions of '.*wave.npy' must be a motion: positions must be metres",
        ),
        (lambda a: a[:0], {"fps": 20}, r"must have shape \[T, 22, 3\] or \[T, 66\], got \(0, 22, 3\)"),
        (lambda a: np.where(np.arange(24)[:, None, None] == 7, np.nan, a), {"fps": 20}, "NaN or infinity in frame 7"),
        (lambda a: a, {"representation": "hml263"}, r"must have shape \[T, 263\] for hml263, got \(24, 22, 3\)"),
    ],
)
def test_wrong_files(file: Path, change, options: dict, message: str):
    np.save(file, change(np.load(file)))
    with pytest.raises(ValueError, match=message) as error:
        Motion.load(file, **options)
    assert "\n" not in str(error.value)


def test_another_skeleton_has_no_such_joints(tmp_path: Path):
    tip = Skeleton(("root", "tip"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    motion = Motion(torch.eye(3).repeat(3, 2, 1, 1), torch.zeros(3, 3), skeleton=tip)
    with pytest.raises(ValueError, match="motion must use the SMPL22 joints, got 2"):
        motion.save(tmp_path / "tip.npy", representation="joints")
    assert not list(tmp_path.iterdir())
