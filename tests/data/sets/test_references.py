"""Spoiled references: each fault alone, its frequency and size, and every check."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from motionmillion.data.sets.references import Corruption

NONE = Corruption(rate=(0.0, 0.0), scale=(0.0, 0.0), blend=(0.0, 0.0), jitter=0.0, dropout=0.0)
FRAMES = 2000


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def reference() -> Tensor:
    return torch.randn(FRAMES, 5)


def changed(spoiled: Tensor, reference: Tensor) -> Tensor:
    return (spoiled != reference).any(dim=1)


def test_nothing_wrong_is_nothing_changed(reference):
    before = reference.clone()
    assert torch.equal(NONE(reference), before)
    Corruption()(reference)
    assert torch.equal(reference, before)  # the reference itself is never touched


def test_noise_has_its_rate_and_scale(reference):
    spoiled = dataclasses.replace(NONE, rate=(0.3, 0.3), scale=(0.1, 0.1))(reference)
    hit = changed(spoiled, reference)
    assert float(hit.float().mean()) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / FRAMES))
    assert float((spoiled - reference)[hit].std()) == pytest.approx(0.1, rel=0.1)


def test_blended_frames_are_the_mean_of_their_neighbours(reference):
    spoiled = dataclasses.replace(NONE, blend=(0.05, 0.05))(reference)
    hit = changed(spoiled, reference)
    assert float(hit.float().mean()) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / FRAMES))
    for frame in hit.nonzero().flatten().tolist():
        before, after = reference[max(frame - 1, 0)], reference[min(frame + 1, FRAMES - 1)]
        assert torch.allclose(spoiled[frame], (before + after) / 2)


def test_a_jump_goes_on_to_the_end(reference):
    jumps = dataclasses.replace(NONE, scale=(0.1, 0.1), jitter=0.3)
    hits = []
    for _ in range(400):
        offset = jumps(reference[:20]) - reference[:20]
        hit = changed(offset, torch.zeros(20, 5)).nonzero().flatten()
        hits.append(len(hit) > 0)
        if len(hit):
            assert hit.tolist() == list(range(int(hit[0]), 20))
            assert torch.allclose(offset[hit], offset[-1].expand(len(hit), 5), atol=1e-6)
    assert sum(hits) / 400 == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 400))


def test_lost_frames_repeat_the_last_one_before(reference):
    spoiled = dataclasses.replace(NONE, dropout=0.4)(reference)
    hit = changed(spoiled, reference)
    assert float(hit.float().mean()) == pytest.approx(0.4, abs=4 * math.sqrt(0.24 / FRAMES))
    last = reference[0]
    for frame in range(FRAMES):
        last = last if hit[frame] else reference[frame]
        assert torch.equal(spoiled[frame], last)


def test_ranges_are_drawn_anew_for_each_reference(reference):
    published = Corruption()
    assert (published.rate, published.scale, published.blend) == ((0.0, 0.4), (0.05, 0.15), (0.03, 0.08))
    assert (published.jitter, published.dropout) == (0.3, 0.02)
    noisy = dataclasses.replace(NONE, rate=(0.0, 0.4), scale=(0.05, 0.15))
    rates = torch.tensor([float(changed(noisy(reference), reference).float().mean()) for _ in range(200)])
    assert (
        float(rates.min()) < 0.05 and float(rates.max()) > 0.35 and float(rates.mean()) == pytest.approx(0.2, abs=0.03)
    )
    torch.manual_seed(3)
    first = published(reference)
    torch.manual_seed(3)
    assert torch.equal(first, published(reference))
    assert published(reference[:1]).shape == (1, 5) and published(reference[:1]).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": (0.4, 0.1)}, "rate must be two rising numbers from 0 on"),
        ({"rate": 0.3}, "rate must be two rising numbers from 0 on, got 0.3"),
        ({"rate": ("a", "b")}, "rate must be two rising numbers"),
        ({"scale": (0.1,)}, "scale must be two rising numbers"),
        ({"scale": (-0.1, 0.1)}, "scale must be two rising numbers"),
        ({"blend": (0.5, 1.5)}, r"blend must be shares in \[0, 1\]"),
        ({"jitter": 1.5}, r"jitter must be in \[0, 1\], got 1.5"),
        ({"dropout": -1}, "dropout must be a number that is not negative"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Corruption(**options)
