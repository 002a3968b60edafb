"""Weights in the memory of one process at the start, where FSDP 2 or ZeRO 3 will split them over all processes.

    with weights_on_the_first(arguments):
        model = MotionLM(config)                 # on the meta device everywhere but on the first process
    model = read_on_the_first(MotionLM, folder, arguments)        # likewise, a trained one
    ...
    split_from_the_first(trainer)                # before the training; each process then holds its part

Else every process would hold all weights in float32 until they are split: 250 GB for 7 billion of them on the eight
processes of a machine. Buffers are small, and every process has them.

Unusual: the random weights are those of the first process alone, and the same as without this.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from accelerate.utils import broadcast_object_list, gather_object
from safetensors import safe_open
from torch import nn
from transformers import TrainerCallback


def lean(arguments: Any) -> bool:
    """Whether all weights are in the memory of the first process only."""
    return arguments.world_size > 1 and arguments.split in ("zero3", "fsdp")


@contextlib.contextmanager
def weights_on_the_first(arguments: Any) -> Iterator[None]:
    """Models built in the context have no weights, except on the first process, or if they will not be split."""
    if lean(arguments) and arguments.process_index:
        with init_empty_weights(include_buffers=False):
            yield
    else:
        yield


def read_on_the_first(model_class: Any, folder: Path, arguments: Any) -> Any:
    """A trained model in float32, whose weights only the first process reads if they will be split.

    Args:
        model_class: has `from_pretrained` and `config_class`.
        folder: of the model.

    Raises:
        ValueError: on every process, if the first cannot load it.
    """
    if not lean(arguments):
        return model_class.from_pretrained(folder, dtype=torch.float32)
    if arguments.process_index == 0:
        with _told_to_all():
            return model_class.from_pretrained(folder, dtype=torch.float32)
    with _told_to_all():
        model = without_weights(model_class, model_class.config_class.from_pretrained(folder))
    buffers = {name: buffer for name, buffer in model.named_buffers() if not buffer.is_meta}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in buffers.keys() & set(file.keys()):
                buffers[name].copy_(file.get_tensor(name))
    return model.eval()


def without_weights(model_class: Any, config: Any) -> Any:
    """A model with its weights on the meta device and its buffers in memory."""
    with init_empty_weights(include_buffers=False):
        return model_class(config)


@contextlib.contextmanager
def _told_to_all() -> Iterator[None]:
    """Errors of the first process are raised on all of them, so that none waits for it; every process must enter."""
    found: list[str | None] = [None]
    try:
        yield
    except ValueError as error:
        found = [str(error)]
        raise
    finally:
        message = broadcast_object_list(found)[0]
    if message is not None:
        raise ValueError(message)


def split_from_the_first(trainer: Any) -> None:
    """Hand out the weights of a model that was built by `weights_on_the_first`; every process must call it."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    absent = any(weight.is_meta for weight in model.parameters())
    if not any(gather_object([absent])):
        return
    if trainer.args.split == "fsdp":
        trainer.accelerator.state.fsdp_plugin.cpu_ram_efficient_loading = True  # accelerate broadcasts them
        trainer.add_callback(_HiddenBuffers(model))
        for number, weight in enumerate(model.parameters(), 1):
            if weight.is_meta:  # accelerate tells the optimizer's weights apart by it
                weight.data_ptr = functools.partial(int, -number)  # type: ignore[method-assign]
    else:
        zero = trainer.accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]
        _split_by_deepspeed(model, zero, torch.bfloat16 if trainer.args.bf16 else torch.float32)


class _HiddenBuffers(TrainerCallback):
    """Before the training no buffer counts as saved: every process has them, and accelerate fails to send them."""

    def __init__(self, model: nn.Module) -> None:
        self.hidden = [
            (module, name)
            for module in model.modules()
            for name, _ in module.named_buffers(recurse=False)
            if name not in module._non_persistent_buffers_set
        ]
        for module, name in self.hidden:
            module._non_persistent_buffers_set.add(name)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for module, name in self.hidden:
            module._non_persistent_buffers_set.discard(name)


def _split_by_deepspeed(model: nn.Module, options: dict[str, Any], dtype: torch.dtype) -> None:
    """ZeRO 3's own conversion, one module at a time, so that no process but the first holds more than one whole.

    Args:
        options: the section `zero_optimization` of DeepSpeed's configuration.
        dtype: of the weights in training.
    """
    from deepspeed import zero

    kept = {key: value for key, value in options.items() if value != "auto"}
    config = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": kept}
    owners = list(reversed(list(model.modules())))  # children before what they are part of
    uses = Counter(id(weight) for module in owners for weight in module.parameters(recurse=False))
    shared: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}  # the old ones are kept, or their ids would be reused
    for module in owners:
        for name, weight in list(module.named_parameters(recurse=False)):
            if id(weight) not in shared:
                value = torch.empty_like(weight, device="cpu") if weight.is_meta else weight.detach()
                whole = nn.Parameter(value.to(dtype), weight.requires_grad)
                if uses[id(weight)] > 1:
                    shared[id(weight)] = weight, whole
            setattr(module, name, shared[id(weight)][1] if id(weight) in shared else whole)
        if any(not hasattr(weight, "ds_id") for weight in module.parameters(recurse=False)):
            zero.Init(module=module, config_dict_or_path=config, dtype=dtype)
