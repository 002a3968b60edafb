"""Checks of a recipe's `training` section that need no GPU, no DeepSpeed and no launcher.

arguments = check_arguments(recipe)
stage = check_sharding(recipe, arguments, gpus=8)
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from motionmillion.training.distributed import check_one_way, check_zero_stage
from motionmillion.training.recipe import Recipe

_HARDWARE = ("deepspeed", "fsdp", "fsdp_config", "tf32", "torch_compile", "use_cpu", "ddp_backend", "float8")


def check_arguments(recipe: Recipe, part: str = "lm") -> Any:
    """The training arguments, checked on any machine, whether or not it could run the recipe.

    Args:
        part: what is trained, as on the command line.

    Raises:
        ValueError: for unknown or invalid arguments.
    """
    from motionmillion.training.arguments import training_arguments

    training = {key: value for key, value in recipe.training.items() if key not in _HARDWARE}
    for key in ("tf32", "torch_compile", "use_cpu", "float8"):
        if not isinstance(recipe.training.get(key), bool | None):
            raise ValueError(f"training.{key} must be true or false, got {recipe.training[key]!r}")
    with _same_environment():
        arguments = training_arguments(replace(recipe, training={**training, "use_cpu": True}), part, planned=True)
    return arguments


@contextmanager
def _same_environment() -> Iterator[None]:
    """Hide the launcher's environment variables inside the block; restore all variables afterwards."""
    before = dict(os.environ)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_sharding(recipe: Recipe, arguments: Any, gpus: int) -> int:
    """ZeRO stage of the recipe, 0 for none, 3 for FSDP.

    Raises:
        ValueError: for a DeepSpeed or FSDP configuration that cannot be read, or that contradicts the recipe.
    """
    given, fsdp = recipe.training.get("deepspeed"), recipe.training.get("fsdp")
    check_one_way(recipe.training)
    if fsdp:
        _json("training.fsdp_config", recipe.training.get("fsdp_config") or {})
        return 3
    if not given:
        return 0
    options = _json("training.deepspeed", given)
    stage = check_zero_stage(options)
    rows, accumulated = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    expected = {
        "train_micro_batch_size_per_gpu": rows,
        "gradient_accumulation_steps": accumulated,
        "train_batch_size": rows * accumulated * gpus,
        "gradient_clipping": arguments.max_grad_norm,
    }
    for key, value in expected.items():
        if options.get(key, "auto") not in ("auto", value):
            raise ValueError(
                f'{key} of training.deepspeed must be "auto" or {value} as the recipe says, got {options[key]!r}'
            )
    return stage


def _json(name: str, given: Any) -> dict[str, Any]:
    """The mapping itself, or the contents of the JSON file that is named."""
    content = given
    if isinstance(given, str):
        try:
            content = json.loads(Path(given).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            raise ValueError(
                f"{name} must name a JSON file, got {given!r}; paths start at the current folder"
            ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a mapping or the path of a JSON file, got {given!r}")
    return content
