"""The flow head on the LM: its class, losses, padding, packing, what it learns, checkpoints, and every check."""

import copy

import pytest
import torch
from torch.nn import functional as F

from motionmillion.data.sets.latents import LatentCollator, latent_statistics
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.latents.head import FlowHead
from motionmillion.lm.latents.model import MotionFlowLM


@pytest.fixture
def batch():
    """Three rows: long text, short text with its motion ended early, no text at all."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 7, 384, generator=generator)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [0] * 7])
    latents = torch.randn(3, 9, 8, generator=generator)
    latents[1, 6], latents[1, 7:] = torch.inf, torch.nan
    return latents, features, mask


def tiny(**options) -> MotionLMConfig:
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, text_dim=4)
    return MotionLMConfig(**{**shape, "head": "flow", "codebook_size": 0, "latent_dim": 2, **options})


def test_the_config_chooses_the_class(tiny_flow_lm, tiny_lm, batch, tmp_path):
    assert type(tiny_flow_lm) is MotionFlowLM and type(tiny_lm) is MotionLM
    tiny_flow_lm.save_pretrained(tmp_path)
    loaded = MotionLM.from_pretrained(tmp_path).eval()
    assert type(loaded) is MotionFlowLM and type(MotionFlowLM.from_pretrained(tmp_path)) is MotionFlowLM
    assert type(copy.deepcopy(loaded)) is MotionFlowLM
    for name in ("states", "logits"):
        found, expected = getattr(loaded(*batch), name), getattr(tiny_flow_lm(*batch), name)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(loaded.latent_std, tiny_flow_lm.latent_std)


def test_statistics_stay_exact_in_few_bits(tiny_flow_lm, batch, tmp_path):
    tiny_flow_lm.save_pretrained(tmp_path)
    loaded = MotionLM.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert loaded.flow_head.write.weight.dtype == torch.bfloat16
    cast = MotionLM.from_pretrained(tmp_path).to(torch.bfloat16)
    for each in (loaded, cast):
        assert torch.equal(each.latent_mean, tiny_flow_lm.latent_mean)
        assert torch.equal(each.latent_std, tiny_flow_lm.latent_std)
    latents = loaded.generate(batch[1].bfloat16(), batch[2], max_new_tokens=4, min_new_tokens=4)
    assert latents.dtype == torch.float32 and bool(latents.isfinite().all())


def test_a_row_is_the_same_alone_and_in_a_padded_batch(tiny_flow_lm, batch):
    latents, features, mask = batch
    together = tiny_flow_lm(latents, features, mask)
    assert together.states.shape == (3, 10, 32) and together.logits.shape == (3, 10, 1)
    alone = tiny_flow_lm(latents[1:2, :6], features[1:2, :4], mask[1:2, :4])
    assert torch.allclose(together.states[1, :7], alone.states[0], atol=1e-5)
    assert torch.allclose(together.logits[1, :7], alone.logits[0], atol=1e-5)


def test_motion_does_not_see_the_future(tiny_flow_lm, batch):
    latents, features, mask = batch
    before, later = tiny_flow_lm(*batch).states[0], latents.clone()
    later[0, 5] += 1
    after = tiny_flow_lm(later, features, mask).states[0]
    assert torch.allclose(before[:6], after[:6], atol=1e-5) and not torch.allclose(before[6], after[6], atol=1e-3)


def test_losses_are_those_of_their_definition(tiny_flow_lm, batch):
    latents, features, mask = batch
    lm, draws = tiny_flow_lm, tiny_flow_lm.config.flow_draws
    output = lm(latents, features, mask, labels=latents, generator=torch.Generator().manual_seed(3))
    places = [(b, n) for b in range(3) for n in range(9) if bool(latents[b, n].isfinite().all())]
    states = lm(latents, features, mask).states
    clean = torch.stack([(latents[b, n] - lm.latent_mean) / lm.latent_std for b, n in places for _ in range(draws)])
    draw = lm.flow.draw(clean, torch.Generator().manual_seed(3))
    read = torch.stack([states[b, n] for b, n in places for _ in range(draws)])  # state n predicts latent n
    error = (lm.flow_head(draw.x, draw.sigma, read) - draw.target).square().mean()
    assert torch.isclose(output.losses["flow"], error, atol=1e-5)
    ends = torch.tensor([0.0] * len(places) + [1.0])
    logits = torch.stack([output.logits[b, n, 0] for b, n in [*places, (1, 6)]])
    end = F.binary_cross_entropy_with_logits(logits, ends)
    assert torch.isclose(output.losses["end"], end, atol=1e-5)
    assert torch.isclose(output.loss, error + end, atol=1e-5)
    assert output.token_losses.shape == (24,) and output.end_losses.shape == (25,)


def test_the_same_noise_judges_all_rows(tiny_flow_lm, batch):
    latents, features, mask = batch
    rows = latents[:1].expand(3, -1, -1).clone()
    rows[2, 4] += 5.0
    labels = torch.where(torch.arange(9)[None, :, None] < 5, torch.nan, rows)
    text = features[:1].expand(3, -1, -1), mask[:1].expand(3, -1)
    found = tiny_flow_lm.row_losses(rows, *text, labels)
    assert torch.isclose(found[0], found[1], atol=1e-4) and not torch.isclose(found[0], found[2], atol=1e-2)
    assert torch.equal(found, tiny_flow_lm.row_losses(rows, *text, labels))


def test_packed_samples_have_the_numbers_that_they_have_alone(tiny_flow_lm):
    generator = torch.Generator().manual_seed(1)
    samples = [
        {"codes": torch.randn(n, 8, generator=generator), "text": torch.randn(m, 384, generator=generator)}
        for n, m in ((5, 3), (9, 6), (2, 2), (7, 1))
    ]
    packed = PackedCollator(LatentCollator(), row=24)(samples)
    assert packed["latents"].shape[0] == 2
    plain = LatentCollator()(samples)
    one, other = tiny_flow_lm(**packed), tiny_flow_lm(**plain)
    assert torch.allclose(one.end_losses.sort().values, other.end_losses.sort().values, atol=1e-5)
    assert one.token_losses.shape == other.token_losses.shape == (23,)


def test_noise_on_what_is_read_is_for_training_only(batch):
    latents, features, mask = batch
    torch.manual_seed(0)
    lm = MotionLM(tiny(latent_dim=8, text_dim=384, latent_noise=0.5))
    assert not torch.equal(lm(*batch).states, lm(*batch).states)
    lm.eval()
    assert torch.equal(lm(*batch).states, lm(*batch).states)
    quiet = MotionLM(tiny(latent_dim=8, text_dim=384, latent_noise=0.0))
    assert torch.equal(quiet(*batch).states, quiet(*batch).states)


def test_a_fresh_head_says_no_velocity():
    torch.manual_seed(0)
    head = MotionLM(tiny()).flow_head
    assert isinstance(head, FlowHead)
    assert not head(torch.randn(5, 2), torch.rand(5), torch.randn(5, 32)).any()


@pytest.mark.slow
def test_it_learns_two_modes_that_last_and_where_they_end():
    """Sequences of five times +2 or five times -1, by a coin; the text doubles the length."""
    torch.manual_seed(0)
    lm = MotionLM(tiny(latent_noise=0.05, flow_width=64)).train()
    lm.set_statistics(torch.full((2,), 0.5), torch.full((2,), 1.5))
    optimizer = torch.optim.AdamW(lm.parameters(), lr=3e-3)
    texts = torch.eye(4)[:2, None]  # [2, 1, 4]
    for _ in range(250):
        sign, kind = torch.rand(64) < 0.5, torch.rand(64) < 0.5
        latents = torch.where(sign[:, None, None], 2.0, -1.0).expand(64, 11, 2).clone()
        for n, length in ((3, ~kind), (6, kind)):
            latents[length, n], latents[length, n + 1 :] = torch.inf, torch.nan
        loss = lm(latents, texts[kind.long()], labels=latents).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lm.eval()
    kind = torch.arange(80) % 2
    found = lm.generate(texts[kind], max_new_tokens=9, seeds=range(80), steps=12)
    lengths = found.isfinite().all(-1).sum(1)
    assert ((lengths == torch.where(kind == 1, 6, 3)).float().mean()) > 0.95
    rows = [row[row.isfinite().all(-1)] for row in found]
    up = torch.tensor([bool(row.mean() > 0.5) for row in rows])
    assert 0.25 < up.float().mean() < 0.75
    errors = torch.cat([(row - (2.0 if u else -1.0)).abs().flatten() for row, u in zip(rows, up, strict=True)])
    assert errors.mean() < 0.25  # a mean of the two modes would be wrong by 1.5
    fixed = lm.generate(texts, max_new_tokens=9, temperature=0)
    assert fixed.isfinite().all(-1).sum(1).tolist() == [3, 6]


def test_statistics_of_latents():
    sequences = [torch.randn(50, 3) * torch.tensor([2.0, 1.0, 0.0]) + 1 for _ in range(4)]
    mean, std = latent_statistics(sequences)
    assert torch.allclose(mean, torch.cat(sequences).mean(0)) and torch.allclose(
        std[:2], torch.cat(sequences).std(0)[:2]
    )
    assert torch.isclose(std[2], 0.05 * std[0])  # a channel that says nothing is not blown up
    with pytest.raises(ValueError, match="latents must be at least two"):
        latent_statistics([torch.zeros(1, 3)])


def test_the_collator_marks_ends_and_padding():
    long, short = torch.randn(6, 2), torch.randn(2, 2)
    samples = [{"codes": codes, "text": torch.randn(3, 4)} for codes in (long, short)]
    batch = LatentCollator()(samples)
    assert set(batch) == {"latents", "labels", "text_features", "text_mask"}
    assert torch.equal(batch["latents"][0, :6], long) and torch.equal(batch["latents"][1, :2], short)
    assert batch["labels"][0, 6].isposinf().all() and batch["labels"][1, 2].isposinf().all()
    assert batch["labels"][1, 3:].isnan().all()
    torch.manual_seed(0)
    cut = LatentCollator(longest=4)([samples[0]] * 40)["labels"]
    ends = cut.isposinf().all(-1).any(1)
    assert cut.shape[1] == 5 and 0 < ends.sum() < 40  # only those cut at their start end


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "codec"}, "head must be one of"),
        ({"codebook_size": 8}, 'codebook_size must be 0 and vocab_multiple 1 with head "flow", got 8'),
        ({"vocab_multiple": 2}, 'vocab_multiple 1 with head "flow", got 0 and 2'),
        ({"tie_word_embeddings": True}, "tie_word_embeddings must be off with head"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1"),
        ({"flow_layers": 0}, "flow_layers must be a whole number"),
        ({"flow_draws": 0}, "flow_draws must be a whole number"),
        ({"flow_width": 0}, "flow_width must be a whole number"),
        ({"latent_noise": -1.0}, "latent_noise must be a number"),
        ({"end_weight": -1.0}, "end_weight must be a number"),
        ({"flow": {"shit": 2}}, "flow must hold known keys only, got 'shit'; did you mean shift"),
        ({"flow": {"shift": 0}}, "shift must be above 0"),
        ({"caption_dropout": 1.0}, "caption_dropout must be in"),
        ({"head": "codes", "codebook_size": 9}, 'latent_dim must be left out with head "codes", got 2'),
        ({"head": "codes", "codebook_size": 9, "latent_dim": 0, "flow_draws": 2}, "flow_draws must be left out"),
    ],
)
def test_bad_configs_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_bad_inputs_are_named(tiny_flow_lm, batch):
    latents, features, mask = batch
    with pytest.raises(ValueError, match="latents must have shape \\[B, N, 8\\], got"):
        tiny_flow_lm(latents[..., :5], features, mask)
    with pytest.raises(ValueError, match="labels must be as many as latents, 9, got 4"):
        tiny_flow_lm(latents, features, mask, labels=latents[:, :4])
    for mean, std, message in (
        (torch.zeros(3), torch.ones(8), "mean must be 8 finite values"),
        (torch.zeros(8), torch.full((8,), torch.nan), "std must be 8 finite values"),
        (torch.zeros(8), torch.zeros(8), "std must be above 0 in every channel"),
    ):
        with pytest.raises(ValueError, match=message):
            copy.deepcopy(tiny_flow_lm).set_statistics(mean, std)
