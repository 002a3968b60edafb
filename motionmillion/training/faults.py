"""Stops a run before a loss that is not finite reaches the weights, and skips steps whose gradient is not finite.

    guard = StepGuard(accelerator, most=100)
    guard.note(visits, loss)                       # after the forward pass of every batch
    guard.check_losses(step, describe)             # before the last backward pass of an optimizer step
    skip = guard.skips(norm, step, describe)       # after it

Losses and gradients are looked at on every process together: the same error is raised on all of them, and a step is
skipped on all of them or on none. The error names the clips of the batch, and of these the ones whose data is not
finite. Unusual: the number of skipped steps is kept in the log, so that a resumed run continues to count.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.progress import say
from motionmillion.training.order import SeededDataset, Visit

SHOWN = 8
"""Clips named in a message."""

SKIPPED = "skipped_steps"
"""Name of the number of skipped steps in the log."""


class StepGuard:
    """Watches the losses and the gradient of one optimizer step at a time.

    Args:
        accelerator: of the run, for its processes.
        most: number of skipped steps at which the run ends.
        dataset: training set, whose samples are looked at after a fault; its method `name(index)` names a clip.
    """

    def __init__(self, accelerator: Any, most: int, dataset: Dataset) -> None:
        self.accelerator, self.most, self.dataset, self.skipped = accelerator, most, dataset, 0
        self._batches: list[tuple[Tensor | None, Tensor]] = []

    def note(self, visits: Tensor | None, loss: Tensor) -> None:
        """Remember the visits `[B, 2]` and the loss of a batch of the current optimizer step."""
        self._batches.append((visits, loss.detach()))

    def check_losses(self, step: int) -> None:
        """Raise `ValueError` on every process if a loss of this optimizer step is not finite on any of them."""
        losses = torch.stack([loss for _, loss in self._batches]).float()
        if not int(self.accelerator.reduce((~losses.isfinite()).sum(), "sum")):
            return
        clips = self._clips([bool(loss.isfinite()) for loss in losses])
        raise ValueError(
            f"loss must be finite, got {_worst(losses.tolist(), self.accelerator)} in step {step + 1}, stopped before "
            f"the weights changed; {clips}; correct such clips or leave them out (then add --force), or lower "
            "training.learning_rate, and --resume"
        )

    def skips(self, bad: bool, step: int) -> bool:
        """Whether to skip a step because its gradient is `bad`, the same on all processes; forgets the batches.

        Raises:
            ValueError: when too many steps have been skipped.
        """
        if bad:
            self.skipped += 1
            clips = self._clips([False] * len(self._batches))
            say(f"step {step + 1}: the gradient is not finite, the weights stay as they are; {clips}")
            if self.skipped >= self.most:
                raise ValueError(
                    f"training.max_skipped_steps must be above the number of steps whose gradient is not finite, got "
                    f"{self.most}, reached in step {step + 1}; {clips}; lower training.learning_rate or "
                    "training.max_grad_norm, and --resume"
                )
        self._batches = []
        return bad

    def _clips(self, fine: Sequence[bool]) -> str:
        """The clips of the batches that are not fine, on all processes; only those with bad data if there are any."""
        names, culprits = [], []
        for (visits, _), good in zip(self._batches, fine, strict=True):
            if good or visits is None:
                continue
            for index, seed in visits.tolist():
                names.append(name_of(self.dataset, index))
                if wrong := _not_finite(self.dataset, Visit(index, seed)):
                    culprits.append(f"{names[-1]} (its {' and '.join(wrong)})")
        names, culprits = (_joined(list(dict.fromkeys(gather_object(found)))) for found in (names, culprits))
        return f"not finite: {culprits}" if culprits else f"clips of the batch: {names or 'unknown'}"


def name_of(dataset: Any, index: int) -> str:
    """How messages name a clip of a training set: by the set's method `name`, else by its number."""
    inner = getattr(dataset, "dataset", dataset)
    name: Callable[[int], str] | None = getattr(inner, "name", None)
    return f"clip {index}" if name is None else repr(name(index))


def _not_finite(dataset: Any, visit: Visit) -> list[str]:
    """Names of the parts of a sample that are not finite."""
    if not isinstance(dataset, SeededDataset):
        return []
    sample = dataset[visit][0]
    parts = sample.items() if isinstance(sample, dict) else ()
    return [key for key, value in parts if isinstance(value, Tensor) and not bool(value.isfinite().all())]


def _worst(losses: list[float], accelerator: Any) -> float:
    """The first loss of all processes that is not finite."""
    return next(loss for loss in gather_object(losses) if not math.isfinite(loss))


def _joined(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
