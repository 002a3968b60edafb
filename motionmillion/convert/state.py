"""Reading the weights of other projects' checkpoints, without executing code or loading the whole file.

    state = open_state("net_last.pth", "trans")      # name -> tensor, on disk until it is read
    require([], sorted(state), "net_last.pth")       # an error if anything is left over

Such checkpoints are pickles: they are read with `weights_only=True`, so no code in them is executed. Tensors are
memory-mapped, so memory is used as they are read and freed when the state is dropped. Unusual: a file in PyTorch's
format from before 1.6 cannot be mapped and is read as a whole.
"""

import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from motionmillion.checkpoints import quiet_transformers
from motionmillion.features.stats import FeatureStats
from motionmillion.io.arrays import load_array, to_finite
from motionmillion.io.files import PathError, check_writable


def open_state(
    checkpoint: str | Path, key: str | Sequence[str | None], ignore_objects: bool = False
) -> dict[str, Tensor]:
    """The weights under `key` of a checkpoint, by name, without the prefix of distributed training.

    Args:
        key: one key, or several of which the first one found is used; None means the weights are at the top level.
        ignore_objects: accept a checkpoint that also holds objects of other classes, as Lightning's do; each is
            replaced by an empty dictionary, so none of their code is imported or run.

    Raises:
        ValueError: if it is missing, damaged, not a plain checkpoint, or holds something else.
    """
    try:
        content = _load_beside_objects(checkpoint) if ignore_objects else _load(checkpoint)
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(f"checkpoint must be an existing file, got {str(checkpoint)!r}; check the spelling") from None
    except Exception:  # a damaged file can fail anywhere in the reader
        raise ValueError(
            f"checkpoint must be a plain PyTorch checkpoint, got {str(checkpoint)!r}; copy it again if it should be"
        ) from None
    keys = [key] if isinstance(key, str) else list(key)
    state = None
    if isinstance(content, dict):
        state = next((content if k is None else content[k] for k in keys if k is None or k in content), None)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        found = f"; it holds {', '.join(map(repr, list(content)[:5]))}" if isinstance(content, dict) else ""
        named = " or ".join(repr(k) for k in keys if k)
        raise ValueError(f"checkpoint must hold its weights under {named}, got {str(checkpoint)!r}{found}")
    # DistributedDataParallel puts "module." before every name
    return {name.removeprefix("module."): value for name, value in state.items()}


def _load(checkpoint: str | Path) -> object:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)


class _Ignored:
    """Replaces the classes of other objects in a checkpoint: each object becomes an empty dictionary.

    It has to be an `OrderedDict`: PyTorch's safe reader sets items of its own dictionary types only.
    """

    def __new__(cls, *_: object, **__: object) -> OrderedDict:  # type: ignore[misc]
        return OrderedDict()


def _load_beside_objects(checkpoint: str | Path) -> object:
    unknown = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
    with torch.serialization.safe_globals([(_Ignored, name) for name in unknown]):
        return _load(checkpoint)


def require(missing: Sequence[str], left_over: Sequence[str], source: str | Path) -> None:
    """Raise `ValueError` with the names of weights that a checkpoint lacks or has in excess."""
    if missing or left_over:
        what, names = ("missing", missing) if missing else ("left over", left_over)
        raise ValueError(
            f"checkpoint must fit its options, got {len(names)} weights {what} in {str(source)!r}: "
            f"{', '.join(names[:5])}; check the options"
        )


def fill(model: nn.Module, weights: dict[str, Tensor | None], rest: Mapping[str, Tensor], source: str | Path) -> None:
    """Load `weights` into all parameters of `model`; missing weights and any left over in `rest` are errors."""
    missing = [name for name, _ in model.named_parameters() if weights.get(name) is None]
    require(missing, sorted(rest), source)
    try:
        model.load_state_dict({k: v for k, v in weights.items() if v is not None}, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip().rstrip(".")
        raise ValueError(
            f"checkpoint must fit its options, got {str(source)!r}: {reason}; check the options"
        ) from None


def read_statistics(name: str, file: str | Path | None) -> Tensor | None:
    """Read a mean or standard deviation from a `.npy` file; None without a file."""
    return None if file is None else torch.from_numpy(to_finite(load_array(file), name, file))


def statistics(mean: Tensor | None, std: Tensor | None, dim: int) -> FeatureStats | None:
    """Checked statistics `[D]`; None if neither is given."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        given, lacking = ("mean", "std") if std is None else ("std", "mean")
        raise ValueError(f"mean and std must be given together, got {given} alone; add {lacking}")
    # [D] each
    stats = FeatureStats(torch.as_tensor(mean).float(), torch.as_tensor(std).float())
    for name, value in (("mean", stats.mean), ("std", stats.std)):
        if value.shape != (dim,) or not bool(value.isfinite().all()):
            raise ValueError(f"{name} must be finite and of shape [{dim}], got shape {list(value.shape)}")
    if bool((stats.std <= 0).any()):
        raise ValueError(f"std must be above 0, got {float(stats.std.min())!r} at {int(stats.std.argmin())}")
    return stats


def converted_folder(output: str | Path) -> Path:
    """Return `output` if it is a writable folder; raises `PathError` otherwise."""
    output = Path(output)
    if output.is_file():
        raise PathError(f"output must be a folder, got the file {str(output)!r}; name another")
    check_writable(output / "config.json")
    return output


def save_converted(model: PreTrainedModel, output: Path, kind: str, has_statistics: bool) -> Path:
    """Write a converted model; without statistics, a note about the consequences goes to standard error."""
    with quiet_transformers():
        model.save_pretrained(output)
    if not has_statistics:
        message = f"mean and std were not given, so this {kind} expects normalised features; add --mean and --std"
        print(f"motionmillion: {message}", file=sys.stderr)
    return output
