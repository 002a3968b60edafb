"""Recipe files: one YAML file per training run, checked before anything is loaded.

    recipe = load_recipe("recipes/mini/tokenizer.yaml", overrides=["training.max_steps=100"])

| section | content |
|---|---|
| base | another recipe file, its path relative to this one; this recipe is merged over it |
| output | folder of the run, for checkpoints, TensorBoard files and the final model |
| seed | seed of all random numbers |
| data | `folder` of motions or `synthetic` number of clips, and options of the data set; see the train functions |
| model | arguments of the model's config |
| training | arguments of transformers' `TrainingArguments` |
"""

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from motionmillion.configuration import check_whole, unknown_key_error


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 5e-4 as a number, and yes, no, on and off as texts, as YAML 1.2 does."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
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
    content = load_yaml(path)
    for override in overrides:
        apply_override(content, override)
    known = {f.name for f in fields(Recipe)}
    if set(content) - known:
        raise unknown_key_error(f"config {str(path)!r}", set(content) - known, known | {"base"})
    if "output" not in content:
        raise ValueError(f"config must name an output folder, got none in {str(path)!r}; add output: runs/NAME")
    for section in ("data", "model", "training"):
        if not isinstance(content.get(section, {}), dict):
            raise ValueError(f"{section} must be a section, got {content[section]!r} in {str(path)!r}")
    if not isinstance(content["output"], str) or not content["output"]:
        raise ValueError(f"output must be a folder, got {content['output']!r} in {str(path)!r}")
    check_whole("seed", content.get("seed", 0), 0)
    return Recipe(**content)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Load the mapping of a YAML file, merged over the file named by its key `base`.

    Raises:
        ValueError: if a file cannot be read, is no mapping, or is its own base.
    """
    return _load_yaml(Path(path), ())


def _load_yaml(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise ValueError(f"config must not be its own base, got {str(path)!r}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        raise ValueError(f"config must be an existing YAML file, got {str(path)!r}") from None
    except yaml.YAMLError as error:
        line = " ".join(str(error).split())
        raise ValueError(f"config must be valid YAML, got {str(path)!r}: {line}") from None
    if not isinstance(content, dict):
        raise ValueError(f"config must be a YAML mapping, got {str(path)!r}")
    base = content.pop("base", None)
    if isinstance(base, str):
        return merge(_load_yaml(path.parent / base, (*above, path.resolve())), content)
    return content if base is None else {"base": base, **content}


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` updated with `changes`, recursively; a mapping with a `type` replaces the one in `base` as a whole."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict) and "type" not in value
        merged[key] = merge(below, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return merged


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set the value of one `section.key=value` override in place."""
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
