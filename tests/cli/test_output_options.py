"""Options of writers on the command line: they reach the writers, and mistakes are found before any work."""

import pytest
import torch

from motionmillion.io.bvh import write_bvh
from motionmillion.motion import Motion


@pytest.fixture
def source(tmp_path):
    path = torch.tensor([[0.0, 0.9, 0.0], [0.0, 0.9, 0.1], [0.0, 0.9, 0.2]])
    return Motion(torch.eye(3).repeat(3, 22, 1, 1), path).save(tmp_path / "walk.npz")


def test_export_passes_options_to_the_writers(run, source, tmp_path):
    pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')
    flags = ("--bvh-unit", "inch", "--bvh-names", "unreal", "--bvh-rest", "A", "--bvh-t-pose")
    flags += ("--body", "mannequin", "--in-place", "--joint-names", "mixamo")
    code, out, err = run("export", source, "-o", tmp_path / "a.bvh", "-o", tmp_path / "a.glb", *flags)
    assert code == 0 and out.splitlines() == [str(tmp_path / "a.bvh"), str(tmp_path / "a.glb")], err
    expected = dict(unit="inch", names="unreal", rest="A", t_pose_first_frame=True)
    again = write_bvh(Motion.load(source).in_place(), tmp_path / "b.bvh", **expected)
    assert (tmp_path / "a.bvh").read_bytes() == again.read_bytes()
    made = Motion.load(source).save(tmp_path / "b.glb", body="mannequin", root_motion=False, names="mixamo")
    assert (tmp_path / "a.glb").read_bytes() == made.read_bytes()


@pytest.mark.parametrize(
    "command", [("export", "SOURCE", "a.html"), ("generate", "a person walks", "-o", "a.html", "--model", "none")]
)
def test_an_option_without_its_file(run, source, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(source if word == "SOURCE" else word for word in command), "--bvh-unit", "m")
    assert code == 2 and "bvh_unit must come with a .bvh output, got 'm' for .html" in err


def test_an_unknown_choice(run, source, tmp_path):
    code, _, err = run("export", source, tmp_path / "a.bvh", "--bvh-unit", "mile")
    assert code == 2 and "mile" in err and "inch" in err
    assert not (tmp_path / "a.bvh").exists()


def test_several_motions_in_one_file(run, source, tmp_path):
    pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')
    Motion.load(source).slice(0, 2).save(tmp_path / "short.npz")
    code, out, err = run("export", source, tmp_path / "short.npz", "-o", tmp_path / "all.glb")
    assert code == 0 and out.splitlines() == [str(tmp_path / "all.glb")], err
    assert Motion.load(tmp_path / "all.glb", index=1).num_frames == 2
    code, _, err = run("export", source, tmp_path / "short.npz", "-o", tmp_path / "all.glb")
    assert code == 2 and "--overwrite" in err
