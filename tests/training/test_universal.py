"""DeepSpeed's universal checkpoints: when they are made, and groups of weights after they were read.

That losses stay the same on another number of processes is tested in test_distributed.py, with `-m slow`.
"""

from types import SimpleNamespace

import pytest
import torch

from motionmillion.training.resume import mark_whole
from motionmillion.training.universal import _Mended, must_convert


@pytest.mark.parametrize(
    ("split", "written", "now", "expected"),
    [("zero2", 2, 4, True), ("zero3", 2, 1, True), ("zero3", 2, 2, False), ("fsdp", 2, 4, False), ("", 2, 4, False)],
)
def test_only_checkpoints_of_other_processes_are_converted(tmp_path, split, written, now, expected):
    mark_whole(tmp_path, written, split, {})
    assert must_convert(tmp_path, SimpleNamespace(split=split, world_size=now)) is expected


def test_groups_count_their_own_steps_and_keep_their_weight_decay():
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    groups = [{"params": [weights[0]], "weight_decay": 0.1}, {"params": [weights[1]], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    for weight in weights:
        weight.grad = torch.ones(3)
    optimizer.step()
    shared = torch.tensor(5.0)
    for weight in weights:
        optimizer.state[weight]["step"] = shared  # as DeepSpeed leaves it
    optimizer.param_groups[1]["weight_decay"] = 0.1
    wrapped = SimpleNamespace(optimizer=SimpleNamespace(optimizer=optimizer))
    _Mended().on_train_begin(SimpleNamespace(weight_decay=0.1), None, None, optimizer=wrapped)
    optimizer.step()
    assert [float(optimizer.state[weight]["step"]) for weight in weights] == [6.0, 6.0]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
