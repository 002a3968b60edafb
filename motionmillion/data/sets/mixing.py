"""Mixing weights of a data set's sources, as `motionmillion data merge --weight` writes them.

    weights = mixed(torch.ones(4), ["a", "a", "a", "b"], {"a": 0.3, "b": 0.7})     # "b" is visited in 70 %

A source without a weight counts as 1 where another one has a weight. What is visited within a source stays as it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def mixed(within: Tensor, names: Sequence[str], weights: Mapping[str, float | None]) -> Tensor:
    """Sampling weights `[N]` that visit sources in proportion to their mixing weights; their sum is that of `within`.

    Args:
        within: sampling weights within each source `[N]`.
        names: source of each row.
        weights: mixing weight of each source.

    Raises:
        ValueError: if the weights of all sources that have rows are 0.
    """
    found = list(dict.fromkeys(names))
    shares = {name: 1.0 if weights.get(name) is None else float(weights[name] or 0.0) for name in found}
    total = sum(shares.values())
    if total <= 0:
        raise ValueError(f"weights of sources must not all be 0, got {shares}; see motionmillion data merge --weight")
    number = {name: index for index, name in enumerate(found)}
    rows = torch.tensor([number[name] for name in names])
    sums = torch.zeros(len(found), dtype=torch.float64).index_add_(0, rows, within.double())
    factors = torch.tensor([shares[name] for name in found], dtype=torch.float64) / total * sums.sum() / sums
    return within.double() * factors[rows]


def mixing_weights(sources: Sequence[Mapping[str, Any]]) -> dict[str, float | None] | None:
    """Mixing weights by source of data sets, from the entries `sources` of their headers; None if there are none."""
    weights = {name: entry.get("weight") for each in sources for name, entry in each.items()}
    return weights if any(weight is not None for weight in weights.values()) else None
