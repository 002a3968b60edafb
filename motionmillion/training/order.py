"""The order of training samples and their random draws, as a function of only seed, epoch and position.

    sampler = Visits(len(dataset), seed=0)
    loader = DataLoader(SeededDataset(dataset), sampler=sampler, collate_fn=SeededCollator(collate), num_workers=4)

Data sets that draw at random (a caption, a version of a clip) and collators that do (dropout of captions) use torch's
global generator. Here that generator is reseeded for each visit, so what a visit draws depends neither on the worker
that makes it, nor on the number of workers or processes, nor on earlier draws: a run that is resumed in the middle of
an epoch continues with the samples that it would have seen.

With `ByProcess` each process visits files of its own in an epoch, for data on a drive that many machines share.

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

_TOGETHER = 4096
"""Visits that are turned into Python's numbers at a time."""

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
        lengths: length of each sample. The visits of each optimizer step are sorted by it, so that a batch holds
            samples of similar lengths and little padding; which samples a step sees does not change.
        step: visits of an optimizer step, with `lengths`.

    Set `epoch` before iterating; every process must set the same one.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        weights: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        step: int = 1,
    ) -> None:
        for name, given in (("weights", weights), ("lengths", lengths)):
            if given is not None and len(given) != count:
                raise ValueError(f"{name} must hold one number a sample, got {len(given)} for {count} samples")
        self.count, self.seed, self.weights, self.epoch = count, seed, weights, 0
        self.lengths, self.step = lengths, step

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Visit]:
        state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        order = self._order(generator)
        seeds = torch.randint(2**62, (self.count,), generator=generator)
        if self.lengths is not None:
            # a stable sort by length, then one by step
            places = self.lengths[order].argsort(stable=True)
            places = places[(places // self.step).argsort(stable=True)]
            order, seeds = order[places], seeds[places]
        for part, own in zip(order.split(_TOGETHER), seeds.split(_TOGETHER), strict=True):
            yield from map(Visit, part.tolist(), own.tolist())

    def _order(self, generator: torch.Generator) -> Tensor:
        """Samples `[count]` in the order of their visits."""
        if self.weights is None:
            return torch.randperm(self.count, generator=generator)
        return draw_weighted(self.weights, self.count, generator)


class ByProcess(Visits):
    """Visits of one epoch in which each process has files of its own, shuffled; every sample is visited once.

    The files are put into a random order and cut into one piece a process, which is shuffled; at most two files belong
    to two processes. Batches of the processes take turns, as `accelerate` hands them out.

    Args:
        ends: samples after the last one of each file.
        seed: for the order and the random draws of the samples.
        processes: number of processes.
        batch: samples of a batch of one process.
    """

    def __init__(self, ends: Sequence[int] | np.ndarray, seed: int, processes: int, batch: int) -> None:
        super().__init__(int(ends[-1]), seed)
        self.ends, self.processes, self.batch = np.asarray(ends, np.int64), processes, batch

    def _order(self, generator: torch.Generator) -> Tensor:
        starts = np.concatenate([[0], self.ends[:-1]])
        files = torch.randperm(len(self.ends), generator=generator).tolist()
        lined = torch.cat([torch.arange(int(starts[file]), int(self.ends[file])) for file in files])
        # whole batches for every process, the rest to the last one
        batches = -(-self.count // self.batch)
        sizes = [self.batch * len(range(own, batches, self.processes)) for own in range(self.processes)]
        sizes[(batches - 1) % self.processes] -= batches * self.batch - self.count
        pieces = [piece[torch.randperm(len(piece), generator=generator)] for piece in lined.split(sizes)]
        parts = [piece.split(self.batch) for piece in pieces]
        turns = -(-batches // self.processes)
        return torch.cat([own[turn] for turn in range(turns) for own in parts if turn < len(own)])


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
