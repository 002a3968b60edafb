"""Reading the weights of other projects' checkpoints, without executing code or loading the whole file.

    state = open_state("net_last.pth", "trans")      # name -> tensor, on disk until it is read
    require([], sorted(state), "net_last.pth")       # an error if anything is left over

Such checkpoints are pickles: they are read with `weights_only=True`, so no code in them is executed. Tensors are
memory-mapped, so memory is used as they are read and freed when the state is dropped. Unusual: a file in PyTorch's
format from before 1.6 cannot be mapped and is read as a whole.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from motionmillion.checkpoints import quiet_transformers
from motionmillion.features.stats import FeatureStats
from motionmillion.io.arrays import load_array, to_finite
from motionmillion.io.files import PathError, check_writable


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
