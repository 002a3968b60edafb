"""`motionmillion retarget`: a motion on a character, its mapping saved, edited and given back."""

import sys
from pathlib import Path

import pytest
import yaml

from motionmillion import Motion
from motionmillion.data import synthesize
from motionmillion.io.gltf_nodes import GltfFile

sys.path[:0] = [str(Path(__file__).parents[2] / "recipes/files")]
from characters import Glb, mixamo, plain  # noqa: E402


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return synthesize("walk", seed=0, seconds=2).slice(0, 30).save(tmp_path / "walk.npz")


@pytest.fixture
def hero(tmp_path: Path) -> Path:
    path = tmp_path / "hero.glb"
    path.write_bytes(mixamo().glb())
    return path


def test_a_motion_on_a_character(run, source: Path, hero: Path, tmp_path: Path):
    outputs = [tmp_path / "out.glb", tmp_path / "out.bvh"]
    code, out, err = run("retarget", source, "--to", hero, "-o", outputs[0], "-o", outputs[1], "--hands")
    assert (code, err) == (0, "") and out.split() == [str(path) for path in outputs]
    assert len(GltfFile(outputs[0]).json["animations"]) == 2
    assert Motion.load(outputs[1]).num_frames == 30
    code, _, err = run("retarget", source, "--to", hero, "-o", outputs[0])
    assert code == 2 and "which exists" in err
    assert run("retarget", source, "--to", hero, "-o", hero, "--overwrite")[0] == 2


def test_the_mapping_is_shown_saved_edited_and_given_back(run, source: Path, hero: Path, tmp_path: Path):
    saved = tmp_path / "hero.yaml"
    code, out, _ = run("retarget", source, "--to", hero, "--show-mapping", "--save-mapping", saved)
    assert code == 0 and "# not used: mixamorig:LeftHandThumb1" in out
    mapping = yaml.safe_load(saved.read_text(encoding="utf-8"))
    assert mapping["left_elbow"] == "mixamorig:LeftForeArm" and yaml.safe_load(out.split(str(saved))[0]) == mapping
    saved.write_text(yaml.safe_dump(mapping | {"head": "mixamorig:HeadTop_End"}), encoding="utf-8")
    flags = ("--mapping", saved, "-o", tmp_path / "out.glb")
    assert run("retarget", source, "--to", hero, *flags)[0] == 0
    content = GltfFile(tmp_path / "out.glb").json
    moved = {content["nodes"][c["target"]["node"]]["name"] for c in content["animations"][-1]["channels"]}
    assert "mixamorig:HeadTop_End" in moved


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "output must be named, got none"),
        (("-o", "x.npz"), "output must end in one of ['.glb', '.bvh']"),
        (("-o", "x.glb", "--scale", "0"), "scale must be a positive number"),
        (("-o", "x.glb", "--mapping", "left_hip=Hip"), "mapping must name joints of"),
        (("-o", "x.glb", "--source-mapping", "left_hip=Hip"), "--mapping must come with a .bvh, .amc"),
    ],
)
def test_mistakes_are_one_line(run, source: Path, hero: Path, tmp_path: Path, monkeypatch, flags, message: str):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("retarget", source, "--to", hero, *flags)
    assert code == 2 and message in err and err.count("\n") == 1


def test_two_characters_in_a_file(run, source: Path, tmp_path: Path):
    path = tmp_path / "two.glb"
    path.write_bytes(Glb([plain(), mixamo()]).bytes())
    code, _, err = run("retarget", source, "--to", path, "-o", tmp_path / "out.glb")
    assert code == 2 and "must hold one character, got 2" in err and "--character 0" in err
    assert run("retarget", source, "--to", path, "-o", tmp_path / "out.glb", "--character", 1)[0] == 0
