"""Facts needed to reproduce results: versions, machine, hashes, and names without local paths."""

import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import motionmillion

if TYPE_CHECKING:  # heavy: not for those that hash files only
    import torch
    from torch import Tensor, nn

_ENDS = 2**16  # bytes hashed at either end of a file


def versions() -> dict[str, str]:
    """Versions of the library, of the packages that results depend on, and of Python."""
    others = {name: metadata.version(name) for name in ("torch", "transformers", "numpy")}
    return {"motionmillion": motionmillion.__version__, **others, "python": platform.python_version()}


def machine(device: "torch.device | str") -> str:
    """Processor, number of cores, and the GPU if `device` is one."""
    import torch

    text = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{text}, {torch.cuda.get_device_name(device)}" if torch.device(device).type == "cuda" else text


def file_hashes(folder: str | Path, pattern: str = "**/*.safetensors") -> dict[str, str]:
    """SHA-256 of each file of a folder, by its relative name."""
    paths = sorted(Path(folder).glob(pattern))
    return {path.relative_to(folder).as_posix(): files_hash([path]) for path in paths}


def files_hash(files: Iterable[Path]) -> str:
    """SHA-256 of the content of files, one after another."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)  # reads piece by piece
    return digest.hexdigest()


def file_stamps(files: Iterable[Path]) -> list[list[Any]]:
    """Name, size and time of change (nanoseconds) of files: a sign of change that needs no reading."""
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def fingerprint(content: Any) -> str:
    """SHA-256 of what JSON can hold; the order of keys makes no difference."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def ends_hash(folder: str | Path) -> str:
    """A quick hash of a model: 16 digits of its small files and of both ends of its large ones."""
    digest = hashlib.sha256()
    paths = [path for path in Path(folder).iterdir() if path.suffix in (".json", ".jinja", ".safetensors")]
    for path in sorted(paths):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            digest.update(file.read(_ENDS))
    return digest.hexdigest()[:16]


def weights_hash(model: "nn.Module") -> str:
    """SHA-256 of all weights and buffers of a model as float32, regardless of their stored dtype."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def tensors_hash(tensors: Mapping[str, "Tensor"]) -> str:
    """SHA-256 of named tensors as they are stored: names, dtypes, shapes and bytes."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def plain_name(path: str | Path, parts: int = 2) -> str:
    """A model or folder without local paths: of an absolute path the last `parts`."""
    return "/".join(Path(path).parts[-parts:]) if Path(path).is_absolute() else str(path)


def command_line(script: str, argv: Sequence[str] | None = None) -> str:
    """The command of a script for its report, without local paths.

    Args:
        argv: its arguments; None for those of this process.
    """
    words = sys.argv[1:] if argv is None else argv
    return shlex.join(["python", script, *(plain_name(word, 1) for word in words)])


def describe_machine(device: str) -> str:
    """Description of the machine for reports: processor or GPU, threads, versions."""
    import torch

    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"CPU {platform.machine()}"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"
