"""MotionTrainer: transformers' Trainer with our own evaluation and the single losses in the log.

trainer = build_trainer(model, recipe, train_set, collate, evaluation)
run(trainer, resume=True)
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler, WeightedRandomSampler
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from motionmillion.training.recipe import Recipe

Evaluation = Callable[[Any], dict[str, float]]


class MotionTrainer(Trainer):
    """Trainer whose `evaluate` calls `evaluation(model)`, a function that returns named figures.

    Args:
        eval_dataset: the clips that `evaluation` looks at; transformers wants to see them.
        evaluation: called in evaluation mode without gradients; its figures are logged as `eval_<name>`.
    """

    def __init__(self, *args: Any, evaluation: Evaluation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.evaluation = evaluation
        self.sample_weights: torch.Tensor | None = None
        self._loss_sums: dict[str, torch.Tensor] = {}
        self._loss_count = 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        outputs = model(**inputs)
        if model.training:
            for name, value in (getattr(outputs, "losses", None) or {}).items():
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
            logs = {**logs, **{f"loss_{k}": float(v) / self._loss_count for k, v in self._loss_sums.items()}}
            self._loss_sums, self._loss_count = {}, 0
        super().log(logs, *args, **kwargs)

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        model = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        with torch.no_grad():
            figures = {f"{metric_key_prefix}_{k}": v for k, v in self.evaluation(model).items()}
        model.train(was_training)
        self.log(figures)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures


def build_trainer(
    model: PreTrainedModel,
    recipe: Recipe,
    train_set: Dataset,
    validation_set: Dataset,
    collate: Callable,
    evaluation: Evaluation,
) -> MotionTrainer:
    """A trainer with the recipe's `training` section over our defaults.

    Raises:
        ValueError: for unknown or unfitting training arguments.
    """
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(recipe.output) / "tensorboard")  # the only way to tell Trainer
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
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    if not isinstance(recipe.training, dict):
        raise ValueError(f"training must be a section, got {recipe.training!r}")
    try:
        arguments = TrainingArguments(**{**defaults, **recipe.training})
    except TypeError as error:
        raise ValueError(f"training must hold arguments of TrainingArguments, got {error}") from None
    for field in dataclasses.fields(TrainingArguments):
        value = recipe.training.get(field.name)
        if isinstance(value, str) and isinstance(field.default, int | float):
            raise ValueError(f"training.{field.name} must be a number, got {value!r}")
    return MotionTrainer(
        model=model,
        args=arguments,
        train_dataset=train_set,
        eval_dataset=validation_set,
        data_collator=collate,
        evaluation=evaluation,
    )


def run(trainer: MotionTrainer, resume: bool) -> dict[str, float]:
    """Train and evaluate; the figures of the last evaluation.

    Args:
        resume: go on from the newest checkpoint of the output folder where there is one.
    """
    output = str(trainer.args.output_dir)
    checkpoint = get_last_checkpoint(output) if resume and Path(output).is_dir() else None
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer.evaluate()
