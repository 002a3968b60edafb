"""Clips for games on the command line: loops, mirror images, root bones, manifests that survive an interruption."""

import json

import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.motion import Motion


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    return synthesize("walk", seed=1, seconds=4).save(tmp_path_factory.mktemp("motions") / "walk.npz")


@pytest.fixture(scope="module")
def model(tiny_pipeline, tmp_path_factory):
    return str(tiny_pipeline.save_pretrained(tmp_path_factory.mktemp("model")))


def test_export_writes_loops_and_a_manifest(run, walk, tmp_path):
    out = tmp_path / "loop.bvh"
    flags = ("--loop", "--fps", 60, "--root-motion", "root", "--manifest", "--bvh-names", "unreal")
    code, shown, err = run("export", walk, "-o", out, "-o", tmp_path / "loop.npz", *flags)
    assert code == 0 and shown.splitlines() == [str(out), str(tmp_path / "loop.npz")], err
    expected = Motion.load(walk).resample(60).loop(closed=True)
    assert torch.allclose(Motion.load(tmp_path / "loop.npz").positions(), expected.positions(), atol=1e-4)
    assert out.read_text().split()[:3] == ["HIERARCHY", "ROOT", "root"]
    (entry,) = json.loads((tmp_path / "manifest.json").read_text())["clips"]
    assert (
        entry["files"] == ["loop.bvh", "loop.npz"] and entry["fps"] == 60 and entry["loop"] and entry["seed"] is None
    )
    code, _, err = run("export", walk, "-o", tmp_path / "still.npz", "--in-place", "--mirror")
    still = Motion.load(tmp_path / "still.npz")
    assert code == 0 and torch.allclose(still.rotations, Motion.load(walk).mirror().rotations, atol=1e-5)
    assert not still.translation[:, [0, 2]].abs().gt(1e-5).any()


def test_what_cannot_be_made_is_one_line(run, walk, tmp_path):
    synthesize("wave", seed=0, seconds=3).save(tmp_path / "wave.npz")
    for flags, message in (
        (("--cycle-speed", 9), "speed must be in"),
        (("--cycle-speed", 1, "--loop"), "loop must be left out with cycle_speed"),
        (("--trim", "both"), "both"),
    ):
        code, _, err = run("export", walk, "-o", tmp_path / "out.npz", *flags)
        assert code == 2 and message in err and err.count("\n") == 1
    code, _, err = run("export", tmp_path / "wave.npz", "-o", tmp_path / "out.npz", "--trim", "left")
    assert code == 2 and "motion must land with the left foot twice to be trimmed" in err
    assert not (tmp_path / "out.npz").exists()
    both = ("export", walk, tmp_path / "wave.npz", "-o", tmp_path / "all.glb", "--manifest")
    code, _, err = run(*both)
    assert code == 2 and ("manifest must be left out for one file" in err or "pygltflib" in err)


def test_a_batch_that_is_resumed_lists_every_clip(run, model, tmp_path):
    (tmp_path / "prompts.txt").write_text("a person walks\na person waves with the left hand\n")
    command = ("generate", "--prompts-file", tmp_path / "prompts.txt", "--model", model, "--seconds", 1)
    command += ("-o", tmp_path / "out" / "x.npz", "--manifest", "--mirror")
    code, _, err = run(*command)
    assert code == 0, err
    path = tmp_path / "out" / "manifest.json"
    whole = json.loads(path.read_text())
    assert [clip["name"] for clip in whole["clips"]] == ["x-0000", "x-0001"]
    assert whole["clips"][1]["prompt"].endswith("left hand") and whole["clips"][1]["caption"].endswith("right hand")
    # stopped between the file and its entry, and before the second file
    before = (tmp_path / "out" / "x-0000.npz").read_bytes()
    path.write_text(json.dumps({**whole, "clips": []}))
    (tmp_path / "out" / "x-0001.npz").unlink()
    code, shown, err = run(*command, "--resume")
    assert code == 0 and len(shown.splitlines()) == 2, err
    assert json.loads(path.read_text()) == whole and (tmp_path / "out" / "x-0000.npz").read_bytes() == before
    code, shown, _ = run(*command, "--resume")
    assert code == 0 and shown == ""


def test_a_motion_without_a_loop_does_not_stop_the_others(run, model, tmp_path):
    command = ("generate", "a person walks", "a person jumps", "--model", model, "-o", tmp_path / "x.npz")
    code, shown, err = run(*command, "--seconds", 0.4, "--loop")
    assert code == 2 and shown == "" and err.strip().count("\n") == 0
    assert "not written" in err and "min_seconds" in err and "and 1 more" in err


def test_retarget_at_another_frame_rate(run, walk, tmp_path):
    target = Motion.load(walk).slice(0, 2).save(tmp_path / "hero.bvh")
    code, _, err = run("retarget", walk, "--to", target, "-o", tmp_path / "out.bvh", "--fps", 24)
    assert code == 0 and Motion.load(tmp_path / "out.bvh").fps == 24, err
