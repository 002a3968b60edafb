"""The loss of an optimizer step: one mean over the tokens or frames of all its batches on all processes.

    weights = StepWeights(accelerator, count)
    weights.begin(batches, device)                # those of one optimizer step on this process
    shares = weights.next()                       # in order, for each of them
    loss = weighted(outputs, shares)              # to call backward on

A mean of the batches' means would weight a token of a batch of short clips more than one of a batch of long clips, so
that the gradient would depend on how the clips are spread over batches and processes. `count(batch)` says over how
many tokens or frames each part of a batch's loss is a mean; parts of the loss are in `outputs.parts`, by the same
names. Losses and gradients are averaged over the processes, so shares are multiplied by their number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from motionmillion.training.speed import items_of

Counts = Callable[[Mapping[str, Any]], Mapping[str, Tensor]]


class StepWeights:
    """Shares of batches in the loss of their optimizer step.

    Args:
        accelerator: of the run, for its processes.
        count: numbers of tokens or frames over which the parts of a batch's loss are means, by part.
    """

    def __init__(self, accelerator: Any, count: Counts) -> None:
        self.accelerator, self.count = accelerator, count
        self.items = "rows"
        self._shares: list[dict[str, Tensor] | None] = []

    def begin(self, batches: Sequence[Mapping[str, Any]], device: torch.device) -> Tensor:
        """Count the batches of the next optimizer step; the number of tokens or frames on all processes together."""
        own = [self.count(batch) for batch in batches]
        names = list(own[0]) if own else []
        counts = torch.stack([torch.stack([each[name].to(device).float() for name in names]) for each in own])
        totals = self.accelerator.reduce(counts.sum(0), "sum")  # [parts]
        self.items = names[items_of(names)]
        processes = self.accelerator.num_processes
        if processes == 1 and len(batches) == 1:  # the loss of the batch, without rounding
            self._shares = [None]
            return totals[items_of(names)]
        shares = processes * counts / totals.clamp(min=1)
        self._shares = [dict(zip(names, row, strict=True)) for row in shares]
        return totals[items_of(names)]

    def next(self) -> dict[str, Tensor] | None:
        """Shares of the next batch, by part of the loss; None for the whole of it."""
        return self._shares.pop(0)


def weighted(outputs: Any, shares: Mapping[str, Tensor] | None) -> Tensor:
    """The part of a batch in the loss of its optimizer step."""
    if shares is None:
        return outputs.loss
    parts = getattr(outputs, "parts", None)
    if parts is None:
        return outputs.loss * next(iter(shares.values()))
    return torch.stack([value * shares[name] for name, value in parts.items()]).sum()


def share_of(name: str, shares: Mapping[str, Tensor] | None) -> Any:
    """Share for a figure of a batch: that of the part of its name, else of the first part."""
    return 1.0 if shares is None else shares.get(name, next(iter(shares.values())))


def counts_of(model: Any) -> Counts:
    """The counts of a model that has `loss_counts`; rows for others."""
    count = getattr(model, "loss_counts", None)
    return _rows if count is None else lambda batch: count(**batch)


def _rows(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    first = next(value for value in batch.values() if isinstance(value, Tensor))
    return {"rows": torch.tensor(first.shape[0], device=first.device)}
