"""Of several motions of a prompt the one that does what it says: descriptions, sides, likelihoods, and the option."""

import pytest
import torch

from motionmillion import MotionPipeline
from motionmillion.data.describing import measure_facts
from motionmillion.data.describing.facts import Jump
from motionmillion.data.describing.reading import PhraseBook
from motionmillion.data.synthetic import synthesize
from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
from motionmillion.eval.evaluator.model import TextMotionEvaluator
from motionmillion.pipeline.base import sample_seed
from motionmillion.pipeline.choosing import DONE, GAIN, MATCH, TOO_SHORT, prompt_fits, text_gains

PROMPT = "a person walks forward"


@pytest.fixture(scope="module")
def motions():
    wave = synthesize("wave", seed=1, seconds=4)
    return {"wave": wave, "other wave": wave.mirror(), **{n: synthesize(n, 3, 4.0) for n in ("walk", "jump", "squat")}}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("somebody goes straight ahead", "walk"),
        ("a man leaps into the air", "jump"),
        ("lower yourself into a squat", "squat"),
    ],
)
def test_a_motion_is_chosen_by_what_it_does(text_encoder, motions, prompt, name):
    fits = prompt_fits(prompt, list(motions.values()), text_encoder)
    assert list(motions)[int(fits.argmax())] == name


def test_sides_are_told_apart(text_encoder, motions):
    pair = [motions["wave"], motions["other wave"]]
    left, right = (
        int(prompt_fits(f"she waves with her {side} hand", pair, text_encoder).argmax()) for side in ("left", "right")
    )
    assert left != right
    wrist = pair[left].positions()[..., 1].amax(0)
    names = pair[left].skeleton.names
    assert wrist[names.index("left_wrist")] > wrist[names.index("right_wrist")]


def test_reading_the_prompt_adds_how_far_it_is_done(text_encoder, motions, monkeypatch):
    made = [motions["walk"], motions["jump"]]
    prompt = "do a jump"
    read = prompt_fits(prompt, made, text_encoder)
    with monkeypatch.context() as patch:
        patch.setattr("motionmillion.pipeline.choosing.PhraseBook.of", lambda encoder: None)  # as of other encoders
        sentences = prompt_fits(prompt, made, text_encoder)
    facts = [measure_facts(motion, unclear=True) for motion in made]
    done = PhraseBook.of(text_encoder).rate(prompt, facts)
    assert torch.allclose(read - sentences, DONE * done, atol=1e-5) and done[1] > 0.3 > done[0]


def test_what_cannot_be_measured_fits_least(text_encoder, motions):
    short = motions["walk"].slice(0, 1)
    assert prompt_fits(PROMPT, [short], text_encoder).tolist() == [TOO_SHORT]
    assert prompt_fits(PROMPT, [short, motions["walk"]], text_encoder).argmax() == 1


def test_a_motion_that_is_not_described_may_do_what_was_asked(text_encoder, motions):
    slow = motions["jump"].replace(fps=motions["jump"].fps * 0.7)  # falls too slowly for a jump
    assert not any(isinstance(event, Jump) for event in measure_facts(slow).events)
    assert prompt_fits("do a jump", [motions["walk"], slow], text_encoder).argmax() == 1


def test_gains_are_those_of_each_row_alone(tiny_pipeline):
    lm, end, pad = tiny_pipeline.lm, tiny_pipeline.lm.config.end_token_id, tiny_pipeline.lm.config.padding_token_id
    features, mask = tiny_pipeline.read([PROMPT])
    rows = torch.tensor([[3, 5, 7, 9, 2], [4, 1, end, pad, pad]])
    together = text_gains(lm, rows, features.expand(2, -1, -1), mask.expand(2, -1))
    for row, gain in zip((rows[0], rows[1, :3]), together, strict=True):
        with torch.no_grad():
            said = lm(row[None], features, mask, labels=row[None]).token_losses.sum()
            alone = lm(row[None], features, torch.zeros_like(mask), labels=row[None]).token_losses.sum()
        assert float(gain) == pytest.approx(float(alone - said), abs=1e-4) and abs(float(gain)) > 1e-4


@pytest.fixture
def matcher(text_encoder):
    torch.manual_seed(0)
    sizes = dict(
        width=32, heads=4, feedforward=48, motion_layers=1, text_layers=1, text_length=text_encoder.max_length
    )
    made = TextMotionEvaluator(TextMotionEvaluatorConfig(**sizes, sentence=text_encoder.sentence)).eval()
    made.use_text_encoder(text_encoder)
    return made


def test_a_matcher_adds_how_near_motions_are_to_the_prompt(text_encoder, motions, matcher):
    made = [*motions.values(), motions["walk"].slice(0, 1)]
    added = prompt_fits(PROMPT, made, text_encoder, matcher) - prompt_fits(PROMPT, made, text_encoder)
    near = matcher.embed_motions(made[:-1]) @ matcher.embed_texts(PROMPT)[0]
    assert torch.allclose(added[:-1], MATCH * near, atol=1e-5) and near.unique().numel() > 1
    assert added[-1] == 0  # too short to be measured


def test_a_pipeline_keeps_its_matcher(tiny_pipeline, tiny_dit_pipeline, matcher, tmp_path, monkeypatch):
    for name, pipe in {"codes": tiny_pipeline, "dit": tiny_dit_pipeline}.items():
        monkeypatch.setattr(pipe, "matcher", matcher)
        pipe.save_pretrained(tmp_path / name, dtype=torch.float16)
        loaded = MotionPipeline.from_pretrained(tmp_path / name)
        assert loaded.matcher is not None and loaded.matcher.text_encoder is loaded.text_encoder
        walk = synthesize("walk", 0, 2.0)
        assert torch.allclose(loaded.matcher.embed_motions(walk), matcher.embed_motions(walk), atol=1e-2)
        text = loaded.matcher.embed_texts(PROMPT)
        for wanted in range(3):
            near = torch.cat([text if number == wanted else -text for number in range(3)])
            with monkeypatch.context() as patch:
                patch.setattr(loaded.matcher, "embed_motions", lambda motions, near=near: near)
                patch.setattr("motionmillion.pipeline.choosing.MATCH", 1e3)
                best = loaded(PROMPT, seconds=1, candidates=3)[0]
            drawn = loaded.sample([PROMPT], [sample_seed(0, wanted)], seconds=1, candidates=1)[0]
            assert torch.allclose(best.translation, drawn.translation, atol=1e-5)
        (tmp_path / name / "matcher" / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(ValueError, match="damaged|cannot be read|not a valid"):
            MotionPipeline.from_pretrained(tmp_path / name)


def test_the_best_of_the_candidates_is_kept(tiny_pipeline):
    seeds = [sample_seed(4, number) for number in range(3)]
    single = tiny_pipeline.sample([PROMPT] * 3, seeds, seconds=2)
    features, mask = tiny_pipeline.read([PROMPT] * 3)
    tokens = tiny_pipeline.lm.generate(features, mask, seeds=seeds, max_new_tokens=15, min_new_tokens=15)
    fits = prompt_fits(PROMPT, single, tiny_pipeline.text_encoder) + GAIN * text_gains(
        tiny_pipeline.lm, tokens, features, mask
    )
    best = single[int(fits.argmax())]
    for size in (1, 2, 32):
        first, second = tiny_pipeline([PROMPT, "jump"], seconds=2, seed=4, candidates=3, batch_size=size)
        assert first.caption == PROMPT and second.caption == "jump"
        assert torch.equal(first.translation, best.translation)
    (alone,) = tiny_pipeline("jump", seconds=2, seed=4, candidates=3)
    assert torch.allclose(alone.translation, second.translation, atol=1e-5)


def test_a_continuation_is_judged_by_what_is_new(tiny_pipeline, monkeypatch):
    prefix, lengths = synthesize("walk", 0, 2.0), []
    monkeypatch.setattr(
        "motionmillion.pipeline.codes.prompt_fits",
        lambda prompt, motions, encoder, matcher: (
            lengths.extend(m.num_frames for m in motions) or torch.zeros(len(motions))
        ),
    )
    (motion,) = tiny_pipeline("jump", seconds=1, prefix=prefix, candidates=2)
    assert motion.num_frames == 90 and lengths == [30, 30]


def test_a_dit_chooses_by_descriptions_alone(tiny_dit_pipeline):
    seeds = [sample_seed(4, number) for number in range(3)]
    single = tiny_dit_pipeline.sample([PROMPT] * 3, seeds, seconds=2)
    best = single[int(prompt_fits(PROMPT, single, tiny_dit_pipeline.text_encoder).argmax())]
    for size in (1, 2, 32):
        first, second = tiny_dit_pipeline([PROMPT, "jump"], seconds=2, seed=4, candidates=3, batch_size=size)
        assert first.caption == PROMPT and second.caption == "jump"
        assert torch.allclose(first.translation, best.translation, atol=1e-5)
    # without words there is nothing to choose by
    walk = synthesize("walk", 0, 2.0).resample(20)
    alone = tiny_dit_pipeline("", reference=walk, seed=4, candidates=3)[0]
    drawn = tiny_dit_pipeline.sample([""], [sample_seed(sample_seed(4, 0), 0)], reference=walk)[0]
    assert torch.equal(alone.translation, drawn.translation)


def test_of_several_edits_the_best_is_kept(tiny_dit_pipeline):
    walk = synthesize("walk", 0, 2.0).resample(20)
    seeds = [sample_seed(7, number) for number in range(3)]
    arm = {"joints": ["left_arm"]}
    single = [tiny_dit_pipeline.edit(walk, PROMPT, seed=seed, **arm) for seed in seeds]
    best = single[int(prompt_fits(PROMPT, single, tiny_dit_pipeline.text_encoder).argmax())]
    kept = tiny_dit_pipeline.edit(walk, PROMPT, seed=7, candidates=3, **arm)
    assert torch.allclose(kept.rotations, best.rotations, atol=1e-5) and kept.caption == PROMPT


def test_timelines_and_streams_have_no_candidates(tiny_pipeline, tiny_dit_pipeline):
    for pipe in (tiny_pipeline, tiny_dit_pipeline):
        for call in (
            lambda pipe=pipe: pipe.timeline([("jump", 1)], candidates=2),
            lambda pipe=pipe: list(pipe.stream("jump", candidates=2)),
        ):
            with pytest.raises(ValueError, match="candidates must be left out with a"):
                call()
