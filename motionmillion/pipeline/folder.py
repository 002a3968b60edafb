"""Folders of pipelines: finding them, and reading and writing their settings.

    folder = find_pipeline("mini")              # bundled, on disk, or downloaded
    read_pipeline_settings(folder)              # {"kind": None, "defaults": {...}}

A folder is one of ours, with a `pipeline.json`, or holds weights as another project publishes them
(`motionmillion.pipeline.layouts`). Of a repository on the hub the small files are downloaded first, and the weights
only if the repository is one of the two.

Unusual: only `load_tokenizer` loads weights.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import motionmillion
from motionmillion.io.files import write_text
from motionmillion.pipeline.options import CodesOptions, DiTOptions, FlowHeadOptions, Options
from motionmillion.text.encoder import SETTINGS, write_settings

if TYPE_CHECKING:
    from motionmillion.pipeline.layouts import Layout
    from motionmillion.tokenizer import MotionTokenizer


PIPELINE = "pipeline.json"

_SMALL = ("*.json", "*.npy", "*.model", "*.md")
"""Files of a repository that are downloaded first; they tell its layout."""

_OWN = ("*.json", "*.safetensors", "*.md")
"""Files of our own pipelines."""


def write_pipeline_parts(
    folder: str | Path, encoder: Mapping[str, Any], defaults: Mapping[str, Any], kind: str | None = None
) -> None:
    """Write the files of a pipeline folder besides its models: `pipeline.json` and `text_encoder.json`.

    Args:
        encoder: settings of the text encoder, see `TextEncoder.settings`.
        defaults: default options of calls.
        kind: None for a tokenizer with a language model.
    """
    write_settings(folder, **encoder)
    settings: dict[str, Any] = {"format": 1, "motionmillion": motionmillion.__version__}
    settings |= {"kind": kind} if kind else {}
    settings["defaults"] = dict(defaults)
    write_text(json.dumps(settings, indent=2) + "\n", Path(folder) / PIPELINE)


def is_pipeline(folder: str | Path) -> bool:
    """Whether a folder holds a pipeline."""
    return (Path(folder) / PIPELINE).is_file()


def bundled() -> list[str]:
    """Names of the models that come with the package."""
    root = resources.files("motionmillion") / "bundled"
    return sorted(entry.name for entry in root.iterdir() if (entry / PIPELINE).is_file())


def find_pipeline(name: str | Path) -> Path:
    """Folder of a pipeline: bundled, on disk, or downloaded.

    Raises:
        ValueError: if there is none of that name.
    """
    if str(name) in bundled():
        return Path(str(resources.files("motionmillion") / "bundled" / str(name)))
    if Path(name).is_dir():
        return Path(name)
    # hub ids have exactly one slash
    if str(name).count("/") != 1 or str(name).startswith((".", "/")):
        raise ValueError(f"pipeline must be one of {bundled()}, a folder, or a hub id, got {str(name)!r}")
    return _downloaded(str(name))


def _downloaded(name: str) -> Path:
    """Folder of a repository on the hub; its weights are downloaded only if the repository is of a known layout."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=list(_SMALL)))
        layout = layout_of(folder)
        if layout is None and not is_pipeline(folder):
            raise ValueError(f"pipeline must be a repository with {known_layouts()}, got {name!r} with neither")
        patterns = [*_OWN] if layout is None else [*layout.files]
        # of the same commit, which names the folder
        return Path(snapshot_download(name, revision=folder.name, allow_patterns=patterns))
    except GatedRepoError:
        reason = f"it is gated: accept its terms at https://huggingface.co/{name}, then run hf auth login"
    except RepositoryNotFoundError:
        reason = "there is no such repository, or it is private: check the spelling, or run hf auth login"
    except LocalEntryNotFoundError:
        reason = "it is not in the cache and the hub cannot be reached: check the network"
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f"pipeline must be a folder or on the hub, got {name!r}: {reason}")


def known_layouts() -> str:
    """What a folder of a pipeline holds, in words."""
    from motionmillion.pipeline.layouts import layouts

    return f"a pipeline.json or the weights of {' or '.join(layout.name for layout in layouts())} as published"


def layout_of(folder: Path) -> "Layout | None":
    """The layout of a folder with the weights of another project; None for our own, and for unknown ones."""
    if is_pipeline(folder):
        return None
    from motionmillion.pipeline.layouts import find_layout

    return find_layout(folder)


def read_pipeline_settings(folder: Path) -> dict[str, Any]:
    """The settings in the `pipeline.json` of a folder, or those of the layout of another project.

    Raises:
        ValueError: if it is neither.
    """
    layout = layout_of(folder)
    if layout is not None:
        return {"kind": layout.kind, "defaults": dict(layout.defaults)}
    try:
        settings = json.loads((folder / PIPELINE).read_text(encoding="utf-8"))
        return {"kind": settings.get("kind"), "defaults": settings.get("defaults")}
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError, AttributeError):
        raise ValueError(
            f"pipeline must be a folder with {known_layouts()}, got {str(folder)!r}; the bundled ones are {bundled()}"
        ) from None


def read_encoder_settings(folder: Path) -> dict[str, Any]:
    """Name, sentence, max_length and dim of the text encoder of a pipeline folder.

    Raises:
        ValueError: if it names none.
    """
    from motionmillion.text.encoder import read_settings

    return read_settings(folder)


def started_defaults(folder: Path) -> dict[str, Any] | None:
    """Default options of the pipeline that a training starts from; None if the folder is only a model."""
    return read_pipeline_settings(folder)["defaults"] if is_pipeline(folder) else None


def started_encoder(folder: Path) -> dict[str, Any]:
    """Settings of the text encoder of that pipeline; empty if the folder names none."""
    return read_encoder_settings(folder) if (folder / SETTINGS).is_file() else {}


def folder_options(folder: Path) -> Options:
    """The default options of the pipeline in a folder; loads no weights.

    Raises:
        ValueError: if there is no pipeline, and for options that it cannot have.
    """
    settings = read_pipeline_settings(folder)
    if settings["kind"] == "dit":
        return DiTOptions.from_defaults(settings["defaults"])
    return (FlowHeadOptions if _has_flow_head(folder / "lm") else CodesOptions).from_defaults(settings["defaults"])


def _has_flow_head(folder: Path) -> bool:
    """Whether the language model in a folder has one; a damaged config is reported when the model is loaded."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("head") == "flow"
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError):
        return False


def pipeline_defaults(folder: Path) -> dict[str, Any]:
    """All options of the pipeline in a folder with their default values; loads no weights.

    Raises:
        ValueError: if there is no pipeline, and for options that it cannot have.
    """
    return folder_options(folder).saved()


def find_tokenizer(model: str | Path) -> Path:
    """Folder of the tokenizer of a pipeline, or `model` itself if it is a folder that holds only a tokenizer.

    Raises:
        ValueError: for a DiT, which has no tokenizer, and for weights of another project, which are not converted.
    """
    folder = find_pipeline(model)
    layout = layout_of(folder)
    if layout is not None:
        raise ValueError(
            f"model must be converted for this, got {str(model)!r} in {layout.name}'s layout; run motionmillion "
            f"convert pipeline {model} -o my_model"
        )
    inside = folder / "tokenizer"
    if (folder / "dit").is_dir() and not inside.is_dir():
        raise ValueError(f"model must have a tokenizer, got the DiT {str(model)!r}; name a language model's pipeline")
    return inside if inside.is_dir() else folder


def load_tokenizer(model: str | Path) -> "MotionTokenizer":
    """The tokenizer of a pipeline, or of a folder that holds only a tokenizer."""
    import torch

    from motionmillion.tokenizer import MotionTokenizer

    layout = layout_of(find_pipeline(model))
    if layout is not None and layout.load_tokenizer is not None:
        return layout.load_tokenizer(find_pipeline(model))
    return MotionTokenizer.from_pretrained(find_tokenizer(model), dtype=torch.float32).eval()
