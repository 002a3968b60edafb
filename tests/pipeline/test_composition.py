"""Timelines, continuation and in-betweening: exact lengths, given motion kept, company of no effect, every check."""

import copy

import pytest
import torch

from motionmillion import MotionPipeline
from motionmillion.lm.generation.timeline import Part, fill_between, stream_timeline
from motionmillion.motion import Motion

PARTS = [("a person waves", 1.0), ("someone walks forward", 0.7), ("jump", 1.55)]


@pytest.fixture(scope="module")
def clip(tiny_pipeline) -> Motion:
    motion = tiny_pipeline("a person waves", seconds=2, seed=3)[0]
    rise = motion.translation + torch.tensor([1.0, 0.3, 2.0])  # somewhere else, and not on the floor
    return motion.replace(translation=rise)


def test_a_timeline_has_the_seconds_of_its_parts(tiny_pipeline):
    motions = tiny_pipeline.timeline(PARTS, num_samples=2, seed=4)
    assert [m.num_frames for m in motions] == [round(3.25 * 30)] * 2
    assert motions[0].caption == "a person waves; someone walks forward; jump"
    assert not torch.equal(motions[0].rotations, motions[1].rotations)
    again = tiny_pipeline.timeline(PARTS, seed=4)[0]
    assert torch.allclose(again.positions(), motions[0].positions(), atol=1e-3)  # company changes nothing
    alone = tiny_pipeline("a person waves", seconds=1.0, seed=4)[0]
    assert torch.allclose(again.positions()[:4], alone.positions()[:4], atol=0.2)  # begins like its first text


def test_a_timeline_is_longer_than_the_context(tiny_pipeline):
    lm = copy.deepcopy(tiny_pipeline.lm)
    lm.config.context_codes = 12
    pipe = MotionPipeline(tiny_pipeline.tokenizer, lm, tiny_pipeline.text_encoder)
    motion = pipe.timeline([("a person waves", 4.0), ("jump", 2.0)])[0]
    assert motion.num_frames == 180 > 12 * pipe.tokenizer.config.frames_per_token


def test_each_part_continues_the_last_codes_of_the_one_before(tiny_lm):
    text = torch.randn(2, 1, 5, 384, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 5)
    lm = tiny_lm
    parts = [Part(text[0], mask, 6, [1]), Part(text[1], mask, 5, [2])]
    found = torch.stack(list(stream_timeline(lm, parts, overlap=4)), dim=1)
    first = lm.generate(text[0], mask, max_new_tokens=6, min_new_tokens=6, seeds=[1])
    second = lm.generate(text[1], mask, max_new_tokens=5, min_new_tokens=5, seeds=[2], prefix_codes=first[:, -4:])
    assert torch.equal(found, torch.cat([first, second[:, 4:]], dim=1))
    assert (found < 125).all()  # no END between parts


def test_a_streamed_timeline_joins_to_the_whole(tiny_pipeline):
    whole = tiny_pipeline.timeline(PARTS, seed=2)[0]
    pieces = list(tiny_pipeline.stream(PARTS, seed=2, chunk_tokens=3))
    assert len(pieces) > 2
    assert torch.allclose(torch.cat([p.rotations for p in pieces]), whole.rotations, atol=1e-4)
    assert torch.allclose(torch.cat([p.translation for p in pieces]), whole.translation, atol=1e-3)


def test_a_continuation_begins_with_the_motion_that_was_given(tiny_pipeline, clip):
    prompts = ["a person waves", "jump"]
    motions = tiny_pipeline(prompts, seconds=1.5, prefix=clip, seed=1)
    for prompt, motion in zip(prompts, motions, strict=True):
        assert motion.num_frames == clip.num_frames + 45
        assert torch.equal(motion.rotations[:60], clip.rotations)
        assert torch.equal(motion.translation[:60], clip.translation)
        assert torch.allclose(
            tiny_pipeline(prompt, seconds=1.5, prefix=clip, seed=1)[0].positions(), motion.positions(), atol=1e-3
        )
        step = (motion.translation[60] - motion.translation[59]).norm()
        assert step < 0.3  # goes on where the given one stands
    assert not torch.allclose(motions[0].rotations[-1], motions[1].rotations[-1], atol=1e-3)
    open_end = tiny_pipeline("jump", prefix=clip.resample(60))[0]
    assert open_end.fps == 30 and 60 <= open_end.num_frames <= 60 + 4 * 30


def test_odd_lengths_are_continued_too(tiny_pipeline, clip):
    for frames in (4, 7, 59):
        short = clip.slice(0, frames)
        assert tiny_pipeline("jump", seconds=1, prefix=short)[0].num_frames == frames + 30
        assert tiny_pipeline.timeline(PARTS, prefix=short)[0].num_frames == frames + round(3.25 * 30)


def test_what_lies_between_two_motions(tiny_pipeline, clip):
    end = clip.slice(20, 55).mirror()
    motion = tiny_pipeline.inbetween("jump", clip, end, seconds=1.0, candidates=4)
    between = motion.num_frames - clip.num_frames - end.num_frames
    assert between == 8 * 4  # whole codes: 7.5 codes a second, rounded
    assert torch.equal(motion.rotations[:60], clip.rotations) and torch.equal(
        motion.translation[:60], clip.translation
    )
    joints = motion.rotations[-35:, 1:]
    assert torch.allclose(joints, end.rotations[:, 1:], atol=1e-5)  # poses; place and heading are the motion's own
    heights = motion.translation[-35:, 1] - motion.translation[-1, 1]
    assert torch.allclose(heights, end.translation[:, 1] - end.translation[-1, 1], atol=1e-4)


def test_the_candidate_after_which_the_end_is_likeliest_is_taken(tiny_lm):
    generator = torch.Generator().manual_seed(0)
    text, mask = torch.randn(1, 5, 384, generator=generator), torch.ones(1, 5)
    start, end = torch.randint(125, (2, 6), generator=generator)
    seeds = list(range(12))
    chosen = fill_between(tiny_lm, text, mask, start, end, 7, seeds)

    def chance(between):
        tokens = torch.cat([start, between, end])[None]
        logits = tiny_lm(tokens, text, mask).logits.log_softmax(-1)[0, 13:19]
        return float(logits.gather(1, end[:, None]).sum())

    exact = dict(max_new_tokens=7, min_new_tokens=7, prefix_codes=start[None])
    drawn = [tiny_lm.generate(text, mask, seeds=[seed], **exact)[0, 6:] for seed in seeds]
    assert torch.equal(chosen, max(drawn, key=chance))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, c: p.timeline([]), "parts must be pairs of text and seconds"),
        (lambda p, c: p.timeline("jump"), "parts must be pairs of text and seconds, got 'jump'"),
        (lambda p, c: p.timeline([("jump", 0)]), "seconds of part 0 must be above 0"),
        (lambda p, c: p.timeline([("?", 1)]), "prompt must say what the person does"),
        (lambda p, c: p.timeline([("jump", 1)], num_samples=0), "num_samples must be a whole number of at least 1"),
        (lambda p, c: p.timeline([("jump", 1)], tempo=2), "options must hold known keys only, got 'tempo'"),
        (lambda p, c: p.timeline([("jump", None)]), "seconds of part 0 must be a number"),
        (
            lambda p, c: p.timeline([("jump", 1)], min_seconds=3),
            "min_seconds must be left out where seconds are given",
        ),
        (lambda p, c: p.inbetween("jump", c, None, 1), "end must be a Motion, got None; read a file with Motion.load"),
        (lambda p, c: p.inbetween(["jump"], c, c, 1), "prompt must be one text, got"),
        (lambda p, c: p.inbetween("jump", c, c, None), "seconds must be a number"),
        (lambda p, c: p.inbetween("jump", c, c, 1, max_seconds=3), "max_seconds must be left out where seconds"),
        (lambda p, c: p("jump", prefix="walk.bvh"), "prefix must be a Motion, got 'walk.bvh'"),
        (lambda p, c: p("jump", int8="x"), "int8 must be True or False, got 'x'"),
        (lambda p, c: p.inbetween("jump", c, c, seconds=21), "seconds must be at most 19.7.* between two motions"),
        (lambda p, c: p.inbetween("jump", c.slice(0, 2), c, 1), "start must have at least 4 frames at 30 fps, got 2"),
        (lambda p, c: p.inbetween("jump", c, c, 1, candidates=0), "candidates must be a whole number"),
        (lambda p, c: p("jump", prefix=c.slice(0, 3)), "prefix must have at least 4 frames at 30 fps, got 3"),
        (lambda p, c: p.stream([("jump", 1)], seconds=2), "seconds must be left out where the parts have their own"),
        (
            lambda p, c: p("jump", seconds=61),
            "seconds must be above 0 and at most 60, got 61; a timeline can be longer",
        ),
        (lambda p, c: p("jump", seconds=2, max_seconds=3), "max_seconds must be left out where seconds are given"),
        (lambda p, c: p("jump", min_seconds=3, max_seconds=2), "min_seconds must be at most max_seconds"),
    ],
)
def test_bad_input_is_named(tiny_pipeline, clip, call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny_pipeline, clip)


def test_a_prefix_may_be_longer_than_the_context(tiny_pipeline, clip):
    lm = copy.deepcopy(tiny_pipeline.lm)
    lm.config.context_codes = 8
    pipe = MotionPipeline(tiny_pipeline.tokenizer, lm, tiny_pipeline.text_encoder)
    motion = pipe("jump", seconds=3, prefix=clip, transition=10)[0]
    assert motion.num_frames == 60 + 90 and torch.equal(motion.rotations[:60], clip.rotations)


def test_the_transition_says_how_much_of_the_motion_before_counts(tiny_pipeline, clip):
    ways = [tiny_pipeline("jump", seconds=1, prefix=clip, transition=t)[0] for t in (0.1, 0.3, 1.0, None)]
    assert not torch.equal(ways[0].rotations, ways[2].rotations)
    assert torch.equal(ways[1].rotations, ways[3].rotations)  # the default
    for bad in (0, -1, 61):
        with pytest.raises(ValueError, match="transition must be above 0 and at most 60"):
            tiny_pipeline.timeline(PARTS, transition=bad)


def test_shortest_and_longest_motions(tiny_pipeline):
    motions = tiny_pipeline(["jump", "a person waves"], num_samples=4, min_seconds=1.0, max_seconds=1.6)
    assert all(1.0 <= m.seconds <= 1.6 for m in motions)
    limited = tiny_pipeline("jump", num_samples=8, max_seconds=0.9)  # no whole number of codes
    assert max(m.num_frames for m in limited) == 27
    assert sum(piece.num_frames for piece in tiny_pipeline.stream("jump", max_seconds=0.9)) <= 27
    free = tiny_pipeline(["jump", "a person waves"], num_samples=8, temperature=3.0)
    assert len({m.num_frames for m in free}) > 1


def test_there_must_be_an_end_and_room_for_it(tiny_pipeline):
    with pytest.raises(ValueError, match="start, count and end must fit the model's context of 150 codes, got 152"):
        fill_between(tiny_pipeline.lm, *tiny_pipeline.read(["jump"]), torch.zeros(2), torch.zeros(50), 100)
    with pytest.raises(ValueError, match="end must hold at least one code"):
        fill_between(tiny_pipeline.lm, *tiny_pipeline.read(["jump"]), torch.zeros(2), torch.zeros(0), 3)
