"""Learning rates over the steps: warm-up with milestones, and another rate after a resume."""

import bisect
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def by_milestones(optimizer: Optimizer, warmup: int, milestones: Sequence[int], gamma: float) -> LambdaLR:
    """Linear warm-up over `warmup` steps; at every milestone the rate is multiplied by `gamma`."""

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / max(warmup, 1)) * gamma ** bisect.bisect(milestones, step)

    return LambdaLR(optimizer, factor)


def change_rate(scheduler: Any, rate: float) -> bool:
    """Let a restored schedule go on from a recipe's learning rate; returns whether it is another one.

    The checkpoint holds the rate that the run began with, which would hide a change of the recipe.
    """
    schedule = getattr(scheduler, "scheduler", scheduler)  # accelerate wraps it
    if not isinstance(schedule, LambdaLR) or all(base == rate for base in schedule.base_lrs):
        return False
    schedule.base_lrs = [rate] * len(schedule.base_lrs)
    for group, factor in zip(schedule.optimizer.param_groups, schedule.lr_lambdas, strict=True):
        group["initial_lr"], group["lr"] = rate, rate * factor(schedule.last_epoch)
    schedule._last_lr = [group["lr"] for group in schedule.optimizer.param_groups]
    return True
