"""MotionTrainer: transformers' Trainer with our own evaluation, averaged weights, and each loss term in the log.

    check_output(recipe, resume=True)
    arguments = training_arguments(recipe)                    # before the model is built
    trainer = build_trainer(model, arguments, train_set, validation_set, collate, evaluation)
    figures = run(trainer, recipe)
    trainer.trained_model.save_pretrained(folder)

For several processes, start the same command with `accelerate launch` or `torchrun`, see
`motionmillion.training.distributed`. Resuming is exact: averaged weights, sample order and random numbers are
restored; a run that already has all its steps is loaded in its final state, without further training.

Unusual: schedules count optimizer steps of the run, independent of the number of processes; the loss of a step is one
mean over the tokens or frames of all its batches on all processes, see `motionmillion.training.weighting`.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset, IterableDataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerState, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import has_length

from motionmillion.io.files import atomic_path
from motionmillion.progress import say
from motionmillion.training.arguments import MotionTrainingArguments
from motionmillion.training.distributed import safe_unpickling
from motionmillion.training.faults import SKIPPED, StepGuard
from motionmillion.training.float8 import use_float8
from motionmillion.training.order import VISITS, ByProcess, SeededCollator, SeededDataset, Visits
from motionmillion.training.progress import Progress
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import (
    AVERAGE_FILE,
    checksums,
    damaged,
    format_of,
    mark_whole,
    naming_full_disk,
    newest_intact,
    read_mark,
    remove_newer,
    remove_older,
    unmark,
)
from motionmillion.training.schedules import by_milestones, change_rate
from motionmillion.training.speed import Meter
from motionmillion.training.staging import StagedSaves
from motionmillion.training.start import split_from_the_first
from motionmillion.training.stopping import StopOnRequest, StopRequest
from motionmillion.training.turning import Turning
from motionmillion.training.universal import for_any_number_of_processes
from motionmillion.training.weighting import StepWeights, counts_of, share_of, weighted

Evaluation = Callable[[Any], dict[str, float]]


class MotionTrainer(Trainer):
    """Trainer whose `evaluate` calls `evaluation(model)`, a function that returns named figures.

    Args:
        eval_dataset: the clips that `evaluation` uses; transformers requires them.
        evaluation: called in evaluation mode without gradients; its figures are logged as `eval_<name>`.

    Set `sample_weights` to weight how often samples are visited, `prepare` to transform a training batch on the
    device before it reaches the model, `count` if that changes its `loss_counts`, and `operations` to the number of
    floating point operations of a batch. `trained_steps` tells whether any batch has been trained on.
    """

    args: MotionTrainingArguments

    def __init__(self, *args: Any, evaluation: Evaluation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reduce_in_float32(self.accelerator)
        self.evaluation = evaluation
        self.sample_weights: torch.Tensor | None = None
        self.prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.average: AveragedModel | None = None
        train_set: Any = self.train_dataset
        self.guard = StepGuard(self.accelerator, self.args.max_skipped_steps, train_set)
        self.kept, self.args.save_total_limit = self.args.save_total_limit, None  # transformers would remove more
        figure = f"eval_{(self.args.metric_for_best_model or 'loss').removeprefix('eval_')}"
        self.add_callback(Turning(figure, bool(self.args.greater_is_better), self.args.early_stopping))
        self.meter = Meter(self.accelerator)
        self.operations: Callable[[dict[str, Any]], float] | None = None
        self._operations_logged = 0.0
        self.count = counts_of(self.accelerator.unwrap_model(self.model))
        self.weights = StepWeights(self.accelerator, lambda batch: self.count(batch))
        self.model_accepts_loss_kwargs = False
        self.loss_is_scaled_for_ga = True  # by `weights`
        if self.args.ema_decay:
            whole: Any = self.accelerator.unwrap_model(self.model)
            self.average = AveragedModel(whole, avg_fn=average_step(self.args.ema_decay))
            self.add_callback(_Averaging(self.average))
        for printer in (ProgressCallback, PrinterCallback):
            self.remove_callback(printer)
        self.add_callback(Progress)
        self.add_callback(_StepEnds(self.meter))
        self._loss_sums: dict[str, torch.Tensor] = {}
        self._loss_steps = 0
        self.trained_steps = False
        staging, output = self.args.save_staging, str(self.args.output_dir)
        self.staged = StagedSaves(staging, output, self.accelerator) if staging else None
        self._saving_to: Path | None = None

    @property
    def trained_model(self) -> Any:
        """The model to evaluate: the one with averaged weights if an average is kept."""
        return self.accelerator.unwrap_model(self.model) if self.average is None else self.average.module

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of `lr_scheduler_type`, or warm-up and milestones if milestones are given."""
        milestones = list(self.args.lr_milestones)
        if milestones and self.lr_scheduler is None:
            warmup = self.args.get_warmup_steps(num_training_steps)
            of: Any = optimizer or self.optimizer
            self.lr_scheduler = by_milestones(of, warmup, milestones, self.args.lr_gamma)
        return super().create_scheduler(num_training_steps, optimizer)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Restore optimizer and schedule, but with the recipe's learning rate."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if (
            checkpoint is not None
            and change_rate(self.lr_scheduler, self.args.learning_rate)
            and self.args.should_save
        ):
            say(f"the learning rate is another one from here on, {self.args.learning_rate:g}")

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        visits = inputs.pop(VISITS, None)
        if model.training and self.prepare is not None:
            inputs = self.prepare(inputs)
        outputs, loss = model(**inputs), None
        if model.training:
            self.trained_steps = True
            shares = self.weights.next()
            loss = weighted(outputs, shares)
            self.guard.note(visits, loss)
            if self.accelerator.sync_gradients:  # before the backward pass, in which DeepSpeed takes its step
                self.guard.check_losses(self.state.global_step)
                self._loss_steps += 1
            parts = dict(getattr(outputs, "losses", None) or {})
            if getattr(outputs, "perplexity", None) is not None:
                parts["perplexity"] = outputs.perplexity
            for name, value in parts.items():
                value = value.detach() * share_of(name, shares)
                self._loss_sums[name] = self._loss_sums.get(name, 0) + value  # type: ignore[assignment]
        loss = outputs.loss if loss is None else loss
        return (loss, outputs) if return_outputs else loss

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """Weights that decay: neither norms and biases nor embeddings; in runs of earlier versions embeddings, too."""
        names = super().get_decay_parameter_names(model)
        if format_of(str(self.args.output_dir)) < 2:
            return names
        tables = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding)}
        return [name for name in names if name.rpartition(".")[0] not in tables]

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list, None]:
        """The batches of the next optimizer step, counted on all processes."""
        with self.meter.waiting():
            batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            self.meter.count(self.weights.begin(batches, device))
        return batches, None

    def floating_point_ops(self, inputs: dict[str, Any]) -> float:  # type: ignore[override]
        """Floating point operations of a batch, 0 where they are not known."""
        return 0.0 if self.operations is None else self.operations(inputs)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The gradient norm; drops a gradient that is not finite, so that the optimizer changes nothing."""
        norm: Any = super()._get_grad_norm(model, grad_norm)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if self.is_deepspeed_enabled:  # has stepped already, or refused to
            bad = self.accelerator.optimizer_step_was_skipped
        else:
            bad = self.accelerator.scaler is None and norm is not None and not math.isfinite(float(norm))
        if self.guard.skips(bad, self.state.global_step):
            self.log({SKIPPED: self.guard.skipped})
            model.zero_grad()
        return norm

    def load_best(self) -> None:
        """Load the model of the best evaluation, if it is another one than the last and its checkpoint is whole."""
        best = self.state.best_global_step
        folder = Path(self._get_output_dir(None)) / f"checkpoint-{best}"
        if not best or best == self.state.global_step:
            return
        lost = read_mark(folder) is None or damaged(folder, self.args.process_index, self.args.world_size)
        if any(gather_object([lost])):
            say(f"{folder.name}, that of the best evaluation, is missing or damaged; the last model is taken")
            return
        self.state.best_model_checkpoint = str(folder)
        if self.is_deepspeed_enabled:
            for_any_number_of_processes(folder, self)
        self._load_best_model()
        if self.average is not None:
            self.average.load_state_dict(torch.load(folder / AVERAGE_FILE, map_location="cpu", weights_only=True))
        figure = str(self.args.metric_for_best_model).removeprefix("eval_").replace("_", " ")
        say(
            f"the model of step {best} is taken, whose {figure} is the best of all evaluations, "
            f"{self.state.best_metric:.4g}; training.final: last takes that of the last step"
        )

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Save a checkpoint at every new best, so that the best one exists."""
        name = str(self.args.metric_for_best_model).removeprefix("eval_")
        if f"eval_{name}" not in metrics:
            known = [figure.removeprefix("eval_") for figure in metrics]
            raise ValueError(f"training.metric_for_best_model must be one of {known}, got {name!r}")
        better = super()._determine_best_metric(metrics, trial)
        if better and self.args.save_strategy != "no":
            self.control.should_save = True
        return better

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Train nothing if the run has ended already; transformers would take one more step."""
        if self.state.global_step >= self.state.max_steps or self.control.should_training_stop:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """Visits in a different order each epoch, in proportion to `sample_weights` if set."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if not isinstance(dataset, SeededDataset):
            return super()._get_train_sampler(train_dataset)
        seed, inner = self.args.data_seed or self.args.seed, dataset.dataset
        if getattr(inner, "by_process", False) and self.sample_weights is None:
            visits = ByProcess(inner.blocks, seed, self.args.world_size, self.args.per_device_train_batch_size)  # type: ignore[attr-defined]
        else:
            step = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
            visits = Visits(len(dataset), seed, self.sample_weights, getattr(inner, "lengths", None), step)
        self.add_callback(_Epochs(visits))
        return visits

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model; in checkpoints of DeepSpeed and FSDP shards hold the weights, and the config is added."""
        sharded = _internal_call and (self.is_deepspeed_enabled or self.is_fsdp_enabled)
        if not (self.is_deepspeed_enabled and _internal_call):
            super().save_model(output_dir, _internal_call)
        if sharded and self.args.should_save:
            model: Any = self.accelerator.unwrap_model(self.model)
            model.config.save_pretrained(output_dir)
            for config in getattr(model, "peft_config", {}).values():
                config.save_pretrained(output_dir)

    def _get_output_dir(self, trial: Any) -> str:
        """The folder of the run; while a checkpoint is staged, that of the copy."""
        return str(self._saving_to or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, mark it complete when every process has written its part, then remove older ones."""
        self.finish_saving()
        output = Path(self._get_output_dir(trial))
        folder = output / f"checkpoint-{self.state.global_step}"
        self._saving_to = output if self.staged is None else self.staged.folder
        written = self._saving_to / folder.name
        complete = functools.partial(self._complete, folder, self.state.best_global_step)
        with naming_full_disk(written, output):
            if self.args.should_save:
                unmark(folder)
                if self.average is not None:
                    with atomic_path(written / AVERAGE_FILE) as temporary:
                        torch.save(self.average.state_dict(), temporary)
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._saving_to = None
            self.accelerator.wait_for_everyone()
            if self.staged is None:
                own = checksums(folder, self.args.process_index, self.args.world_size)
                sums = {name: value for part in gather_object([own]) for name, value in part.items()}
                if self.args.should_save:
                    complete(sums)
        if self.staged is not None:
            self.staged.start(written, folder, complete)

    def _complete(self, folder: Path, best: int | None, sums: dict[str, str]) -> None:
        """Mark a checkpoint of which all files are there, and remove older ones."""
        mark_whole(folder, self.args.world_size, self.args.split, sums)
        remove_older(folder.parent, self.kept, best, self.args.keep_every)

    def finish_saving(self) -> None:
        """Wait for a checkpoint that is copied in the background; every process must call it."""
        if self.staged is not None:
            self.staged.finish()

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Restore the state of a checkpoint, and the number of skipped steps."""
        found = super()._init_training_state(*args, **kwargs)
        self.guard.skipped = max((int(entry.get(SKIPPED, 0)) for entry in self.state.log_history), default=0)
        self._operations_logged = self.state.total_flos
        return found

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "train_loss" in logs and not self.trained_steps:  # summary of a run that trained nothing
            return
        if "loss" in logs and self._loss_steps:
            sums = self.accelerator.reduce(self._loss_sums, "mean")
            means = {name: float(value) / self._loss_steps for name, value in sums.items()}  # type: ignore[union-attr]
            logs = {**logs, **{k if k == "perplexity" else f"loss_{k}": v for k, v in means.items()}}
            self._loss_sums, self._loss_steps = {}, 0
            operations = self.state.total_flos - self._operations_logged
            self._operations_logged = self.state.total_flos
            logs |= self.meter.figures(self.weights.items, operations)
            logs |= {SKIPPED: self.guard.skipped} if self.guard.skipped else {}
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


class _StepEnds(TrainerCallback):
    """Tells the meter that a step has ended."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.meter.step_done()


def average_step(decay: float) -> Callable[..., torch.Tensor]:
    """Exponential moving average in the average's own precision: float32 even if the weights are bfloat16.

    After n steps the decay is at most (1 + n) / (10 + n), so that short runs do not keep their initial weights.
    """

    def step(average: torch.Tensor, weight: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        own = torch.clamp((1 + steps) / (10 + steps), max=decay)
        return torch.lerp(average, weight.to(average.dtype), (1 - own).to(average.dtype))

    return step


class _Averaging(TrainerCallback):
    """Updates the average after every step."""

    def __init__(self, average: AveragedModel) -> None:
        self.average = average

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.average.to(args.device)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.average.update_parameters(getattr(kwargs["model"], "module", kwargs["model"]))


class _Epochs(TrainerCallback):
    """Tells the sampler which epoch begins."""

    def __init__(self, visits: Visits) -> None:
        self.visits = visits

    def on_epoch_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.visits.epoch = int(state.epoch or 0)


def reduce_in_float32(accelerator: Any) -> None:
    """Under FSDP 2 add up the gradients of processes in float32, not in the precision of the weights."""
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    policy = getattr(plugin, "mixed_precision_policy", None)
    if plugin is not None and policy is not None and plugin.fsdp_version == 2:
        plugin.mixed_precision_policy = dataclasses.replace(policy, reduce_dtype=torch.float32)


def build_trainer(
    model: PreTrainedModel,
    arguments: MotionTrainingArguments,
    train_set: Dataset,
    validation_set: Dataset,
    collate: Callable,
    evaluation: Evaluation,
) -> MotionTrainer:
    """Build a trainer; with several GPUs, batch norms synchronise their statistics."""
    if arguments.world_size > 1 and torch.cuda.is_available():
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[assignment]
    if arguments.float8:
        use_float8(model)
    sized: Any = train_set
    arguments.max_steps = arguments.limited(len(sized)) if has_length(sized) else arguments.max_steps
    seeded = not isinstance(train_set, IterableDataset)
    return MotionTrainer(
        model=model,
        args=arguments,
        train_dataset=SeededDataset(train_set) if seeded else train_set,
        eval_dataset=validation_set,
        data_collator=SeededCollator(collate) if seeded else collate,
        evaluation=evaluation,
    )


def run(trainer: MotionTrainer, recipe: Recipe) -> dict[str, float]:
    """Train, resuming from the newest complete checkpoint in the output folder if any; return the last evaluation.

    If that checkpoint already has all steps, nothing is trained and the model is that of the end of the run.

    Raises:
        ValueError: if there are checkpoints, but none to resume from.
        RunStopped: if the run was asked to stop, see `motionmillion.training.stopping`.
    """
    args = trainer.args
    newest = newest_intact(recipe.output, args)
    if args.should_save:
        remove_newer(newest, recipe.output)
    if newest is not None and args.split.startswith("zero"):
        for_any_number_of_processes(newest, trainer)
    if newest is not None and trainer.average is not None:
        state = torch.load(newest / AVERAGE_FILE, map_location="cpu", weights_only=True)
        trainer.average.load_state_dict(state)
    split_from_the_first(trainer)
    set_seed(recipe.seed + args.process_index)  # random draws inside the model differ between processes
    stop = StopRequest(trainer.accelerator)
    trainer.add_callback(StopOnRequest(stop))
    with safe_unpickling(), plain_attention(args.device), stop.listening():
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
        trainer.finish_saving()
        stop.leave_if_made(trainer.state.global_step)
        if args.final == "best":
            trainer.load_best()
    if newest is not None and not trainer.trained_steps and args.should_save:
        print(f"step {trainer.state.global_step} was the last one already, nothing is left to train", flush=True)
    return trainer.evaluate()


def plain_attention(device: torch.device) -> Any:
    """A context in which CPUs take the plain kernel: the backward pass of the fused one is slow on short sequences."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()
