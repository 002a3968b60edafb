"""Training on several processes: what the Trainer must be told for GPUs, CPUs, DeepSpeed and FSDP.

    torchrun --nproc_per_node=8 -m motionmillion.cli train lm --config recipes/lm/1b.yaml

A recipe says `training: {deepspeed: recipes/lm/zero2.json}`, and nothing else: batch size, accumulation, clipping,
precision and optimizer follow from the other training arguments, on GPUs and on CPUs (by gloo) alike. What the JSON
says with a number of its own must agree with them.

Unusual: on CPUs accelerate does not find out by itself that DeepSpeed or FSDP run on several processes;
`process_arguments` starts the process group and tells it. This is what the tests stand on.
"""

import contextlib
import copy
import importlib.util
import json
import os
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

LAUNCH = "torchrun --nproc_per_node=N -m motionmillion.cli train ..."


def process_count() -> int:
    """Processes of this run, as torchrun and accelerate tell them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def close_processes() -> None:
    """Let all processes arrive, then end their group.

    A process that ends while threads of its group still run may be aborted by the C++ runtime, after all is done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def process_arguments(training: dict[str, Any]) -> dict[str, Any]:
    """Defaults of TrainingArguments for the processes and devices at hand; starts gloo where accelerate would not.

    Args:
        training: the recipe's `training` section.

    Raises:
        ValueError: for DeepSpeed or FSDP without a launcher, both together, and a broken DeepSpeed configuration.
        ImportError: if DeepSpeed is wanted and missing.
    """
    several, on_cpu = process_count() > 1, not torch.cuda.is_available()
    arguments: dict[str, Any] = dict(
        use_cpu=on_cpu,
        ddp_backend="gloo" if several and on_cpu else None,
        ddp_find_unused_parameters=False if several else None,
        dataloader_pin_memory=not on_cpu,
    )
    _quiet_deepspeed()
    for name in ("deepspeed", "fsdp"):
        if training.get(name) and "LOCAL_RANK" not in os.environ:
            raise ValueError(f"training.{name} must be started by a launcher, got none; run: {LAUNCH}")
    check_one_way(training)
    if training.get("deepspeed"):
        arguments["deepspeed"] = deepspeed_options(training["deepspeed"])
        os.environ.pop("ACCELERATE_CONFIG_DS_FIELDS", None)  # what accelerate's own config says; the recipe decides
    if on_cpu and (training.get("deepspeed") or training.get("fsdp")):
        arguments["use_cpu"], arguments["ddp_backend"] = False, None  # else accelerate leaves both out
        given = training.get("accelerator_config") or {}
        arguments["accelerator_config"] = {"use_configured_state": True, **given}
        _start_gloo(bool(training.get("deepspeed")), int(training.get("ddp_timeout", 1800)))
    return arguments


def deepspeed_options(given: str | dict[str, Any]) -> dict[str, Any]:
    """A DeepSpeed configuration, a mapping or a JSON file, with what it leaves out set to "auto".

    Raises:
        ValueError: if it is no such thing, or names no ZeRO stage of 1 to 3.
        ImportError: if DeepSpeed is missing.
    """
    check_deepspeed()
    if isinstance(given, dict):
        options = copy.deepcopy(given)
    else:
        try:
            options = json.loads(Path(given).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, TypeError):
            raise ValueError(f"training.deepspeed must name a JSON file, got {given!r}; see recipes/lm") from None
    check_zero_stage(options)
    for key in ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping"):
        options.setdefault(key, "auto")
    options.setdefault("bf16", {}).setdefault("enabled", "auto")
    options.setdefault("zero_force_ds_cpu_optimizer", False)  # the Trainer's own optimizer, also on CPUs
    return options


def check_deepspeed() -> None:
    """Raise ImportError with the remedy unless DeepSpeed is installed."""
    if importlib.util.find_spec("deepspeed") is None:
        raise ImportError('deepspeed must be installed to use it; run: pip install "motionmillion[deepspeed]"')
    _quiet_deepspeed()


def zero_stage(options: Any) -> Any:
    """ZeRO stage that a DeepSpeed configuration names, 0 if none."""
    section = options.get("zero_optimization") if isinstance(options, dict) else None
    return section.get("stage", 0) if isinstance(section, dict) else 0


def check_zero_stage(options: dict[str, Any]) -> int:
    """ZeRO stage of a DeepSpeed configuration; raises `ValueError` unless it is 1, 2 or 3."""
    stage = zero_stage(options)
    if stage not in (1, 2, 3):
        raise ValueError(f"training.deepspeed must set zero_optimization.stage to 1, 2 or 3, got {stage!r}")
    return stage


def check_one_way(training: dict[str, Any]) -> None:
    """Raise `ValueError` where a recipe's `training` section names both DeepSpeed and FSDP."""
    if training.get("deepspeed") and training.get("fsdp"):
        raise ValueError("training must name deepspeed or fsdp, got both; set one of them to null")


@contextlib.contextmanager
def safe_unpickling() -> Iterator[None]:
    """`torch.load` never runs code of a file inside the block, also where a library asks it not to be careful.

    DeepSpeed's checkpoints hold a few classes of its own; they are let through by name.
    """
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        with torch.serialization.safe_globals(_harmless()):
            yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def _harmless() -> list[Any]:
    """Classes in DeepSpeed's checkpoints that hold numbers and nothing else."""
    if importlib.util.find_spec("deepspeed") is None:
        return []
    _quiet_deepspeed()
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [ZeroStageEnum, LossScaler, DynamicLossScaler, fragment_address]


def _quiet_deepspeed() -> None:
    """Spare users DeepSpeed's warnings about things that they cannot change."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it had to find out
    # names of torch.distributed that it still uses
    warnings.filterwarnings("ignore", ".*(all_gather_into_tensor|reduce_scatter_tensor).*", FutureWarning)


def _start_gloo(deepspeed: bool, timeout: int) -> None:
    """The process group on CPUs that accelerate finds when the training arguments are made."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    os.environ.pop("ACCELERATE_USE_CPU", None)  # of `accelerate launch --cpu`, which would leave DeepSpeed out
    AcceleratorState._reset_state(reset_partial_state=True)
    if deepspeed:
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        try:
            PartialState(backend="gloo", timeout=timedelta(seconds=timeout))
        finally:
            del os.environ["ACCELERATE_USE_DEEPSPEED"]
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout))
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState(backend="gloo").distributed_type = DistributedType.MULTI_GPU  # it knows FSDP on devices only
