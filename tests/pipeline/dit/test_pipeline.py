"""The DiT's pipeline with real parts at tiny size: batches, lengths, windows, references, folders, and every check."""

import copy
import json
import math
import warnings

import pytest
import torch

from motionmillion import MotionPipeline
from motionmillion.data import synthesize
from motionmillion.features.stats import feature_stats
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.motion import Motion
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.dit.gate import Decision
from motionmillion.pipeline.dit.pipeline import DiTPipeline
from motionmillion.pipeline.dit.windows import smoothed, window_sizes
from motionmillion.skeleton import SMPL22, Skeleton
from motionmillion.text.encoder import TextEncoder
from motionmillion.text.rewriting import Rewrite

PROMPTS = ["a person waves", "someone walks slowly forward and then turns around to the left", "jump"]
PARTS = [("a person waves", 1.0), ("someone walks forward", 0.7), ("jump", 1.55)]


def same(a: Motion, b: Motion) -> bool:
    return torch.equal(a.rotations, b.rotations) and torch.equal(a.translation, b.translation)


def close(a: Motion, b: Motion) -> bool:
    return a.num_frames == b.num_frames and torch.allclose(a.positions(), b.positions(), atol=1e-3)


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=1, seconds=3)


@pytest.fixture
def open_gate(tiny_dit_pipeline, monkeypatch):
    """The pipeline's gate lets everything pass that it is asked about; returns what it was asked."""
    asked = []

    def gate(prompts, references):
        asked.extend(zip(prompts, references, strict=True))
        return [Decision(len(prompt) < 8, 0.0, None, "short texts pass") for prompt in prompts]

    monkeypatch.setattr(tiny_dit_pipeline, "gate", gate)
    return asked


def test_a_prompt_gives_the_same_motion_in_any_company(tiny_dit_pipeline):
    pipe = tiny_dit_pipeline
    together = pipe(PROMPTS, seed=5, guidance_scale=2.0)
    assert [m.caption for m in together] == PROMPTS and together[0].fps == pipe.fps == 20
    for prompt, motion in zip(PROMPTS, together, strict=True):
        assert close(pipe([prompt], seed=5, guidance_scale=2.0)[0], motion)
    for motion, other in zip(together, pipe(PROMPTS, seed=5, guidance_scale=2.0, batch_size=2), strict=True):
        assert close(motion, other)
    assert not close(together[0], together[1])
    assert not close(together[0], pipe(PROMPTS[0], seed=5)[0])  # guidance does something


def test_seeds_samples_and_temperature(tiny_dit_pipeline):
    first = tiny_dit_pipeline("jump", num_samples=3)
    assert len(first) == 3 and not close(first[0], first[1])
    assert all(close(a, b) for a, b in zip(first, tiny_dit_pipeline("jump", num_samples=3), strict=True))
    assert not close(first[0], tiny_dit_pipeline("jump", seed=1)[0])
    assert close(first[0], tiny_dit_pipeline("jump")[0])
    cold = [tiny_dit_pipeline("jump", seed=seed, temperature=0)[0] for seed in (0, 1)]
    assert same(*cold)


@pytest.mark.parametrize(("seconds", "frames"), [(0.1, 2), (1.0, 20), (2.57, 51), (None, 40), (7.3, 146)])
def test_seconds_are_exact_and_have_a_default(tiny_dit_pipeline, seconds, frames):
    assert tiny_dit_pipeline("a person waves", seconds=seconds)[0].num_frames == frames


def test_windows_are_as_long_as_can_be_and_about_equal():
    assert window_sizes(60, 0, 10, 60) == [60]
    assert window_sizes(61, 0, 10, 60) == [35, 26]
    assert window_sizes(190, 0, 10, 100) == [100, 90]
    for frames in range(1, 300):
        for before in (0, 4, 10):
            sizes = window_sizes(frames, before, 10, 60)
            rows = [size + (10 if number else before) for number, size in enumerate(sizes)]
            assert sum(sizes) == frames and min(sizes) > 0 and max(rows) <= 60
            assert max(rows) - min(rows) <= 1


def test_streamed_windows_join_to_the_whole_motion(tiny_dit_pipeline):
    for prompt, seconds in (("a person walks", 7.0), (PARTS, None)):
        pieces = list(tiny_dit_pipeline.stream(prompt, seconds, seed=3))
        whole = (tiny_dit_pipeline(prompt, 7, seed=3) if seconds else tiny_dit_pipeline.timeline(PARTS, seed=3))[0]
        assert len(pieces) >= 3
        assert torch.allclose(torch.cat([p.rotations for p in pieces]), whole.rotations, atol=1e-4)
        assert torch.allclose(torch.cat([p.translation for p in pieces]), whole.translation, atol=1e-4)


def test_a_timeline_has_the_seconds_of_its_parts(tiny_dit_pipeline, walk):
    motions = tiny_dit_pipeline.timeline(PARTS, num_samples=2, seed=4)
    assert [m.num_frames for m in motions] == [65, 65]
    assert motions[0].caption == "a person waves; someone walks forward; jump"
    assert not close(*motions) and close(tiny_dit_pipeline.timeline(PARTS, seed=4)[0], motions[0])
    longer = tiny_dit_pipeline.timeline([("jump", 0.2), *PARTS], prefix=walk)[0]
    assert longer.num_frames == 60 + 69
    assert same(longer.slice(0, 60), walk.resample(20))


def test_a_continuation_begins_with_the_motion_that_was_given(tiny_dit_pipeline, walk):
    given = walk.replace(translation=walk.translation + torch.tensor([1.0, 0.3, 2.0]))  # off the floor, elsewhere
    motions = tiny_dit_pipeline(["jump", "a person waves"], seconds=4, prefix=given)
    for motion in motions:
        assert motion.num_frames == 60 + 80
        assert same(motion.slice(0, 60), given.resample(20))
        assert (motion.translation[60] - motion.translation[59]).norm() < 0.3
    assert not close(*motions)
    assert close(tiny_dit_pipeline("jump", seconds=4, prefix=given)[0], motions[0])
    ways = [tiny_dit_pipeline("jump", seconds=1, prefix=given, transition=t)[0] for t in (0.1, 0.5, None)]
    assert not close(ways[0], ways[1]) and close(ways[1], ways[2])
    assert tiny_dit_pipeline("jump", seconds=1, prefix=given.slice(0, 1))[0].num_frames == 21


def test_a_reference_gives_its_length_unless_seconds_do(tiny_dit_pipeline, walk):
    follow = dict(reference=walk, reference_mode="motion")
    with pytest.warns(UserWarning, match="reference was resampled from 30 to 20 frames per second"):
        assert tiny_dit_pipeline("jump", **follow)[0].num_frames == 60
    with pytest.warns(UserWarning, match="prefix was resampled from 30 to 20 frames per second"):
        tiny_dit_pipeline("jump", seconds=0.5, prefix=walk)
    follow["reference"] = walk.resample(20)
    longer = tiny_dit_pipeline("jump", seconds=4, **follow)[0]
    shorter = tiny_dit_pipeline("jump", seconds=1, **follow)[0]
    assert (longer.num_frames, shorter.num_frames) == (80, 20)
    assert tiny_dit_pipeline("jump", max_seconds=2.5, **follow)[0].num_frames == 50
    assert tiny_dit_pipeline("jump", min_seconds=3.5, **follow)[0].num_frames == 70
    assert tiny_dit_pipeline("jump", seconds=2, prefix=walk, **follow)[0].num_frames == 60 + 40


def test_what_is_followed(tiny_dit_pipeline, walk):
    pipe, reference = tiny_dit_pipeline, walk.resample(20)
    ways = ("text", "motion", "both")
    modes = {way: pipe("jump", seconds=3, reference=reference, reference_mode=way)[0] for way in ways}
    assert not any(close(modes[a], modes[b]) for a, b in (("text", "motion"), ("text", "both"), ("motion", "both")))
    assert close(modes["text"], pipe("jump", seconds=3)[0])
    waves = pipe("a person waves", reference=reference, reference_mode="motion")[0]
    assert close(modes["motion"], waves)  # the text says nothing there
    assert close(modes["motion"], pipe("", reference=reference)[0])
    assert not close(modes["motion"], pipe("", reference=reference.mirror())[0])
    mostly = pipe("jump", reference=reference, reference_mode="both", reference_weight=1.0)[0]
    assert close(mostly, modes["motion"])


def test_rows_follow_what_is_theirs_in_any_company(tiny_dit_pipeline, walk):
    references = [walk.resample(20), None, walk.resample(20).mirror().slice(0, 30)]
    modes = ["motion", "text", "both"]
    together = tiny_dit_pipeline(PROMPTS, reference=references, reference_mode=modes, guidance_scale=2.0)
    assert [m.num_frames for m in together] == [60, 40, 30]
    for prompt, reference, mode, motion in zip(PROMPTS, references, modes, together, strict=True):
        alone = tiny_dit_pipeline(prompt, reference=reference, reference_mode=mode, guidance_scale=2.0)[0]
        assert close(alone, motion)


def test_the_gate_decides_where_it_is_asked(tiny_dit_pipeline, walk, open_gate):
    reference = walk.resample(20)
    found = tiny_dit_pipeline(["jump", "a person waves", ""], reference=reference, num_samples=2)
    assert open_gate == [("jump", reference), ("a person waves", reference)]  # once a prompt, and not without words
    assert close(found[0], tiny_dit_pipeline("jump", reference=reference, reference_mode="motion")[0])
    assert close(found[2], tiny_dit_pipeline("a person waves", reference=reference, reference_mode="text")[0])
    short = tiny_dit_pipeline(["jump", "a person waves"], reference=reference.slice(0, 10))
    assert [motion.num_frames for motion in short] == [10, 10]  # followed or not, a reference gives the length
    told = []
    modes = tiny_dit_pipeline.modes(["jump", "jump"], [reference, None], say=lambda *each: told.append(each))
    assert modes == ["motion", "text"]
    assert [(row, decision.reason) for row, decision in told] == [(0, "short texts pass")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(strength=1.5), "strength must be above 0 and at most 1"),
        (dict(smoothing=-1), "smoothing must be a number"),
        (dict(reference_weight=2), "reference_weight must be in"),
        (dict(seconds=61), "seconds must be above 0"),
    ],
)
def test_nobody_is_asked_about_a_call_that_fails(tiny_dit_pipeline, walk, open_gate, change, message):
    rewritten = []
    call = dict(reference=walk.resample(20), rewriter=rewritten.append, **change)
    with pytest.raises(ValueError, match=message):
        tiny_dit_pipeline("jump", **call)
    assert not open_gate and not rewritten


def test_a_reference_of_another_skeleton_is_mapped(tiny_dit_pipeline, walk):
    reference = walk.resample(20)
    names = tuple(name.replace("left_", "Left").replace("right_", "Right") for name in SMPL22.names)
    offsets = tuple((1.1 * x, 1.1 * y, 1.1 * z) for x, y, z in SMPL22.offsets)
    rename = {"Lefthip": "LeftUpLeg", "Righthip": "RightUpLeg"}
    foreign = Foreign(tuple(rename.get(name, name) for name in names), SMPL22.parents, offsets)
    other = reference.replace(skeleton=foreign, translation=1.1 * reference.translation)
    with pytest.warns(UserWarning, match="reference was mapped from 22 joints onto SMPL's 22"):
        found = tiny_dit_pipeline("", reference=other)[0]
    assert close(found, tiny_dit_pipeline("", reference=reference)[0])
    nobody = Skeleton(("root", "a"), (-1, 0), ((0, 0, 0), (0, 1, 0)))
    with pytest.raises(ValueError, match="names must map onto SMPL22"):
        tiny_dit_pipeline("", reference=Motion(torch.eye(3).expand(5, 2, 3, 3), torch.zeros(5, 3), skeleton=nobody))


class Foreign(Skeleton):
    """A skeleton with other names, whose mirror images are not asked for."""

    def __post_init__(self) -> None:
        return None


def test_strength_says_how_much_is_left_of_the_start(smooth_pipeline, tiny_dit_pipeline):
    pipe, reference = smooth_pipeline, smooth_pipeline("stand", seconds=2, seed=9)[0]
    distances = []
    for strength in (0.02, 0.2, 0.6, 1.0):
        motion = pipe("jump", seconds=2, reference=reference, reference_mode="text", strength=strength)[0]
        distances.append(float((motion.rotations[:, 1:] - reference.rotations[:, 1:]).abs().mean()))
    assert distances == sorted(distances) and distances[0] < 0.2 * distances[-1]
    whole = pipe("jump", seconds=2, reference=reference, reference_mode="text", strength=1)[0]
    assert close(whole, pipe("jump", seconds=2)[0])
    long = synthesize("walk", seed=2, seconds=7).resample(20)  # several windows
    motion = tiny_dit_pipeline("jump", reference=long, reference_mode="both", strength=0.5)[0]
    assert motion.num_frames == 140


def test_the_released_start_is_pure_noise_at_a_lower_sigma(tiny_dit_pipeline):
    settings = tiny_dit_pipeline.settings({"denoising_strength": 0.7, "shift": 5.0})
    assert float(settings.sampling.sigmas[0]) == pytest.approx(0.921, abs=1e-3) and not settings.starts
    plain, early = (tiny_dit_pipeline("jump", denoising_strength=s)[0] for s in (None, 0.7))
    assert not close(plain, early)


def test_the_two_recoveries_and_smoothing(tiny_dit_pipeline, smooth_pipeline):
    direct, summed = (tiny_dit_pipeline("jump", recovery=way)[0] for way in ("direct", "velocity"))
    assert torch.allclose(direct.rotations[:, 1:], summed.rotations[:, 1:]) and not close(direct, summed)
    jumps = [
        float(tiny_dit_pipeline("jump", smoothing=s)[0].positions().diff(n=2, dim=0).norm(dim=-1).mean())
        for s in (0, 1, 3)
    ]
    assert jumps[0] > jumps[1] > jumps[2]
    assert smooth_pipeline("jump", seconds=0.1, smoothing=2.0)[0].num_frames == 2


def test_smoothing_by_hand_up_to_the_ends():
    ramp = torch.arange(20.0)[:, None].expand(20, 3)
    assert torch.allclose(smoothed(ramp, 1.0)[2:-2], ramp[2:-2], atol=1e-5)
    assert smoothed(ramp, 0) is ramp
    assert torch.allclose(smoothed(torch.full((6, 2), 3.0), 1.0), torch.tensor(3.0))  # the ends too
    ends = smoothed(ramp, 1.0)[:, 0]  # by hand: the first and the last frame are repeated beyond the ends
    far, near = math.exp(-2), math.exp(-0.5)
    step = (near + 2 * far) / (1 + 2 * near + 2 * far)
    assert float(ends[0]) == pytest.approx(step, abs=1e-5) and float(ends[-1]) == pytest.approx(19 - step, abs=1e-5)
    impulse = smoothed(torch.eye(9)[4][:, None], 1.0)[:, 0]
    assert int((impulse > 0).sum()) == 5  # the kernel of five that the released code has


def test_save_and_load_give_the_same_motion(tiny_dit_pipeline, tmp_path):
    tiny_dit_pipeline.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"pipeline.json", "text_encoder.json", "dit"}
    assert json.loads((tmp_path / "pipeline.json").read_text())["kind"] == "dit"
    for kind in (MotionPipeline, DiTPipeline):
        loaded = kind.from_pretrained(tmp_path)
        assert type(loaded) is DiTPipeline and loaded.defaults == tiny_dit_pipeline.defaults
    assert close(loaded("jump")[0], tiny_dit_pipeline("jump")[0])
    halved = MotionPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert halved.dit.dtype == torch.bfloat16 and torch.equal(halved.dit.std, tiny_dit_pipeline.dit.std)
    assert torch.allclose(halved("jump")[0].positions(), loaded("jump")[0].positions(), atol=0.2)
    assert halved.to("cpu") is halved
    with pytest.raises(ValueError, match="quantization must be left out for a DiT, got '4bit'"):
        MotionPipeline.from_pretrained(tmp_path, quantization="4bit")


def test_folders_of_other_kinds_are_told_apart(tiny_dit_pipeline, tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path)
    assert "kind" not in json.loads((tmp_path / "pipeline.json").read_text())
    assert type(MotionPipeline.from_pretrained(tmp_path)) is CodesPipeline
    with pytest.raises(ValueError, match="pipeline must be a DiT, got a language model"):
        DiTPipeline.from_pretrained(tmp_path)
    (tmp_path / "pipeline.json").write_text('{"kind": "gan"}')
    with pytest.raises(ValueError, match="pipeline must be of a known kind, got 'gan'"):
        MotionPipeline.from_pretrained(tmp_path)


def test_prompts_can_be_rewritten_but_empty_ones_are_left(tiny_dit_pipeline, walk):
    def rewriter(prompts):
        return [Rewrite(prompt, f"{prompt} high") for prompt in prompts]

    reference = walk.resample(20)
    found = tiny_dit_pipeline(["jump", ""], rewriter=rewriter, reference=[None, reference])
    assert [m.caption for m in found] == ["jump high", ""]
    assert close(found[0], tiny_dit_pipeline("jump high")[0])


def test_models_without_dropout_of_texts_are_not_guided_in_silence(tiny_dit_pipeline):
    dit = copy.deepcopy(tiny_dit_pipeline.dit)
    dit.config.text_dropout = 0.0
    pipe = DiTPipeline(dit, tiny_dit_pipeline.text_encoder, {"steps": 1})
    with pytest.warns(UserWarning, match="guidance_scale 3 cannot work"):
        pipe("jump", seconds=0.5, guidance_scale=3.0)


def test_a_student_of_few_steps_is_asked_for_them(tiny_dit_pipeline):
    dit = copy.deepcopy(tiny_dit_pipeline.dit)
    dit.config.few_step, dit.config.text_dropout = {"steps": 2, "shift": 3.0, "guidance_scale": 2.0}, 0.0
    own = {"steps": 2, "shift": 3.0}
    for other in ({"steps": 3}, {"shift": 1.0}, {"guidance_scale": 2.0}, {"solver": "heun"}):
        pipe = DiTPipeline(dit, tiny_dit_pipeline.text_encoder, own)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipe("jump", seconds=0.5)
        with pytest.warns(UserWarning, match="distilled for steps=2, solver='euler', shift=3 and guidance_scale=1"):
            pipe("jump", seconds=0.5, **other)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipe("jump", seconds=0.5, **other)  # said once


def test_models_of_texts_alone(tiny_dit_pipeline, walk):
    dit = MotionDiT(light_config(tiny_dit_pipeline.dit.config))
    dit.mean.copy_(tiny_dit_pipeline.dit.mean)
    pipe, reference = DiTPipeline(dit, tiny_dit_pipeline.text_encoder, {"steps": 2}), walk.resample(20)
    assert pipe("jump", reference=reference, strength=0.5)[0].num_frames == 60
    for call, message in (
        (dict(prompts="jump", reference=reference), "reference must come with strength below 1 for a text-only model"),
        (
            dict(prompts="jump", reference=reference, reference_mode="both"),
            "must be auto or text for a text-only model",
        ),
        (dict(prompts="", reference=reference), "prompt must say what the person does, got ''"),
    ):
        with pytest.raises(ValueError, match=message):
            pipe(**call)


def light_config(config: MotionDiTConfig) -> MotionDiTConfig:
    changed = copy.deepcopy(config)
    changed.num_reference_layers = 0
    return changed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, m: p([]), "prompts must hold at least one sentence"),
        (lambda p, m: p(5), "prompts must be a text or a list of texts"),
        (lambda p, m: p(""), "prompt must say what the person does, got ''; try \"a person waves\", or a reference"),
        (lambda p, m: p("..."), "prompt must say what the person does"),
        (lambda p, m: p("...", reference=m), "prompt must say what the person does"),
        (lambda p, m: p(["jump", ""], reference=[m, None]), "prompt must say what the person does, got ''"),
        (lambda p, m: p("jump", seconds=0), "seconds must be above 0"),
        (lambda p, m: p("jump", seconds=61), "seconds must be above 0 and at most 60"),
        (lambda p, m: p("jump", num_samples=0), "num_samples must be a whole number"),
        (lambda p, m: p("jump", batch_size=0), "batch_size must be a whole number"),
        (lambda p, m: p("jump", seed=-1), "seed must be a whole number in"),
        (lambda p, m: p("jump", steps=0), "steps must be a whole number of at least 1, got 0"),
        (lambda p, m: p("jump", solver="rk4"), "solver must be one of"),
        (lambda p, m: p("jump", shift=0), "shift must be above 0"),
        (lambda p, m: p("jump", guidance_interval=(1, 0)), "guidance_interval must be two rising sigmas"),
        (lambda p, m: p("jump", guidance_interval="ab"), "guidance_interval must be two rising sigmas"),
        (lambda p, m: p("jump", guidance_scale=101), "guidance_scale must be in 0 to 100, got 101; 1 is off"),
        (lambda p, m: p("jump", temperature=-1), "temperature must be a number that is not negative"),
        (lambda p, m: p("jump", denoising_strength=0), "^denoising_strength must be above 0"),
        (lambda p, m: p("jump", recovery="both"), "recovery must be one of"),
        (lambda p, m: p("jump", smoothing=-1), "smoothing must be a number that is not negative"),
        (lambda p, m: p("jump", smoothing=1e6), "smoothing must be at most 100 frames, got 1000000.0; 0 is off"),
        (lambda p, m: p("jump", transition=0), "transition must be above 0"),
        (lambda p, m: p("jump", rounds=0), "rounds must be a whole number of at least 1"),
        (lambda p, m: p("jump", rounds=2, denoising_strength=0.7), "rounds must be 1 where strength or denoising_s"),
        (lambda p, m: p("jump", compiled=1), "compiled must be True or False, got 1"),
        (lambda p, m: p("jump", tempo=2), "options must hold known keys only, got 'tempo'"),
        (
            lambda p, m: p("jump", top_k=5),
            "top_k must be left out for a DiT, which has no codes to choose from, got 5",
        ),
        (lambda p, m: p.stream("jump", chunk_tokens=4), "chunk_tokens must be left out for a DiT"),
        (lambda p, m: p("jump", int8=True), "int8 must be left out for a DiT"),
        (lambda p, m: p("jump", seconds=2, max_seconds=3), "max_seconds must be left out where seconds are given"),
        (lambda p, m: p("jump", default_seconds=0), "default_seconds must be above 0"),
        (lambda p, m: p("jump", min_seconds=3, max_seconds=2), "min_seconds must be at most max_seconds"),
        (lambda p, m: p("jump", strength=0.5), "strength must be 1 or left out without a motion to start from"),
        (lambda p, m: p(["jump", "run"], reference=[m, None], strength=0.5), "strength must be 1 or left out without"),
        (lambda p, m: p("jump", seconds=9, reference=m, reference_mode="text", strength=0.5), "most those of the ref"),
        (lambda p, m: p("jump", reference=m, reference_mode="auto", strength=0), "strength must be above 0"),
        (lambda p, m: p("jump", reference="walk.bvh", reference_mode="motion"), "reference must be a Motion, got 'w"),
        (lambda p, m: p("jump", reference="walk.bvh"), "reference must be a Motion, got 'walk.bvh'; read a file with"),
        (lambda p, m: p("jump", reference=3), "reference must be a Motion, got 3"),
        (
            lambda p, m: p("jump", reference=torch.zeros(50, 9)),
            "reference must be a Motion, got tensor.*\\.\\.\\.; read",
        ),
        (lambda p, m: p(["jump", "run"], reference=[m]), "reference must be one motion, or one per prompt, 2, got 1"),
        (lambda p, m: p("jump", reference=m, reference_mode="video"), "reference_mode must be one of"),
        (lambda p, m: p("jump", reference=m, reference_mode=None), "reference_mode must be one of .*, got None"),
        (lambda p, m: p("jump", reference=m, reference_mode=["text"] * 2), "reference_mode must be one, or one per"),
        (lambda p, m: p("jump", reference_mode="motion"), "reference_mode must be auto or text without a reference"),
        (lambda p, m: p("", reference=m, reference_mode="both"), "prompt must say what the person does, got ''; a"),
        (lambda p, m: p("jump", reference=m, reference_mode="both", reference_weight=2), "reference_weight must be "),
        (lambda p, m: p("jump", prefix="walk.bvh"), "prefix must be a Motion, got 'walk.bvh'"),
        (lambda p, m: p.timeline([]), "parts must be pairs of text and seconds"),
        (lambda p, m: p.timeline([("jump", None)]), "seconds of part 0 must be a number"),
        (lambda p, m: p.timeline([("jump", 1)], num_samples=0), "num_samples must be a whole number"),
        (lambda p, m: p.timeline([("jump", 1)], max_seconds=3), "max_seconds must be left out where seconds"),
        (lambda p, m: p.timeline([("jump", 1)], reference=m), "reference must be left out here, .*only a call takes"),
        (lambda p, m: p.stream("jump", reference_mode="both"), "reference_mode must be left out here, got 'both'"),
        (lambda p, m: p.stream([("jump", 1)], seconds=2), "seconds must be left out where the parts have their own"),
    ],
)
def test_bad_input_is_named(tiny_dit_pipeline, walk, call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny_dit_pipeline, walk.resample(20))


@pytest.mark.parametrize("name", ["reference", "strength", "recovery", "smoothing", "default_seconds"])
def test_models_of_codes_refuse_what_only_a_dit_has(tiny_pipeline, name, walk):
    with pytest.raises(ValueError, match=f"{name} must be left out for a language model"):
        tiny_pipeline("jump", seconds=1, **{name: walk if name == "reference" else 1})
    with pytest.raises(ValueError, match="edit must be called on a DiT"):
        tiny_pipeline.edit(walk, "jump")


def test_parts_must_fit(tiny_dit_pipeline):
    encoder = TextEncoder(sentence=True)
    encoder.dim = 16
    with pytest.raises(ValueError, match="dit must read the text encoder's features, got a width of 384 for 16"):
        DiTPipeline(tiny_dit_pipeline.dit, encoder)
    with pytest.raises(ValueError, match="pipeline defaults must hold known keys only, got 'top_k'"):
        DiTPipeline(tiny_dit_pipeline.dit, tiny_dit_pipeline.text_encoder, {"top_k": 3})


def test_velocities_are_summed_up_for_rot276_alone(tiny_dit_pipeline):
    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_reference_layers=0, max_frames=60)
    config = MotionDiTConfig(features="rot272", text_dim=384, num_attention_heads=2, **shape)
    dit, walk = MotionDiT(config), synthesize("walk", seed=0, seconds=2)
    dit.set_statistics(feature_stats([dit.representation.encode(walk)], dit.representation.layout))
    pipe = DiTPipeline(dit, tiny_dit_pipeline.text_encoder, {"steps": 1})
    assert pipe("jump", seconds=4, prefix=walk)[0].num_frames == 180
    with pytest.raises(ValueError, match="recovery must be \"direct\" for features 'rot272'"):
        pipe("jump", recovery="velocity")
    with pytest.raises(ValueError, match="edit must be called on .* features with edited_blocks, got one of 'rot272'"):
        pipe.edit(walk, "jump", frames=(1, 5))


def test_whole_patches_are_kept(tiny_dit_pipeline):
    config = copy.deepcopy(tiny_dit_pipeline.dit.config)
    config.patch = 4
    pipe = DiTPipeline(MotionDiT(config), tiny_dit_pipeline.text_encoder)
    assert [pipe.settings({"transition": t}).overlap for t in (0.05, 0.2, 0.5, 1.0, 9.0)] == [4, 4, 12, 20, 30]
    assert tiny_dit_pipeline.settings({}).overlap == 10
