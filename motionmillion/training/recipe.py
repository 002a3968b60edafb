"""Recipe files: one YAML a training run, checked before anything is loaded.

    recipe = load_recipe("recipes/mini/tokenizer.yaml", overrides=["training.max_steps=100"])

| section | content |
|---|---|
| output | folder of the run; checkpoints, TensorBoard files and the final model go there |
| seed | everything random follows from it |
| data | `folder` of motions or `synthetic` number of clips, and options of the data set; see the train functions |
| model | arguments of the model's config |
| training | arguments of transformers' `TrainingArguments` |
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from motionmillion.configuration import unknown_key_error
from motionmillion.data import MotionClip, load_clips


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 5e-4 as a number, as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass
class Recipe:
    """A recipe file; see the module's docstring."""

    output: str
    seed: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def load_recipe(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe and apply overrides such as `training.max_steps=100` (values are YAML).

    Raises:
        ValueError: if the file cannot be read, holds unknown sections, or an override is malformed.
    """
    try:
        content = yaml.load(Path(path).read_text(), _Loader)
    except FileNotFoundError:
        raise ValueError(f"config must be an existing YAML file, got {str(path)!r}") from None
    except yaml.YAMLError as error:
        line = " ".join(str(error).split())
        raise ValueError(f"config must be valid YAML, got {str(path)!r}: {line}") from None
    if not isinstance(content, dict):
        raise ValueError(f"config must be a YAML mapping, got {str(path)!r}")
    for override in overrides:
        _apply(content, override)
    known = {f.name for f in fields(Recipe)}
    if set(content) - known:
        raise unknown_key_error(f"config {str(path)!r}", set(content) - known, known)
    if "output" not in content:
        raise ValueError(f"config must name an output folder, got none in {str(path)!r}; add output: runs/NAME")
    return Recipe(**content)


def _apply(content: dict[str, Any], override: str) -> None:
    path, separator, value = override.partition("=")
    if not separator or not path:
        raise ValueError(f"override must look like section.key=value, got {override!r}")
    *sections, key = path.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ValueError(f"override must name a key of a section, got {override!r}; {section!r} is no section")
    try:
        content[key] = yaml.load(value, _Loader)
    except yaml.YAMLError:
        raise ValueError(f"override must have a YAML value, got {override!r}") from None


def take_options(given: dict[str, Any], kind: str, **defaults: Any) -> dict[str, Any]:
    """`defaults` with the values of `given`; keys without a default are errors."""
    if set(given) - set(defaults):
        raise unknown_key_error(kind, set(given) - set(defaults), defaults)
    return {**defaults, **given}


def clips_of(folder: str | None, synthetic: int, seed: int) -> list[MotionClip]:
    """The clips that a recipe's `data` section names: a folder, or so many synthetic ones."""
    if bool(folder) == bool(synthetic):
        raise ValueError(f"data must name either folder or synthetic, got {folder!r} and {synthetic!r}")
    if folder:
        return load_clips(folder)
    from motionmillion.data import synthetic_clips

    return synthetic_clips(synthetic, seed)
