"""AMASS files: exact round trip, both ups, the pelvis offset, and every way a file can be wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from motionmillion.io.smpl import read_smpl, write_smpl
from motionmillion.motion import Motion

PELVIS = torch.tensor([-0.002, -0.223, 0.028])


def amass(path: Path, frames: int = 5, **changes) -> Path:
    keys = {
        "poses": np.zeros((frames, 156)),
        "trans": np.zeros((frames, 3)),
        "mocap_framerate": np.array(120.0),
        "gender": np.array("female"),
        "betas": np.zeros(16),
        **changes,
    }
    np.savez(path, **{key: value for key, value in keys.items() if value is not None})
    return path


@pytest.mark.parametrize("up", ["y", "z"])
def test_round_trip(motion: Motion, tmp_path: Path, up: str):
    again = read_smpl(write_smpl(motion, tmp_path / "wave.npz", up=up))
    assert again.fps == 30.0 and again.caption == "a person walks"
    assert (again.translation - motion.translation).abs().max() < 1e-5
    assert roma.rotmat_geodesic_distance(again.rotations.double(), motion.rotations.double()).max() < 1e-4


def test_file_has_the_layout_of_amass(motion: Motion, tmp_path: Path):
    with np.load(write_smpl(motion, tmp_path / "wave.npz"), allow_pickle=False) as arrays:
        assert arrays["poses"].shape == (24, 156) and arrays["trans"].shape == (24, 3)
        assert arrays["betas"].shape == (16,) and float(arrays["mocap_framerate"]) == 30.0
        assert str(arrays["gender"]) == "neutral" and str(arrays["up_axis"]) == "z"
        assert not arrays["poses"][:, 66:].any()


def test_z_up_file_stands_upright(tmp_path: Path):
    """A root of a quarter turn about x lifts SMPL's y-up body in a z-up world; it must read as no rotation."""
    poses = np.zeros((5, 156))
    poses[:, 0] = np.pi / 2
    trans = np.tile([1.0, 2.0, 1.2], (5, 1))
    read = read_smpl(amass(tmp_path / "a.npz", poses=poses, trans=trans))
    torch.testing.assert_close(read.rotations, torch.eye(3).expand(5, 22, 3, 3), atol=1e-6, rtol=0)
    pelvis = torch.tensor([1.0, 2.0, 1.2]) + PELVIS  # in the file's axes, not turned by the root
    torch.testing.assert_close(read.translation[0], torch.stack([pelvis[0], pelvis[2], -pelvis[1]]))
    assert read.fps == 120.0


def test_y_up_file_by_argument_and_by_key(tmp_path: Path):
    trans = np.tile([1.0, 2.0, 3.0], (5, 1))
    expected = torch.tensor([1.0, 2.0, 3.0]) + PELVIS
    by_argument = read_smpl(amass(tmp_path / "a.npz", trans=trans), up="y")
    by_key = read_smpl(amass(tmp_path / "b.npz", trans=trans, up_axis=np.array("y")))
    for read in (by_argument, by_key):
        torch.testing.assert_close(read.translation[0], expected)
        torch.testing.assert_close(read.rotations, torch.eye(3).expand(5, 22, 3, 3))


@pytest.mark.parametrize("width", [66, 72, 156, 165])
def test_widths_of_smpl_smplh_and_smplx(tmp_path: Path, width: int):
    poses = np.random.default_rng(0).normal(size=(5, width)) * 0.2
    read = read_smpl(amass(tmp_path / "a.npz", poses=poses), up="y")
    expected = roma.rotvec_to_rotmat(torch.from_numpy(poses[:, :66]).reshape(5, 22, 3)).float()
    torch.testing.assert_close(read.rotations, expected)


@pytest.mark.parametrize("rate", ["mocap_framerate", "mocap_frame_rate", "fps"])
def test_smplx_style_keys_and_names_of_the_frame_rate(tmp_path: Path, rate: str):
    body = np.random.default_rng(0).normal(size=(5, 63)) * 0.2
    keys = {"poses": None, "mocap_framerate": None, rate: np.array(60)}
    path = amass(tmp_path / "a.npz", root_orient=np.zeros((5, 3)), pose_body=body, **keys)
    read = read_smpl(path, up="y")
    assert read.fps == 60.0
    expected = roma.rotvec_to_rotmat(torch.from_numpy(body).reshape(5, 21, 3)).float()
    torch.testing.assert_close(read.rotations[:, 1:], expected)


def test_unread_keys_may_hold_anything(tmp_path: Path):
    path = amass(tmp_path / "a.npz", labels=np.array([{"a": 1}], dtype=object))
    assert read_smpl(path).num_frames == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": np.zeros((5, 90))}, "poses .* must have shape .* got \\(5, 90\\); the joint count"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "poses .* got \\(0, 156\\)"),
        ({"poses": np.full((5, 156), np.nan)}, "poses .* must be finite, got NaN or infinity in frame 0"),
        ({"trans": np.array([[0, 0, 0]] * 4 + [[0, np.inf, 0]])}, "trans .* must be finite.* frame 4"),
        ({"trans": np.zeros((4, 3))}, "trans .* must have shape \\[5, 3\\] like poses, got \\(4, 3\\)"),
        ({"trans": None}, "must hold the root translation as trans or transl"),
        ({"poses": None}, "must hold the poses as root_orient or global_orient"),
        ({"mocap_framerate": None}, "must hold its frame rate .* pass fps="),
        ({"mocap_framerate": np.array(0.0)}, "fps must be"),
        ({"mocap_framerate": np.array("fast")}, "mocap_framerate .* must be one number"),
        ({"poses": np.array([None] * 5)}, "'poses' .* got a pickled object; save it again as numbers"),
        ({"poses": np.full((5, 156), "x")}, "poses .* must hold real numbers"),
        ({"up_axis": np.array("x")}, 'up must be "y" or "z", got \'x\''),
        ({"up_axis": np.zeros(3)}, "up_axis .* must be one string"),
    ],
)
def test_wrong_files(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ValueError, match=message) as error:
        read_smpl(amass(tmp_path / "a.npz", **changes))
    assert "\n" not in str(error.value)


def test_frame_rate_by_argument(tmp_path: Path):
    assert read_smpl(amass(tmp_path / "a.npz", mocap_framerate=None), fps=25).fps == 25.0


@pytest.mark.parametrize("keep", [0, 10, 2000, -60])
def test_truncated(tmp_path: Path, keep: int):
    path = amass(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="must be a whole .npz file"):
        read_smpl(path)


def test_damaged_inside(motion: Motion, tmp_path: Path):
    path = write_smpl(motion, tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged|whole"):
        read_smpl(path)


def test_unknown_up_leaves_no_file(motion: Motion, tmp_path: Path):
    with pytest.raises(ValueError, match="up must be"):
        write_smpl(motion, tmp_path / "wave.npz", up="x")
    assert os.listdir(tmp_path) == []


def test_smplx_files(motion: Motion, tmp_path: Path):
    """The keys and widths of AMASS' SMPL-X files; the pelvis is that of SMPL-X, and the motion is read back."""
    path = motion.save(tmp_path / "wave.npz", model="smplx")
    with np.load(path) as arrays:
        assert arrays["poses"].shape == (24, 165) and arrays["trans"].shape == (24, 3)
        assert str(arrays["surface_model_type"]) == "smplx" and str(arrays["gender"]) == "neutral"
        assert int(arrays["mocap_frame_rate"]) == 30 and arrays["betas"].shape == (16,)
        parts = [arrays[key] for key in ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), arrays["poses"])
        assert not arrays["poses"][:, 66:].any()
    again = Motion.load(path)
    torch.testing.assert_close(again.positions(), motion.positions(), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"model must be one of \['smplh', 'smplx'\], got 'smpl'"):
        motion.save(tmp_path / "no.npz", model="smpl")
