"""The motion LM: sizes, mask, padding, loss, cache, sampling, checkpoints, and every check."""

import copy

import pytest
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.config import SIZES
from motionmillion.lm.masks import mixed_attention_mask


@pytest.fixture
def batch():
    """Three rows: long text, short text with its motion ended early, no text at all."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 7, 384, generator=generator)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [0] * 7])
    tokens = torch.randint(0, 125, (3, 9), generator=generator)
    tokens[1, 6], tokens[1, 7:] = 125, 126
    return tokens, features, mask


@pytest.mark.parametrize("name", sorted(SIZES))
def test_sizes_have_exactly_the_published_parameters(name):
    with torch.device("meta"):
        lm = MotionLM(MotionLMConfig.from_name(name, codebook_size=64000, text_dim=2048))
    assert sum(p.numel() for p in lm.parameters()) == SIZES[name].parameters


def test_mask_is_bidirectional_over_text_and_causal_over_motion(tiny_lm):
    valid = torch.tensor([[1, 1, 0, 1, 1, 1]], dtype=torch.bool)  # two words, padding, three tokens
    mask = mixed_attention_mask(tiny_lm.config, torch.zeros(1, 6, 32), valid, text_length=3)
    expected = torch.tensor(
        [
            [1, 1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [1, 1, 0, 1, 0, 0],
            [1, 1, 0, 1, 1, 0],
            [1, 1, 0, 1, 1, 1],
        ],
        dtype=torch.bool,
    )
    assert torch.equal(mask[0, 0], expected)


def test_attention_over_the_text_may_be_causal(tiny_lm, batch, tmp_path):
    tokens, features, mask = batch
    lm = copy.deepcopy(tiny_lm)
    lm.config.attention = "causal"
    valid = torch.tensor([[1, 1, 0, 1, 1, 1]], dtype=torch.bool)
    seen = mixed_attention_mask(lm.config, torch.zeros(1, 6, 32), valid, text_length=3)
    assert seen is None or torch.equal(seen[0, 0], torch.ones(6, 6, dtype=torch.bool).tril() & valid)
    causal = lm(tokens, features, mask).logits
    assert not torch.allclose(causal, tiny_lm(tokens, features, mask).logits, atol=1e-3)
    lm.save_pretrained(tmp_path)
    assert torch.equal(MotionLM.from_pretrained(tmp_path).eval()(tokens, features, mask).logits, causal)
    cached = lm.generate(features, mask, do_sample=False, max_new_tokens=8, min_new_tokens=8)
    logits = lm(cached, features, mask).logits[:, :-1]
    logits[..., 125] = -torch.inf  # END
    assert torch.equal(logits.argmax(-1), cached)


def test_a_row_is_the_same_alone_and_in_a_padded_batch(tiny_lm, batch):
    tokens, features, mask = batch
    together = tiny_lm(tokens, features, mask).logits
    assert together.shape == (3, 10, 126)
    alone = tiny_lm(tokens[1:2, :7], features[1:2, :4], mask[1:2, :4]).logits
    assert torch.allclose(together[1, :8], alone[0], atol=1e-4)


def test_padding_between_text_and_motion_leaves_no_gap(tiny_lm, batch):
    tokens, features, mask = batch
    plain = tiny_lm(tokens[1:2, :7], features[1:2, :4], mask[1:2, :4]).logits
    padded = torch.cat([torch.full((1, 5), 126), tokens[1:2, :7]], dim=1)
    assert torch.allclose(tiny_lm(padded, features[1:2, :4], mask[1:2, :4]).logits[:, -7:], plain[:, 1:], atol=1e-4)


def test_motion_does_not_see_the_future_and_text_does_see_all_text(tiny_lm, batch):
    tokens, features, mask = batch
    before = tiny_lm(tokens[:1], features[:1], mask[:1]).logits
    later = tokens[:1].clone()
    later[0, 5] = (later[0, 5] + 1) % 125
    after = tiny_lm(later, features[:1], mask[:1]).logits
    assert torch.allclose(before[0, :6], after[0, :6], atol=1e-5)
    assert not torch.allclose(before[0, 6], after[0, 6], atol=1e-3)
    words = features[:1].clone()
    words[0, 6] += 1  # the last word changes what the first position of motion expects
    assert not torch.allclose(before[0, 0], tiny_lm(tokens[:1], words, mask[:1]).logits[0, 0], atol=1e-3)


def test_loss_is_cross_entropy_over_motion_and_end_only(tiny_lm, batch):
    tokens, features, mask = batch
    output = tiny_lm(tokens, features, mask, labels=tokens)
    chance = output.logits[:, :9].log_softmax(-1)
    picked = [-chance[b, n, tokens[b, n]] for b in range(3) for n in range(9) if tokens[b, n] != 126]
    assert torch.allclose(output.loss, torch.stack(picked).mean(), atol=1e-5)


def test_cached_greedy_tokens_equal_the_uncached_ones(tiny_lm, batch):
    _, features, mask = batch
    cached = tiny_lm.generate(features, mask, do_sample=False, max_new_tokens=20, min_new_tokens=20)
    tokens = torch.empty(3, 0, dtype=torch.long)
    for _ in range(20):
        logits = tiny_lm(tokens, features, mask).logits[:, -1]
        logits[:, 125] = -torch.inf
        tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(cached, tokens)
    prefixed = tiny_lm.generate(
        features, mask, do_sample=False, max_new_tokens=8, min_new_tokens=8, prefix_codes=cached[:, :12]
    )
    assert torch.equal(prefixed, cached)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_sampled_tokens_do_not_depend_on_the_batch(tiny_lm, batch, guidance):
    _, features, mask = batch
    options = dict(max_new_tokens=40, temperature=0.9, top_k=20, top_p=0.95, guidance_scale=guidance)
    together = tiny_lm.generate(features, mask, seeds=[3, 4, 5], **options)
    for row in range(3):
        words = max(int(mask[row].sum()), 1)
        alone = tiny_lm.generate(
            features[row : row + 1, :words], mask[row : row + 1, :words], seeds=[3 + row], **options
        )
        assert torch.equal(alone[0], together[row, : alone.shape[1]])
        assert (together[row, alone.shape[1] :] == 126).all()


def test_sampling_leaves_the_caller_s_mask_alone(tiny_lm, batch):
    _, features, mask = batch
    mask = mask.bool()
    before = mask.clone()
    tiny_lm.generate(features, mask, max_new_tokens=2)
    assert torch.equal(mask, before)


def test_sampling_controls(tiny_lm, batch):
    _, features, mask = batch
    one = dict(features=features[:1].expand(400, -1, -1), mask=mask[:1].expand(400, -1))
    logits = tiny_lm(torch.empty(1, 0, dtype=torch.long), features[:1], mask[:1]).logits[0, -1]

    def draw(**options):
        return tiny_lm.generate(one["features"], one["mask"], max_new_tokens=1, seeds=range(400), **options)[:, 0]

    assert (draw(temperature=0) == logits.argmax()).all()
    assert set(draw(top_k=3).tolist()) <= set(logits.topk(3).indices.tolist())
    order = logits.softmax(-1).sort(descending=True)
    kept = order.indices[: int((order.values.cumsum(0) < 0.5).sum()) + 1]
    assert set(draw(top_p=0.5).tolist()) <= set(kept.tolist())
    counts = torch.bincount(draw(), minlength=126) / 400  # Gumbel noise draws from the softmax
    assert (counts - logits.softmax(-1)).abs().max() < 0.1
    assert not torch.equal(
        draw(), tiny_lm.generate(**{"text_features": one["features"]}, max_new_tokens=1, seeds=range(400, 800))[:, 0]
    )


def test_end_stops_a_row_and_the_rest_is_padding(tiny_lm, batch):
    _, features, mask = batch
    tokens = tiny_lm.generate(features, mask, max_new_tokens=200, temperature=3.0, seeds=[0, 1, 2])
    for row in tokens.tolist():
        if 125 in row:
            end = row.index(125)
            assert set(row[end + 1 :]) <= {126}
        assert 126 not in row[: row.index(125) if 125 in row else None]


def test_save_and_load_keep_every_number(tiny_lm, batch, tmp_path):
    tokens, features, mask = batch
    tiny_lm.save_pretrained(tmp_path)
    loaded = MotionLM.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(tokens, features, mask).logits, tiny_lm(tokens, features, mask).logits)


def test_eager_and_sdpa_attention_agree(tiny_lm, batch):
    tokens, features, mask = batch
    expected = tiny_lm(tokens, features, mask).logits
    tiny_lm.set_attn_implementation("eager")
    try:
        assert torch.allclose(tiny_lm(tokens, features, mask).logits[:2], expected[:2], atol=1e-4)
    finally:
        tiny_lm.set_attn_implementation("sdpa")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"min_new_tokens": 300}, "min_new_tokens must be in"),
        ({"temperature": -1}, "temperature must not be negative"),
        ({"top_k": -1}, "top_k must be a whole number of at least 0"),
        ({"top_p": 0}, "top_p must be in"),
        ({"seeds": [1]}, "seeds must hold one number per row"),
    ],
)
def test_bad_sampling_options_are_named(tiny_lm, batch, options, message):
    _, features, mask = batch
    with pytest.raises(ValueError, match=message):
        tiny_lm.generate(features, mask, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MotionLMConfig(hiden_size=3), "'hiden_size'; did you mean hidden_size"),
        (lambda: MotionLMConfig(codebook_size=0), "codebook_size must be a whole number of at least 1"),
        (lambda: MotionLMConfig(hidden_dropout=1.0), "hidden_dropout must be in"),
        (lambda: MotionLMConfig.from_name("2b"), "name must be one of"),
        (lambda: MotionLMConfig(attention="full"), "attention must be one of"),
    ],
)
def test_bad_configs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_text_features_are_named(tiny_lm, batch):
    tokens, features, _ = batch
    with pytest.raises(ValueError, match="text_features must have shape"):
        tiny_lm(tokens, features[..., :5])
    with pytest.raises(ValueError, match="text_features must be given"):
        tiny_lm(tokens)


def test_branches_that_are_added_begin_smaller_the_deeper_the_model():
    shape = dict(codebook_size=125, text_dim=8, hidden_size=64, intermediate_size=128, num_attention_heads=4)
    lm = MotionLM(MotionLMConfig(num_hidden_layers=8, initializer_range=0.02, **shape))
    for layer in lm.layers:
        for added in (layer.self_attn.o_proj, layer.mlp.down_proj):
            assert float(added.weight.detach().std()) == pytest.approx(0.02 / 4, rel=0.1)
        assert float(layer.mlp.up_proj.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_misspelt_arguments_are_named(tiny_lm, tiny_flow_lm, tiny_dit, batch):
    tokens, features, mask = batch
    for model, motion in ((tiny_lm, tokens), (tiny_flow_lm, torch.zeros(3, 9, 8))):
        with pytest.raises(TypeError, match="unexpected keyword argument 'lables'"):
            model(motion, features, mask, lables=motion)
    with pytest.raises(TypeError, match="unexpected keyword argument 'frames_mask'"):
        tiny_dit(labels=torch.zeros(1, 4, 276), frames_mask=torch.ones(1, 4, dtype=torch.bool))
