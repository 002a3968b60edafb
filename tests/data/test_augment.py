"""Words of mirrored captions."""

import json
from pathlib import Path

import pytest

from motionmillion.data.augment import mirror_caption

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "cmu_text_motion" / "clips.jsonl"


@pytest.mark.parametrize(
    "text, mirrored",
    [
        ("raises the left hand", "raises the right hand"),
        ("Right, then LEFT", "Left, then RIGHT"),
        ("turns clockwise", "turns counterclockwise"),
        ("turns anticlockwise", "turns clockwise"),
        ("turns counter-clockwise", "turns clockwise"),
        ("a right-handed pitch", "a left-handed pitch"),
        ("a left-hander steps leftward", "a right-hander steps rightward"),
        ("the leftmost of two", "the rightmost of two"),
        ("moves rightwards", "moves leftwards"),
        ("a lefty throws", "a righty throws"),
        ("turns right before stopping", "turns left before stopping"),
        ("crosses the left over the right", "crosses the right over the left"),
        ("lifts the right after the left", "lifts the left after the right"),
        ("turns left behind the chair", "turns right behind the chair"),
        ("has left arm raised", "has right arm raised"),
        ("turns a little left", "turns a little right"),
        ("carries it left", "carries it right"),
        ("steps left then right", "steps right then left"),
        ("turns right at a right angle", "turns left at a right angle"),
    ],
)
def test_sides_are_exchanged(text, mirrored):
    assert mirror_caption(text) == mirrored


@pytest.mark.parametrize(
    "text",
    [
        "walks at right angles", "makes a right angle", "a right-angle corner", "all right", "alright",
        "waves right away", "sits down right now", "stops right after jumping", "waves right before sitting",
        "stands right in front of it",
        "walks right behind someone", "stands right next to a wall", "stays right there", "stops right here",
        "stands upright", "eats what is left over", "leftover food", "a box left behind", "the person has left",
        "nothing is left", "they have left", "someone left the room", "what is left", "just right",
    ],
)  # fmt: skip
def test_words_that_name_no_side_stay(text):
    assert mirror_caption(text) == text


def test_mirrored_twice_a_caption_is_itself():
    if not SHARED.exists():
        pytest.skip("cmu_text_motion is not there")
    lines = SHARED.read_text(encoding="utf-8").splitlines()[::10]
    texts = {caption["text"] for line in lines for caption in json.loads(line)["captions"]}
    wrong = [t for t in texts if "anti" not in t and "-clock" not in t and mirror_caption(mirror_caption(t)) != t]
    assert len(wrong) <= 1, wrong
