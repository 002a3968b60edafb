"""Resuming a run under ZeRO 1 to 3 on another number of processes, by DeepSpeed's universal checkpoints.

    for_any_number_of_processes(checkpoint, trainer)       # before it is read, on all processes

DeepSpeed cuts weights and optimizer state into one piece a process. Its universal form has a folder for each weight,
which any number of processes can read; it is made of the checkpoint when it is needed, beside the pieces.
"""

import contextlib
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import TrainerCallback

from motionmillion.io.files import atomic_folder, write_text
from motionmillion.progress import say
from motionmillion.training.distributed import check_deepspeed, safe_unpickling
from motionmillion.training.resume import read_mark

LATEST = "latest_universal"
"""File with the name of the universal folder, which DeepSpeed looks for."""

_PIECES = "weights"


def must_convert(checkpoint: Path, arguments: Any) -> bool:
    """Whether a complete checkpoint was written by DeepSpeed on another number of processes."""
    mark = read_mark(checkpoint) or {}
    return arguments.split.startswith("zero") and mark.get("processes") != arguments.world_size


def make_universal(checkpoint: Path) -> None:
    """Write the universal form of a DeepSpeed checkpoint into its folder, unless it is there.

    Raises:
        ImportError: without deepspeed.
    """
    check_deepspeed()
    from deepspeed.checkpoint.ds_to_universal import main

    folder = checkpoint / "universal"
    if not folder.is_dir():
        say(f"{checkpoint.name} is converted for another number of processes")
        pieces = (checkpoint / "latest").read_text(encoding="utf-8").strip()
        quiet = io.StringIO()
        with atomic_folder(folder) as new, safe_unpickling():
            places = {"input_folder": str(checkpoint / pieces), "output_folder": str(new / _PIECES)}
            workers = {"num_extract_workers": 1, "num_merge_workers": 1}
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                main(Namespace(**places, **workers, keep_temp_folder=False, strict=True, inject_missing_state=True))
    write_text(f"{folder.name}/{_PIECES}", checkpoint / LATEST)


def for_any_number_of_processes(checkpoint: Path, trainer: Any) -> None:
    """Let DeepSpeed read a checkpoint next: in its universal form if another number of processes wrote it.

    Called before the run is resumed, when there is no engine yet, and before the best model is loaded.
    """
    convert = must_convert(checkpoint, trainer.args)
    if convert:
        if trainer.args.should_save:
            make_universal(checkpoint)
        trainer.accelerator.wait_for_everyone()
    engine = trainer.model_wrapped if hasattr(trainer.model_wrapped, "load_universal_checkpoint") else None
    if engine is not None:
        engine._config.load_universal_checkpoint = convert
    elif convert:
        trainer.accelerator.state.deepspeed_plugin.deepspeed_config["checkpoint"] = {"load_universal": True}
        trainer.add_callback(_Mended())


class _Mended(TrainerCallback):
    """Undoes what DeepSpeed (0.19.8) does to groups of weights when it reads a universal checkpoint under ZeRO 3.

    All of them share one count of steps, which would rise once for each group, and have the settings of the first.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        while hasattr(optimizer, "optimizer"):  # inside the wrappers of accelerate and DeepSpeed
            optimizer = optimizer.optimizer
        for each in optimizer.state.values():
            if isinstance(each.get("step"), Tensor):
                each["step"] = each["step"].clone()
        for group, decay in zip(optimizer.param_groups, (args.weight_decay, 0.0), strict=False):  # Trainer's groups
            group["weight_decay"] = decay
