"""The cells and the material of recipes/claims."""

import argparse
import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from motionmillion.data.mirror_words import mirror_caption
from motionmillion.data.sets.sequences import Version
from motionmillion.data.shards.tokens import TokenClip
from motionmillion.data.synthetic import synthetic_clips
from motionmillion.pipeline.folder import find_tokenizer
from motionmillion.tokenizer import MotionTokenizer

FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "claims"


def load(name: str):
    """A module of the recipe."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture
def cells():
    return load("cells")


@pytest.fixture
def material():
    return load("material")


def test_finished_cells_are_skipped_and_a_failure_leaves_them(cells, tmp_path):
    made = []

    def arm(name: str):
        def make(seed: int):
            if name == "big" and seed == 1 and len(made) == 3:
                raise KeyboardInterrupt
            made.append((name, seed))
            return {"loss": 1.0 + seed + (name == "big")}

        return make

    arms = {name: arm(name) for name in ("small, plain", "big")}
    with pytest.raises(KeyboardInterrupt):
        cells.run_cells(tmp_path, {"steps": 4}, arms, range(2))
    assert made == [("small, plain", 0), ("big", 0), ("small, plain", 1)]
    made.append(("none", 9))  # from here on nothing fails
    results = cells.run_cells(tmp_path, {"steps": 4}, arms, range(2))
    assert made[-1] == ("big", 1) and len(made) == 5
    assert results == {
        "small, plain": {0: {"loss": 1.0}, 1: {"loss": 2.0}},
        "big": {0: {"loss": 2.0}, 1: {"loss": 3.0}},
    }
    record = json.loads((tmp_path / "small_plain-1.json").read_text())
    assert record["arm"] == "small, plain" and record["machine"] and record["cpu_seconds"] >= 0
    with pytest.raises(ValueError, match="cells must be of the settings .*'steps': 5.*choose another output"):
        cells.run_cells(tmp_path, {"steps": 5}, arms, range(2))


def test_intervals_and_differences_are_those_of_pairs(cells):
    results = {"a": {0: {"loss": 1.0}, 1: {"loss": 3.0}}, "b": {0: {"loss": 1.5}, 1: {"loss": 3.5}, 2: {"loss": 9.0}}}
    mean, half = cells.interval([1.0, 3.0])
    assert mean == 2.0 and half == pytest.approx(12.706, abs=1e-2)  # t of one degree of freedom, standard error 1
    assert cells.differences(results, "b", "a", "loss") == [0.5, 0.5]
    text = cells.table(results, {"loss": "loss", "r3": "R@3"}, baseline="a")
    assert "R@3" not in text and "| b | 3 | 4.667 +- 9.648 | +0.500 +- 0.000 |" in text
    assert cells.interval([1.0]) == (1.0, None) and cells.told([1.0], 2) == "1.00"


def test_mirrored_versions_keep_the_same_captions(material):
    captions = tuple(
        f"a person {verb} with the {side} hand" for verb in ("waves", "points") for side in ("left", "right")
    )
    version = Version(captions, captions[:2], ("watched",) * 4, whole=False)
    mirrored = Version(tuple(map(mirror_caption, captions)), (), ("watched",) * 4)
    for seed in range(4):
        keep = material.first_captions(1, seed)
        kept = keep(version)
        assert len(kept.captions) == len(kept.sources) == 1 and set(kept.own_captions) <= set(kept.captions)
        assert keep(mirrored).captions[0] in (kept.captions[0], mirror_caption(kept.captions[0]))
    assert {material.first_captions(1, seed)(version).captions for seed in range(8)} != {captions[:1]}


def test_versions_of_a_clip_are_put_together(material):
    clips = [
        TokenClip(f"{name}@{number}", torch.tensor([number]), 4, captions=("walk",), category="walk")
        for name in ("a", "b")
        for number in range(3)
    ]
    found = material.sequences(clips)
    assert found.names == ["a", "b"] and [len(own) for own in found.codes] == [3, 3]
    assert material.sequences(clips, only="b".__eq__).names == ["b"]
    assert not material.sequences(clips, keep=lambda version: version.replace(captions=())).names


def test_the_exponent_of_a_power_law_is_found():
    size = load("size")
    points = {name: 10.0**place for place, name in enumerate(size.SIZES, 3)}
    results = {n: {0: {"operations": x, "loss": 4 * x**-0.05}} for n, x in points.items()}
    assert size.exponents(results) == pytest.approx([0.05])


def test_tokenizers_of_chosen_clips_are_trained_and_measured(tmp_path):
    filtering = load("motion_filter")
    clips = synthetic_clips(6, seed=0)
    for clip in clips:
        clip.motion.save(tmp_path / "data" / f"{clip.name}.npz")
    held_out = filtering.WholeClips(clips[:2], filtering.representations.get("rot272"))
    options = argparse.Namespace(data=str(tmp_path / "data"), width=8, tokenizer_steps=2)
    found = filtering.tokenizer_cell(clips[2:], held_out, options, seed=0, folder=tmp_path / "run")
    assert found["clips"] == 4 and found["mpjpe_rotations_mm"] > 0 and (tmp_path / "run" / "final").is_dir()


def test_arms_leave_out_what_they_say_and_nothing_else(tmp_path):
    ablation = load("data_options")
    clips = [
        clip.replace(split="train", sources=("watched",) * len(clip.captions)) for clip in synthetic_clips(24, seed=0)
    ]
    material = ablation.Composed.__new__(ablation.Composed)
    material.tokenizer = MotionTokenizer.from_pretrained(find_tokenizer("mini")).eval()
    material.read, material.texts = lambda: clips, {}
    material.made = {name: material._kind("data", tmp_path, name, 0) for name in ("clips", *ablation.KINDS)}
    every = material.without(())
    added = {name: len(material.made[name].codes) for name in ablation.KINDS}
    assert len(every) == len(clips) + sum(added.values()) and added["moments"] and added["reversals"]
    for name, arm in ablation.ARMS.items():
        dataset = material.without(arm)
        assert len(dataset) == len(clips) + sum(count for kind, count in added.items() if kind not in arm), name
        assert {len(own) for own in dataset.codes} == {1 if ablation.MIRRORED in arm else 2}
        sources = {source for own in dataset.versions for version in own for source in version.sources}
        assert ("described" in sources) == (ablation.MEASURED not in arm)
    mirrored = material.made["clips"].versions[0][1].captions
    assert mirrored == tuple(map(mirror_caption, material.made["clips"].versions[0][0].captions))
    material.read = None  # the second time everything comes from the cache
    assert material._kind("data", tmp_path, "moments", 0).names == material.made["moments"].names
