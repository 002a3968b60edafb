"""Arguments of a training: those of transformers' TrainingArguments, ours, and our defaults.

arguments = training_arguments(recipe)                    # before the model is built
arguments.max_skipped_steps, arguments.split
"""

import dataclasses
import functools
import math
import os
import typing
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import logging

from motionmillion.configuration import fast_bfloat16, unknown_key_error
from motionmillion.progress import say
from motionmillion.training.argument_checks import check_values
from motionmillion.training.distributed import process_arguments, zero_stage
from motionmillion.training.figures import figures_of
from motionmillion.training.float8 import check_torchao
from motionmillion.training.recipe import Recipe

FINAL = ("best", "last")


@dataclasses.dataclass
class MotionTrainingArguments(TrainingArguments):
    """transformers' TrainingArguments with a few additions.

    Args:
        ema_decay: decay of the exponential moving average of the weights, which is evaluated, and saved at the end;
            after n steps at most (1 + n) / (10 + n); 0 disables it.
        lr_milestones: optimizer steps at which the learning rate is multiplied by `lr_gamma`, after linear warm-up;
            if empty, `lr_scheduler_type` decides. Steps are those of the run, independent of the number of
            processes.
        lr_gamma: see `lr_milestones`.
        max_skipped_steps: the run ends when this many steps have been skipped because their gradient was not finite.
        keep_every: checkpoints of every so many steps are kept, besides the newest `save_total_limit` and the best;
            0 keeps no others.
        final: "best" writes the model of the best evaluation by `metric_for_best_model` as `final`, "last" that of
            the last step.
        early_stopping: evaluations without a better one after which the run ends; 0 never ends it early.
        eval_samples: clips of the validation split that an evaluation takes, the same ones each time; 0 takes all.
        generate_every, generate_samples, generate_evaluator: every so many evaluations of a language model (0 for
            never) so many captions are generated and judged, see `motionmillion.training.lm.judged`.
        save_staging: folder in memory (/dev/shm) or on a drive of each machine. Checkpoints are written there first,
            and copied to `output_dir` while the training goes on, see `motionmillion.training.staging`.
        float8: matrix products of the layers in 8 bits, see `motionmillion.training.float8`.
        max_epochs: most visits of every clip; with few clips it takes the place of `max_steps`. 0 sets no limit.
    """

    ema_decay: float = 0.0
    lr_milestones: list[int] = dataclasses.field(default_factory=list)
    lr_gamma: float = 0.1
    max_skipped_steps: int = 100
    keep_every: int = 0
    final: str = "best"
    early_stopping: int = 0
    eval_samples: int = 0
    generate_every: int = 0
    generate_samples: int = 256
    generate_evaluator: str = "mini"
    save_staging: str | None = None
    float8: bool = False
    max_epochs: float = 0.0

    def __post_init__(self) -> None:
        check_values(
            {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init}, _hints()
        )
        if self.lr_milestones != sorted(self.lr_milestones) or any(step < 1 for step in self.lr_milestones):
            raise ValueError(f"training.lr_milestones must be rising, positive steps, got {self.lr_milestones!r}")
        if self.ema_decay and self.split in ("zero3", "fsdp"):
            raise ValueError(
                f"training.ema_decay must be 0 under ZeRO 3 and FSDP, where no process holds all weights, got "
                f"{self.ema_decay!r}; use ZeRO 2 or leave it out"
            )
        if self.float8 and self.deepspeed:
            raise ValueError("training.float8 must be off under DeepSpeed, got true; use training.fsdp")
        if self.final not in FINAL:
            raise ValueError(f"training.final must be one of {FINAL}, got {self.final!r}")
        super().__post_init__()

    def limited(self, samples: int) -> int:
        """`max_steps` for a training set of so many samples, shortened by `max_epochs`."""
        if not self.max_epochs:
            return self.max_steps
        batches = math.ceil(math.ceil(samples / self.world_size) / self.per_device_train_batch_size)
        steps = math.ceil(self.max_epochs * max(math.ceil(batches / self.gradient_accumulation_steps), 1))
        return min(self.max_steps, steps) if self.max_steps > 0 else steps

    @property
    def split(self) -> str:
        """How weights and optimizer state are sharded over the processes: "zero1" to "zero3", "fsdp", "" if not."""
        return f"zero{zero_stage(self.deepspeed)}" if self.deepspeed else "fsdp" if self.fsdp else ""

    @property
    def save_every(self) -> float:
        """Optimizer steps between checkpoints; 0 if they are not written after so many steps."""
        if self.save_strategy != "steps":
            return 0
        return self.save_steps if self.save_steps >= 1 else math.ceil(self.save_steps * self.max_steps)

    def _validate_args(self) -> None:
        """Skip transformers' GPU check for bfloat16: with DeepSpeed on CPUs `use_cpu` is off."""
        use_cpu, self.use_cpu = self.use_cpu, self.use_cpu or not torch.cuda.is_available()
        super()._validate_args()
        self.use_cpu = use_cpu


@functools.cache
def _hints() -> dict[str, Any]:
    """The type of each argument."""
    return typing.get_type_hints(MotionTrainingArguments)


def training_arguments(recipe: Recipe, part: str = "lm", planned: bool = False) -> MotionTrainingArguments:
    """The recipe's `training` section over our defaults; starts the process group if there are several processes.

    Args:
        part: what is trained, a key of `motionmillion.training.figures.FIGURES`.
        planned: for a plan of a run on other machines: what this one cannot do is left on.

    Raises:
        ValueError: for unknown or invalid training arguments.
    """
    known = {field.name for field in dataclasses.fields(MotionTrainingArguments) if field.init}
    if set(recipe.training) - known:
        raise unknown_key_error("training", set(recipe.training) - known, known)
    if recipe.training.get("generate_every") and part != "lm":
        raise ValueError(
            f"training.generate_every must be left out but for language models, got "
            f"{recipe.training['generate_every']!r}"
        )
    figures = figures_of(part, recipe)
    best = str(recipe.training.get("metric_for_best_model") or next(iter(figures))).removeprefix("eval_")
    if best not in figures:
        raise ValueError(f"training.metric_for_best_model must be one of {list(figures)}, got {best!r}")
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(recipe.output) / "tensorboard")  # the only way to tell Trainer
    logging.disable_progress_bar()  # of loading and saving; the training has its own
    processes = process_arguments(recipe.training)
    defaults: dict[str, Any] = dict(
        output_dir=recipe.output,
        run_name=recipe.output,  # trackers continue a run of that name when it is resumed
        seed=recipe.seed,
        remove_unused_columns=False,
        report_to="tensorboard",
        logging_steps=20,
        eval_strategy="steps",
        save_strategy="steps",
        save_total_limit=2,
        logging_nan_inf_filter=False,  # would show a loss of 0 in place of NaN
        use_cache=True,  # unused in training, but saved in the model's config
    )
    defaults |= {"metric_for_best_model": best, "greater_is_better": figures[best]}
    forced = {key: processes.pop(key) for key in ("deepspeed", "accelerator_config") if key in processes}
    check_reporters(recipe.training.get("report_to", ()))
    if recipe.training.get("float8"):
        check_torchao()
    given = {**defaults, **processes, **recipe.training, **forced}
    sharded = given.get("deepspeed") or given.get("fsdp")
    if given.get("bf16") is True and not (planned or sharded or fast_bfloat16()):
        say("training.bf16 is off, because this CPU has no bfloat16 instructions and would be many times slower")
        given["bf16"] = False
    try:
        arguments = MotionTrainingArguments(**given)
    except TypeError as error:
        raise ValueError(f"training must hold arguments of TrainingArguments, got {error}") from None
    _ = arguments.device  # starts the process group, which modules that gather need when they are built
    unset_hf_deepspeed_config()  # otherwise everything loaded from here on would be sharded, even the text encoder
    return arguments


def check_reporters(names: Any) -> None:
    """Check that trackers are known and installed.

    Raises:
        ValueError: for a name that transformers does not know.
        ImportError: with the remedy, for a package that is not installed.
    """
    from transformers.integrations import integration_utils as trackers

    for name in [names] if isinstance(names, str) else list(names or ()):
        if name in ("none", "all"):
            continue
        if name not in trackers.INTEGRATION_TO_CALLBACK:
            known = sorted(trackers.INTEGRATION_TO_CALLBACK)
            raise ValueError(f"training.report_to must be among {known}, got {name!r}")
        if name not in trackers.get_available_reporting_integrations():
            raise ImportError(f"{name} must be installed for training.report_to: {name}; run: pip install {name}")
