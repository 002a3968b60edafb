"""Continuous batching: a row that joins late, beside others, gets the tokens that it gets alone."""

import copy

import pytest
import torch
from torch import nn

from motionmillion.lm.flow import FlowSampling
from motionmillion.lm.generation.continuous import ContinuousBatch, Row
from motionmillion.lm.generation.sampling import Sampling


def texts(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Features and masks of different lengths; the third has padding, the fourth no words."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        features = torch.randn(3 + 2 * (number % 4), 384, generator=generator)
        mask = torch.ones(len(features))
        mask[2 if number % 4 == 2 else len(mask) :] = 0
        made.append((features, torch.zeros_like(mask) if number % 4 == 3 else mask))
    return made


def alone(lm, row: Row) -> list:
    """The tokens of a row from `generate`."""
    how = {lm.prefix_name: None if row.prefix is None else row.prefix[None], "sampling": row.sampling}
    found = lm.generate(
        row.features[None],
        row.mask[None],
        seeds=[row.seed],
        max_new_tokens=row.most,
        min_new_tokens=row.least,
        **how,
    )
    new = found[0, 0 if row.prefix is None else len(row.prefix) :]
    return lm.motion_only(new).tolist()


def run(lm, waves: list[list[Row]], every: int) -> dict[Row, list]:
    """The tokens of rows that join in waves, `every` steps apart."""
    batch, made, steps = ContinuousBatch(lm), {}, 0
    waves = list(waves)
    while batch or waves:
        if waves and steps % every == 0:
            batch.join(waves.pop(0))
        for row, token, _ in batch.step():
            made.setdefault(row, [])
            if token is not None:
                made[row].append(token.tolist())
        steps += 1
    return made


def assert_same(lm, waves: list[list[Row]], every: int, tolerance: float = 0.0) -> None:
    made = run(lm, waves, every)
    for row in (row for wave in waves for row in wave):
        expected = alone(lm, row)
        assert len(made[row]) == len(expected)
        assert torch.allclose(torch.tensor(made[row]), torch.tensor(expected), atol=tolerance, rtol=0)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_row_that_joins_late_gets_the_tokens_that_it_gets_alone(tiny_lm, guidance):
    generator = torch.Generator().manual_seed(1)
    prefix = torch.randint(125, (5,), generator=generator)
    rows = [
        Row(features, mask, Sampling(temperature=0.9, guidance_scale=guidance), seed, most=10 + 3 * seed)
        for seed, (features, mask) in enumerate(texts(7))
    ]
    rows[2].prefix = prefix
    rows[4].least = rows[4].most
    assert_same(tiny_lm, [rows[:1], rows[1:4], [], rows[4:]], every=4)


def test_rows_may_differ_in_their_options(tiny_lm):
    options = [
        Sampling(guidance_scale=2.0),
        Sampling(temperature=0),
        Sampling(top_p=0.8, repetition_penalty=1.3),
        Sampling(no_repeat_ngram_size=1),
        Sampling(top_k=5, guidance_scale=1.5),
    ]
    rows = [
        Row(features, mask, sampling, seed, most=25, least=25)
        for seed, ((features, mask), sampling) in enumerate(zip(texts(5), options, strict=True))
    ]
    assert_same(tiny_lm, [[rows[0]], rows[1:3], rows[3:]], every=3)


def test_the_context_slides_for_each_row_by_itself(tiny_lm):
    lm = copy.deepcopy(tiny_lm)
    lm.config.context_codes = 12
    rows = [Row(f, m, Sampling(), seed, most=40, least=40) for seed, (f, m) in enumerate(texts(4))]
    rows[1].prefix = torch.arange(11)
    assert_same(lm, [rows[:2], rows[2:3], rows[3:]], every=5)


def test_columns_that_no_row_needs_are_used_again(tiny_lm):
    batch = ContinuousBatch(tiny_lm)
    (features, mask), *_ = texts(1)
    rows = [Row(features, mask, Sampling(), seed, most=40, least=40) for seed in range(30)]
    made: dict[Row, list] = {row: [] for row in rows}
    waiting = list(rows)
    for step in range(400):
        if step % 10 == 0 and waiting:
            batch.join([waiting.pop(0)])
        for row, token, _ in batch.step():
            made[row].append(int(token))
    assert not batch and not waiting
    assert batch._buffers.valid.shape[1] <= 128 and batch._buffers.valid.shape[0] <= 8
    for row in rows[::7]:
        assert made[row] == alone(tiny_lm, row)


def test_a_row_that_leaves_changes_nothing(tiny_lm):
    rows = [Row(f, m, Sampling(guidance_scale=1.5), seed, most=20, least=20) for seed, (f, m) in enumerate(texts(4))]
    batch, made = ContinuousBatch(tiny_lm), {row: [] for row in rows}
    batch.join(rows)
    for step in range(20):
        if step == 6:
            batch.leave(rows[0])
            batch.leave(rows[0])
        for row, token, _ in batch.step():
            made[row].append(int(token))
    assert len(made[rows[0]]) == 6
    for row in rows[1:]:
        assert made[row] == alone(tiny_lm, row)


def test_latents_are_batched_too(tiny_flow_lm):
    rows = [
        Row(f, m, FlowSampling(steps=4, guidance_scale=1.5 if seed % 2 else 1.0), seed, most=8, least=4 * (seed % 3))
        for seed, (f, m) in enumerate(texts(5))
    ]
    rows[3].prefix = torch.randn(3, 8, generator=torch.Generator().manual_seed(2))
    assert_same(tiny_flow_lm, [rows[:2], rows[2:]], every=3, tolerance=2e-3)


@pytest.mark.parametrize(
    "change, problem",
    [
        (dict(most=0), "most must be a whole number"),
        (dict(least=11), "least must be at most 10"),
        (dict(mask=torch.ones(2)), "mask must have the shape of features"),
    ],
)
def test_rows_out_of_range_are_refused(change, problem):
    with pytest.raises(ValueError, match=problem):
        Row(**{**dict(features=torch.zeros(3, 384), mask=torch.ones(3), sampling=None, seed=0, most=10), **change})


def test_a_refused_row_leaves_the_batch_as_it_was(tiny_lm):
    (features, mask), *_ = texts(1)
    good = Row(features, mask, Sampling(), 0, most=5, least=5)
    batch = ContinuousBatch(tiny_lm)
    batch.join([good])
    for bad, problem in [
        (Row(features * torch.nan, mask, Sampling(), 0, most=5), "text_features must be finite"),
        (Row(features, mask, Sampling(), 0, most=5, prefix=torch.full((3,), 125)), "prefix_codes must be codes"),
        (Row(features, mask, Sampling(), 0, most=5, prefix=torch.zeros(400, dtype=torch.long)), "must be shorter"),
    ]:
        with pytest.raises(ValueError, match=problem):
            batch.join([good, bad])
    assert len(batch) == 1
    assert [int(token) for _ in range(5) for _, token, _ in batch.step()] == alone(tiny_lm, good)
    assert not batch


def test_models_with_adapters_or_hooks_are_refused(tiny_lm):
    lm = copy.deepcopy(tiny_lm)
    lm.layers[0].self_attn.q_proj = nn.Sequential(lm.layers[0].self_attn.q_proj)
    with pytest.raises(ValueError, match="plain layers"):
        ContinuousBatch(lm)
