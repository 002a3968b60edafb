"""Decoders: every cache gives the tokens of full recomputation; rows leave; the context slides; weights may change."""

import copy

import pytest
import torch
from torch import nn
from transformers.cache_utils import StaticCache

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.generation.decode_step import prepared_weights, supported
from motionmillion.lm.generation.decoder import StaticDecoder
from motionmillion.lm.generation.few_rows import Projection, blocked_layout
from motionmillion.lm.generation.loop import stream


@pytest.fixture
def text():
    """Three rows: seven words, four words and padding, none."""
    features = torch.randn(3, 7, 384, generator=torch.Generator().manual_seed(0))
    return features, torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [0] * 7])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(200, 64), (64, 24), (63, 64), (1, 24)])
@pytest.mark.parametrize("rows", [1, 2, 3, 16])
def test_projections_are_linear_layers(dtype, shape, rows):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(shape, dtype=dtype), torch.randn(shape[0], dtype=dtype), torch.randn(rows, shape[1])
    x = x.to(dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2
    for b in (None, bias):
        expected = nn.functional.linear(x, weight, b)
        for plain in (False, True):
            found = Projection(weight, b, rows, plain=plain)(x)
            assert found.dtype == dtype
            assert (found - expected).float().norm() < tolerance * expected.float().norm()
        quantized = Projection(weight, b, rows, int8=True)(x).float()
        assert (quantized - expected.float()).norm() < 0.03 * expected.float().norm()


def test_float32_is_laid_out_for_one_row_and_for_many():
    weight = torch.randn(130, 8)
    assert Projection(weight, None, 2).slices.data_ptr() == weight.data_ptr()  # no copy
    if blocked_layout(torch.float32):
        assert Projection(weight, None, 3).blocked is not None


@pytest.mark.parametrize("cache", ["static", "dynamic"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_cache_gives_the_tokens_of_full_recomputation(tiny_lm, text, cache, guidance):
    options = dict(max_new_tokens=30, seeds=[1, 2, 3], temperature=0.9, guidance_scale=guidance)
    prefix = torch.randint(125, (3, 5), generator=torch.Generator().manual_seed(1))
    expected = tiny_lm.generate(*text, cache="none", prefix_codes=prefix, **options)
    assert torch.equal(tiny_lm.generate(*text, cache=cache, prefix_codes=prefix, **options), expected)


def test_grouped_queries_and_biases_are_decoded_too(text):
    torch.manual_seed(0)
    config = MotionLMConfig(
        codebook_size=60,
        text_dim=384,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_bias=True,
        mlp_bias=True,
        vocab_multiple=16,
    )
    lm = MotionLM(config).eval()
    for parameter in lm.parameters():
        nn.init.normal_(parameter, std=0.3)
    options = dict(max_new_tokens=20, do_sample=False)
    assert torch.equal(lm.generate(*text, cache="static", **options), lm.generate(*text, cache="none", **options))


@pytest.mark.slow
def test_rows_that_have_ended_leave_and_change_nothing(tiny_lm, text):
    features, mask = (part[[0, 1, 0, 1, 0, 1]] for part in text)
    options = dict(max_new_tokens=120, temperature=3.0, seeds=list(range(6)))
    for cache in ("static", "dynamic", "none"):
        together = tiny_lm.generate(features, mask, cache=cache, **options)
        lengths = [(row < 125).sum() for row in together]
        assert min(lengths) < max(lengths) // 2  # some were alone for a while
        for row in range(6):
            alone = tiny_lm.generate(
                features[row : row + 1], mask[row : row + 1], cache=cache, **{**options, "seeds": [row]}
            )
            assert torch.equal(together[row, : alone.shape[1]], alone[0])


def test_the_context_slides(tiny_lm, text):
    lm = copy.deepcopy(tiny_lm)
    lm.config.context_codes = 10
    options = dict(do_sample=False, min_new_tokens=23, max_new_tokens=23)
    tokens = lm.generate(*text, **options)
    # the same by hand: whenever ten codes are there, the newest five are the prefix of a new start
    expected = lm.generate(*text, do_sample=False, min_new_tokens=10, max_new_tokens=10)
    while expected.shape[1] < 23:
        count = min(5, 23 - expected.shape[1])
        more = dict(do_sample=False, min_new_tokens=count, max_new_tokens=count)
        longer = lm.generate(*text, prefix_codes=expected[:, -5:], **more)
        expected = torch.cat([expected, longer[:, 5:]], dim=1)
    assert torch.equal(tokens, expected)
    for cache in ("dynamic", "none"):
        assert torch.equal(lm.generate(*text, cache=cache, **options), expected)


def test_a_full_buffer_is_an_error(tiny_lm, text):
    with torch.no_grad():
        decoder = StaticDecoder(tiny_lm, *text, torch.empty(3, 0, dtype=torch.long), capacity=8)
        for _ in range(64 - 7):
            decoder.step(torch.zeros(3, dtype=torch.long))
        with pytest.raises(ValueError, match="capacity must cover every step, got 64"):
            decoder.step(torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("rows", [1, 3])
def test_changed_weights_are_noticed(tiny_lm, text, rows):
    lm = copy.deepcopy(tiny_lm)
    features, mask = (part[:rows] for part in text)
    options = dict(max_new_tokens=10, min_new_tokens=10, do_sample=False)

    def check():
        assert torch.equal(
            lm.generate(features, mask, **options), lm.generate(features, mask, cache="none", **options)
        )

    check()
    with torch.no_grad():
        lm.layers[0].mlp.down_proj.weight.mul_(-2)  # in place
    check()
    lm.lm_head.weight = nn.Parameter(lm.lm_head.weight.detach().flip(0))  # another tensor
    check()
    before = prepared_weights(lm, rows, False, False)
    assert prepared_weights(lm, rows, False, False) is before  # nothing is laid out twice
    lm.to(torch.bfloat16)
    assert lm.generate(features.bfloat16(), mask, **options).shape == (rows, 10)
    assert prepared_weights(lm, rows, False, False) is not before


def test_models_with_other_layers_use_the_dynamic_cache(tiny_lm, text):
    assert supported(tiny_lm)
    lm = copy.deepcopy(tiny_lm)
    lm.layers[1].self_attn.q_proj = nn.Sequential(lm.layers[1].self_attn.q_proj)
    assert not supported(lm)
    options = dict(max_new_tokens=10, do_sample=False)
    assert torch.equal(lm.generate(*text, **options), tiny_lm.generate(*text, **options))
    with pytest.raises(ValueError, match='cache must not be "static" for a model with adapters'):
        lm.generate(*text, cache="static", **options)
    with pytest.raises(ValueError, match="int8 must be off without a static cache"):
        lm.generate(*text, int8=True, **options)
    hooked = copy.deepcopy(tiny_lm)
    hooked.norm.register_forward_hook(lambda *_: None)
    assert not supported(hooked)


def test_int8_steps_stay_close(tiny_lm, text):
    exact = tiny_lm.generate(*text, max_new_tokens=1, min_new_tokens=1, do_sample=False)
    logits = []
    for int8 in (False, True):
        with torch.no_grad():
            decoder = StaticDecoder(tiny_lm, *text, exact, capacity=32, int8=int8)
            logits.append(decoder.step(exact[:, 0]))
    assert (logits[0] - logits[1]).norm() < 0.05 * logits[0].norm()
    steps = list(stream(tiny_lm, *text, 12, min_new_tokens=12, int8=True))
    assert len(steps) == 12


def test_the_model_also_takes_transformers_static_cache(tiny_lm, text):
    features, mask = text
    tokens = torch.randint(125, (3, 6), generator=torch.Generator().manual_seed(2))
    valid = torch.cat(
        [mask.bool() | torch.tensor([[False], [False], [True]]) * (torch.arange(7) == 0), tokens < 125], 1
    )
    cache = StaticCache(config=tiny_lm.config, max_cache_len=32)
    with torch.no_grad():
        first = tiny_lm(tokens[:, :5], features, mask, past_key_values=cache)
        last = tiny_lm(tokens[:, 5:], attention_mask=valid, past_key_values=cache)
        expected = tiny_lm(tokens, features, mask).logits
    assert torch.allclose(first.logits, expected[:, :6], atol=1e-4)
    assert torch.allclose(last.logits[:, -1], expected[:, -1], atol=1e-4)


@pytest.mark.slow
def test_compiled_steps_give_the_same_tokens(tiny_lm, text):
    options = dict(max_new_tokens=20, min_new_tokens=20, do_sample=False)
    for rows in (1, 3):
        features, mask = (part[:rows] for part in text)
        assert torch.equal(
            tiny_lm.generate(features, mask, compiled=True, **options),
            tiny_lm.generate(features, mask, cache="none", **options),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": "paged"}, "cache must be one of"),
        ({"cache": "dynamic", "compiled": True}, "compiled must be off without a static cache"),
        ({"compiled": True, "int8": True}, "int8 must be off on GPUs and with compiled"),
        ({"prefix_codes": torch.zeros(2, 5, dtype=torch.long)}, "prefix_codes must have the shape \\[3, P\\]"),
        ({"prefix_codes": torch.full((3, 5), 125)}, "prefix_codes must be codes in 0..124, got 125 to 125"),
        ({"prefix_codes": torch.full((3, 5), -1)}, "prefix_codes must be codes in 0..124, got -1 to -1"),
        ({"prefix_codes": torch.zeros(3, 150, dtype=torch.long)}, "shorter than the model's context of 150 codes"),
        ({"prefix_codes": torch.zeros(3, 5)}, "prefix_codes must be whole numbers, got torch.float32"),
        ({"max_codes": 5}, "sampling options must hold known keys only, got 'max_codes'"),
        ({"compiled": 1}, "compiled must be True or False, got 1"),
        ({"text_features": torch.full((3, 7, 384), float("nan"))}, "text_features must be finite"),
        ({"min_p": 2}, "min_p must be in"),
        ({"repetition_penalty": 0}, "repetition_penalty must be above 0"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size must be a whole number of at least 0"),
        ({"guidance_scale": 101}, "guidance_scale must be in 0 to 100"),
    ],
)
def test_bad_options_are_named(tiny_lm, text, options, message):
    with pytest.raises(ValueError, match=message):
        tiny_lm.generate(**{"text_features": text[0], "text_mask": text[1], **options})


def test_a_mask_of_another_shape_is_named(tiny_lm, text):
    with pytest.raises(ValueError, match="text_mask must have the shape of text_features"):
        tiny_lm.generate(text[0], text[1][:, :3])


def test_limits_on_repetition(tiny_lm, text):
    def runs(tokens, size):
        return [tuple(row[i : i + size].tolist()) for row in tokens for i in range(len(row) - size + 1)]

    options = dict(max_new_tokens=60, min_new_tokens=60, do_sample=False)
    features, mask = text[0][:1], text[1][:1]
    assert len(set(runs(tiny_lm.generate(features, mask, **options), 2))) < 59  # greedy runs in circles
    tokens = tiny_lm.generate(features, mask, no_repeat_ngram_size=2, **options)
    assert len(set(runs(tokens, 2))) == 59
    penalised = tiny_lm.generate(features, mask, repetition_penalty=5.0, **options)
    assert len(penalised.unique()) > len(tiny_lm.generate(features, mask, **options).unique())
    ended = tiny_lm.generate(*text, temperature=3.0, repetition_penalty=2.0, seeds=[0, 1, 2], max_new_tokens=200)
    assert (ended == 126).any()  # rows of different lengths: what pads them is no repetition


def test_min_p_keeps_only_likely_tokens(tiny_lm, text):
    features, mask = text[0][:1], text[1][:1]
    chances = tiny_lm(torch.empty(1, 0, dtype=torch.long), features, mask).logits[0, -1].softmax(-1)
    allowed = set((chances >= 0.3 * chances.max()).nonzero()[:, 0].tolist())
    many = dict(features=features.expand(300, -1, -1), mask=mask.expand(300, -1))
    drawn = tiny_lm.generate(many["features"], many["mask"], max_new_tokens=1, min_p=0.3, seeds=range(300))
    assert set(drawn[:, 0].tolist()) <= allowed < set(range(126))
