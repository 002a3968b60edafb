"""ViMoGen's weights as they are published on the Hugging Face hub, loaded as a pipeline without a conversion.

    pipe = MotionPipeline.from_pretrained("ZeyuLing/hftrainer-vimogen-1.3b-humanml3d", dtype=torch.bfloat16)

| file | content |
|---|---|
| model.pt | the transformer, a pickle that is read with `weights_only=True` |
| model_index.json | settings of the sampling |
| assets/meta/mean.npy, std.npy | statistics of the features `[276]` |
| text_encoder/ | optional: a umT5; without it, that of Wan 2.1 is downloaded |

Sizes follow from the weights. The number of heads is not visible there: Wan 2.1's heads have 128 channels, and a model
with others has an `options.json`, as for `motionmillion convert dit --options`.

Unusual: with dtype bfloat16 the text encoder is in bfloat16, too: it has four times the weights of the transformer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.checkpoints import open_state
from motionmillion.convert.dit import PUBLISHED_SAMPLING, RELEASED_DIT_OPTIONS, load_upstream_dit
from motionmillion.convert.options import read_options
from motionmillion.convert.published import (
    check_encoder,
    check_model_type,
    load_encoder,
    read_folder_statistics,
    read_object,
    require_files,
)
from motionmillion.pipeline.dit.pipeline import DiTPipeline
from motionmillion.pipeline.layouts import Layout

_INDEX, _MODEL, _OPTIONS = "model_index.json", "model.pt", "options.json"
_STATISTICS = ("assets/meta/mean.npy", "assets/meta/std.npy")
_ENCODER = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers/text_encoder"
_HEAD = 128
"""Channels of a head of Wan 2.1."""

_SAMPLING = {"cfg_scale": "guidance_scale", "num_inference_steps": "steps", "denoising_strength": "denoising_strength"}
"""Settings of the index -> our options."""


def load_pipeline(
    folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, quantization: str | None = None
) -> DiTPipeline:
    """The pipeline of a folder.

    Raises:
        ValueError: for files that are missing, damaged or do not belong together, and for low-bit weights.
    """
    if quantization is not None:
        raise ValueError(f"quantization must be left out for a DiT, got {quantization!r}; use bfloat16")
    # 1. all files are there and fit each other
    require_files(folder, (_INDEX, _MODEL, *_STATISTICS), "ViMoGen")
    index = read_object(folder / _INDEX)
    check_model_type(index, "vimogen", folder / _INDEX)
    statistics = read_folder_statistics(folder, *_STATISTICS, size=276)
    options = _options(folder)
    inside = folder / "text_encoder"
    encoder = str(inside) if inside.is_dir() else _ENCODER
    check_encoder(encoder, options["text_dim"], _MODEL)
    # 2. the large files
    dit = load_upstream_dit(folder / _MODEL, options, *statistics, dtype=dtype)
    text_encoder = load_encoder(encoder, dit.config.text_length, dtype)
    given = {ours: index[theirs] for theirs, ours in _SAMPLING.items() if index.get(theirs) is not None}
    return DiTPipeline(dit, text_encoder, {**PUBLISHED_SAMPLING, **given}).to(device)


def _options(folder: Path) -> Mapping[str, Any]:
    """Sizes of the transformer: those of its `options.json`, else inferred from its weights."""
    if (folder / _OPTIONS).is_file():
        return read_options(folder / _OPTIONS)
    state = open_state(folder / _MODEL, ("model", "state_dict", None))
    shapes = {
        "dim": _size(state, "motion_embedding.weight", 0, folder),
        "ffn_dim": _size(state, "blocks.0.ffn.0.weight", 0, folder),
        "freq_dim": _size(state, "time_embedding.0.weight", 1, folder),
        "text_dim": _size(state, "text_embedding.0.weight", 1, folder),
        "num_layers": len({name.split(".")[1] for name in state if name.startswith("blocks.")}),
    }
    if shapes["dim"] % _HEAD:
        raise ValueError(
            f"{_MODEL} must have a width of whole heads of {_HEAD} channels, got {shapes['dim']} in {str(folder)!r}; "
            f"add an {_OPTIONS} with its sizes"
        )
    return {**RELEASED_DIT_OPTIONS, **shapes, "num_heads": shapes["dim"] // _HEAD}


def _size(state: Mapping[str, Tensor], name: str, axis: int, folder: Path) -> int:
    if name not in state or state[name].ndim != 2:
        raise ValueError(f"{_MODEL} must hold ViMoGen's weights, got no {name} in {str(folder)!r}; take another")
    return state[name].shape[axis]


LAYOUT = Layout(
    name="ViMoGen",
    kind="dit",
    defaults=PUBLISHED_SAMPLING,
    marks=(_MODEL, *_STATISTICS),
    files=("*.json", "*.npy", "*.md", _MODEL, "text_encoder/*", "tokenizer/*"),
    load=load_pipeline,
)
"""ViMoGen's layout, with its published sampling."""
