"""`--mapping` and `--show-mapping`: names of joints from the command line, for every command that reads motions."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from motionmillion import Motion
from motionmillion.cli.mapping import check_mapping, read_mapping
from motionmillion.data import synthesize
from motionmillion.eval.run.motion_files import MotionFolder
from motionmillion.skeleton import SMPL22


@pytest.fixture
def motion() -> Motion:
    return synthesize("walk", seed=0, seconds=2)


@pytest.fixture
def rig(motion: Motion, tmp_path: Path) -> Path:
    """A file whose left arm names say the right one and the reverse, so that only a mapping reads it right."""
    text = motion.save(tmp_path / "a.bvh").read_text()
    for part in ("collar", "shoulder", "elbow", "wrist"):
        for side, other in (("left", "x"), ("right", "left"), ("x", "right")):
            text = re.sub(rf"\b{side}_{part}\b", f"{other}_{part}", text)
    path = tmp_path / "rig.bvh"
    path.write_text(text)
    return path


ARMS = [f"{s}_{part}={o}_{part}" for s, o in (("left", "right"), ("right", "left"))
        for part in ("collar", "shoulder", "elbow", "wrist")]  # fmt: skip
FLAGS = [word for pair in ARMS for word in ("--mapping", pair)]


def test_export_reads_with_a_mapping(run, rig: Path, motion: Motion, tmp_path: Path):
    assert run("export", rig, tmp_path / "b.npz", *FLAGS)[0] == 0
    assert (Motion.load(tmp_path / "b.npz").positions() - motion.positions()).abs().max() < 1e-3


def test_what_is_shown_can_be_given_back(run, rig: Path, motion: Motion, tmp_path: Path):
    code, out, _ = run("export", rig, "--show-mapping", *FLAGS)
    assert code == 0 and yaml.safe_load(out)["left_elbow"] == "right_elbow"
    assert tuple(yaml.safe_load(out)) == SMPL22.names
    (tmp_path / "rig.yaml").write_text(out)
    assert run("export", rig, tmp_path / "b.npz", "--mapping", tmp_path / "rig.yaml")[0] == 0
    assert (Motion.load(tmp_path / "b.npz").positions() - motion.positions()).abs().max() < 1e-3


def test_view_and_tokenize_take_a_mapping(run, rig: Path, tiny_pipeline, tmp_path: Path):
    assert run("view", rig, "-o", tmp_path / "v.html", "--no-browser", *FLAGS)[0] == 0
    model = tiny_pipeline.save_pretrained(tmp_path / "model")
    for name, source, flags in (("a", tmp_path / "a.bvh", []), ("b", rig, FLAGS)):
        assert run("tokenize", source, "-o", tmp_path / f"{name}.npy", "--model", model, *flags)[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    code, _, err = run("tokenize", tmp_path, "-o", tmp_path / "shards", *FLAGS)
    assert code == 2 and "--mapping must come with one motion file, got the folder" in err


def test_generate_takes_a_mapping(run, rig: Path, tiny_pipeline, tmp_path: Path):
    model = tiny_pipeline.save_pretrained(tmp_path / "model")
    flags = ("--model", model, "--seconds", 1, "--temperature", 0)
    assert run("generate", "walk", "-o", tmp_path / "1.npz", "--prefix", tmp_path / "a.bvh", *flags)[0] == 0
    assert run("generate", "walk", "-o", tmp_path / "2.npz", "--prefix", rig, *flags, *FLAGS)[0] == 0
    one, two = (Motion.load(tmp_path / name).positions() for name in ("1.npz", "2.npz"))
    assert (one - two).abs().max() < 1e-3


def test_a_folder_of_another_system_takes_a_mapping(rig: Path, motion: Motion):
    mapping = read_mapping(ARMS)
    read = MotionFolder(rig.parent, mapping=mapping).read("rig.bvh")
    assert (read.positions - motion.positions()).abs().max() < 1e-3


def test_joints_that_are_not_found_are_shown_as_null(run, tmp_path: Path, motion: Motion):
    text = motion.save(tmp_path / "a.bvh").read_text()
    (tmp_path / "b.bvh").write_text(re.sub(r"(left|right)_(knee|ankle|foot|hip)", r"\1_finger_\2", text))
    code, out, _ = run("export", tmp_path / "b.bvh", "--show-mapping")
    assert code == 0 and yaml.safe_load(out)["left_knee"] is None and "# not used: left_finger_knee" in out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["left_hip"], "--mapping must be JOINT=NAME or a .yaml file"),
        (["left_hip="], "--mapping must be JOINT=NAME"),
        (["thigh=LeftLeg"], "--mapping must begin with a joint of SMPL22, got 'thigh=LeftLeg'"),
        (["none.yaml"], "path must name an existing file"),
        (["list.yaml"], "--mapping must name a YAML file of pairs"),
        (["broken.yaml"], "--mapping must name a valid YAML file"),
        (["unknown.yaml"], "--mapping must name joints of SMPL22, got 'thigh'"),
    ],
)
def test_values_that_are_no_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[str], message: str):
    monkeypatch.chdir(tmp_path)
    for name, text in (("list", "- a"), ("broken", "a: ["), ("unknown", "thigh: LeftLeg")):
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ValueError) as error:
        read_mapping(values)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_later_values_override_earlier_ones(tmp_path: Path):
    (tmp_path / "m.yaml").write_text("left_hip: A\nright_hip: B\nneck: null\n")
    assert read_mapping([str(tmp_path / "m.yaml"), "left_hip=C=D"]) == {"left_hip": "C=D", "right_hip": "B"}
    assert read_mapping(None) == {}


def test_a_mapping_without_a_bvh_file(run, tmp_path: Path, motion: Motion):
    motion.save(tmp_path / "a.npz")
    code, _, err = run("export", tmp_path / "a.npz", tmp_path / "b.bvh", "--mapping", "left_hip=A")
    assert code == 2 and "--mapping must come with a .bvh, " in err
    code, _, err = run("export", tmp_path / "a.npz", "--show-mapping")
    assert code == 2 and "--show-mapping must come with a .bvh, " in err
    code, _, err = run("export", tmp_path / "a.npz")
    assert code == 2 and "output must be named with -o" in err
    with pytest.raises(ValueError, match="got no file"):
        check_mapping({"left_hip": "A"}, [None])
