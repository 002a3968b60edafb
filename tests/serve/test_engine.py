"""The engine: motions of many clients share steps, and each is the one of the pipeline's own call."""

import threading
import time
from concurrent.futures import wait
from dataclasses import replace

import pytest
import torch

from motionmillion.lm.generation.continuous import ContinuousBatch
from motionmillion.motion import Motion
from motionmillion.serve.engine import CancelledError, ClosingError, QueueFullError
from motionmillion.serve.limits import EngineLimits
from motionmillion.serve.orders import Order, plan_call, plan_order


def assert_equal(found: Motion, expected: Motion, tolerance: float = 0.0) -> None:
    assert found.caption == expected.caption and found.fps == expected.fps
    assert found.num_frames == expected.num_frames
    assert torch.allclose(found.translation, expected.translation, atol=tolerance, rtol=0)
    assert torch.allclose(found.rotations, expected.rotations, atol=tolerance, rtol=0)


class Gate:
    """A call that keeps an engine busy until it is opened, so that requests come together."""

    def __init__(self, engine) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        engine.submit(plan_call(self))
        assert self.entered.wait(30)

    def __call__(self):
        self.entered.set()
        assert self.opened.wait(30)


def test_requests_that_come_together_share_steps_and_get_what_they_get_alone(engine_of, tiny_pipeline):
    engine = engine_of(tiny_pipeline)
    orders = [
        Order("a person waves", seconds=2.0, seed=3),
        Order("a person walks forward slowly and then stops", seconds=3.0, samples=2, options={"temperature": 0.7}),
        Order("someone jumps", options={"guidance_scale": 2.0, "min_seconds": 1.0}),
        Order(timeline=(("a person walks", 1.5), ("a person jumps", 1.0)), seed=5),
    ]
    gate = Gate(engine)
    tickets = [engine.submit(order) for order in orders]
    gate.opened.set()
    found = [ticket.future.result(60) for ticket in tickets]
    expected = [
        tiny_pipeline("a person waves", seconds=2.0, seed=3),
        tiny_pipeline(orders[1].prompt, seconds=3.0, num_samples=2, temperature=0.7),
        tiny_pipeline("someone jumps", guidance_scale=2.0, min_seconds=1.0),
        tiny_pipeline.timeline(list(orders[3].timeline), seed=5),
    ]
    for own, motions in zip(found, expected, strict=True):
        for one, other in zip(own, motions, strict=True):
            assert_equal(one, other)
    # of five rows, the longest has as many steps as the whole batch
    assert engine.counts.motions == 6 and engine.counts.rows > 2 * engine.counts.steps


def test_motions_on_a_path_are_those_of_the_pipeline(engine_of, tiny_pipeline):
    order = Order(
        "a person walks", path=((0, 0), (0, 0.6), (0.2, 0.9)), seconds=2.0, seed=1, options={"candidates": 3}
    )
    found = engine_of(tiny_pipeline).submit(order).future.result(60)
    way = dict(path=order.path, seconds=2.0, candidates=3, seed=1)
    assert_equal(found[0], tiny_pipeline("a person walks", **way)[0])


def test_candidates_are_chosen_from_as_by_the_pipeline(engine_of, tiny_pipeline, monkeypatch):
    options = {"candidates": 3}
    order = Order("a person waves", seconds=2.0, samples=2, seed=4, options=options)
    found = engine_of(tiny_pipeline).submit(order).future.result(60)
    for motion, expected in zip(found, tiny_pipeline("a person waves", 2.0, 2, 4, **options), strict=True):
        assert_equal(motion, expected)
    defaults = tiny_pipeline.default_options
    monkeypatch.setattr(tiny_pipeline, "default_options", replace(defaults, candidates=3))
    alone = plan_order(tiny_pipeline, replace(order, options={}))
    assert len(alone.strands) == 2  # a service samples one, unless it is asked for more


def test_one_sample_can_be_made_again_by_its_seed(engine_of, tiny_pipeline):
    engine = engine_of(tiny_pipeline)
    order = Order("a person waves", seconds=1.0, samples=3, seed=4)
    third = engine.submit(order).future.result(60)[2]
    again = engine.submit(Order("a person waves", seconds=1.0, seed=order.seeds[2])).future.result(60)[0]
    assert_equal(again, third)


def test_pieces_of_a_stream_come_before_the_end_and_are_the_motion(engine_of, tiny_pipeline, midway):
    engine = engine_of(tiny_pipeline)
    pieces = []
    for piece in engine.submit(Order("a person waves", seconds=4.0), stream=True).pieces():
        pieces.append(piece)
        midway.set()
    assert len(pieces) > 2
    expected = tiny_pipeline("a person waves", seconds=4.0)[0]
    assert_equal(Motion.join(pieces), expected, 1e-4)
    parts = (("a person walks", 1.5), ("a person jumps", 1.0))
    pieces = list(engine.submit(Order(timeline=parts), stream=True).pieces())
    assert_equal(Motion.join(pieces), tiny_pipeline.timeline(list(parts))[0], 1e-4)


def test_other_models_are_sampled_in_batches_of_the_same_options(engine_of, tiny_dit_pipeline):
    engine = engine_of(tiny_dit_pipeline)
    orders = [
        Order("a person waves", seconds=1.0, samples=2),
        Order("a person walks", seconds=1.0, seed=7),
        Order("a person walks", seconds=1.0, options={"steps": 2}),
        Order(timeline=(("a person walks", 1.0), ("a person jumps", 1.0))),
    ]
    gate = Gate(engine)
    tickets = [engine.submit(order) for order in orders]
    gate.opened.set()
    found = [ticket.future.result(60) for ticket in tickets]
    assert (engine.counts.steps, engine.counts.rows) == (2, 4)
    for one, other in zip(found[0], tiny_dit_pipeline("a person waves", seconds=1.0, num_samples=2), strict=True):
        assert_equal(one, other, 1e-4)
    assert_equal(found[1][0], tiny_dit_pipeline("a person walks", seconds=1.0, seed=7)[0], 1e-4)
    assert_equal(found[2][0], tiny_dit_pipeline("a person walks", seconds=1.0, steps=2)[0], 1e-4)
    assert found[3][0].caption == "a person walks; a person jumps"
    whole = list(engine.submit(orders[1], stream=True).pieces())
    assert len(whole) == 1


def test_a_full_batch_and_a_full_queue(engine_of, tiny_pipeline):
    engine = engine_of(tiny_pipeline, rows=2, waiting=4)
    gate = Gate(engine)
    tickets = [engine.submit(Order("a person waves", seconds=0.5, seed=seed, samples=2)) for seed in (1, 2)]
    with pytest.raises(QueueFullError, match="4 motions are waiting"):
        engine.submit(Order("a person waves", seconds=0.5))
    gate.opened.set()
    wait([ticket.future for ticket in tickets], 60)
    assert [len(ticket.future.result()) for ticket in tickets] == [2, 2]
    assert engine.counts.rows <= 2 * engine.counts.steps


def test_a_cancelled_request_frees_its_rows(engine_of, tiny_pipeline, midway):
    engine = engine_of(tiny_pipeline, rows=1)
    ticket = engine.submit(Order("a person waves", seconds=4.0), stream=True)
    pieces = ticket.pieces()
    next(pieces)
    waiting = engine.submit(Order("a person jumps", seconds=0.5))
    abandoned = engine.submit(Order("a person jumps", seconds=4.0))
    abandoned.cancel()
    pieces.close()  # as when a client disconnects
    midway.set()
    assert len(waiting.future.result(60)) == 1
    for one in (ticket, abandoned):
        with pytest.raises(CancelledError):
            one.future.result(0)
    assert engine.counts.motions == 1


def test_a_request_that_takes_too_long_is_given_up(engine_of, tiny_pipeline):
    engine = engine_of(tiny_pipeline, seconds=0.0)
    with pytest.raises(TimeoutError, match="must be done in 0 seconds"):
        engine.submit(Order("a person waves", seconds=4.0)).future.result(60)


def test_closing_finishes_or_gives_back(engine_of, tiny_pipeline):
    engine = engine_of(tiny_pipeline)
    ticket = engine.submit(Order("a person waves", seconds=1.0))
    engine.close(drain=60)
    assert len(ticket.future.result(0)) == 1 and not engine.open
    with pytest.raises(ClosingError, match="shutting down"):
        engine.submit(Order("a person waves"))
    other = engine_of(tiny_pipeline)
    gate = Gate(other)
    ticket = other.submit(Order("a person waves", seconds=1.0))
    closing = threading.Thread(target=other.close)
    closing.start()
    while other.open:
        time.sleep(0.01)
    gate.opened.set()
    closing.join()
    with pytest.raises(ClosingError, match="before this was finished"):
        ticket.future.result(0)


def test_a_failed_step_begins_the_motions_again_once(engine_of, tiny_pipeline, monkeypatch):
    step, left = ContinuousBatch.step, [1]

    def fail_sometimes(self):
        if self._running and self._running[0].new == 3 and left[0]:
            left[0] -= 1
            raise RuntimeError("out of memory")
        return step(self)

    monkeypatch.setattr(ContinuousBatch, "step", fail_sometimes)
    engine = engine_of(tiny_pipeline)
    found = engine.submit(Order("a person waves", seconds=1.0)).future.result(60)
    assert_equal(found[0], tiny_pipeline("a person waves", seconds=1.0)[0])
    assert engine.counts.failures == 1
    left[0] = 2
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.submit(Order("a person waves", seconds=1.0)).future.result(60)
    assert len(engine.submit(Order("a person waves", seconds=1.0)).future.result(60)) == 1


@pytest.mark.parametrize(
    "given, problem",
    [
        (dict(), "prompt or timeline must be given, and not both, got neither"),
        (dict(prompt="a", timeline=(("b", 1.0),)), "got both"),
        (dict(prompt="..."), "prompt must say what the person does"),
        (dict(timeline=(("...", 1.0),)), "prompt must say what the person does"),
        (dict(timeline=(("a", 1.0),), seconds=2.0), "seconds must be left out with timeline"),
        (dict(prompt="a", samples=0), "samples must be a whole number"),
        (dict(prompt="a", options={"compiled": True}), "options must not hold 'compiled'"),
    ],
)
def test_orders_without_sense_are_refused(given, problem):
    with pytest.raises(ValueError, match=problem):
        Order(**given)


@pytest.mark.parametrize(
    "given, problem",
    [
        (dict(options={"tempo": 1}), "options must hold known keys only"),
        (dict(options={"temperature": -1}), "temperature must not be negative"),
        (dict(options={"steps": 4}), "steps must be left out for a model of codes"),
        (dict(seconds=61.0), "seconds must be above 0 and at most 60"),
        (dict(facing=90.0), "facing must be left out for a language model"),
        (dict(path=((0, 0), (0, 1)), turn=3.0), "turn must be left out with path"),
        (dict(seed=-1), "seed must be a whole number"),
    ],
)
def test_what_the_model_refuses_is_refused_at_once(engine_of, tiny_pipeline, given, problem):
    engine = engine_of(tiny_pipeline)
    with pytest.raises(ValueError, match=problem):
        engine.submit(Order(prompt="a person walks", **given))
    assert not engine.counts.steps
    with pytest.raises(ValueError, match="samples must be 1 for a stream"):
        engine.submit(Order("a person walks", samples=2), stream=True)


def test_limits_are_checked():
    for bad in (dict(rows=0), dict(waiting=0), dict(seconds=-1)):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
            EngineLimits(**bad)
