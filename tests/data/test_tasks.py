"""Tasks: instructions made of facts, and ratings of motions that do them, half of them, or something else."""

import pytest

from motionmillion.data.describing import MotionFacts
from motionmillion.data.describing.facts import HandRaise, Jump, Kick, Squat, Stop, Travel, Turn, Wave
from motionmillion.data.describing.tasks import SAME_KIND, SAME_SIDE, UNASKED, UNCLEAR, WRONG_ORDER, Task

LEFT, RIGHT = Turn(0.5, 1.5, "left", 92.0, 90, False), Turn(0.5, 1.5, "right", 92.0, 90, False)
RAISE = HandRaise(2.0, 3.0, "left", "above the head")


def facts(*events, **fields) -> MotionFacts:
    return MotionFacts(4.0, **{"start": "standing", "end": "standing", **fields}, events=events)


def asks(*parts: tuple, order: str | None = None) -> Task:
    """A task of events and phrases."""
    events, said = zip(*parts, strict=True)
    return Task("", events, said, order)


def test_ratings_fall_with_what_is_missing_wrong_or_too_much():
    turn = asks((LEFT, "[turn] left"))
    assert turn.rating(facts(LEFT)) == 1
    assert turn.rating(facts(RIGHT)) == pytest.approx(SAME_KIND)
    assert turn.rating(facts()) == 0 and turn.rating(facts(Squat(0, 1, 1, None))) == pytest.approx(-UNASKED)
    assert turn.rating(facts(LEFT, RAISE)) == pytest.approx(1 - UNASKED)
    half, spin = (Turn(0.5, 1.5, "left", angle, None, False) for angle in (150.0, 500.0))
    assert 1 > turn.rating(facts(half)) > turn.rating(facts(spin)) == pytest.approx(SAME_SIDE)
    assert turn.rating(facts(Stop(2, 3), LEFT)) == 1  # a stop belongs to anything


def test_words_decide_what_counts_and_hops_have_sides():
    chest = HandRaise(2.0, 3.0, "left", "shoulder")
    assert asks((RAISE, "[raise] the left hand")).rating(facts(chest)) == 1
    assert asks((RAISE, "[reach] up with the left hand")).rating(facts(chest)) < 1
    hop = Jump(0, 2, 3, "forward", None, "left")
    other = Jump(0, 2, 3, "forward", None, "right")
    assert asks((hop, "[hop] on the left foot")).rating(facts(other)) == pytest.approx(SAME_KIND)


def test_what_is_too_small_to_be_told_counts_a_little_less():
    kick = Kick(0, 1, "left", "forward", None, 1)
    assert asks((kick, "[kick] with the left leg")).rating(facts(unclear=(kick,))) == pytest.approx(UNCLEAR)
    assert asks((kick, "[kick] with the left leg")).rating(facts(kick, unclear=(kick,))) == 1


def test_two_events_must_come_in_order_or_together():
    both = asks((LEFT, "[turn] left"), (RAISE, "[raise] the left hand"), order="then")
    early = HandRaise(0.0, 0.4, "left", "above the head")
    assert both.rating(facts(LEFT, RAISE)) == 1
    assert both.rating(facts(early, LEFT)) == pytest.approx(WRONG_ORDER)
    assert both.rating(facts(LEFT)) == pytest.approx(0.5)
    assert asks(*zip(both.events, both.said, strict=True)).rating(facts(early, LEFT)) == 1
    walk = Travel(0, 4, "forward", "walk", None, 3.0, None, None)
    wave = Wave(1, 3, "right", 4)
    while_ = asks((walk, "[walk] forward"), (wave, "[wave] with the right hand"), order="together")
    assert while_.rating(facts(walk, wave)) == 1
    later = Wave(4.5, 6, "right", 4)
    assert while_.rating(facts(walk, later)) == pytest.approx(WRONG_ORDER)


def test_a_posture_is_held():
    sits = facts(start="sitting", end="sitting", in_place=True)
    task = Task("a person sits", (), (), held=sits)
    assert task.rating(sits) == 1 and task.rating(facts()) == 0
    assert 0 < task.rating(facts(start="standing", end="sitting")) < 1
    quiet, restless = (facts(in_place=True, fastest=speed) for speed in (0.1, 2.0))
    still = Task("a person stands still", (), (), held=facts(still=True, in_place=True))
    assert still.rating(facts(still=True, in_place=True)) == 1
    assert 1 > still.rating(quiet) > still.rating(restless) > still.rating(facts(LEFT, fastest=2.0))
