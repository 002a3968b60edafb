"""Suites of real motion, and distractors for any suite."""

from collections import Counter
from dataclasses import replace

import pytest

from motionmillion.data.clips import MotionClip
from motionmillion.data.synthetic.clips import synthesize
from motionmillion.eval.suites import Prompt, Suite
from motionmillion.eval.suites.clips import UNCATEGORISED, balanced_distractors, clip_id, clips_suite
from motionmillion.eval.suites.motionmillion_eval import motionmillion_eval

MOTION = synthesize("wave", seed=0, seconds=2)


def clip(name: str, captions: tuple[str, ...] = ("a person waves",), split: str = "test", **fields) -> MotionClip:
    return MotionClip(name, MOTION, captions, split, **fields)


def test_one_prompt_for_each_captioned_clip_of_the_split():
    clips = [
        clip("walks/a", ("a stroll",), category="walk"),
        clip("b", split="train"),
        clip("c", ()),
        clip("take_0", ("a whole take", "he waves"), whole=False, own_captions=("he waves",)),
    ]
    suite = clips_suite(clips)
    assert [prompt.id for prompt in suite.prompts] == ["walks%2Fa", "take_0"]
    assert [prompt.text for prompt in suite.prompts] == ["a stroll", "he waves"]
    assert [prompt.category for prompt in suite.prompts] == ["walk", UNCATEGORISED]
    assert [prompt.seconds for prompt in suite.prompts] == [MOTION.seconds] * 2
    assert [prompt.id for prompt in clips_suite(clips, "train").prompts] == ["b"]


def test_captions_hang_on_seed_and_name_alone():
    captions = tuple(f"caption {number}" for number in range(5))
    clips = [clip(f"clip{number}", captions, own_captions=captions[:1]) for number in range(40)]
    suite = clips_suite(clips)
    assert set(clips_suite(clips[::-1]).prompts) == set(suite.prompts)
    assert len({prompt.text for prompt in suite.prompts}) == 5  # whole clips: own captions are not preferred
    assert clips_suite(clips, seed=1).sha256 != suite.sha256 == clips_suite(clips, seed=0).sha256


def test_folders_are_read(tmp_path):
    MOTION.save(tmp_path / "wave" / "first.npz")
    (tmp_path / "wave" / "first.txt").write_text("a person waves\n")
    (tmp_path / "test.txt").write_text("wave/first.npz\n")
    suite = clips_suite(tmp_path)
    assert [(p.id, p.text) for p in suite.prompts] == [("wave%2Ffirst", "a person waves")]
    assert suite.source == tmp_path.name
    with pytest.raises(ValueError, match="motions of the split train, got none"):
        clips_suite(tmp_path, "train")


def test_different_names_stay_different():
    names = ["a/b", "a%2Fb", "a_b", ".a", "a.", "a.b", 'a:*?"<>|\\b', " a"]
    ids = [clip_id(name) for name in names]
    assert len(set(ids)) == len(names) and ids[2] == "a_b" and ids[5] == "a.b"
    Suite("x", "1", tuple(Prompt(name, "a person waves", "x") for name in ids))  # all fit for files


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'dev'"):
        clips_suite([clip("a")], "dev")
    with pytest.raises(ValueError, match="must have captions, got none"):
        clips_suite([clip("a", ())])
    with pytest.raises(ValueError, match="existing folder"):
        clips_suite(tmp_path / "nosuch")


def test_distractors_come_evenly_from_other_categories():
    suite = motionmillion_eval()
    category = {prompt.text: prompt.category for prompt in suite.prompts}
    filled = balanced_distractors(suite)
    for prompt in filled.prompts:
        counts = Counter(category[text] for text in prompt.distractors)
        assert len(set(prompt.distractors)) == 9 and prompt.category not in counts
        assert sorted(counts.values()) == [1, 1, 1, 2, 2, 2]
    used = Counter(text for prompt in filled.prompts for text in prompt.distractors)
    assert len(used) == len(suite.prompts) and max(used.values()) < 30
    assert balanced_distractors(suite).sha256 == filled.sha256 != balanced_distractors(suite, seed=1).sha256
    shuffled = balanced_distractors(replace(suite, prompts=suite.prompts[::-1]))
    assert set(shuffled.prompts) == set(filled.prompts)


def test_distractors_say_something_else_and_listed_ones_stay():
    prompts = (
        Prompt("a", "A person waves.", "x"),
        Prompt("b", "a person waves", "y"),
        Prompt("c", "a person sits", "y"),
        Prompt("d", "a person sits", "z"),
        Prompt("e", "a person runs", "z", distractors=("a person hides",)),
        Prompt("f", "a person hops", "x"),
    )
    filled = balanced_distractors(Suite("s", "1", prompts), count=2).prompts
    assert sorted(filled[0].distractors) == ["a person runs", "a person sits"]
    assert sorted(filled[1].distractors) == ["a person hops", "a person runs"]
    assert filled[4].distractors == ("a person hides",)


def test_too_few_texts_are_an_error():
    suite = Suite("s", "1", (Prompt("a", "a person waves", "x"), Prompt("b", "a person sits", "x")))
    with pytest.raises(ValueError, match="got 1 for 0 beside those of 'x'; ask for fewer"):
        balanced_distractors(suite, count=1)
    with pytest.raises(ValueError, match="count must be a whole number"):
        balanced_distractors(suite, count=0)
