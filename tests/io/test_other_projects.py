"""A motion in the files of many projects reads back as the same motion; what fits nothing is an error."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from motionmillion.data.synthetic import synthesize
from motionmillion.io.smpl import read_smpl
from motionmillion.io.smpl_tables import SMPL_PELVIS
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPLX_PELVIS

Save = Callable[..., Path]


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=0, seconds=4)


@pytest.fixture(scope="module")
def matrices(walk: Motion) -> np.ndarray:
    """Of SMPL's 24 joints, the hands at rest, `[T, 24, 3, 3]`."""
    rest = np.tile(np.eye(3), (walk.num_frames, 2, 1, 1))
    return np.concatenate([walk.rotations.double().numpy(), rest], axis=1)


def vectors(matrices: np.ndarray) -> np.ndarray:
    return roma.rotmat_to_rotvec(torch.from_numpy(matrices)).numpy()


def sixd(matrices: np.ndarray, order: str) -> np.ndarray:
    pair = matrices[..., :2, :] if order == "rows" else matrices[..., :2].swapaxes(-1, -2)
    pair = pair.swapaxes(-1, -2) if order == "interleaved" else pair
    return pair.reshape(*matrices.shape[:-2], 6)


def save(path: Path, content: object) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **content)  # type: ignore[arg-type]
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)  # type: ignore[arg-type]
    elif path.suffix == ".pt":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    return path


def check(found: Motion, motion: Motion, shift: float = 1e-4) -> None:
    assert found.num_frames == motion.num_frames
    apart = roma.rotmat_geodesic_distance(found.rotations.double(), motion.rotations.double())
    assert apart.max() < 1e-3 and apart.mean() < 1e-4
    assert (found.translation - motion.translation).abs().max() < shift


@pytest.fixture
def trans(walk: Motion) -> np.ndarray:
    return walk.translation.double().numpy() - np.array(SMPL_PELVIS)


LAYOUTS = {
    "axis-angle of 22": lambda m: {"poses": vectors(m)[:, :22].reshape(len(m), -1)},
    "axis-angle of 24": lambda m: {"poses": vectors(m).reshape(len(m), -1)},
    "axis-angle of 24, not flat": lambda m: {"poses": vectors(m)},
    "stage II": lambda m: {"fullpose": np.pad(vectors(m)[:, :22], ((0, 0), (0, 30), (0, 0))).reshape(len(m), -1)},
    "rotation matrices": lambda m: {"global_orient": m[:, :1], "body_pose": m[:, 1:]},
    "rotation matrices, no joint axis": lambda m: {"global_orient": m[:, 0], "body_pose": m[:, 1:22]},
    "flat rotation matrices": lambda m: {"poses": m.reshape(len(m), -1)},
    "6D in rows": lambda m: {"poses": sixd(m, "rows")},
    "6D interleaved": lambda m: {"poses": sixd(m, "interleaved").reshape(len(m), -1)},
    "6D of root and body": lambda m: {
        "root_orient": sixd(m, "rows")[:, 0],
        "pose_body": sixd(m, "rows")[:, 1:22].reshape(len(m), -1),
    },
    "root and body": lambda m: {
        "root_orient": vectors(m)[:, 0],
        "pose_body": vectors(m)[:, 1:22].reshape(len(m), -1),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_rotations(tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray, layout: str):
    content = {**LAYOUTS[layout](matrices), "trans": trans, "fps": 30.0}
    check(Motion.load(save(tmp_path / "a.npz", {**content, "up_axis": "y"})), walk)
    check(Motion.load(save(tmp_path / "a.pkl", content), up="y"), walk)


def test_6d_in_columns_is_told(tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray):
    content = {"poses": sixd(matrices, "columns"), "trans": trans, "fps": 30.0, "up_axis": "y"}
    path = save(tmp_path / "a.npz", content)
    check(read_smpl(path, sixd="columns"), walk)
    check(read_smpl(path), walk)  # the knees would bend forward in the other order


def gvhmr(motion: Motion, m: np.ndarray) -> dict:
    inner = {"global_orient": vectors(m)[:, 0], "body_pose": vectors(m)[:, 1:22].reshape(len(m), -1)}
    inner["transl"] = motion.translation.double().numpy() - np.array(SMPLX_PELVIS)
    tensors = {key: torch.from_numpy(value).float() for key, value in inner.items()}
    return {"smpl_params_global": tensors, "smpl_params_incam": tensors, "K_fullimg": torch.eye(3)}


def phalp(motion: Motion, m: np.ndarray) -> dict:
    turn = np.diag([1.0, -1.0, -1.0])
    camera = (motion.translation.double().numpy()) @ turn - np.array(SMPL_PELVIS)
    frames = {}
    for t in reversed(range(len(m))):
        person = {"global_orient": (turn @ m[t, :1]), "body_pose": m[t, 1:], "betas": np.zeros(10)}
        frames[f"frame_{t}.jpg"] = {"time": t, "tid": [7], "smpl": [person], "camera": [camera[t]]}
    return frames


def wham(motion: Motion, m: np.ndarray, trans: np.ndarray) -> dict:
    person = {"pose_world": vectors(m).reshape(len(m), -1), "trans_world": trans, "betas": np.zeros((len(m), 10))}
    return {3: {**person, "trans_world": trans + 1}, 0: person}


def test_video_estimators(tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray):
    with pytest.warns(UserWarning, match="read at 30 frames per second; pass fps= if"):
        check(Motion.load(save(tmp_path / "hmr4d_results.pt", gvhmr(walk, matrices))), walk)
    check(Motion.load(save(tmp_path / "demo.pkl", phalp(walk, matrices)), fps=30), walk)
    path = save(tmp_path / "wham_output.pkl", wham(walk, matrices, trans))
    with pytest.warns(UserWarning, match="holds 2 people, of which the first is read; index=1 reads the next"):
        check(Motion.load(path, fps=30), walk)
    other = Motion.load(path, fps=30, index=1)
    assert torch.allclose(other.translation, walk.translation + 1, atol=1e-4)
    with pytest.raises(ValueError, match="index must be 0 to 1 for the 2 people of .*, got 2"):
        Motion.load(path, fps=30, index=2)


def test_files_joblib_wrote(tmp_path: Path, walk: Motion, matrices: np.ndarray):
    joblib = pytest.importorskip("joblib")
    joblib.dump(phalp(walk, matrices), tmp_path / "demo.pkl", compress=3)
    check(Motion.load(tmp_path / "demo.pkl", fps=30), walk)


def test_generators(tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray):
    aist = {"smpl_poses": vectors(matrices).reshape(len(trans), -1), "smpl_trans": trans * 90, "smpl_scaling": [90.0]}
    for suffix in (".npz", ".pkl"):
        found = Motion.load(save(tmp_path / f"aist{suffix}", aist))
        check(found, walk)
        assert found.fps == 60
    kimodo = {
        "local_rot_mats": matrices[:, :22],
        "root_positions": walk.translation.numpy(),
        "posed_joints": walk.positions().numpy(),
    }
    found = Motion.load(save(tmp_path / "kimodo.npz", kimodo))
    check(found, walk)
    assert found.fps == 30
    thetas = {"thetas": sixd(matrices, "rows").transpose(1, 2, 0), "root_translation": walk.translation.numpy().T}
    check(Motion.load(save(tmp_path / "mdm_smpl.npy", thetas)), walk)


def test_flat_parameters(tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray):
    poses, frames = vectors(matrices).reshape(len(trans), -1), len(trans)
    pelvis = walk.translation.double().numpy()
    for path in (trans, pelvis):  # SMPL's translation, or the pelvis of files made from features
        array = np.concatenate([poses, path, np.zeros((frames, 10))], axis=1)
        check(Motion.load(save(tmp_path / "a.npy", array)), walk)
    motion_x = np.zeros((frames, 322))
    motion_x[:, :66], motion_x[:, 309:312] = poses[:, :66], pelvis - np.array(SMPLX_PELVIS)
    check(Motion.load(save(tmp_path / "a.npy", motion_x)), walk)


def extended(joints: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([joints, np.repeat(joints[:, 20:21], count - 22, axis=1)], axis=1)


JOINTS = {
    "T2M-GPT": lambda j: j[None],
    "several": lambda j: np.stack([j, j + 1]),
    "MDM": lambda j: j.transpose(1, 2, 0)[None],
    "MDM, one": lambda j: j.transpose(1, 2, 0),
    "MDM, dictionary": lambda j: {
        "motion": np.pad(j.transpose(1, 2, 0)[None], ((0, 1), (0, 0), (0, 0), (0, 9))),
        "lengths": np.array([len(j), 3]),
        "text": ["a person walks", ""],
    },
    "SMPL": lambda j: extended(j, 24),
    "SMPL-H": lambda j: extended(j, 52),
    "SMPL-X": lambda j: extended(j, 55),
}


@pytest.mark.filterwarnings("ignore:.*holds 2 motions")
@pytest.mark.parametrize("layout", JOINTS)
def test_joint_positions(tmp_path: Path, walk: Motion, layout: str):
    content = JOINTS[layout](walk.positions().double().numpy())
    found = Motion.load(save(tmp_path / "a.npy", content), fps=30)
    assert torch.allclose(found.positions(), walk.positions(), atol=1e-3)
    assert found.caption == ("a person walks" if "dictionary" in layout else "")


H36M = (0, 2, 5, 8, 1, 4, 7, 6, 12, 15, 15, 16, 18, 20, 17, 19, 21)


def test_joints_of_human36m(tmp_path: Path, walk: Motion):
    joints = walk.positions().double().numpy()[:, H36M]
    joints[:, 0] = (joints[:, 1] + joints[:, 4]) / 2
    found = Motion.load(save(tmp_path / "a.npy", joints), fps=30)
    apart = (found.positions() - walk.positions()).norm(dim=-1).mean(0)
    assert apart[[1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21]].max() < 0.03 and apart.max() < 0.12
    with pytest.raises(ValueError, match="with 17 joints must be Human3.6M's"):
        Motion.load(save(tmp_path / "a.npy", joints[:, ::-1]), fps=30)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"global_orient": np.zeros((5, 3)), "body_pose": np.zeros((5, 64))},
            r"body_pose .* got \(5, 64\)",
        ),
        ({"global_orient": np.zeros((5, 3)), "body_pose": np.zeros((5, 32))}, r"got \(5, 32\)"),
        ({"global_orient": np.zeros((5, 4)), "body_pose": np.zeros((5, 63))}, r"global_orient .* got \(5, 4\)"),
        ({"global_orient": np.zeros((4, 3)), "body_pose": np.zeros((5, 63))}, "must have one row per frame"),
        ({"poses": np.zeros((5, 24, 3, 3))}, "poses .* must hold rotation matrices, got others in frame 0"),
        ({"poses": np.tile(-np.eye(3), (5, 24, 1, 1))}, "must hold rotation matrices"),
        ({"poses": np.zeros((5, 24, 4))}, r"got \(5, 24, 4\)"),
        ({"local_rot_mats": np.tile(np.eye(3), (5, 77, 1, 1)), "root_positions": np.zeros((5, 3))}, r"77"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_what_fits_nothing(tmp_path: Path, content: dict, message: str, suffix: str):
    path = save(tmp_path / f"a{suffix}", {"trans": np.zeros((5, 3)), "fps": 30.0, **content})
    with pytest.raises(ValueError, match=message) as error:
        Motion.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [{}, [], [1], {"a": {"b": 1}}, {"smpl": 1}, 3, "x", None, [{"a": 1}], np.zeros(3)])
def test_plain_data_that_is_no_motion(tmp_path: Path, content: object):
    for suffix in (".pkl", ".pt"):
        with pytest.raises(ValueError, match="must hold SMPL poses|must be an array"):
            Motion.load(save(tmp_path / f"a{suffix}", content))


def test_the_axis_is_found_or_named(tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray):
    content = {"poses": vectors(matrices).reshape(len(trans), -1), "trans": trans, "mocap_framerate": 30.0}
    path = save(tmp_path / "a.npz", content)
    with pytest.warns(UserWarning, match='stands along the y axis, .*; up="z" keeps that'):
        check(Motion.load(path), walk)
    lies = Motion.load(path, up="z").positions()
    assert abs(lies[:, 15, 1] - lies[:, 0, 1]).max() < 0.3
    z_up = walk.positions().numpy()[..., [0, 2, 1]] * np.array([1, -1, 1])
    with pytest.warns(UserWarning, match="stands along the z axis"):
        found = Motion.load(save(tmp_path / "a.npy", z_up), fps=30)
    assert torch.allclose(found.positions(), walk.positions(), atol=1e-3)


def test_the_command_line_names_its_own_options(tmp_path: Path, run, matrices: np.ndarray, trans: np.ndarray):
    path = save(tmp_path / "a.npz", {"poses": vectors(matrices), "trans": trans})
    assert "pass --source-fps" in run("export", path, tmp_path / "b.bvh")[2]
    code, _, err = run("export", path, tmp_path / "b.bvh", "--source-fps", 30)
    assert code == 0 and err.startswith("motionmillion: ") and err.count("\n") == 1 and "--up z keeps" in err
    joints = save(tmp_path / "a.npy", np.zeros((2, 22, 3, 5)))
    assert "--index 1 reads the next" in run("export", joints, tmp_path / "c.bvh")[2]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pkl", ".pt"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_errors_of_one_line(
    tmp_path: Path, walk: Motion, matrices: np.ndarray, trans: np.ndarray, suffix: str
):
    short, few = walk.slice(0, 4), matrices[:4]
    content = {
        ".npz": {"poses": vectors(few).reshape(4, -1), "trans": trans[:4], "fps": 30.0},
        ".npy": {"motion": short.positions().numpy().transpose(1, 2, 0)[None], "lengths": np.array([4])},
        ".pkl": phalp(short, few),
        ".pt": gvhmr(short, few),
    }
    whole = save(tmp_path / f"a{suffix}", content[suffix]).read_bytes()
    random, path, read = np.random.default_rng(0), tmp_path / f"b{suffix}", 0
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            place, size = random.integers(len(data)), random.integers(1, 9)
            kind = random.integers(3)
            data[place : place + size] = b"" if kind == 0 else random.bytes(size if kind == 1 else 2 * size)
        if random.random() < 0.1:
            del data[random.integers(len(data)) :]
        path.write_bytes(data)
        try:
            Motion.load(path, fps=30)
            read += 1
        except ValueError as error:
            assert "\n" not in str(error)
    assert read < 2000
