"""Checks of the arguments of a training before transformers reads them: kinds, ranges and names of their values.

    check_values({"max_steps": 2.5}, get_type_hints(MotionTrainingArguments))
    # ValueError: training.max_steps must be a whole number, got 2.5

transformers looks at few values itself; the others fail somewhere inside, some of them after thousands of steps.
"""

import enum
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from motionmillion.configuration import shown

LEAST = {
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), 1),
    **dict.fromkeys(("save_total_limit", "max_skipped_steps", "torch_empty_cache_steps"), 1),
    **dict.fromkeys(("keep_every", "early_stopping", "eval_samples", "generate_every", "max_epochs"), 0),
    **dict.fromkeys(("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "dataloader_num_workers"), 0),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "ema_decay", "lr_gamma", "num_train_epochs", "eval_delay"), 0),
    "generate_samples": 2,
}
"""Least values."""
ABOVE_0 = ("eval_steps", "save_steps", "logging_steps", "adam_epsilon")
BELOW_1 = ("adam_beta1", "adam_beta2", "ema_decay")
_OWN_WAYS = ("fsdp", "fsdp_config", "deepspeed", "accelerator_config")
"""Arguments of kinds that transformers' types do not tell; `motionmillion.training.distributed` checks them."""
_KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_KINDS |= {list: "a list", dict: "a mapping", type(None): "null"}


def check_values(training: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Check arguments by their names.

    Args:
        hints: type of each argument.

    Raises:
        ValueError: for values of another kind, and numbers and names out of range.
    """
    for name, value in training.items():
        if name in _OWN_WAYS:
            continue
        _check_kind(f"training.{name}", value, hints[name])
        if isinstance(value, int | float) and not isinstance(value, bool):
            _check_range(name, value)
    every, save = training.get("keep_every"), training.get("save_steps")
    if every and isinstance(save, int) and every % save:
        raise ValueError(f"training.keep_every must be a multiple of save_steps, {save}, got {every}")


def _check_kind(name: str, value: Any, hint: Any) -> None:
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    known = [each for each in parts if isinstance(each, type) and issubclass(each, enum.Enum)]
    if known and isinstance(value, str):
        names = [member.value for each in known for member in each]
        if value not in names:
            raise ValueError(f"{name} must be one of {names}, got {value!r}")
        return
    kinds = [typing.get_origin(each) or each for each in parts if each not in known]
    if not all(isinstance(kind, type) for kind in kinds) or any(_is(value, kind) for kind in kinds):
        return
    words = list(dict.fromkeys(_KINDS.get(kind, str(kind)) for kind in kinds))
    raise ValueError(f"{name} must be {' or '.join(words)}, got {shown(value)}")


def _is(value: Any, kind: type) -> bool:
    if kind in (int, float):
        accepted = (int, float) if kind is float else (int,)
        return isinstance(value, accepted) and not isinstance(value, bool)
    return isinstance(value, kind)


def _check_range(name: str, value: float) -> None:
    if name in LEAST and not LEAST[name] <= value < math.inf:
        raise ValueError(f"training.{name} must be at least {LEAST[name]}, got {value!r}")
    if name in ABOVE_0 and not 0 < value < math.inf:
        raise ValueError(f"training.{name} must be above 0, got {value!r}")
    if name in BELOW_1 and not value < 1:
        raise ValueError(f"training.{name} must be below 1, got {value!r}")
