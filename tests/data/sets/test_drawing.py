"""Captions drawn by source, and groups of clips: shares as they were asked for, and every check."""

from collections import Counter

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.sets.groups import check_balance_by, group_of
from motionmillion.data.sets.texts import check_caption_sources, check_caption_weights, draw_caption

MOTION = synthesize("wave", seed=0, seconds=2)
CAPTIONS = ("Title", "w1", "w2", "k", "x1", "x2", "x3")
SOURCES = ("cmu_index", "watched", "watched", "kinematic", "wording", "wording", "wording")


def shares(count=3000, own=("w1", "w2", "k"), whole=True, own_share=0.0, sources=SOURCES, weights=None):
    torch.manual_seed(0)
    drawn = Counter(draw_caption(CAPTIONS, own, whole, own_share, sources, weights) for _ in range(count))
    return {text: number / count for text, number in drawn.items()}


def test_a_source_counts_as_a_whole():
    found = shares(weights={"watched": 4, "wording": 3, "cmu_index": 1, "described": 9})
    expected = {"w1": 0.25, "w2": 0.25, "Title": 0.125, "x1": 0.125, "x2": 0.125, "x3": 0.125}
    assert set(found) == set(expected)  # kinematic has no weight
    assert all(found[text] == pytest.approx(share, abs=0.04) for text, share in expected.items())


def test_windows_draw_their_own_by_source_too():
    found = shares(whole=False, own_share=1.0, weights={"watched": 1, "kinematic": 3, "wording": 50})
    assert found == {text: pytest.approx(s, abs=0.04) for text, s in {"w1": 0.125, "w2": 0.125, "k": 0.75}.items()}


@pytest.mark.parametrize("changes", [{"weights": None}, {"weights": {"described": 1}}, {"sources": ()}])
def test_without_weights_that_fit_all_captions_are_alike(changes):
    found = shares(**{"weights": {"watched": 1}, **changes})
    assert found == {text: pytest.approx(1 / 7, abs=0.04) for text in CAPTIONS}


def test_without_weights_the_draws_are_those_of_before():
    torch.manual_seed(3)
    drawn = [draw_caption(CAPTIONS, ("k",), False, 0.5, SOURCES) for _ in range(50)]
    torch.manual_seed(3)
    for text in drawn:
        pool = ("k",) if float(torch.rand(())) < 0.5 else CAPTIONS
        assert text == pool[int(torch.randint(len(pool), ()))]


def test_groups_are_titles_in_small_letters_or_categories():
    clip = MotionClip("x", MOTION, CAPTIONS, category="wave", sources=SOURCES)
    assert (group_of(clip), group_of(clip, "description")) == ("wave", "title")
    assert group_of(clip.replace(captions=CAPTIONS[1:]), "description") == "wave"
    assert group_of(clip.replace(sources=("composed",) * 7), "description") is None


def test_actions_are_the_verbs_of_what_was_watched():
    said = ("Title", "someone kicks high with the left leg", "throw a kick")
    clip = MotionClip("x", MOTION, said, category="sport", sources=("cmu_index", "watched", "watched"))
    assert group_of(clip, "action") == "kick"
    assert group_of(clip.replace(sources=("cmu_index", "wording", "watched")), "action") == "throw"
    assert group_of(clip.replace(sources=("cmu_index", "wording", "wording")), "action") == "sport"
    assert group_of(clip.replace(sources=("composed",) * 3), "action") is None


def test_sources_that_the_data_lacks_are_said_or_refused(capsys):
    check_caption_sources({"watched": 1, "describd": 2}, [SOURCES])
    said = capsys.readouterr().err
    assert "describd" in said and "cmu_index, kinematic, wording" in said
    check_caption_sources(None, [()])
    with pytest.raises(ValueError, match="caption_weights must name sources that the captions have, got describd; "):
        check_caption_sources({"describd": 2}, [SOURCES])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_caption_weights(["watched"]), "caption_weights must be a mapping of sources"),
        (lambda: check_caption_weights({1: 2}), "caption_weights must be a mapping of sources"),
        (lambda: check_caption_weights({"watched": -1}), "caption_weights.watched must be a number that is not neg"),
        (lambda: check_caption_weights({"watched": 0}), "caption_weights must hold a positive weight"),
        (lambda: check_balance_by("take"), "balance_by must be one of category, description, action, got 'take'"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
