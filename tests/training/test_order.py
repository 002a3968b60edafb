"""Orders of visits in which processes have files of their own."""

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

from motionmillion.training.order import ByProcess, Visits


@pytest.mark.parametrize(("processes", "batch"), [(1, 4), (2, 4), (3, 5), (4, 16)])
def test_every_process_has_files_of_its_own(processes, batch):
    sizes = [30, 7, 25, 40, 11, 60, 3, 19]
    ends = np.cumsum(sizes)
    visits = ByProcess(ends, 0, processes, batch)
    order = [visit.index for visit in visits]
    assert sorted(order) == list(range(sum(sizes))) and order == [visit.index for visit in visits]
    files, samples = [], []
    for process in range(processes):
        shared = BatchSamplerShard(BatchSampler(order, batch, False), processes, process, even_batches=False)
        own = [sample for part in shared for sample in part]
        files.append(set(np.searchsorted(ends, own, side="right").tolist()))
        samples += own
    assert sorted(samples) == sorted(order)
    assert sum(map(len, files)) <= len(sizes) + 2 * (processes - 1)
    visits.epoch = 1
    assert [visit.index for visit in visits] != order


def test_visits_are_as_before_in_small_parts(monkeypatch):
    whole = list(Visits(50, seed=1))
    monkeypatch.setattr("motionmillion.training.order._TOGETHER", 7)
    assert list(Visits(50, seed=1)) == whole and torch.tensor([v.seed for v in whole]).unique().numel() == 50


def test_visits_sorted_by_length_are_those_of_the_same_steps():
    lengths = torch.randint(1, 100, (50,), generator=torch.Generator().manual_seed(0))
    weights = torch.ones(50)
    plain, sorted_ = list(Visits(50, 1, weights)), list(Visits(50, 1, weights, lengths, step=8))
    assert sorted_ == list(Visits(50, 1, weights, lengths, step=8))
    for start in range(0, 50, 8):
        step = sorted_[start : start + 8]
        assert set(step) == set(plain[start : start + 8])
        frames = [int(lengths[visit.index]) for visit in step]
        assert frames == sorted(frames)
    with pytest.raises(ValueError, match="lengths must hold one number a sample, got 3 for 50 samples"):
        Visits(50, 1, lengths=lengths[:3])
