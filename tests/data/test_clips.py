"""Clips from disk, splits, augmentation, windows and token sequences."""

import dataclasses
import json

import numpy as np
import pytest
import roma
import torch

from motionmillion import features
from motionmillion.data import MotionClip, load_clips, synthesize, synthetic_clips
from motionmillion.data.augment import change_speed, mirror_caption, mirror_clip, mix_bodies, random_variant
from motionmillion.data.clips import ClipReader, list_clips, split_of_subject
from motionmillion.data.sets.windows import FeatureWindows, WholeClips, collate_features

CODEC = features.get("rot272")


def write_motion_set(folder, takes):
    """A motion set in the documented format."""
    vectors = [roma.rotmat_to_rotvec(m.rotations).numpy().astype(np.float16) for m in takes.values()]
    starts = np.cumsum([0, *(v.shape[0] for v in vectors)])
    np.savez(
        folder / "motion-00.npz",
        take=np.array(list(takes)),
        start=starts,
        poses=np.concatenate(vectors),
        trans=np.concatenate([m.translation.numpy() for m in takes.values()]),
    )
    (folder / "skeleton.json").write_text(json.dumps({"fps": 30}))
    records = [
        {"clip": f"{take}_0", "take": take, "start": 5, "end": 45, "split": split, "subject": take, "category": "walk",
         "whole_take": False, "shard": "motion-00.npz",
         "captions": [{"text": "a walk", "source": "index"}, {"text": "he goes left", "source": "kinematic"}]}
        for take, split in zip(takes, ("train", "test"), strict=True)
    ]  # fmt: skip
    (folder / "clips.jsonl").write_text("\n".join(map(json.dumps, records)))


def test_motion_set_is_cut_out_of_its_takes(tmp_path):
    takes = {name: synthesize("walk", seed=i, seconds=2) for i, name in enumerate(("a", "b"))}
    write_motion_set(tmp_path, takes)
    clips = load_clips(tmp_path)
    assert [(c.name, c.split, c.category) for c in clips] == [("a_0", "train", "walk"), ("b_0", "test", "walk")]
    assert clips[1].captions == ("a walk", "he goes left") and clips[1].own_captions == ("he goes left",)
    assert (clips[1].motion.positions() - takes["b"].slice(5, 45).positions()).abs().max() < 2e-3  # float16 poses
    assert [c.name for c in load_clips(tmp_path, ("test",))] == ["b_0"]


def test_records_are_listed_without_reading_motions(tmp_path):
    write_motion_set(tmp_path, {name: synthesize("walk", seed=0, seconds=2) for name in ("a", "b")})
    content = (tmp_path / "motion-00.npz").read_bytes()
    (tmp_path / "motion-00.npz").unlink()
    records = list_clips(tmp_path)
    assert [(r.name, r.file, r.take, r.start, r.end) for r in records] == [
        ("a_0", "motion-00.npz", "a", 5, 45),
        ("b_0", "motion-00.npz", "b", 5, 45),
    ]
    with pytest.raises(ValueError, match="path must name an existing file, got .*motion-00.npz"):
        ClipReader(tmp_path)(records[0])
    (tmp_path / "motion-00.npz").write_bytes(content)
    reader = ClipReader(tmp_path)
    assert torch.equal(reader(records[1]).motion.rotations, load_clips(tmp_path)[1].motion.rotations)
    with pytest.raises(ValueError, match="motion must be whole and valid, got .*motion-00.npz': take must be one"):
        reader(dataclasses.replace(records[0], take="c"))
    np.savez(tmp_path / "motion-00.npz", take=np.array(["a"]), start=np.array([0]), poses=np.zeros((9, 22, 3)))
    with pytest.raises(ValueError, match="shard must hold take, start, poses and trans, got no trans"):
        ClipReader(tmp_path)(records[0])


@pytest.mark.parametrize("line", ["{", "[1]", '{"clip": "x"}', '{"clip": "x", "captions": 3}'])
def test_damaged_lists_are_named(tmp_path, line):
    write_motion_set(tmp_path, {name: synthesize("walk", seed=0, seconds=2) for name in ("a", "b")})
    with open(tmp_path / "clips.jsonl", "a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ValueError, match="clips.jsonl must hold one whole clip a line, got line 3"):
        list_clips(tmp_path)


def test_folder_of_files_with_captions_and_split_lists(tmp_path):
    for seed, name in enumerate(("anna/one", "anna/two", "ben/three", "cleo/four")):
        synthesize("turn", seed=seed, seconds=2).save(tmp_path / f"{name}.npz")
        (tmp_path / f"{name}.txt").write_text(f"caption of {name}\n\nanother\n")
    clips = load_clips(tmp_path)
    assert {c.name: c.subject for c in clips} == {
        "anna/one": "anna",
        "anna/two": "anna",
        "ben/three": "ben",
        "cleo/four": "cleo",
    }
    assert clips[0].captions == ("caption of anna/one", "another") and clips[0].motion.caption == "caption of anna/one"
    assert clips[0].split == clips[1].split and {clip.split for clip in clips} == {"train", "val", "test"}
    (tmp_path / "val.txt").write_text("ben/three\n")
    assert {c.name: c.split for c in load_clips(tmp_path)}["ben/three"] == "val"


def test_hashed_splits_are_about_80_10_10():
    splits = [split_of_subject(f"subject {n}") for n in range(2000)]
    assert 0.75 < splits.count("train") / 2000 < 0.85
    assert 0.07 < splits.count("val") / 2000 < 0.13


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("Waves the left hand", "Waves the right hand"),
        ("turns LEFT, then right", "turns RIGHT, then left"),
        ("turns right at a right angle", "turns left at a right angle"),
        ("walks clockwise", "walks counterclockwise"),
        ("is delighted", "is delighted"),
    ],
)
def test_mirrored_captions(text, mirrored):
    assert mirror_caption(text) == mirrored


def test_variants_stay_true_to_their_clip():
    clip = synthetic_clips(1, seed=3)[0]
    mirrored = mirror_clip(clip)
    assert torch.equal(mirrored.motion.rotations, clip.motion.mirror().rotations)
    faster = change_speed(clip, 1.25)
    assert faster.motion.num_frames == pytest.approx(clip.motion.num_frames / 1.25, abs=1)
    assert faster.motion.fps == clip.motion.fps
    generator = torch.Generator().manual_seed(0)
    variants = [random_variant(clip, generator) for _ in range(30)]
    names = {v.name for v in variants}
    assert names == {clip.name, mirrored.name}
    assert len({v.motion.num_frames for v in variants}) > 10
    again = [random_variant(clip, g) for g in [torch.Generator().manual_seed(0)] for _ in range(30)]
    assert all(torch.equal(a.motion.rotations, b.motion.rotations) for a, b in zip(variants, again, strict=True))


def test_windows_cover_every_clip_and_collate_pads():
    clips = synthetic_clips(4, seed=0)
    windows = FeatureWindows(clips, CODEC, frames=48, copies=2)
    assert len(windows.clips) == 8
    assert all(windows[i]["features"].shape == (48, 272) for i in range(len(windows)))
    assert torch.equal(windows.clips[1], CODEC.encode(clips[0].motion.mirror().canonicalize()))
    batch = collate_features([{"features": torch.ones(3, 272)}, {"features": torch.ones(5, 272)}])
    assert batch["features"].shape == (2, 5, 272) and batch["lengths"].tolist() == [3, 5]
    assert batch["features"][0, 3:].abs().sum() == 0
    assert WholeClips(clips, CODEC)[2]["features"].shape[0] == clips[2].motion.num_frames


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: load_clips("no/such/folder"), "folder must be an existing folder"),
        (lambda: MotionClip("x", synthesize("walk", 0), split="trian"), "split must be one of"),
        (lambda: change_speed(synthetic_clips(1, 0)[0], 0), "factor must be positive"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="folder must hold motions"):
        load_clips(tmp_path)


def test_mixed_bodies_take_legs_from_one_clip_and_arms_from_the_other():
    walk, wave = (MotionClip(n, synthesize(n, seed=0, seconds=s), (n,)) for n, s in (("walk", 4), ("wave", 2)))
    mixed = mix_bodies(walk, wave)
    names = walk.motion.skeleton.names
    legs, arm = [names.index("pelvis"), names.index("left_knee")], names.index("left_elbow")
    assert torch.equal(mixed.motion.rotations[:, legs], walk.motion.rotations[:, legs])
    assert torch.equal(mixed.motion.rotations[:60, arm], wave.motion.rotations[:, arm])
    assert torch.equal(mixed.motion.rotations[60:120, arm], wave.motion.rotations[:, arm])  # starts over
    assert torch.equal(mixed.motion.translation, walk.motion.translation) and mixed.captions == ()
    assert len(FeatureWindows([walk, wave], CODEC, frames=48, copies=2, mixed=3).clips) == 10


def test_sources_and_ends_are_read_from_a_motion_set(tmp_path):
    write_motion_set(tmp_path, {name: synthesize("walk", seed=i, seconds=2) for i, name in enumerate(("a", "b"))})
    lines = (tmp_path / "clips.jsonl").read_text().splitlines()
    later = json.loads(lines[0]) | {"clip": "a_1", "start": 40, "end": 60}
    later["captions"] = [
        {"text": "Walk", "source": "cmu_index"},
        {"text": "stops", "source": "watched"},
        {"text": "x"},
    ]
    (tmp_path / "clips.jsonl").write_text("\n".join([json.dumps(later), *lines]))
    clips = {clip.name: clip for clip in load_clips(tmp_path)}
    assert {name: clip.ends for name, clip in clips.items()} == {"a_0": False, "a_1": True, "b_0": True}
    assert clips["a_1"].sources == ("cmu_index", "watched", "") and clips["a_1"].own_captions == ("stops",)
    assert clips["a_1"].description == "walk" and clips["a_0"].description == clips["a_0"].category


def test_sources_follow_the_captions():
    clip = MotionClip("x", synthesize("wave", 0), ("left", "b", "left"), sources=("watched", "wording", "paraphrase"))
    assert mirror_clip(clip).sources == clip.sources and mirror_clip(clip).captions[0] == "right"
    assert clip.replace(captions=("new", "left", "b")).sources == ("", "watched", "wording")
    assert clip.replace(captions=("new",), sources=("described",)).sources == ("described",)
    assert clip.replace(captions=()).sources == ()
    with pytest.raises(ValueError, match="sources must be one for each of the 3 captions, got 2 for clip 'x'"):
        clip.replace(sources=("a", "b"))


def test_a_variant_that_loses_its_end_does_not_end():
    clip = synthetic_clips(1, seed=3)[0]
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        plain = generator.clone_state()
        variant = random_variant(clip, generator, speed=0.0, trim=0.4)
        draws = torch.rand(4, generator=plain).tolist()
        removed = min(int(clip.motion.num_frames * 0.4 * draws[2]), clip.motion.num_frames - 32)
        lost = (removed - int(removed * draws[3])) / clip.motion.fps
        assert variant.ends == (lost <= 0.3)
        seen.add(variant.ends)
        assert not random_variant(clip.replace(ends=False), plain, speed=0.0).ends
    assert seen == {True, False}
    assert random_variant(clip, generator, trim=0.0).ends
