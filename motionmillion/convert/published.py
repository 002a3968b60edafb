"""Steps that reading weights as another project publishes them share, see `motionmillion.pipeline.layouts`.

Every check of a folder comes before its large files are read, so that a pipeline is loaded whole or not at all.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from motionmillion.checkpoints import quiet_transformers
from motionmillion.configuration import MODEL_DTYPES, find_dtype, unknown_key_error
from motionmillion.convert.state import read_statistics
from motionmillion.io.files import atomic_folder, check_new_folder
from motionmillion.pipeline.base import MotionPipeline
from motionmillion.pipeline.folder import find_pipeline, layout_of
from motionmillion.text.encoder import TextEncoder, feature_size, read_config


def require_files(folder: Path, files: Iterable[str], layout: str) -> None:
    """Raise `ValueError` unless a folder holds all of these files."""
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"folder must hold all files of {layout}'s layout, got no {', '.join(missing)} in {str(folder)!r}; "
            "download it again"
        )


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: if it is damaged, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file.name} must be a JSON file, got {str(file)!r} ({reason}); download it again") from None
    return as_object(content, file.name, file)


def as_object(content: Any, name: str, file: Path) -> dict[str, Any]:
    """`content` if it is a JSON object; raises `ValueError` otherwise."""
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be an object, got {content!r} in {str(file)!r}; download it again")
    return content


def check_model_type(found: Mapping[str, Any], wanted: str, file: Path) -> None:
    """Raise `ValueError` if a configuration is that of another model."""
    if found.get("model_type", wanted) != wanted:
        raise ValueError(f"{file.name} must be of model_type {wanted!r}, got {found['model_type']!r} in {str(file)!r}")


def check_names(found: Mapping[str, Any], known: Iterable[str], name: str, file: Path) -> None:
    """Raise `ValueError` for keys of a configuration that are not known: they may change what the model computes."""
    known = set(known)
    if set(found) - known:
        raise unknown_key_error(f"{name} of {str(file)!r}", set(found) - known, known)


def read_folder_statistics(folder: Path, mean: str, std: str, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation `[size]`.

    Raises:
        ValueError: for damaged files, other shapes, and values that are not finite or a deviation of 0.
    """
    read = [read_statistics(Path(name).name, folder / name) for name in (mean, std)]
    for name, value in zip((mean, std), read, strict=True):
        if value is None or value.shape != (size,):
            shape = None if value is None else list(value.shape)
            raise ValueError(f"{name} must have shape [{size}], got {shape} in {str(folder)!r}; download it again")
    return read[0], read[1]  # type: ignore[return-value]


def check_encoder(name: str, width: int, weights: str) -> None:
    """Raise `ValueError` unless a text encoder gives features of a width; reads its configuration only."""
    found = feature_size(read_config(name))
    if found != width:
        raise ValueError(f"text encoder must give features of width {width} for {weights}, got {found} from {name!r}")


def load_encoder(name: str, max_length: int, dtype: torch.dtype) -> TextEncoder:
    """A text encoder in bfloat16 if that is the model's data type, else in float32, since T5 overflows in float16."""
    return TextEncoder(name, max_length=max_length, dtype=dtype if dtype is torch.bfloat16 else torch.float32)


def convert_pipeline(name: str | Path, output: str | Path, dtype: str = "float32") -> Path:
    """Write the pipeline of a folder (or hub id) as published as a folder of ours; returns it.

    Takes the memory of the whole pipeline in `dtype`. The text encoder is named, not copied.

    Raises:
        ValueError: if the folder is not of a known layout, and as `MotionPipeline.from_pretrained`.
    """
    stored = find_dtype(dtype, MODEL_DTYPES)
    check_new_folder(output)
    if layout_of(find_pipeline(name)) is None:
        raise ValueError(f"checkpoint must be a folder as published, got {str(name)!r}, which needs no conversion")
    pipe = MotionPipeline.from_pretrained(name, dtype=stored)
    with atomic_folder(output) as folder, quiet_transformers():
        pipe.save_pretrained(folder)
    return Path(output)
