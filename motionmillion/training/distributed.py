"""Training on several processes: Trainer settings for GPUs, CPUs, DeepSpeed and FSDP.

    torchrun --nproc_per_node=8 -m motionmillion.cli train lm --config recipes/lm/1b.yaml

A recipe only needs `training: {deepspeed: recipes/lm/zero2.json}`: batch size, accumulation, clipping, precision and
optimizer follow from the other training arguments, both on GPUs and on CPUs (with gloo). Values that the JSON file
sets explicitly must agree with them.

Unusual: on CPUs accelerate does not detect that DeepSpeed or FSDP run on several processes; `process_arguments` starts
the process group and configures it, and DeepSpeed then compiles nothing. The tests rely on this.
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
    """Number of processes of this run, as set by torchrun or accelerate."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def close_processes() -> None:
    """Wait for all processes, then destroy their group.

    A process that exits while threads of its group still run may be aborted by the C++ runtime after all its work.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def process_arguments(training: dict[str, Any]) -> dict[str, Any]:
    """Defaults of TrainingArguments for the available processes and devices; starts gloo if accelerate would not.

    Args:
        training: the recipe's `training` section.

    Raises:
        ValueError: for DeepSpeed or FSDP without a launcher, both together, and an invalid DeepSpeed configuration.
        ImportError: if DeepSpeed is requested but not installed.
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
        os.environ.pop("ACCELERATE_CONFIG_DS_FIELDS", None)  # from accelerate's own config; the recipe decides
    if on_cpu and (training.get("deepspeed") or training.get("fsdp")):
        arguments["use_cpu"], arguments["ddp_backend"] = False, None  # otherwise accelerate ignores DeepSpeed and FSDP
        given = training.get("accelerator_config") or {}
        arguments["accelerator_config"] = {"use_configured_state": True, **given}
        _start_gloo(bool(training.get("deepspeed")), int(training.get("ddp_timeout", 1800)))
    return arguments


def deepspeed_options(given: str | dict[str, Any]) -> dict[str, Any]:
    """A DeepSpeed configuration (a mapping or a JSON file) with missing values set to "auto".

    Raises:
        ValueError: if it is neither, or its ZeRO stage is not 1, 2 or 3.
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
    options.setdefault("zero_force_ds_cpu_optimizer", False)  # use the Trainer's own optimizer, even on CPUs
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
    """Inside the block `torch.load` never runs code from a file, even if a library asks for `weights_only=False`.

    DeepSpeed's checkpoints contain a few of its own classes, which are allowed by name.
    """
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    held = torch.serialization.get_safe_globals()  # an inner block would take them from the outer one
    try:
        with torch.serialization.safe_globals([each for each in _harmless() if each not in held]):
            yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def _harmless() -> list[Any]:
    """Classes in DeepSpeed's checkpoints that only hold numbers."""
    if importlib.util.find_spec("deepspeed") is None:
        return []
    _quiet_deepspeed()
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [ZeroStageEnum, LossScaler, DynamicLossScaler, fragment_address]


def _quiet_deepspeed() -> None:
    """Silence DeepSpeed's warnings about things that users cannot change."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise it warns that it had to detect it
    # deprecated names of torch.distributed that it still uses
    warnings.filterwarnings("ignore", ".*(all_gather_into_tensor|reduce_scatter_tensor).*", FutureWarning)


def _start_gloo(deepspeed: bool, timeout: int) -> None:
    """Start the process group on CPUs, which accelerate picks up when the training arguments are made."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    os.environ.pop("ACCELERATE_USE_CPU", None)  # set by `accelerate launch --cpu`, would disable DeepSpeed
    AcceleratorState._reset_state(reset_partial_state=True)
    if deepspeed:
        _build_nothing()
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        try:
            PartialState(backend="gloo", timeout=timedelta(seconds=timeout))
        finally:
            del os.environ["ACCELERATE_USE_DEEPSPEED"]
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout))
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState(backend="gloo").distributed_type = DistributedType.MULTI_GPU  # accelerate supports FSDP on GPUs only


def _build_nothing() -> None:
    """Keep DeepSpeed from compiling its all-reduce in shared memory, which only inference on CPUs uses.

    It needs a C++ compiler, and a run that is killed while it compiles leaves a lock for which every later run waits,
    for ever.
    """
    from deepspeed import ops

    ops.__compatible_ops__["deepspeed_shm_comm"] = False
