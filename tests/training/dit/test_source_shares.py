"""Shares of sources: who is visited how often."""

import pytest
import torch

from motionmillion.data import synthetic_clips
from motionmillion.data.sets.flow_pairs import FlowPairs, Source
from motionmillion.features import get
from motionmillion.text.encoder import TextEncoder


@pytest.fixture(scope="module")
def pairs(tiny_encoder):
    """A function from shares to a data set of sources with 3, 2 and 1 clips."""
    encoder = TextEncoder(str(tiny_encoder))

    def build(*shares: float | None) -> FlowPairs:
        clips, sources = iter(synthetic_clips(6, 0)), []
        for count, share in zip((3, 2, 1), shares, strict=False):
            sources.append(Source([next(clips) for _ in range(count)], share=share))
        return FlowPairs(sources, get("rot276"), encoder)

    return build


def test_without_shares_all_clips_are_alike(pairs):
    assert pairs(None, None).weights() is None
    within = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert pairs(None, None).weights(within) is within


def test_sources_without_a_share_divide_the_rest_by_their_clips(pairs):
    weights = pairs(None, 0.4, None).weights()
    torch.testing.assert_close(weights, torch.tensor([0.15, 0.15, 0.15, 0.2, 0.2, 0.15], dtype=torch.float64))


def test_what_clips_weigh_within_a_source_leaves_its_share(pairs):
    weights = pairs(None, 0.4, None).weights(torch.tensor([2.0, 1.0, 1.0, 1.0, 3.0, 2.0]))
    expected = [0.2, 0.1, 0.1, 0.1, 0.3, 0.2]
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


def test_all_shares_may_be_given(pairs):
    weights = pairs(0.1, 0.3, 0.6).weights()
    torch.testing.assert_close(
        weights.view(6)[[0, 3, 5]] * torch.tensor([3, 2, 1]), torch.tensor([0.1, 0.3, 0.6]).double()
    )


@pytest.mark.parametrize(("shares", "wanted"), [((0.5, 0.5, None), "less than 1"), ((0.5, 0.3, 0.3), "1")])
def test_shares_must_add_up(pairs, shares, wanted):
    with pytest.raises(ValueError, match=f"shares of sources must add up to {wanted}, got 1"):
        pairs(*shares).weights()


@pytest.mark.parametrize("share", [0, 1, -0.1, "much"])
def test_bad_shares(share):
    with pytest.raises(ValueError, match="share must be"):
        Source([], share=share)
