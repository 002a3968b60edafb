"""MotionMillion's weights as they are published on the Hugging Face hub, loaded as a pipeline without a conversion.

    pipe = MotionPipeline.from_pretrained("ZeyuLing/hftrainer-gotozero-7b-train-humanml272", dtype=torch.bfloat16)

| file | content |
|---|---|
| mm_config.json | settings of both models, name of the text encoder |
| fsq.safetensors, ar.safetensors | tokenizer and language model, under their upstream names |
| mean.npy, std.npy | statistics of the features `[272]` |
| text_encoder/ | a T5; without it, the one that `text_model_name` names is used |

The language model is read weight by weight, straight into its data type or its few bits. As published, generation is
greedy and stops after 150 codes (10 seconds).

Unusual: with dtype bfloat16 the text encoder is in bfloat16, too, since it is half as large as some of the models.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from motionmillion.checkpoints import open_state
from motionmillion.configuration import check_whole
from motionmillion.convert.lm import load_upstream_lm
from motionmillion.convert.options import PUBLISHED_LMS, RELEASED_TOKENIZER_OPTIONS, nominal_codes
from motionmillion.convert.published import (
    as_object,
    check_encoder,
    check_model_type,
    check_names,
    load_encoder,
    read_folder_statistics,
    read_object,
    require_files,
)
from motionmillion.convert.tokenizer import load_upstream_tokenizer
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.layouts import Layout
from motionmillion.quantization import low_bit_arguments
from motionmillion.tokenizer import MotionTokenizer

_CONFIG, _TOKENIZER, _LM = "mm_config.json", "fsq.safetensors", "ar.safetensors"
_STATISTICS = ("mean.npy", "std.npy")
_ENCODER = "google/flan-t5-xl"
_TEXT_TOKENS = 150
"""Tokens of text that the published models read."""

_TOKENIZER_NAMES = {"activation": "vq_act", "norm": "vq_norm"}
"""Settings that the training script calls otherwise."""

_TOKENIZER_KEYS = {*RELEASED_TOKENIZER_OPTIONS, *_TOKENIZER_NAMES, "input_dim", "kernel_size", "quantizer"}
_TOKENIZER_KEYS |= {"use_patcher", "patch_size", "patch_method"}
_LM_DEFAULTS = {"config_name": "7B", "block_size": 301, "clip_dim": 2048, "tie_weights": False}


def load_pipeline(
    folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, quantization: str | None = None
) -> CodesPipeline:
    """The pipeline of a folder.

    Raises:
        ValueError: for files that are missing, damaged or do not belong together; nothing large has been read then.
    """
    # 1. all files are there, and the settings are understood
    require_files(folder, (_CONFIG, _TOKENIZER, _LM, *_STATISTICS), "MotionMillion")
    settings = read_object(folder / _CONFIG)
    check_model_type(settings, "motionmillion", folder / _CONFIG)
    options = _lm_options(folder, settings)
    low = low_bit_arguments(quantization, device, dtype)
    # 2. weights, tokenizer and text encoder fit each other
    _check_sizes(folder, options)
    tokenizer = load_tokenizer(folder)
    encoder = encoder_name(folder, settings)
    check_encoder(encoder, options["text_dim"], _LM)
    # 3. the large files
    text_encoder = load_encoder(encoder, _TEXT_TOKENS, dtype)
    given = {name: options[name] for name in ("n_head", "block_size")}
    lm = load_upstream_lm(folder / _LM, given, dtype=dtype, **low)
    return CodesPipeline(tokenizer, lm, text_encoder, LAYOUT.defaults).placed(device)


def load_tokenizer(folder: Path) -> MotionTokenizer:
    """The tokenizer of a folder, in float32.

    Raises:
        ValueError: as `load_pipeline`.
    """
    require_files(folder, (_CONFIG, _TOKENIZER, *_STATISTICS), "MotionMillion")
    options = _tokenizer_options(folder, read_object(folder / _CONFIG))
    statistics = read_folder_statistics(folder, *_STATISTICS, size=272)
    return load_upstream_tokenizer(folder / _TOKENIZER, options, *statistics)


def encoder_name(folder: Path, settings: Mapping[str, Any]) -> str:
    """The text encoder in the folder if it holds one, else the name of that of the training."""
    stored = as_object(settings.get("text_encoder") or {}, "text_encoder", folder / _CONFIG).get("path")
    inside = folder / str(stored or "text_encoder")
    if inside.is_dir():
        return str(inside)
    name = settings.get("text_model_name", _ENCODER)
    if not isinstance(name, str) or not name:
        raise ValueError(f"text_model_name must be a name, got {name!r} in {str(folder / _CONFIG)!r}; try {_ENCODER}")
    return name


def _tokenizer_options(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer's options under the names of its training script."""
    given = _section(folder, settings, "vqvae")
    check_names(given, _TOKENIZER_KEYS, "config.vqvae", folder / _CONFIG)
    options = {**RELEASED_TOKENIZER_OPTIONS, **given}
    if options.pop("input_dim", 272) != 272:
        raise ValueError(f"input_dim must be 272, got {given['input_dim']!r} in {str(folder / _CONFIG)!r}")
    return {_TOKENIZER_NAMES.get(name, name): value for name, value in options.items()}


def _lm_options(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Layers, heads and width of the language model, its vocabulary, text width and context."""
    file = folder / _CONFIG
    given = _section(folder, settings, "ar")
    check_names(given, _LM_DEFAULTS, "config.ar", file)
    options = {**_LM_DEFAULTS, **given}
    size = options["config_name"]
    if not isinstance(size, str) or size not in PUBLISHED_LMS:
        raise ValueError(f"config_name must be one of {sorted(PUBLISHED_LMS)}, got {size!r} in {str(file)!r}")
    if options["tie_weights"] is not False:
        raise ValueError(f"tie_weights must be false, got {options['tie_weights']!r} in {str(file)!r}")
    for name in ("clip_dim", "block_size"):
        check_whole(f"{name} of {str(file)!r}", options[name], 1)
    shape = dict(zip(("n_layer", "n_head", "n_embd"), PUBLISHED_LMS[size], strict=True))
    codes = nominal_codes(check_whole(f"nb_code of {str(file)!r}", _tokenizer_options(folder, settings)["nb_code"], 1))
    return {**shape, "codes": codes, "text_dim": options["clip_dim"], "block_size": options["block_size"]}


def _section(folder: Path, settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    file = folder / _CONFIG
    config = as_object(settings.get("config", {}), "config", file)
    return as_object(config.get(name, {}), f"config.{name}", file)


def _check_sizes(folder: Path, options: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless the language model's weights have the sizes in the settings; reads only shapes."""
    state = open_state(folder / _LM, "trans")
    width, rows = options["n_embd"], options["codes"] + 2
    expected = {"transformer.wte.weight": [rows, width], "llama_proj.weight": [width, options["text_dim"]]}
    for name, shape in expected.items():
        found = list(state[name].shape) if name in state else None
        if found != shape:
            raise ValueError(
                f"{_LM} must have the sizes in {_CONFIG}, {shape} for {name}, got {found} in {str(folder)!r}; "
                "download both again"
            )
    layers = len({name.split(".")[2] for name in state if name.startswith("transformer.h.")})
    if layers != options["n_layer"]:
        raise ValueError(
            f"{_LM} must have the {options['n_layer']} layers in {_CONFIG}, got {layers} in {str(folder)!r}; "
            "download both again"
        )


LAYOUT = Layout(
    name="MotionMillion",
    kind=None,
    defaults={"temperature": 0.0},
    marks=(_CONFIG, _TOKENIZER, _LM),
    files=("*.json", "*.npy", "*.model", "*.md", "*.safetensors"),
    load=load_pipeline,
    load_tokenizer=load_tokenizer,
)
"""MotionMillion's layout; temperature 0 as published."""
