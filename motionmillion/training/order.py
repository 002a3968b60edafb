"""The order of training samples and their random draws, as a function of only seed, epoch and position.

    sampler = Visits(len(dataset), seed=0)
    loader = DataLoader(SeededDataset(dataset), sampler=sampler, collate_fn=SeededCollator(collate), num_workers=4)

Data sets that draw at random (a caption, a version of a clip) and collators that do (dropout of captions) use torch's
global generator. Here that generator is reseeded for each visit, so what a visit draws depends neither on the worker
that makes it, nor on the number of workers or processes, nor on earlier draws: a run that is resumed in the middle of
an epoch continues with the samples that it would have seen.

Unusual: only torch's CPU generator is seeded; Python's and NumPy's are not.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

MULTINOMIAL = 2**24
"""Largest number of weights that `torch.multinomial` accepts."""

VISITS = "visits"
"""Name of the visits in a batch."""


class Visit(NamedTuple):
    """One visit to a sample: which one, and the seed of its random draws."""

    index: int
    seed: int


class Visits(Sampler[Visit]):
    """Visits of one epoch: a permutation, or with `weights`, draws with replacement in proportion to them.

    Args:
        count: number of samples in the data set, and of visits per epoch.
        seed: for the order and the random draws of the samples.
        weights: one per sample.

    Set `epoch` before iterating; every process must set the same one.
    """

    def __init__(self, count: int, seed: int, weights: torch.Tensor | None = None) -> None:
        if weights is not None and len(weights) != count:
            raise ValueError(f"weights must hold one number a sample, got {len(weights)} for {count} samples")
        self.count, self.seed, self.weights, self.epoch = count, seed, weights, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Visit]:
        state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        if self.weights is None:
            order = torch.randperm(self.count, generator=generator)
        else:
            order = draw_weighted(self.weights, self.count, generator)
        seeds = torch.randint(2**62, (self.count,), generator=generator)
        return iter(map(Visit, order.tolist(), seeds.tolist()))


def draw_weighted(weights: Tensor, count: int, generator: torch.Generator, most: int = MULTINOMIAL) -> Tensor:
    """Indices `[count]` drawn with replacement in proportion to weights, however many there are."""
    if len(weights) <= most:
        return torch.multinomial(weights, count, replacement=True, generator=generator)
    ends = weights.double().cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * ends[-1]
    return torch.searchsorted(ends, drawn, right=True)


class SeededDataset(Dataset):
    """Reads `dataset` under the seed of each visit; returns sample and visit, for `SeededCollator`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, visit: Visit) -> tuple[Any, Visit]:
        with _seeded(visit.seed):
            return self.dataset[visit.index], visit


class SeededCollator:
    """Calls `collate` under a seed derived from that of the first visit in the batch.

    A batch that is a dictionary also gets its `visits`, index and seed of each sample `[B, 2]`.
    """

    def __init__(self, collate: Callable[[Sequence[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, drawn: Sequence[tuple[Any, Visit]]) -> Any:
        samples, visits = zip(*drawn, strict=True)
        with _seeded(visits[0].seed + 1):
            batch = self.collate(samples)
        return {**batch, VISITS: torch.tensor(visits)} if isinstance(batch, dict) else batch


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator inside the block and restore its state afterwards; other devices are untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
