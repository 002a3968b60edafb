"""MotionTrainer: transformers' Trainer with our own evaluation, averaged weights, and the single losses in the log.

    check_output(recipe, resume=True)
    arguments = training_arguments(recipe)                    # before the model is built
    trainer = build_trainer(model, arguments, train_set, validation_set, collate, evaluation)
    figures = run(trainer, recipe)
    trainer.trained_model.save_pretrained(folder)

Several processes: start the same command with `accelerate launch` or `torchrun`; on CPUs they talk by gloo. A run that
is resumed goes on exactly, average and random numbers included.
"""

import bisect
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset, Sampler, WeightedRandomSampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from motionmillion.io.files import atomic_path, write_text
from motionmillion.training.recipe import Recipe

Evaluation = Callable[[Any], dict[str, float]]

AVERAGE_FILE = "ema.pt"


@dataclasses.dataclass
class MotionTrainingArguments(TrainingArguments):
    """TrainingArguments of transformers and a few more.

    Args:
        ema_decay: decay of the exponential moving average of the weights, which is what is evaluated and saved at the
            end; 0 keeps none.
        lr_milestones: optimizer steps at which the learning rate is multiplied by `lr_gamma`, after linear warm-up;
            empty leaves the schedule to `lr_scheduler_type`. Steps are those of the run, whatever the number of
            processes.
        lr_gamma: see `lr_milestones`.
    """

    ema_decay: float = 0.0
    lr_milestones: list[int] = dataclasses.field(default_factory=list)
    lr_gamma: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"training.ema_decay must be in [0, 1), got {self.ema_decay!r}")
        if self.lr_milestones != sorted(self.lr_milestones) or any(step < 1 for step in self.lr_milestones):
            raise ValueError(f"training.lr_milestones must be rising, positive steps, got {self.lr_milestones!r}")
        super().__post_init__()


class MotionTrainer(Trainer):
    """Trainer whose `evaluate` calls `evaluation(model)`, a function that returns named figures.

    Args:
        eval_dataset: the clips that `evaluation` looks at; transformers wants to see them.
        evaluation: called in evaluation mode without gradients; its figures are logged as `eval_<name>`.
    """

    args: MotionTrainingArguments

    def __init__(self, *args: Any, evaluation: Evaluation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.evaluation = evaluation
        self.sample_weights: torch.Tensor | None = None
        self.average: AveragedModel | None = None
        if self.args.ema_decay:
            rule = get_ema_multi_avg_fn(self.args.ema_decay)
            self.average = AveragedModel(self.accelerator.unwrap_model(self.model), multi_avg_fn=rule)
            self.add_callback(_Averaging(self.average))
        self._loss_sums: dict[str, torch.Tensor] = {}
        self._loss_count = 0

    @property
    def trained_model(self) -> Any:
        """The model to evaluate and to save: the average of the weights where one is kept."""
        return self.accelerator.unwrap_model(self.model) if self.average is None else self.average.module

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of `lr_scheduler_type`, or warm-up and milestones where these are given."""
        milestones = list(self.args.lr_milestones)
        if milestones and self.lr_scheduler is None:
            warmup = self.args.get_warmup_steps(num_training_steps)

            def factor(step: int) -> float:
                return min(1.0, (step + 1) / max(warmup, 1)) * self.args.lr_gamma ** bisect.bisect(milestones, step)

            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, factor)  # type: ignore[arg-type]
        return super().create_scheduler(num_training_steps, optimizer)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        outputs = model(**inputs)
        if model.training:
            parts = dict(getattr(outputs, "losses", None) or {})
            if getattr(outputs, "perplexity", None) is not None:
                parts["perplexity"] = outputs.perplexity
            for name, value in parts.items():
                self._loss_sums[name] = self._loss_sums.get(name, 0) + value.detach()  # type: ignore[assignment]
            self._loss_count += 1
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """Draw samples in proportion to `sample_weights` where they are set."""
        if self.sample_weights is None:
            return super()._get_train_sampler(train_dataset)
        return WeightedRandomSampler(self.sample_weights.tolist(), len(self.sample_weights))

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and self._loss_count:
            means = {k: float(v) / self._loss_count for k, v in self._loss_sums.items()}
            logs = {**logs, **{k if k == "perplexity" else f"loss_{k}": v for k, v in means.items()}}
            self._loss_sums, self._loss_count = {}, 0
        super().log(logs, *args, **kwargs)

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        model = self.trained_model
        was_training = model.training
        model.eval()
        with torch.no_grad():
            figures = {f"{metric_key_prefix}_{k}": v for k, v in self.evaluation(model).items()}
        model.train(was_training)
        self.log(figures)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures


class _Averaging(TrainerCallback):
    """Keeps the average up to date and in every checkpoint."""

    def __init__(self, average: AveragedModel) -> None:
        self.average = average

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.average.update_parameters(getattr(kwargs["model"], "module", kwargs["model"]))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            with atomic_path(folder / AVERAGE_FILE) as temporary:
                torch.save(self.average.state_dict(), temporary)


def training_arguments(recipe: Recipe) -> MotionTrainingArguments:
    """The recipe's `training` section over our defaults; several processes find each other here.

    Raises:
        ValueError: for unknown or unfitting training arguments.
    """
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(recipe.output) / "tensorboard")  # the only way to tell Trainer
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1  # processes, as accelerate and torchrun say
    defaults: dict[str, Any] = dict(
        output_dir=recipe.output,
        seed=recipe.seed,
        remove_unused_columns=False,
        report_to="tensorboard",
        logging_steps=20,
        eval_strategy="steps",
        save_strategy="steps",
        save_total_limit=2,
        use_cpu=not torch.cuda.is_available(),
        ddp_backend="gloo" if several and not torch.cuda.is_available() else None,
        ddp_find_unused_parameters=False if several else None,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    try:
        arguments = MotionTrainingArguments(**{**defaults, **recipe.training})
    except TypeError as error:
        raise ValueError(f"training must hold arguments of TrainingArguments, got {error}") from None
    for field in dataclasses.fields(MotionTrainingArguments):
        value = recipe.training.get(field.name)
        if isinstance(value, str) and isinstance(field.default, int | float):
            raise ValueError(f"training.{field.name} must be a number, got {value!r}")
    _ = (
        arguments.device
    )  # starts the process group: modules that gather over processes look for it when they are built
    return arguments


def build_trainer(
    model: PreTrainedModel,
    arguments: MotionTrainingArguments,
    train_set: Dataset,
    validation_set: Dataset,
    collate: Callable,
    evaluation: Evaluation,
) -> MotionTrainer:
    """A trainer; with several GPUs batch norms gather their statistics over all of them."""
    if arguments.world_size > 1 and torch.cuda.is_available():
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[assignment]
    return MotionTrainer(
        model=model,
        args=arguments,
        train_dataset=train_set,
        eval_dataset=validation_set,
        data_collator=collate,
        evaluation=evaluation,
    )


def check_output(recipe: Recipe, resume: bool) -> None:
    """Make sure that the output folder is new, or holds the run to resume; note there what the run is of.

    Raises:
        ValueError: if the folder holds checkpoints of another recipe, or any without `resume`.
    """
    file, checkpoints = Path(recipe.output) / "recipe.json", _checkpoints(recipe)
    if checkpoints and not resume:
        raise ValueError(
            f"output must be a new folder, got {recipe.output!r} with checkpoints; use --resume or another one"
        )
    own = {"seed": recipe.seed, "data": recipe.data, "model": recipe.model}
    if checkpoints and file.exists():
        there = json.loads(file.read_text(encoding="utf-8"))
        differing = [name for name in own if there.get(name) != json.loads(json.dumps(own[name]))]
        if differing:
            raise ValueError(
                f"{differing[0]} must be that of the run to resume, got {own[differing[0]]} in place of "
                f"{there.get(differing[0])}; choose another output"
            )
    elif os.environ.get("RANK", "0") == "0":
        write_text(json.dumps(own, indent=2) + "\n", file)


def run(trainer: MotionTrainer, recipe: Recipe) -> dict[str, float]:
    """Train, from the newest whole checkpoint of the output folder where there is one; the last evaluation's figures.

    Raises:
        ValueError: if there are checkpoints, but none that is whole.
    """
    needed = ["trainer_state.json"] + ([AVERAGE_FILE] if trainer.average is not None else [])  # written last
    checkpoints = _checkpoints(recipe)
    whole = [path for path in checkpoints if all((path / name).exists() for name in needed)]
    if checkpoints and not whole:
        raise ValueError(
            f"checkpoints must be whole to resume, got none in {recipe.output!r} with {' and '.join(needed)}"
        )
    if whole and trainer.average is not None:
        state = torch.load(whole[0] / AVERAGE_FILE, map_location="cpu", weights_only=True)
        trainer.average.load_state_dict(state)
    trainer.train(resume_from_checkpoint=str(whole[0]) if whole else None)
    return trainer.evaluate()


def _checkpoints(recipe: Recipe) -> list[Path]:
    """Those of a run, the newest first."""
    found = Path(recipe.output).glob("checkpoint-*")
    return sorted(found, key=lambda path: int(path.name.rsplit("-", 1)[1]), reverse=True)
