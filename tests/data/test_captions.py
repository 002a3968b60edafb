"""Caption rules: what they add, to whom, and every check."""

import pytest

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.captions import CaptionRule, add_captions, load_caption_rules

MOTION = synthesize("wave", seed=0, seconds=2)


def test_sentences_are_added_once_and_groups_filled_in():
    rules = [CaptionRule(r"turns (left|right)", ("turn {1}", "he turns")), CaptionRule("TURNS", ("he turns",))]
    clip = add_captions(MotionClip("x", MOTION, ("she turns left", "she turns right")), rules)
    assert clip.captions == ("she turns left", "she turns right", "turn left", "he turns", "turn right")
    assert clip.own_captions == ()


def test_sentences_from_a_window_s_own_caption_belong_to_the_window():
    clip = MotionClip("x", MOTION, ("traffic", "he waves"), whole=False, own_captions=("he waves",))
    assert add_captions(clip, [CaptionRule("wave", ("wave",))]).own_captions == ("he waves", "wave")


def test_unless_looks_at_all_captions():
    clip = MotionClip("x", MOTION, ("he kicks", "a dance"))
    assert add_captions(clip, [CaptionRule("kick", ("kick",), unless="danc")]).captions == clip.captions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("match: x", "must be a YAML list"),
        ("- {match: x}", "caption rule"),
        ("- {match: x, captions: [y], unles: z}", "did you mean unless"),
        ("- {match: '(', captions: [y]}", "match must be a regular expression"),
        ("- {match: x, captions: []}", "at least one sentence"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_caption_rules(path)
    with pytest.raises(ValueError, match="existing YAML file"):
        load_caption_rules(tmp_path / "nosuch.yaml")


def test_sentence_order_is_kept_for_the_bundled_rules():
    from pathlib import Path

    rules = load_caption_rules(Path(__file__).resolve().parents[2] / "recipes" / "mini" / "captions.yaml")
    clip = add_captions(MotionClip("x", MOTION, ("direct traffic, wave",)), rules)
    assert "a person waves" in clip.captions and clip.captions[0] == "direct traffic, wave"


def test_captions_of_rules_have_a_source():
    clip = MotionClip("x", MOTION, ("he waves", "hello"), sources=("watched", "wording"))
    assert add_captions(clip, [CaptionRule("wave", ("hello", "hi"))]).sources == ("watched", "wording", "rule")
    assert add_captions(clip.replace(sources=()), [CaptionRule("wave", ("hi",))]).sources == ("", "", "rule")
