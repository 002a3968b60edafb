"""What a checkpoint of another project holds, read without running it and without loading it.

    state = open_state("net_last.pth", "trans")      # name -> tensor, on disk until it is read
    require([], sorted(state), "net_last.pth")       # an error if anything is left over

Such checkpoints are pickles: they are read with `weights_only=True`, which runs nothing that they contain. Tensors are
mapped from the file, so memory is taken as they are read and given back when the state is dropped. Unusual: a file in
PyTorch's format of before 1.6 cannot be mapped and is read whole.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


def open_state(checkpoint: str | Path, key: str) -> dict[str, Tensor]:
    """The weights that a checkpoint holds under `key`, by name, without the prefix of distributed training.

    Raises:
        ValueError: if it is missing, damaged, no plain checkpoint, or holds something else.
    """
    try:
        content = _load(checkpoint)
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(f"checkpoint must be an existing file, got {str(checkpoint)!r}; check the spelling") from None
    except Exception:  # a damaged file can fail anywhere in the reader
        raise ValueError(
            f"checkpoint must be a plain PyTorch checkpoint, got {str(checkpoint)!r}; copy it again if it should be"
        ) from None
    state = content.get(key) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        found = f"; it holds {', '.join(map(repr, list(content)[:5]))}" if isinstance(content, dict) else ""
        raise ValueError(f"checkpoint must hold its weights under {key!r}, got {str(checkpoint)!r}{found}")
    # DistributedDataParallel puts "module." before every name
    return {name.removeprefix("module."): value for name, value in state.items()}


def _load(checkpoint: str | Path) -> object:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)


def require(missing: Sequence[str], left_over: Sequence[str], source: str | Path) -> None:
    """Raise `ValueError` that names weights that a checkpoint lacks, or has beyond those of the model."""
    if missing or left_over:
        what, names = ("missing", missing) if missing else ("left over", left_over)
        raise ValueError(
            f"checkpoint must fit its options, got {len(names)} weights {what} in {str(source)!r}: "
            f"{', '.join(names[:5])}; check the options"
        )
