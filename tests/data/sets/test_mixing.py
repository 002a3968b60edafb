"""Mixing weights: sources get their shares, what is within them stays as it was."""

import pytest
import torch

from motionmillion.data.sets.mixing import mixed, mixing_weights


def test_sources_get_their_shares_and_keep_what_is_within():
    within = torch.tensor([1.0, 3.0, 2.0, 2.0, 4.0])
    names = ["a", "a", "b", "b", "c"]
    weights = mixed(within, names, {"a": 0.5, "b": 0.0, "other": 7.0})  # c has none: 1
    assert weights.sum() == pytest.approx(float(within.sum()))
    assert (weights / weights.sum()).tolist() == pytest.approx([0.5 / 1.5 / 4, 1.5 / 1.5 / 4, 0, 0, 1 / 1.5])


def test_weights_are_those_of_headers():
    assert mixing_weights([]) is None and mixing_weights([{"a": {"clips": 3}}]) is None
    assert mixing_weights([{"a": {"weight": 0.0}}, {"b": {}}]) == {"a": 0.0, "b": None}


def test_some_source_must_have_a_weight():
    with pytest.raises(ValueError, match="weights of sources must not all be 0"):
        mixed(torch.ones(2), ["a", "a"], {"a": 0.0})
