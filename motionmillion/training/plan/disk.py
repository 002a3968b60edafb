"""Disk that a run takes: checkpoints, the trained model, text features.

    disk_lines(Saved(parameters, trained, stage=2), arguments)
    text_line(data, width)

Bytes of a checkpoint for P weights of which T are trained; averaged weights add 4 P:

| stage | weights | optimizer |
|---|---|---|
| none, FSDP | 4 P, with adapters 4 T | 8 T |
| 1, 2 | 2 P in bfloat16, else 4 P | 12 T |
| 3 | 2 (P - T) in bfloat16, else 4 (P - T) | 12 T |

At most, a run keeps `save_total_limit` checkpoints, the best one, those of `keep_every`, and writes one more.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionmillion.training.plan.cost import GIB
from motionmillion.training.sections import TextToMotionSection


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: numbers of weights and of trained ones, and DeepSpeed's stage, 0 for none or FSDP."""

    parameters: int
    trained: int
    stage: int = 0


def checkpoint_bytes(saved: Saved, bf16: bool = False, average: bool = False) -> int:
    """Bytes of a checkpoint."""
    if saved.stage:
        alone = saved.parameters - (saved.trained if saved.stage == 3 else 0)  # else part of the optimizer's
        size = (2 if bf16 else 4) * alone + 12 * saved.trained
    else:
        size = 12 * saved.trained
    return size + (4 * saved.parameters if average else 0)


def most_checkpoints(arguments: Any) -> int | None:
    """Most checkpoints that are there at a time; None if it is not known."""
    if arguments.max_steps <= 0 or not arguments.save_every:
        return None
    written = max(int(arguments.max_steps // arguments.save_every), 1)
    if not arguments.save_total_limit:
        return written
    always = arguments.max_steps // arguments.keep_every if arguments.keep_every else 0
    return min(written, arguments.save_total_limit + always) + 2


def disk_lines(saved: Saved, arguments: Any) -> list[str]:
    """The bill of disk of a run."""
    size = checkpoint_bytes(saved, bool(arguments.bf16), bool(arguments.ema_decay))
    number, final = most_checkpoints(arguments), 4 * saved.parameters
    if number is None:
        return [f"disk         {_gib(size)} GiB a checkpoint; the trained model {_gib(final)} GiB"]
    total, parts = _gib(number * size + final), f"at most {number} checkpoints of {_gib(size)} GiB"
    lines = [f"disk         {total} GiB: {parts}, the trained model {_gib(final)} GiB"]
    if arguments.save_staging:
        lines.append(f"             in {arguments.save_staging} of the machines together {_gib(size)} GiB")
    return lines


def text_line(data: TextToMotionSection, width: int) -> str:
    """Disk or memory of the text features."""
    folder = Path(data.text_features) if data.text_features else None
    if folder is not None and folder.is_dir():
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        return f"text         {_gib(size)} GiB of features in {folder}"
    words = data.text_length + data.sentence
    size = 2 * words * width / 1024
    return f"text         at most {size:,.1f} KiB of features a distinct caption ({words} x {width:,} in bfloat16)"


def _gib(size: float) -> str:
    return f"{size / GIB:,.2f}"
