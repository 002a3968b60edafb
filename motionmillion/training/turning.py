"""Watches validation: says when it has turned, stops a run that no longer improves, and finds the best step.

    trainer.add_callback(Turning("eval_loss", greater=False, patience=5))

A model that fits a few clips ever better describes other clips ever worse. Everything is read from the log of the run,
which is part of its checkpoints, so a resumed run says and does the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from transformers import TrainerCallback, TrainerState

from motionmillion.progress import say

TURNED = 2
"""Evaluations in a row without a better one after which validation counts as turned."""


class Validation(NamedTuple):
    """The best evaluation so far, the newest one, and the number of evaluations since the best."""

    best_step: int
    best: float
    newest: float
    since: int


def validation_of(history: Sequence[Mapping[str, Any]], figure: str, greater: bool) -> Validation | None:
    """What the log says about a figure; None if it holds none.

    Args:
        figure: name in the log, such as "eval_loss".
        greater: whether a greater value is better.
    """
    found = [(entry["step"], float(entry[figure])) for entry in history if figure in entry]
    if not found:
        return None
    index = 0
    for place, (_, value) in enumerate(found):
        best = found[index][1]
        if value > best if greater else value < best:  # never for NaN
            index = place
    return Validation(*found[index], found[-1][1], len(found) - 1 - index)


class Turning(TrainerCallback):
    """Says when validation has turned; with `patience` stops the run after so many evaluations without a better one.

    Args:
        figure, greater: see `validation_of`.
        patience: 0 never stops.
    """

    def __init__(self, figure: str, greater: bool, patience: int) -> None:
        self.figure, self.greater, self.patience, self.training = figure, greater, patience, False

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.training = True
        seen = validation_of(state.log_history, self.figure, self.greater)
        if seen is not None and self._enough(seen):  # a run that was stopped is not trained further
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.training = False

    def on_evaluate(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        seen = validation_of(state.log_history, self.figure, self.greater)
        if not self.training or seen is None:
            return
        name = self.figure.removeprefix("eval_").replace("_", " ")
        if self._enough(seen):
            say(
                f"step {state.global_step}: stopped, because validation has not improved in {seen.since} evaluations; "
                f"{name} was best at step {seen.best_step}, {seen.best:.4g}"
            )
            control.should_training_stop = True
            control.should_save = args.save_strategy != "no"
        elif seen.since == TURNED:
            say(
                f"step {state.global_step}: validation has turned: {name} was best at step {seen.best_step}, "
                f"{seen.best:.4g}, and is now {seen.newest:.4g}; the model fits its training clips only"
            )

    def _enough(self, seen: Validation) -> bool:
        return 0 < self.patience <= seen.since
