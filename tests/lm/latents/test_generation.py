"""Generation of latents: every cache agrees, company changes nothing, rows leave, the context slides, options."""

import copy
import warnings

import pytest
import torch
from torch import Tensor

from motionmillion.lm.flow import guide
from motionmillion.lm.generation.loop import stream
from motionmillion.lm.generation.timeline import Part, fill_between, stream_timeline


@pytest.fixture
def text():
    """Three rows: seven words, four words and padding, none."""
    features = torch.randn(3, 7, 384, generator=torch.Generator().manual_seed(0))
    return features, torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [0] * 7])


def close(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, atol=2e-3, equal_nan=True)


@pytest.fixture
def prefix():
    return torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cache", ["static", "dynamic"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_cache_gives_the_latents_of_full_recomputation(tiny_flow_lm, text, prefix, cache, guidance):
    options = dict(max_new_tokens=12, min_new_tokens=6, seeds=[1, 2, 3], steps=3, guidance_scale=guidance)
    expected = tiny_flow_lm.generate(*text, cache="none", prefix_latents=prefix, **options)
    found = tiny_flow_lm.generate(*text, cache=cache, prefix_latents=prefix, **options)
    assert close(found, expected) and torch.equal(found[:, :5], prefix)


def test_a_latent_is_the_flow_from_its_seed_s_noise(tiny_flow_lm, text):
    """One Euler step, by hand: noise minus the guided velocity at pure noise, in the tokenizer's units."""
    lm, features, mask = tiny_flow_lm, *(part[:1] for part in text)
    generator = torch.Generator().manual_seed(7)
    torch.rand((), generator=generator)  # the chance of END
    noise = torch.randn(8, generator=generator)
    states = lm(torch.empty(2, 0, 8), features.expand(2, -1, -1), torch.cat([mask, 0 * mask])).states[:, -1]
    velocity = guide(*lm.flow_head(noise.expand(2, -1), torch.ones(1), states).chunk(2), 3.0)[0]
    expected = (noise - velocity) * lm.latent_std + lm.latent_mean
    options = dict(max_new_tokens=1, min_new_tokens=1, seeds=[7], steps=1, guidance_scale=3.0)
    assert torch.allclose(lm.generate(features, mask, **options)[0, 0], expected, atol=1e-5)
    off = lm.generate(features, mask, **{**options, "guidance_interval": [0.0, 0.5]})
    assert torch.allclose(off, lm.generate(features, mask, **{**options, "guidance_scale": 1.0}), atol=1e-5)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_company_changes_nothing_and_rows_leave(tiny_flow_lm, text, guidance):
    lm = copy.deepcopy(tiny_flow_lm)
    torch.nn.init.normal_(lm.lm_head.weight, std=1.0, generator=torch.Generator().manual_seed(1))
    features, mask = (part[[0, 1, 2, 0, 1, 2]] for part in text)
    options = dict(max_new_tokens=24, guidance_scale=guidance, steps=2)
    together = lm.generate(features, mask, seeds=range(6), **options)
    lengths = together.isfinite().all(-1).sum(1)
    assert lengths.min() < lengths.max() / 2
    for row in range(6):
        words = max(int(mask[row].sum()), 1)
        one = features[row : row + 1, :words], mask[row : row + 1, :words]
        alone = lm.generate(*one, seeds=[row], **options)[0]
        assert close(alone[: lengths[row]], together[row, : lengths[row]])
        assert bool(together[row, lengths[row] :].isnan().all())


def test_seeds_and_temperature(tiny_flow_lm, text):
    features, mask = (part[:1].expand(4, *part.shape[1:]) for part in text)
    exact = dict(max_new_tokens=3, min_new_tokens=3, steps=2)
    drawn = tiny_flow_lm.generate(features, mask, seeds=[0, 1, 2, 0], **exact)
    assert torch.allclose(drawn[0], drawn[3], atol=1e-5) and not torch.allclose(drawn[0], drawn[1], atol=1e-2)
    fixed = tiny_flow_lm.generate(features, mask, seeds=[0, 1, 2, 3], temperature=0, **exact)
    assert all(torch.allclose(fixed[0], fixed[row], atol=1e-5) for row in (1, 3))
    narrow = tiny_flow_lm.generate(features, mask, seeds=[0, 1, 2, 3], temperature=0.1, **exact)
    assert narrow[:, 0].std(0).mean() < 0.5 * drawn[:3, 0].std(0).mean()


def test_at_temperature_zero_a_row_ends_where_half_of_all_draws_would_have(tiny_flow_lm, text):
    lm = copy.deepcopy(tiny_flow_lm)
    torch.nn.init.zeros_(lm.lm_head.weight)  # the chance of END is one half everywhere
    found = lm.generate(*text, max_new_tokens=5, temperature=0, steps=1)
    assert found.shape == (3, 1, 8) and bool(found.isnan().all())
    later = lm.generate(*text, max_new_tokens=5, min_new_tokens=2, temperature=0, steps=1)
    assert later.shape[1] == 3 and bool(later[:, :2].isfinite().all()) and bool(later[:, 2].isnan().all())


def test_the_context_slides(tiny_flow_lm, text):
    lm = copy.deepcopy(tiny_flow_lm)
    lm.config.context_codes = 6
    options = dict(temperature=0, steps=2)
    latents = lm.generate(*text, min_new_tokens=13, max_new_tokens=13, **options)
    # the same by hand: whenever six latents are there, the newest three are the prefix of a new start
    expected = lm.generate(*text, min_new_tokens=6, max_new_tokens=6, **options)
    while expected.shape[1] < 13:
        count = min(3, 13 - expected.shape[1])
        exact = dict(min_new_tokens=count, max_new_tokens=count, prefix_latents=expected[:, -3:])
        expected = torch.cat([expected, lm.generate(*text, **exact, **options)[:, 3:]], dim=1)
    assert close(latents, expected)
    for cache in ("dynamic", "none"):
        assert close(lm.generate(*text, min_new_tokens=13, max_new_tokens=13, cache=cache, **options), expected)


def test_solvers_meet_in_many_steps(tiny_flow_lm, text):
    exact = dict(max_new_tokens=1, min_new_tokens=1, seeds=[1, 2, 3])
    fine = tiny_flow_lm.generate(*text, steps=1000, **exact)
    errors = {
        solver: (tiny_flow_lm.generate(*text, steps=100, solver=solver, **exact) - fine).norm()
        for solver in ("euler", "heun", "midpoint")
    }
    assert errors["heun"] < 0.3 * errors["euler"] and errors["midpoint"] < 0.3 * errors["euler"]


def test_the_stream_and_int8(tiny_flow_lm, text):
    exact = dict(min_new_tokens=4, steps=2, seeds=[4, 5, 6])
    pieces = list(stream(tiny_flow_lm, *text, 4, **exact))
    assert [piece.shape for piece in pieces] == [(3, 8)] * 4
    assert torch.equal(torch.stack(pieces, dim=1), tiny_flow_lm.generate(*text, max_new_tokens=4, **exact))
    assert len(list(stream(tiny_flow_lm, *text, 4, int8=True, **exact))) == 4


def test_timelines_and_what_lies_between(tiny_flow_lm):
    generator = torch.Generator().manual_seed(0)
    words, mask, lm = torch.randn(2, 1, 5, 384, generator=generator), torch.ones(1, 5), tiny_flow_lm
    parts = [Part(words[0], mask, 6, [1]), Part(words[1], mask, 5, [2])]
    found = torch.stack(list(stream_timeline(lm, parts, overlap=4, steps=2)), dim=1)
    first = lm.generate(words[0], mask, max_new_tokens=6, min_new_tokens=6, seeds=[1], steps=2)
    second = lm.generate(
        words[1], mask, max_new_tokens=5, min_new_tokens=5, seeds=[2], prefix_latents=first[:, -4:], steps=2
    )
    assert close(found, torch.cat([first, second[:, 4:]], dim=1))
    start, end = torch.randn(2, 6, 8, generator=generator)
    between = fill_between(lm, words[0], mask, start, end, 3, seeds=range(5), steps=2)
    exact = dict(max_new_tokens=3, min_new_tokens=3, prefix_latents=start[None], steps=2)
    drawn = torch.cat([lm.generate(words[0], mask, seeds=[seed], **exact) for seed in range(5)])
    whole = torch.cat([drawn, end.expand(5, -1, -1)], dim=1)
    labels = torch.cat([torch.full_like(drawn, torch.nan), end.expand(5, -1, -1)], dim=1)
    losses = lm.row_losses(whole, words[0].expand(5, -1, -1), mask.expand(5, -1), labels)
    assert losses.std() > 0 and close(between, drawn[losses.argmin(), 6:])


def test_guidance_without_caption_dropout_is_warned_of(tiny_flow_lm, tiny_lm, text):
    for model in (tiny_flow_lm, tiny_lm):
        lm = copy.deepcopy(model)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lm.generate(*text, max_new_tokens=1, guidance_scale=2.0)  # nobody has noted the dropout
            lm.config.caption_dropout = 0.1
            lm.generate(*text, max_new_tokens=1, guidance_scale=2.0)
            lm.config.caption_dropout = 0.0
            lm.generate(*text, max_new_tokens=1)
        with pytest.warns(
            UserWarning, match="guidance_scale should be 1 for a model that was trained without caption"
        ):
            lm.generate(*text, max_new_tokens=1, guidance_scale=2.0)


@pytest.mark.slow
def test_compiled_steps_give_the_same_latents(tiny_flow_lm, text):
    options = dict(max_new_tokens=8, min_new_tokens=8, steps=2, seeds=[1, 2, 3])
    assert close(tiny_flow_lm.generate(*text, compiled=True, **options), tiny_flow_lm.generate(*text, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 5}, "top_k must be left out for a model of latents, which has no codes to choose from, got 5"),
        ({"top_p": 0.9}, "top_p must be left out for a model of latents"),
        ({"min_p": 0.1}, "min_p must be left out"),
        ({"repetition_penalty": 1.2}, "repetition_penalty must be left out"),
        ({"no_repeat_ngram_size": 2}, "no_repeat_ngram_size must be left out"),
        ({"do_sample": False}, "do_sample must be left out"),
        ({"stepps": 3}, "sampling options must hold known keys only, got 'stepps'; did you mean steps"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"solver": "rk4"}, "solver must be one of"),
        ({"temperature": -1}, "temperature must be a number that is not negative"),
        ({"guidance_interval": [1, 0]}, "guidance_interval must be two rising sigmas"),
        (
            {"prefix_codes": torch.zeros(3, 2, dtype=torch.long)},
            "prefix_codes must be left out for a model of latents",
        ),
        (
            {"prefix_latents": torch.zeros(3, 2, 4)},
            "prefix_latents must have the shape .3, P, 8., got .3, 2, 4.",
        ),
        ({"prefix_latents": torch.full((3, 2, 8), torch.nan)}, "prefix_latents must be finite"),
        ({"prefix_latents": torch.zeros(3, 150, 8)}, "shorter than the model's context of 150"),
    ],
)
def test_bad_options_are_named(tiny_flow_lm, text, options, message):
    with pytest.raises(ValueError, match=message):
        tiny_flow_lm.generate(*text, **options)


@pytest.mark.parametrize("option", [{"steps": 5}, {"solver": "heun"}, {"guidance_interval": [0, 1]}])
def test_models_of_codes_follow_no_flow(tiny_lm, text, option):
    with pytest.raises(ValueError, match="must be left out for a model of codes, which has no flow"):
        tiny_lm.generate(*text, **option)
    with pytest.raises(ValueError, match="prefix_latents must be left out for a model of codes"):
        tiny_lm.generate(*text, prefix_latents=torch.zeros(3, 2, 8))
