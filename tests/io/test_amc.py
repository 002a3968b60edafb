"""Acclaim's ASF and AMC: directions of limbs by forward kinematics of the test's own, and files that are wrong."""

from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

# name, parent, direction, length, axis of its frame (degrees), degrees of freedom
BONES = [
    ("lhipjoint", "root", (0.7, -0.7, 0.1), 2.4, (0, 0, 45), ""),
    ("lfemur", "lhipjoint", (0.34, -0.94, 0), 7.2, (0, 0, 20), "rx ry rz"),
    ("ltibia", "lfemur", (0.34, -0.94, 0), 7.4, (0, 0, 20), "rx"),
    ("lfoot", "ltibia", (0.07, -0.2, 0.97), 2.1, (-90, 0, 20), "rx rz"),
    ("rhipjoint", "root", (-0.7, -0.7, 0.1), 2.4, (0, 0, -45), ""),
    ("rfemur", "rhipjoint", (-0.34, -0.94, 0), 7.2, (0, 0, -20), "rx ry rz"),
    ("rtibia", "rfemur", (-0.34, -0.94, 0), 7.4, (0, 0, -20), "rx"),
    ("rfoot", "rtibia", (-0.07, -0.2, 0.97), 2.1, (-90, 0, -20), "rx rz"),
    ("lowerback", "root", (0, 1, 0), 2.0, (180, 0, 180), "rx ry rz"),
    ("thorax", "lowerback", (0, 1, 0), 4.0, (180, 0, 180), "rx ry rz"),
    ("lowerneck", "thorax", (0, 1, 0.1), 1.6, (180, 0, 180), "rx ry rz"),
    ("head", "lowerneck", (0, 1, 0), 1.7, (180, 0, 180), "rx ry rz"),
    ("lclavicle", "thorax", (0.9, 0.4, 0), 3.5, (180, 0, 60), "ry rz"),
    ("lhumerus", "lclavicle", (1, 0, 0), 5.0, (180, 30, 90), "rx ry rz"),
    ("lradius", "lhumerus", (1, 0, 0), 3.5, (180, 30, 90), "rx"),
    ("lwrist", "lradius", (1, 0, 0), 1.7, (180, 30, 90), "ry"),
    ("rclavicle", "thorax", (-0.9, 0.4, 0), 3.5, (180, 0, -60), "ry rz"),
    ("rhumerus", "rclavicle", (-1, 0, 0), 5.0, (180, -30, -90), "rx ry rz"),
    ("rradius", "rhumerus", (-1, 0, 0), 3.5, (180, -30, -90), "rx"),
    ("rwrist", "rradius", (-1, 0, 0), 1.7, (180, -30, -90), "ry"),
]
LIMBS = {"left_knee": "lfemur", "left_ankle": "ltibia", "right_elbow": "rhumerus", "right_wrist": "rradius"}


def asf() -> str:
    lines = ["# made for a test", ":version 1.10", ":name body", ":units", "mass 1.0", "length 0.45", "angle deg"]
    lines += [":root", "order TX TY TZ RX RY RZ", "axis XYZ", "position 0 0 0", "orientation 0 0 0", ":bonedata"]
    for name, _, direction, length, axis, freedom in BONES:
        lines += ["begin", f"name {name}", f"direction {' '.join(map(str, direction))}", f"length {length}"]
        lines.append(f"axis {' '.join(map(str, axis))} XYZ")
        lines += [f"dof {freedom}"] if freedom else []
        lines.append("end")
    children = {parent: [b[0] for b in BONES if b[1] == parent] for parent in dict.fromkeys(b[1] for b in BONES)}
    lines += [":hierarchy", "begin", *(f"{parent} {' '.join(names)}" for parent, names in children.items()), "end"]
    return "\n".join(lines) + "\n"


def values(frames: int) -> dict[str, np.ndarray]:
    rng, time = np.random.default_rng(0), np.linspace(0, 6, frames)[:, None]
    found = {"root": np.concatenate([[[0, 17, 0]] + time * [1, 0, 3], 10 * np.sin(time + rng.random(3))], axis=1)}
    for name, _, _, _, _, freedom in BONES:
        if freedom:
            found[name] = 15 * np.sin(time + 6 * rng.random(len(freedom.split())))
    return found


def amc(frames: int = 12) -> str:
    lines, moved = [":FULLY-SPECIFIED", ":DEGREES"], values(frames)
    for frame in range(frames):
        lines.append(str(frame + 1))
        lines += [f"{name} {' '.join(f'{v:.5f}' for v in rows[frame])}" for name, rows in moved.items()]
    return "\n".join(lines) + "\n"


def euler(x: float, y: float, z: float) -> np.ndarray:
    return roma.euler_to_rotmat("xyz", torch.tensor([x, y, z], dtype=torch.float64), degrees=True).numpy()


def directions(frame: int, frames: int) -> dict[str, np.ndarray]:
    """Where each bone points, straight from the format's description."""
    moved, turned = values(frames), {}
    turned["root"] = euler(*moved["root"][frame, 3:])
    found = {}
    for name, parent, direction, _, axis, freedom in BONES:
        angles = dict.fromkeys(("rx", "ry", "rz"), 0.0)
        angles |= dict(zip(freedom.split(), moved[name][frame] if freedom else (), strict=True))
        frame_of_bone = euler(*axis)
        turned[name] = turned[parent] @ frame_of_bone @ euler(*angles.values()) @ frame_of_bone.T
        found[name] = turned[name] @ np.array(direction) / np.linalg.norm(direction)
    return found


@pytest.fixture
def take(tmp_path: Path) -> Path:
    (tmp_path / "07.asf").write_text(asf())
    (tmp_path / "07_01.amc").write_text(amc())
    return tmp_path / "07_01.amc"


def test_limbs_point_where_the_bones_do(take: Path):
    motion = Motion.load(take, fps=60.0)
    assert motion.fps == 60.0 and motion.num_frames == 12
    positions = motion.positions().numpy()
    for frame in (0, 5, 11):
        expected = directions(frame, 12)
        for joint, bone in LIMBS.items():
            index = SMPL22.index(joint)
            along = positions[frame, index] - positions[frame, SMPL22.parents[index]]
            np.testing.assert_allclose(along / np.linalg.norm(along), expected[bone], atol=2e-3)


def test_cmu_s_frame_rate_is_taken_with_a_warning(take: Path):
    with pytest.warns(UserWarning, match=r"has no frame rate; 120 is taken, fps= sets it"):
        assert Motion.load(take).fps == 120.0


def test_radians_and_a_skeleton_elsewhere(take: Path, tmp_path: Path):
    expected = Motion.load(take, fps=60.0)
    (tmp_path / "bodies").mkdir()
    skeleton = (tmp_path / "07.asf").rename(tmp_path / "bodies/x.asf")
    rows = [":FULLY-SPECIFIED", ":RADIANS"]
    for line in amc().splitlines()[2:]:
        name, *words = line.split()
        turned = [float(word) for word in words]
        kept = 3 if name == "root" else 0
        rows.append(" ".join([name, *(f"{v}" for v in turned[:kept]), *(f"{np.deg2rad(v)}" for v in turned[kept:])]))
    take.write_text("\n".join(rows))
    again = Motion.load(take, fps=60.0, skeleton=skeleton)
    assert (again.positions() - expected.positions()).abs().max() < 1e-4


def test_the_skeleton_must_be_found(take: Path, tmp_path: Path):
    (tmp_path / "07.asf").rename(tmp_path / "a.asf")
    assert Motion.load(take, fps=60.0).num_frames == 12  # the only one
    (tmp_path / "b.asf").write_text(asf())
    with pytest.raises(ValueError, match=r"skeleton must be named by skeleton=, got 2 .asf files"):
        Motion.load(take, fps=60.0)


def test_a_cut_frame_is_left_out(take: Path):
    take.write_text(amc()[:-200])
    with pytest.warns(UserWarning, match="ends within a frame; the 11 whole frames are read"):
        assert Motion.load(take, fps=60.0).num_frames == 11


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("07_01.amc", "lfemur", "lthigh", r"line 5: .*a bone of the skeleton must follow"),
        ("07_01.amc", "lfemur ", "lfemur nan ", "values of lfemur must be 3 finite numbers"),
        ("07.asf", "length 7.2", "length seven", "length must be 1 finite numbers"),
        ("07.asf", ":bonedata", ":other", "must hold :bonedata"),
        ("07.asf", "dof rx ry rz", "dof rw", "channels of 'lfemur' must be among"),
        ("07.asf", "name ltibia", "name lfemur", "a bone must have a name of its own"),
        ("07.asf", "45 XYZ", "45 ABC", "axis order must be of x, y and z"),
    ],
)
def test_files_that_are_wrong(take: Path, file: str, old: str, new: str, message: str):
    path = take.parent / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        Motion.load(take, fps=60.0)
