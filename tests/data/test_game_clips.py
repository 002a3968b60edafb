"""Options of clips for games, in their order, and the manifest beside them."""

import json

import numpy as np
import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.data.game_clips import ClipOptions, prepare_clip
from motionmillion.data.manifest import Manifest, clip_entry
from motionmillion.kinematics.loops import find_loop
from motionmillion.kinematics.roots import mean_speed
from motionmillion.kinematics.trimming import foot_contacts, loop_contacts
from motionmillion.motion import Motion


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=1, seconds=4).replace(caption="a person walks, the left arm raised")


def test_nothing_asked_nothing_changed(walk: Motion):
    clip = prepare_clip(walk, ClipOptions())
    assert clip.motion is walk and clip.loop is None


def test_a_mirrored_loop_in_place_at_another_rate(walk: Motion):
    clip = prepare_clip(walk, ClipOptions(fps=24, mirror=True, loop=True, in_place=True))
    expected = find_loop(walk.resample(24).mirror())
    assert clip.loop is not None and clip.loop.displacement == expected.displacement
    assert clip.motion.fps == 24 and clip.motion.num_frames == expected.motion.num_frames + 1
    assert clip.motion.caption == "a person walks, the right arm raised"
    assert not clip.motion.translation[:, [0, 2]].any() and clip.travelling.translation[-1, 2] > 0.5
    # the last frame is the first one again
    assert torch.allclose(clip.motion.rotations[-1, 1:], clip.motion.rotations[0, 1:], atol=1e-5)


def test_trimming_and_speed(walk: Motion):
    assert prepare_clip(walk, ClipOptions(trim="left")).motion.num_frames == walk.trim("left").num_frames
    cycle = prepare_clip(walk, ClipOptions(cycle_speed=1.2)).loop
    assert cycle is not None and cycle.speed == pytest.approx(1.2, rel=1e-4)


def test_wrong_options():
    with pytest.raises(ValueError, match="loop must be left out with cycle_speed"):
        ClipOptions(loop=True, cycle_speed=1.0)
    with pytest.raises(ValueError, match="fps must be positive, got -1"):
        ClipOptions(fps=-1)


def test_entries(walk: Motion, tmp_path):
    clip = prepare_clip(walk, ClipOptions(loop=True, in_place=True))
    entry = clip_entry([tmp_path / "walk-0000.glb"], clip, "a person walks", seed=3)
    assert clip.loop is not None
    assert entry["name"] == "walk-0000" and entry["seed"] == 3 and entry["loop"] and entry["in_place"]
    assert entry["speed"] == pytest.approx(clip.loop.speed, abs=1e-3)
    assert entry["seconds"] == pytest.approx(clip.loop.seconds, abs=1e-3)
    assert entry["displacement"] == pytest.approx(clip.loop.displacement, abs=1e-3)
    # contacts are those of the travelling motion: in place, feet slide
    assert [tuple(each) for each in entry["contacts"]["left"]] == loop_contacts(clip.loop)["left"]
    plain = clip_entry(["walk.glb"], prepare_clip(walk, ClipOptions()), "", None)
    assert plain["seed"] is None and plain["speed"] == pytest.approx(mean_speed(walk), abs=1e-3) and not plain["loop"]


def test_contacts_of_a_loop_are_those_of_its_repetition(walk: Motion):
    """In every frame, the first and the closing one included, as in the middle of many cycles."""
    loop = prepare_clip(walk, ClipOptions(loop=True)).loop
    assert loop is not None
    frames = loop.motion.num_frames
    found, many = loop_contacts(loop), foot_contacts(loop.repeated(9))
    for side in ("left", "right"):
        flags, every = np.zeros(frames + 1, bool), np.zeros(9 * frames, bool)
        for start, stop in found[side]:
            flags[start:stop] = True
        for start, stop in many[side]:
            every[start:stop] = True
        assert flags[0] == flags[-1] and flags.any()
        np.testing.assert_array_equal(flags, every[4 * frames : 5 * frames + 1])


def test_a_manifest_keeps_what_is_there(walk: Motion, tmp_path):
    clip = prepare_clip(walk, ClipOptions())
    manifest = Manifest(tmp_path / "clips" / "manifest.json")
    for name in ("b", "a"):
        files = [tmp_path / "clips" / f"{name}.glb", tmp_path / "other" / f"{name}.bvh"]
        manifest.add(clip_entry(files, clip, name, 0))
    again = Manifest(tmp_path / "clips" / "manifest.json")
    assert again.lists(files) and not again.lists(files[:1])
    again.add(clip_entry(files, clip, "new", 1))
    content = json.loads((tmp_path / "clips" / "manifest.json").read_text(encoding="utf-8"))
    assert [(each["prompt"], each["files"]) for each in content["clips"]] == [
        ("new", ["a.glb", "../other/a.bvh"]),
        ("b", ["b.glb", "../other/b.bvh"]),
    ]
    assert [file.name for file in (tmp_path / "clips").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"clips": [{}], "format": "motionmillion clips"}', '{"clips": 3}']
)
def test_a_foreign_manifest_is_not_touched(tmp_path, content: str):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="manifest must be one that was written for clips, got"):
        Manifest(tmp_path / "manifest.json")
    assert (tmp_path / "manifest.json").read_text() == content
