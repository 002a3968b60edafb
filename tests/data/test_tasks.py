"""Tasks: instructions made of facts, and ratings of motions that do them, half of them, or something else."""

from dataclasses import replace

import pytest

from motionmillion.data.describing import MotionFacts
from motionmillion.data.describing.facts import HandRaise, Jump, Kick, Squat, Stop, Travel, Turn, Wave
from motionmillion.data.describing.tasks import SAME_KIND, SAME_SIDE, UNASKED, UNCLEAR, WRONG_ORDER, Task

LEFT, RIGHT = Turn(0.5, 1.5, "left", 92.0, 90, False), Turn(0.5, 1.5, "right", 92.0, 90, False)
RAISE = HandRaise(2.0, 3.0, "left", "above the head")


def facts(*events, **fields) -> MotionFacts:
    return MotionFacts(4.0, **{"start": "standing", "end": "standing", **fields}, events=events)


def asks(*parts: tuple, order: str = "listed") -> Task:
    """A task of events and phrases."""
    events, said = zip(*parts, strict=True)
    return Task("", events, said, (order,) * (len(parts) - 1))


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
    either = asks((LEFT, "[turn] left"), (RAISE, "[raise] the left hand"))
    assert either.rating(facts(LEFT, RAISE)) == 1 and either.rating(facts(early, LEFT)) == pytest.approx(WRONG_ORDER)
    during = HandRaise(0.4, 1.6, "left", "above the head")
    assert either.rating(facts(LEFT, during)) == 1 > both.rating(facts(during, LEFT))
    walk = Travel(0, 4, "forward", "walk", None, 3.0, None, None)
    wave = Wave(1, 3, "right", 4)
    while_ = asks((walk, "[walk] forward"), (wave, "[wave] with the right hand"), order="together")
    assert while_.rating(facts(walk, wave)) == 1
    later = Wave(4.5, 6, "right", 4)
    assert while_.rating(facts(walk, later)) == pytest.approx(WRONG_ORDER)


def test_three_events_are_found_where_their_order_is_right():
    walk, again = (Travel(start, start + 1, "forward", "walk", None, 1.0, None, None) for start in (0.0, 3.0))
    turn, jump = replace(LEFT, start=1.2, end=2.0), Jump(2.2, 2.6, 1, "up", None, "both")
    said = ((LEFT, "[turn] left"), (jump, "[jump]"), (walk, "[walk] forward"))
    task = asks(*said, order="then")
    assert task.rating(facts(walk, turn, jump, again)) == 1  # the second walk is the one that was asked for
    assert task.rating(facts(walk, turn, jump)) == pytest.approx(WRONG_ORDER)
    assert task.rating(facts(turn, jump)) == pytest.approx(2 / 3)


def test_one_event_is_one_part_of_a_task():
    kick = Kick(0, 1, "left", "forward", None, 1)
    twice = asks((kick, "[kick] with the left leg"), (kick, "[kick] forward with the left foot"), order="then")
    assert twice.rating(facts(unclear=(kick,))) == pytest.approx(UNCLEAR / 2)
    later = replace(kick, start=2, end=3)
    assert twice.rating(facts(kick, unclear=(later,))) == pytest.approx((1 + UNCLEAR) / 2)
    wave = Wave(0, 1, "left", 3)
    order = asks((wave, "[wave] with the left hand"), (kick, "[kick] with the left leg"), order="then")
    early = replace(kick, start=-1.5, end=-0.5)
    assert order.rating(facts(wave, unclear=(early,))) == pytest.approx(WRONG_ORDER * (1 + UNCLEAR) / 2)


def test_all_events_of_a_kind_are_counted():
    jumps = [Jump(start, start + 0.5, 1, "up", None, "both") for start in (0.5, 2.5)]
    twice = Jump(0, 1, 2, "up", None, "both")
    assert asks((twice, "[jump] twice")).rating(facts(*jumps)) == 1  # though far apart
    assert asks((twice, "[jump] twice")).rating(facts(twice, jumps[1])) < 1  # three
    assert asks((jumps[0], "[jump]")).rating(facts(*jumps)) == 1


def test_walks_near_the_pace_that_was_asked_for_are_better():
    fast, quick, slow = (Travel(0, 4, "forward", "walk", None, 4 * speed, None, None) for speed in (1.6, 1.2, 0.8))
    task = asks((replace(fast, pace="fast"), "[walk] quickly forward"))
    ratings = [task.rating(facts(walk)) for walk in (replace(fast, pace="fast"), fast, quick, slow)]
    assert ratings == sorted(ratings, reverse=True) and ratings[0] == 1 and ratings[3] < ratings[2]


def test_details_that_were_not_asked_for_do_not_count():
    ahead = Jump(0, 1, 1, "forward", "high", "both")
    plain = Jump(0, 1, 1, None, None, "both")
    assert asks((plain, "[jump]")).rating(facts(ahead)) == 1
    assert asks((ahead, "[jump] forward")).rating(facts(plain)) < 1
    run = Travel(0, 2, "forward", "run", None, 3.0, None, "left")
    assert asks((replace(run, gait=None), "[move] forward")).rating(facts(run)) == 1


def test_a_posture_is_held():
    sits = facts(start="sitting", end="sitting", in_place=True)
    task = Task("a person sits", (), (), held=sits)
    assert task.rating(sits) == 1 and task.rating(facts()) == 0
    assert task.rating(replace(sits, still=True)) == 1
    assert 0.5 < task.rating(replace(sits, in_place=False, restless=0.4)) < 1
    assert 0 < task.rating(facts(start="standing", end="sitting")) < 1
    quiet, restless = (facts(in_place=True, restless=speed) for speed in (0.1, 2.0))
    still = Task("a person stands still", (), (), held=facts(still=True, in_place=True))
    assert still.rating(facts(still=True, in_place=True)) == 1
    assert 1 > still.rating(quiet) > still.rating(restless) > still.rating(facts(LEFT, restless=2.0))
