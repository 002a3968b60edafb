"""Facts needed to reproduce results: versions, machine, hashes, and names without local paths."""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

import motionmillion


def versions() -> dict[str, str]:
    """Versions of the library, of the packages that results depend on, and of Python."""
    others = {name: metadata.version(name) for name in ("torch", "transformers", "numpy")}
    return {"motionmillion": motionmillion.__version__, **others, "python": platform.python_version()}


def machine(device: torch.device | str) -> str:
    """Processor, number of cores, and the GPU if `device` is one."""
    text = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{text}, {torch.cuda.get_device_name(device)}" if torch.device(device).type == "cuda" else text


def file_hashes(folder: str | Path, pattern: str = "**/*.safetensors") -> dict[str, str]:
    """SHA-256 of each file of a folder, by its relative name."""
    paths = sorted(Path(folder).glob(pattern))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def files_hash(files: Iterable[Path]) -> str:
    """SHA-256 of the content of several files, one after another."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def weights_hash(model: nn.Module) -> str:
    """SHA-256 of all weights and buffers of a model as float32, regardless of their stored dtype."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors as they are stored."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def plain_name(path: str | Path, parts: int = 2) -> str:
    """A model or folder without local paths: of an absolute path the last `parts`."""
    return "/".join(Path(path).parts[-parts:]) if Path(path).is_absolute() else str(path)


def describe_machine(device: str) -> str:
    """Description of the machine for reports: processor or GPU, threads, versions."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"CPU {platform.machine()}"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"
