"""Full weights of a run: gathered from its processes at the end, or read from a checkpoint folder later.

    weights = whole_weights(trainer)                    # call on every process; None except on the first
    lm = language_model(trainer.trained_model, weights)
    export_checkpoint("runs/lm/checkpoint-4000", "my_pipeline")         # from train lm or train dit

Under ZeRO 3 and FSDP no process holds all weights: they are gathered one by one, in the optimizer's float32, and kept
in the first process's CPU memory. `export_checkpoint` needs one process and no GPU.
"""

import contextlib
import io
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motionmillion.checkpoints import quiet_transformers
from motionmillion.io.files import atomic_folder, check_new_folder
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.training.distributed import check_deepspeed, safe_unpickling
from motionmillion.training.lm.lora import filled, is_adapted, loaded_adapters, merged
from motionmillion.training.resume import AVERAGE_FILE, read_mark
from motionmillion.training.sharded import fsdp_weights

PARTS = "parts"
"""Subfolder of a run with its pipeline except the language model."""


def whole_weights(trainer: Any) -> dict[str, Tensor] | None:
    """All weights of the trained model on the first process, None on the others; every process must call it."""
    model = trainer.trained_model
    first = trainer.is_world_process_zero()
    if not trainer.args.split or trainer.average is not None:
        return model.state_dict() if first else None
    names = set(model.state_dict())
    weights = {}
    for name, value in [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]:
        whole = _whole(value) if name in names else None
        if first and whole is not None:
            weights[name] = whole.detach().to("cpu", torch.float32 if whole.is_floating_point() else None, copy=True)
    return weights if first else None


def _whole(value: Tensor) -> Tensor:
    """One weight, gathered from all processes; the optimizer's float32 copy if there is one."""
    if hasattr(value, "full_tensor"):  # FSDP
        return value.full_tensor()  # type: ignore[attr-defined]
    if not isinstance(value, nn.Parameter):  # buffers are never sharded
        return value
    from deepspeed import zero
    from deepspeed.utils import safe_get_full_fp32_param

    if value.requires_grad and (master := safe_get_full_fp32_param(value)) is not None:
        return master
    if not hasattr(value, "ds_id"):
        return value
    with zero.GatheredParameters([value]):  # frozen under ZeRO 3
        return value.detach().clone()


def language_model(model: Any, weights: dict[str, Tensor]) -> MotionLM:
    """A separate `MotionLM` with these weights, adapters merged into them.

    Args:
        model: the trained model, for its config and its adapters.
        weights: all its weights, see `whole_weights`; merging modifies them in place.
    """
    return merged(model, weights) if is_adapted(model) else filled(MotionLM, model.config, weights)


def export_checkpoint(checkpoint: str | Path, output: str | Path) -> Path:
    """Convert a run's `checkpoint-N` to the form of its `final`: float32, averaged or merged weights.

    Args:
        checkpoint: folder of a run, written without DeepSpeed, under ZeRO 1 to 3, or by FSDP.
        output: new folder; a pipeline if the run's other parts are next to the checkpoint, else the model alone.

    Raises:
        ValueError: if `checkpoint` is not a complete checkpoint of a language model or a MotionDiT, or `output` cannot
            be written.
        ImportError: if it was written by DeepSpeed or with LoRA and deepspeed or peft is missing.
    """
    checkpoint = Path(checkpoint)
    if not (checkpoint / "trainer_state.json").is_file() or read_mark(checkpoint) is None:
        raise ValueError(f"checkpoint must be a whole checkpoint-N folder of a run, got {str(checkpoint)!r}")
    check_new_folder(output)
    model = checkpoint_model(checkpoint)
    parts, name = checkpoint.parent / PARTS, "dit" if isinstance(model, MotionDiT) else "lm"
    with atomic_folder(output) as folder, quiet_transformers():
        if parts.is_dir():
            shutil.copytree(parts, folder, dirs_exist_ok=True)
        model.save_pretrained(folder / name if parts.is_dir() else folder)
    return Path(output)


def checkpoint_model(checkpoint: Path) -> MotionLM | MotionDiT:
    """The model of a run's checkpoint, in the form that is written at the end of a run."""
    kind = _model_class(checkpoint)
    adapted = (checkpoint / "adapter_config.json").is_file()
    if (checkpoint / AVERAGE_FILE).is_file():
        state = torch.load(checkpoint / AVERAGE_FILE, map_location="cpu", weights_only=True)
        weights = {name.removeprefix("module."): value for name, value in state.items() if name != "n_averaged"}
    elif (checkpoint / "latest").is_file():
        weights = _deepspeed_weights(checkpoint)
    elif (sharded := fsdp_weights(checkpoint)) is not None:
        weights = sharded
    elif adapted:
        return loaded_adapters(checkpoint)
    elif any(checkpoint.glob("model*.safetensors")):
        return kind.from_pretrained(checkpoint, dtype=torch.float32)
    else:
        raise ValueError(
            f"checkpoint must hold whole weights, DeepSpeed's or FSDP's, got none of them in {str(checkpoint)!r}"
        )
    if adapted:
        return loaded_adapters(checkpoint, weights)
    config: Any = kind.config_class
    return filled(kind, config.from_pretrained(checkpoint), weights)


def _model_class(checkpoint: Path) -> type[MotionLM] | type[MotionDiT]:
    """The untrained model that the checkpoint's config describes; with adapters, always a language model."""
    config = checkpoint / "config.json"
    found = json.loads(config.read_text(encoding="utf-8")).get("model_type") if config.is_file() else None
    kinds = {MotionLMConfig.model_type: MotionLM, MotionDiTConfig.model_type: MotionDiT, None: MotionLM}
    if found not in kinds:
        raise ValueError(
            f"checkpoint must be of a language model or a MotionDiT, got {found!r} in {str(checkpoint)!r}; its "
            "weights are loaded from the folder as it is"
        )
    return kinds[found]


def _deepspeed_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Trained weights in float32, joined from the files of all processes, which are unpickled without running code."""
    check_deepspeed()
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    silent = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with safe_unpickling(), silent[0], silent[1]:
        try:
            weights: Any = get_fp32_state_dict_from_zero_checkpoint(str(checkpoint))
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"checkpoint must be whole, got {str(checkpoint)!r}: {reason}") from None
    return dict(weights)
