"""Validation that is shared by the processes: a fixed subset of the clips, each evaluated by one process.

    for batch, counted in shared_batches(dataset, collate, samples=4096, seed=0):
        sums += figures(batch) if counted else 0
    sums = over_processes(sums)

What is drawn for a clip depends only on the seed and the clip, not on the subset, the processes or the batches. Under
ZeRO 3 and FSDP every forward pass gathers weights from all processes, so each process gets equally many batches; those
that only fill up are not `counted`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch.utils.data import Dataset

from motionmillion.training.order import VISITS, SeededCollator, SeededDataset, Visit

BATCH = 32
"""Clips of a batch in validation."""


def chosen(count: int, samples: int, seed: int) -> list[Visit]:
    """The clips to evaluate: all of them in order, or a random subset of `samples`, with the seed of each."""
    generator = torch.Generator().manual_seed(seed)
    seeds = torch.randint(2**62, (count,), generator=generator).tolist()
    order = list(range(count))
    if 0 < samples < count:
        order = sorted(torch.randperm(count, generator=generator)[:samples].tolist())
    return [Visit(index, seeds[index]) for index in order]


def shared_batches(
    dataset: Dataset,
    collate: Callable[[Sequence[Any]], Mapping[str, Any]],
    samples: int = 0,
    seed: int = 0,
    batch: int = BATCH,
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Batches of this process, and whether each counts.

    Args:
        samples: number of clips of all processes together; 0 for all of the data set.
    """
    state = PartialState()
    visits = chosen(len(dataset), samples, seed)  # type: ignore[arg-type]
    own = visits[state.process_index :: state.num_processes]
    most = -(-len(visits) // state.num_processes)  # of the first process
    seeded, collator = SeededDataset(dataset), SeededCollator(collate)
    for start in range(0, most, batch):
        part = own[start : start + batch]
        drawn = collator([seeded[visit] for visit in part or visits[:1]])
        yield {name: value for name, value in drawn.items() if name != VISITS}, bool(part)


def over_processes(sums: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """Sums over all processes; every process must have the same names, in whatever order."""
    names = sorted(sums)
    total: Any = reduce(torch.tensor([sums[name] for name in names], dtype=torch.float64, device=device), "sum")
    return dict(zip(names, total.tolist(), strict=True))
