"""The pipeline with real parts at tiny size: batches, seeds, lengths, streaming, folders, and every check."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from motionmillion import MotionPipeline
from motionmillion.lm import MotionLM
from motionmillion.pipeline.folder import bundled
from motionmillion.text.encoder import TextEncoder, check_texts

PROMPTS = ["a person waves", "someone walks slowly forward and then turns around to the left", "jump"]


def same(a, b) -> bool:
    return torch.equal(a.rotations, b.rotations) and torch.equal(a.translation, b.translation)


def close(a, b) -> bool:
    return a.num_frames == b.num_frames and torch.allclose(a.positions(), b.positions(), atol=1e-3)


def test_a_prompt_gives_the_same_motion_in_any_company(tiny_pipeline):
    together = tiny_pipeline(PROMPTS, seed=5, guidance_scale=2.0)
    assert [m.caption for m in together] == PROMPTS
    for prompt, motion in zip(PROMPTS, together, strict=True):
        assert close(tiny_pipeline([prompt], seed=5, guidance_scale=2.0)[0], motion)
    for motion, other in zip(together, tiny_pipeline(PROMPTS, seed=5, guidance_scale=2.0, batch_size=1), strict=True):
        assert close(motion, other)


def test_seeds_and_samples(tiny_pipeline):
    first = tiny_pipeline("jump", seconds=1, num_samples=3)
    assert len(first) == 3 and not close(first[0], first[1]) and not close(first[1], first[2])
    assert all(same(a, b) for a, b in zip(first, tiny_pipeline("jump", seconds=1, num_samples=3), strict=True))
    assert not close(first[0], tiny_pipeline("jump", seconds=1, seed=1)[0])
    assert same(first[0], tiny_pipeline("jump", seconds=1)[0])
    greedy = [tiny_pipeline("jump", seconds=1, seed=s, temperature=0)[0] for s in (0, 1)]
    assert same(*greedy)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.55])
def test_seconds_are_exact(tiny_pipeline, seconds):
    motion = tiny_pipeline("a person waves", seconds=seconds)[0]
    assert motion.num_frames == round(seconds * 30)


def test_motions_without_seconds_end_by_themselves_or_at_the_limit(tiny_pipeline):
    motions = tiny_pipeline(PROMPTS, num_samples=4)
    assert all(0 < m.seconds <= 4.0 for m in motions)


def test_streamed_pieces_join_to_the_whole_motion(tiny_pipeline):
    whole = tiny_pipeline("a person walks", seconds=6)[0]
    pieces = list(tiny_pipeline.stream("a person walks", seconds=6, chunk_tokens=4))
    assert len(pieces) > 3
    assert torch.allclose(torch.cat([p.rotations for p in pieces]), whole.rotations, atol=1e-4)
    assert torch.allclose(torch.cat([p.translation for p in pieces]), whole.translation, atol=1e-4)


def test_save_and_load_give_the_same_motion(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"pipeline.json", "text_encoder.json", "tokenizer", "lm"}
    loaded = MotionPipeline.from_pretrained(tmp_path)
    assert same(loaded("jump", seconds=1)[0], tiny_pipeline("jump", seconds=1)[0])
    assert loaded.defaults == tiny_pipeline.defaults
    halved = tmp_path / "half"
    tiny_pipeline.save_pretrained(halved, dtype=torch.float16)
    assert MotionPipeline.from_pretrained(halved)("jump", seconds=1)[0].num_frames == 30
    size = sum(f.stat().st_size for f in halved.rglob("*.safetensors"))
    assert size < 0.6 * sum(f.stat().st_size for f in tmp_path.glob("*/*.safetensors"))


def test_text_encoder_reads_the_same_alone_and_in_company(tiny_pipeline):
    features, mask = tiny_pipeline.text_encoder(PROMPTS)
    assert features.shape[2] == 384 and mask[1].sum() > mask[0].sum()
    for row, prompt in enumerate(PROMPTS):
        alone, _ = tiny_pipeline.text_encoder([prompt])
        assert torch.allclose(alone[0], features[row, mask[row]], atol=1e-5)
    assert torch.allclose(features[0, 0], features[0, 1 : int(mask[0].sum())].mean(0), atol=1e-5)


def test_long_texts_keep_their_end_token():
    encoder = TextEncoder(max_length=12)
    ids = encoder.tokenizer(["walk " * 50], truncation=True, max_length=12)["input_ids"][0]
    assert len(ids) == 12 and ids[-1] == encoder.tokenizer.sep_token_id
    assert encoder(["walk " * 50])[0].shape[1] == 12


@pytest.mark.parametrize("prompts", [[], "", "  ", "...", [3], ["walk", None], 5, {"a": 1}, b"walk"])
def test_prompts_that_say_nothing_are_refused(prompts):
    with pytest.raises(ValueError, match="prompt"):
        check_texts(prompts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "seconds must be above 0"),
        ({"seconds": -3}, "seconds must be above 0"),
        ({"seconds": 1e6}, "at most 60"),
        ({"seconds": float("nan")}, "seconds must be"),
        ({"seconds": "4"}, "seconds must be"),
        ({"num_samples": 0}, "num_samples must be a whole number of at least 1"),
        ({"num_samples": 1.5}, "num_samples must be a whole number of at least 1, got 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number in"),
        ({"seed": 2**70}, "seed must be a whole number in"),
        ({"temperature": -1}, "temperature must not be negative"),
        ({"temperature": float("nan")}, "temperature must not be negative"),
        ({"guidance_scale": float("inf")}, "guidance_scale must be in 0 to 100"),
        ({"top_p": 2}, "top_p must be in"),
    ],
)
def test_bad_options_are_named(tiny_pipeline, options, message):
    with pytest.raises(ValueError, match=message):
        tiny_pipeline("walk", **options)


def test_parts_that_do_not_fit_are_refused(tiny_pipeline, tiny_lm):
    config = type(tiny_lm.config)(**{**tiny_lm.config.to_dict(), "codebook_size": 99})
    with pytest.raises(ValueError, match="share one codebook"):
        MotionPipeline(tiny_pipeline.tokenizer, MotionLM(config), tiny_pipeline.text_encoder)
    config = type(tiny_lm.config)(**{**tiny_lm.config.to_dict(), "text_dim": 77})
    with pytest.raises(ValueError, match="text encoder's features"):
        MotionPipeline(tiny_pipeline.tokenizer, MotionLM(config), tiny_pipeline.text_encoder)


def test_damaged_parts_of_a_folder_are_named(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path)
    for file, content, message in (
        ("text_encoder.json", None, "text encoder must be named"),
        ("text_encoder.json", "{", "text encoder must be named"),
        ("text_encoder.json", '{"nam": 1}', "did you mean name"),
        ("pipeline.json", "[]", "pipeline.json"),
        ("pipeline.json", '{"defaults": {"tempratur": 1}}', "did you mean temperature"),
        ("lm/config.json", None, "must have a config.json"),
        ("lm/config.json", "{}", "model_type 'motionmillion-lm'"),
    ):
        path = tmp_path / file
        kept = path.read_text()
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(ValueError, match=message):
            MotionPipeline.from_pretrained(tmp_path)
        path.write_text(kept)
    weights = load_file(tmp_path / "lm" / "model.safetensors")
    weights["norm.weight"][0] = torch.nan
    save_file(weights, tmp_path / "lm" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="finite weights.*norm.weight"):
        MotionPipeline.from_pretrained(tmp_path)


def test_folders_that_are_no_pipeline_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pipeline must be one of"):
        MotionPipeline.from_pretrained("nosuch")
    with pytest.raises(ValueError, match="pipeline.json"):
        MotionPipeline.from_pretrained(tmp_path)
    (tmp_path / "pipeline.json").write_text("{")
    with pytest.raises(ValueError, match="pipeline.json"):
        MotionPipeline.from_pretrained(tmp_path)
    (tmp_path / "pipeline.json").write_text(json.dumps({"format": 1}))
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(ValueError, match="must hold model.safetensors"):
        MotionPipeline.from_pretrained(tmp_path)


def test_bundled_model_follows_the_contract():
    assert "mini" in bundled()
    pipe = MotionPipeline.from_pretrained("mini")
    motions = pipe(["a person walks forward", "someone jumps"], seconds=2, seed=0)
    assert [m.num_frames for m in motions] == [60, 60]
    walk = pipe(["a person walks forward"], seconds=4, seed=0)[0]
    assert (walk.translation[-1] - walk.translation[0])[2] > 1.0  # metres, forward
