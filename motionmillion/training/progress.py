"""Console output of a training run: a progress bar on terminals, and one line per log entry.

step 40  loss 3.607  grad norm 5.43  learning rate 0.005  tokens/s 12,345  step time 0.31  epoch 1
"""

from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerState
from transformers.trainer_callback import ProgressCallback

_HIDDEN = ("total_flos", "num_input_tokens_seen")


class Progress(ProgressCallback):
    """transformers' progress bar with readable lines in place of dictionaries."""

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.training_bar = tqdm(total=state.max_steps, dynamic_ncols=True, disable=args.disable_tqdm or None)
        self.current_step = 0

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.training_bar is not None and logs:
            self.training_bar.write(log_line(state.global_step, logs))


def log_line(step: int, logs: dict[str, Any]) -> str:
    """One log entry, formatted as one line."""
    numbers = {name: value for name, value in logs.items() if name not in _HIDDEN}
    parts = [f"{_plain(name)} {_number(value)}" for name, value in numbers.items()]
    return "  ".join([f"step {step}", *parts])


def _plain(name: str) -> str:
    return name.replace("_per_second", "/s").replace("_gib", "_GiB").replace("_", " ")


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.4g}"
