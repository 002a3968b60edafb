"""Prompts read as instructions: nearest phrases, sides, two parts, certainty, and the embeddings in the package."""

from dataclasses import replace

import pytest
import torch

from motionmillion.data.describing import MotionFacts, measure_facts, reading
from motionmillion.data.describing import phrases as phrasing
from motionmillion.data.describing.catalogue import catalogue
from motionmillion.data.describing.facts import HandRaise, Jump, PostureChange, Stop, Travel, Turn
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.describing.reading import PhraseBook, embedded, listed, phrase_tasks, save_points, split
from motionmillion.data.mirror_words import mirror_caption
from motionmillion.data.synthetic import synthesize
from motionmillion.data.synthetic.clips import ACTIONS


@pytest.fixture(scope="module")
def book(text_encoder) -> PhraseBook | None:
    return PhraseBook.of(text_encoder)


def test_the_catalogue_has_every_phrase_of_measured_motions():
    assert all(phrase in phrases(event) for phrase, event in catalogue().items())
    for action in ACTIONS:
        for seed in range(3):
            for event in measure_facts(synthesize(action, seed, seconds=4)).events:
                plain = [phrase for phrase in phrases(event) if not any(part.isdigit() for part in phrase.split())]
                assert plain[0] in catalogue(), plain[0]


def test_the_catalogue_has_every_kind_of_event():
    assert {type(event) for event in catalogue().values()} == set(phrasing._SAY) - {Stop}


def test_the_catalogue_is_the_same_mirrored():
    assert {mirror_caption(phrase) for phrase in catalogue()} == set(catalogue())


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a woman turns to face left", ["turn] left", "turn] to the left"]),
        ("stick your right hand up", ["right hand up", "raise] the right hand"]),
        ("he jumps two times", ["jump] twice", "leap] twice"]),
        ("sit yourself down", ["sit] down"]),
    ],
)
def test_other_words_are_read_as_the_nearest_phrase(book, prompt, said):
    best = book.read(prompt)[0]
    assert any(part in best.task.said[0] for part in said) and best.weight > 0.2


def test_two_parts_are_read_one_by_one(book):
    best = book.read("walk forward, then put both hands up")[0].task
    assert isinstance(best.events[0], Travel) and isinstance(best.events[1], HandRaise) and best.orders == ("then",)
    best = book.read("she goes forward while her left hand is raised")[0].task
    assert best.orders == ("together",) and best.events[1].side == "left"


def test_three_parts_are_read_one_by_one(book):
    best = book.read("jump, turn to the left and then sit down")[0].task
    assert [type(event) for event in best.events] == [Jump, Turn, PostureChange] and best.orders == ("listed", "then")
    assert best.events[1].side == "left"
    last = book.read("first of all, jump. After that sit down")[0].task  # "first of all" is like no phrase
    assert [type(event) for event in last.events] == [Jump, PostureChange]


@pytest.mark.parametrize(
    "prompt", ["crawl on hands and knees", "squat down and stand up again", "jump up and down", "walk back and forth"]
)
def test_idioms_are_one_part(book, prompt):
    assert len(book.read(prompt)[0].task.events) <= 1


def test_numbers_must_agree(book):
    for count, words in ((2, "two times"), (3, "three times")):
        assert {event.count for each in book.read(f"he jumps {words}") for event in each.task.events} <= {1, count}
        assert book.read(f"he jumps {words}")[0].task.events[0].count == count


@pytest.mark.parametrize(
    ("prompt", "ways"),
    [
        ("she walks briskly ahead", {"fast"}),
        ("walk at a leisurely pace", {"slow"}),
        ("he hurries back", {"fast", "backward"}),
        ("a man walks on", set()),
    ],
)
def test_ways_of_moving_must_be_named(book, prompt, ways):
    said = book.read(prompt)[0].task.said[0]
    assert {way for way, words in reading._WAYS.items() if words.search(said)} <= ways


@pytest.mark.parametrize("prompt", ["stand on one leg", "kick", "give a wave", "lift one knee", "hop on one foot"])
def test_without_a_side_either_side_will_do(book, prompt):
    best = book.read(prompt)[0].task
    mirrored = catalogue()[best.said[0]]
    for side in ("left", "right"):
        name = "feet" if isinstance(mirrored, Jump) else "side"
        assert best.rating(MotionFacts(4.0, events=(replace(mirrored, **{name: side}),))) == 1


@pytest.mark.parametrize(
    ("prompt", "parts", "orders"),
    [
        ("walk forward, then sit down", ["walk forward", "sit down"], ["then"]),
        ("walk forward,then sit down", ["walk forward", "sit down"], ["then"]),
        ("Walk, THEN sit", ["Walk", "sit"], ["then"]),
        ("Walk. Then sit. He waves.", ["Walk", "sit", "He waves."], ["then", "then"]),
        ("jump before you sit down", ["jump", "you sit down"], ["then"]),
        ("jump after sitting down", ["sitting down", "jump"], ["then"]),
        ("After sitting down, jump", ["sitting down", "jump"], ["then"]),
        ("before jumping, sit, then stand", ["sit", "stand", "jumping"], ["then", "then"]),
        ("While walking, clap", ["walking", "clap"], ["together"]),
        ("walk while clapping, then sit", ["walk", "clapping", "sit"], ["together", "then"]),
        ("walk, waving", ["walk", "waving"], ["together"]),
        ("kick and wave at the same time", ["kick", "wave"], ["together"]),
        ("walk with both hands up", ["walk", "both hands up"], ["together"]),
        ("turn left and jump", ["turn left and jump"], []),
        ("lift one knee after the other", ["lift one knee after the other"], []),
        ("stand next to a chair", ["stand next to a chair"], []),
        ("wave with the left hand", ["wave with the left hand"], []),
        ("handstand", ["handstand"], []),
        ("jump, then ...", ["jump"], []),
        ("", [], []),
    ],
)
def test_sentences_are_split_at_their_joints(prompt, parts, orders):
    assert split(prompt) == (parts, orders)


@pytest.mark.parametrize(
    ("part", "pieces"),
    [
        ("turn left and jump", ["turn left", "jump"]),
        ("walk, turn and sit", ["walk", "turn", "sit"]),
        ("crawl on hands and knees", ["crawl on hands and knees"]),
        ("jump and ...", ["jump"]),
        ("jump, !", ["jump"]),
    ],
)
def test_parts_have_pieces(part, pieces):
    assert listed(part) == pieces


@pytest.mark.parametrize(
    "prompt",
    [
        *("jump, !", "jump and ...", "walk, turn and sit", "a, b", ", , then", "after , x", "? at the same time"),
        "sit, " * 99,
        "jump " + "9" * 400 + " times",
    ],
)
def test_any_prompt_is_read(book, prompt):
    weights = [each.weight for each in book.read(prompt)]
    assert weights == sorted(weights, reverse=True) and 0 <= sum(weights) <= 1 + 1e-6


def test_a_motion_is_rated_by_what_was_asked(book):
    left, right = (MotionFacts(4.0, events=(Turn(0, 1, side, 90.0, 90, False),)) for side in ("left", "right"))
    jump = MotionFacts(4.0, events=(Jump(0, 1, 1, "up", None, "both"),))
    ratings = book.rate("turn to your left by a quarter", [left, right, jump, MotionFacts(4.0)])
    assert ratings.argmax() == 0 and ratings[0] > 0.6 and ratings[1] < 0.3 and ratings[2] < ratings[3] <= 0.1
    assert float(book.rate("the stock market fell", [left]).abs()) < 0.1  # nothing that can be measured


def test_embeddings_in_the_package_are_those_of_the_phrases(book, text_encoder, tmp_path, monkeypatch):
    texts = [task.text for task in phrase_tasks()]
    assert book is not None, "run recipes/mini/embed_phrases.py"
    assert len(texts) == len(book.points) == len(set(texts))
    some = list(range(0, len(texts), 97))
    assert torch.allclose(book.points[some], embedded([texts[n] for n in some], text_encoder), atol=2e-3)
    assert reading._points("another encoder") is None
    save_points(tmp_path / "points.safetensors", book.points, text_encoder)
    monkeypatch.setattr(reading, "BUNDLED", tmp_path / "points.safetensors")
    assert torch.equal(reading._points.__wrapped__(text_encoder.name).float(), book.points)
    monkeypatch.setattr(reading, "phrase_tasks", lambda: phrase_tasks()[1:])
    assert reading._points.__wrapped__(text_encoder.name) is None  # of other phrases
