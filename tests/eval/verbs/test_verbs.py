"""The verb check: what the descriptor ignores, what the classifier learns, and which prompts it accepts."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.synthetic import synthesize, synthetic_clips
from motionmillion.eval.verbs import (
    MORE_VERBS,
    VERBS,
    VerbClassifier,
    VerbClips,
    clip_verb,
    clip_verb_of_twenty,
    score_verbs,
    verb_check,
)
from motionmillion.eval.verbs.descriptor import motion_descriptor, window_descriptors
from motionmillion.motion import Motion, rotation_y

RECIPE = Path(__file__).parents[3] / "recipes" / "mini"


@pytest.fixture(scope="module")
def clips() -> list[MotionClip]:
    return synthetic_clips(140, seed=0)


@pytest.fixture(scope="module")
def classifier(clips: list[MotionClip]) -> VerbClassifier:
    train = [clip for clip in clips if clip.split == "train"]
    return VerbClassifier(seed=0, trees=50).fit([c.motion for c in train], [c.category for c in train])


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verb_check_script", RECIPE / "verb_check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def moved(motion: Motion, angle: float, offset: tuple[float, float, float]) -> Motion:
    """The same motion, turned by `angle` radians about y and then moved by `offset` metres."""
    turn = rotation_y(torch.tensor(angle))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(rotations=rotations, translation=motion.translation @ turn.T + torch.tensor(offset))


def titled(*captions: str, category: str = "", own: tuple[str, ...] = (), whole: bool = True) -> MotionClip:
    motion = synthesize("wave", seed=0, seconds=2)
    return MotionClip("x_1", motion, (*captions, *own), category=category, own_captions=own, whole=whole)


@pytest.mark.parametrize("action", ["walk", "turn", "jump"])
def test_descriptor_ignores_start_and_heading(action: str):
    motion = synthesize(action, seed=3, seconds=3)
    there = moved(motion, angle=2.5, offset=(4.0, 0.5, -7.0))
    torch.testing.assert_close(motion_descriptor(there), motion_descriptor(motion), atol=2e-2, rtol=1e-2)


def test_descriptor_tells_motions_apart():
    walk, squat = (motion_descriptor(synthesize(action, seed=3, seconds=3)) for action in ("walk", "squat"))
    assert (walk - squat).abs().max() > 0.5


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 31, 90])
def test_descriptor_has_one_size_and_is_finite(frames: int):
    motion = synthesize("walk", seed=1, seconds=3).slice(0, frames)
    described = motion_descriptor(motion)
    assert described.shape == motion_descriptor(synthesize("jump", seed=2, seconds=5)).shape
    assert bool(torch.isfinite(described).all())


def test_descriptor_reads_units_not_frames():
    fast = synthesize("walk", seed=4, seconds=4, fps=60)
    slow = synthesize("walk", seed=4, seconds=4, fps=30)
    difference = (motion_descriptor(fast) - motion_descriptor(slow)).abs().mean()
    other = (motion_descriptor(fast) - motion_descriptor(synthesize("walk", seed=5, seconds=4))).abs().mean()
    assert difference < 0.2 * other


def test_windows_start_with_the_whole_and_reach_the_end():
    motion = synthesize("walk", seed=1, seconds=4)
    windows = window_descriptors(motion, frames=60, hop=30)
    assert windows.shape[0] == 4
    torch.testing.assert_close(windows[0], motion_descriptor(motion))
    assert window_descriptors(motion.slice(0, 40), frames=60).shape[0] == 1


def test_classifier_names_motions_of_unseen_subjects(clips: list[MotionClip], classifier: VerbClassifier):
    test = [clip for clip in clips if clip.split != "train"]
    named = classifier.predict([clip.motion for clip in test])
    assert np.mean([name == clip.category for name, clip in zip(named, test, strict=True)]) > 0.9
    probabilities = classifier.probabilities([clip.motion for clip in test[:3]])
    assert probabilities.shape == (3, 5)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_classifier_takes_the_mirror_image_for_the_same(clips: list[MotionClip], classifier: VerbClassifier):
    test = [clip for clip in clips if clip.split != "train"]
    named = classifier.predict([clip.motion.mirror() for clip in test])
    assert np.mean([name == clip.category for name, clip in zip(named, test, strict=True)]) > 0.9


def test_shuffled_labels_fall_to_chance(clips: list[MotionClip]):
    train, test = ([c for c in clips if (c.split == "train") == kept] for kept in (True, False))
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = VerbClassifier(seed=0, trees=30).fit([c.motion for c in train], [train[i].category for i in order])
    named = shuffled.predict([clip.motion for clip in test])
    assert np.mean([name == clip.category for name, clip in zip(named, test, strict=True)]) < 0.45


def test_classifier_repeats_and_rejects(clips: list[MotionClip]):
    motions, verbs = [c.motion for c in clips[:20]], [c.category for c in clips[:20]]
    first, second = (VerbClassifier(seed=1, trees=5).fit(motions, verbs).probabilities(motions) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="at least two verbs"):
        VerbClassifier().fit(motions[:2], ["walk", "walk"])
    with pytest.raises(ValueError, match="one for each of 20 motions"):
        VerbClassifier().fit(motions, verbs[:3])
    with pytest.raises(ValueError, match="must be trained"):
        VerbClassifier().predict(motions)


@pytest.mark.parametrize(
    ("clip", "verb"),
    [
        (titled("walk", category="walk"), "walk"),
        (titled("SadWalk", category="walk", own=("a person walks, turning around to the left",)), "turn"),
        (titled("walk", category="walk", own=("a person walks, turning left",)), None),
        (titled("walk, 90-degree left turn", category="walk"), "turn"),
        (titled("run/jog, veer left", category="run"), "run"),
        (titled("run, leap", category="jump"), None),
        (titled("forward jump", category="jump"), "jump"),
        (titled("jump", category="jump", own=("a person stands",), whole=False), None),
        (titled("direct traffic, wave", category="gesture"), "wave"),
        (titled("playground - climb, sit, jump down", category="climb"), None),
        (titled("climb ladder", category="climb"), "climb"),
        (titled("Empi", "someone does punches and kicks", category="fight"), "punch"),
        (titled("Empi", "someone punches, kicks", category="fight", own=("a person kicking",)), None),
        (titled("dance - jump, turn step", category="dance"), "dance"),
        (titled("jumping jacks", category="exercise"), None),
        (titled("laugh", category="gesture"), None),
        (titled(), None),
    ],
)
def test_clip_verb(clip: MotionClip, verb: str | None):
    assert clip_verb(clip) == verb


def test_windows_of_a_take_share_its_name():
    assert titled("walk", whole=False).take == "x"
    assert titled("walk").take == "x_1"


def test_score_counts_and_bounds():
    truth, named = ["walk"] * 4 + ["run"] * 2, ["walk", "walk", "walk", "run", "run", "walk"]
    score = score_verbs(truth, named, list("aabbcd"), seed=0)
    assert score.accuracy == {"walk": 0.75, "run": 0.5} and score.counts == {"walk": 4, "run": 2}
    assert score.macro == pytest.approx(0.625) and score.plain == pytest.approx(4 / 6)
    assert score.confusion == {"walk": {"run": 1, "walk": 3}, "run": {"run": 1, "walk": 1}}
    assert score.macro_interval[0] < score.macro < score.macro_interval[1]
    assert "draws" not in score.as_dict()


@pytest.mark.slow
def test_real_clips_are_scored_without_their_own_take(clips: list[MotionClip]):
    real = VerbClips(clips[:80], group=lambda clip: clip.subject)
    assert set(real.verbs) >= {"walk", "turn", "wave", "jump"}
    score = real.held_out()
    assert score.macro > 0.9
    assert sum(score.counts.values()) == sum(clip.split != "train" for clip in real.clips)
    frozen = real.cross_validated(lambda motion: motion.slice(0, 1), folds=2)
    assert frozen.macro < score.macro  # one frame shows less than the motion
    assert real.cross_validated(folds=2).macro > frozen.macro
    train = [clip for clip in real.clips if clip.split == "train"]
    motions = [clip.motion for clip in real.clips if clip.split != "train"]
    by_hand = VerbClassifier(0).fit([c.motion for c in train], [clip_verb(c) for c in train])
    rows = [row for row, clip in enumerate(real.clips) if clip.split == "train"]
    assert np.array_equal(real.classifier(rows).probabilities(motions), by_hand.probabilities(motions))


def test_check_of_a_model_that_obeys_and_of_one_that_walks(classifier: VerbClassifier):
    prompts = {verb: [f"{verb} {n}" for n in range(4)] for verb in ("walk", "wave", "jump")}

    def obeys(texts: list[str], seconds: float, seed: int) -> list[Motion]:
        return [synthesize(text.split()[0], seed + 100 + n, seconds) for n, text in enumerate(texts)]

    def walks(texts: list[str], seconds: float, seed: int) -> list[Motion]:
        return [synthesize("walk", seed + 100 + n, seconds) for n in range(len(texts))]

    real = score_verbs(["walk", "wave", "jump"] * 4, ["walk", "wave", "jump"] * 4, [str(n) for n in range(12)])
    good = verb_check(obeys, classifier, prompts, 4.0, 0, real)
    bad = verb_check(walks, classifier, prompts, 4.0, 0, real)
    assert good["ratio"] > 0.9 and math.isclose(bad["ratio"], 1 / 3, abs_tol=0.1)
    assert bad["generated"]["confusion"]["wave"] == {"walk": 4}
    assert good["motions"][5] == {"prompt": "wave 1", "verb": "wave", "named": "wave"}
    assert "ratio" not in verb_check(obeys, classifier, prompts)


def watched(title: str, command: str, category: str = "") -> MotionClip:
    return titled(title, command, category=category).replace(sources=("cmu_index", "watched"))


@pytest.mark.parametrize(
    ("clip", "verb"),
    [
        (watched("a daily action", "squat down low"), "squat"),
        (watched("walk", "walk forward", category="walk"), "walk"),  # the first ten come first
        (watched("a daily action", "squat, then march"), None),
        (watched("a daily action", "squat and kick"), None),
        (watched("a daily action", "creep like a cat"), None),
        (watched("squat", "stand there"), None),  # what the title says is not what was seen
        (titled("a daily action", "squat down low"), None),
    ],
)
def test_more_verbs_are_read_from_what_was_watched(clip: MotionClip, verb: str | None):
    assert clip_verb_of_twenty(clip) == verb


def test_prompts_are_twenty_a_verb_and_differ(script: ModuleType):
    prompts = script.read_prompts()
    assert len(prompts) == 10 and all(len(texts) == 20 for texts in prompts.values())
    more = script.read_prompts(verbs=(*VERBS, *MORE_VERBS))
    assert list(more) == [*VERBS, *MORE_VERBS] and all(len(texts) == 20 for texts in more.values())


def test_prompt_file_is_checked(script: ModuleType, tmp_path: Path):
    text = (RECIPE / "verb_prompts.yaml").read_text()
    (tmp_path / "twice.yaml").write_text(text.replace("- wave hello", "- Wave!"))
    (tmp_path / "few.yaml").write_text(text.replace("  - wave hello\n", ""))
    (tmp_path / "verbs.yaml").write_text(text.replace("wave:", "greet:"))
    for name, message in (("twice", "'wave' twice"), ("few", "wave must have 20"), ("verbs", "for the verbs")):
        with pytest.raises(ValueError, match=message):
            script.read_prompts(tmp_path / f"{name}.yaml")


def test_captions_of_the_data_are_no_prompts(script: ModuleType):
    clip = titled("A person waves, left hand.")
    script.check_unseen({"wave": ["a person waves"]}, [clip])
    for caption in ("a person waves left hand", "A person waves: RIGHT hand"):  # itself and its mirror image
        with pytest.raises(ValueError, match="must not be captions"):
            script.check_unseen({"wave": ["hello", caption]}, [clip])
