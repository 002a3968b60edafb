"""Conversion of ViMoGen's text-and-motion transformer to MotionDiT, with identical outputs.

    dit = load_upstream_dit("model.pt")                                   # the released 1.3B's sizes
    dit = load_upstream_dit("model.pt", {"dim": 48, ...}, mean, std)
    convert_dit("model.pt", "my_dit", mean="mean.npy", std="std.npy")     # files in, folder out
    convert_dit(..., text_encoder="google/umt5-xxl")                      # a whole pipeline

Weights are read from the file one by one, so that a conversion takes no more memory than the model itself.

Unusual in the original and kept: text padding is attended to (226 positions). Not kept: sine tables are recomputed,
and rotary angles, which upstream computes but never applies, are dropped.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.checkpoints import MappedState, StoredWeight, is_finite, open_state
from motionmillion.configuration import MODEL_DTYPES, find_dtype, unknown_key_error
from motionmillion.convert.options import check_sizes, read_options
from motionmillion.convert.state import converted_folder, read_statistics, require, save_converted, statistics
from motionmillion.features.stats import FeatureStats
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline.folder import write_pipeline_parts
from motionmillion.text.encoder import feature_size, read_config

RELEASED_DIT_OPTIONS: Mapping[str, Any] = {
    "in_dim": 276,
    "out_dim": 276,
    "dim": 1536,
    "ffn_dim": 8960,
    "freq_dim": 256,
    "text_dim": 4096,
    "num_heads": 12,
    "num_layers": 30,
    "ref_motion_dim": 138,
}
"""Options of the released ViMoGen: Wan 2.1's 1.3B blocks over 276 features."""

PUBLISHED_SAMPLING: Mapping[str, Any] = {
    "steps": 50,
    "guidance_scale": 5.0,
    "denoising_strength": 0.7,
    "recovery": "velocity",
    "smoothing": 1.0,
}
"""Sampling options of ViMoGen, the defaults of its converted pipeline."""

_FIXED = {"eps": 1e-6, "qk_norm": True, "cross_attn_norm": True}
_OPTIONAL = {"text_len": 226}
_BUFFERS = ("motion_pos_embedding.pe", "ref_motion_pos_embedding.pe")


def load_upstream_dit(
    checkpoint: str | Path,
    options: Mapping[str, Any] = RELEASED_DIT_OPTIONS,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> MotionDiT:
    """The transformer of a ViMoGen checkpoint.

    Args:
        checkpoint: `.pt` with the weights, bare or under "model" or "state_dict".
        options: the sizes of `RELEASED_DIT_OPTIONS`, and `text_len`.
        mean, std: feature statistics `[276]` that the model was trained with; without them the model expects
            normalised x and `normalize` is the identity.
        dtype: of the model; the statistics stay float32.

    Raises:
        ValueError: for options that are missing, unknown or cannot be converted, statistics that do not fit, and
            weights that are missing or left over.
    """
    check_dit_options(options)
    state = _open(checkpoint)
    depth = len({name.split(".")[1] for name in state if name.startswith("ref_motion_encoder.")})
    config = MotionDiTConfig(
        text_dim=options["text_dim"],
        hidden_size=options["dim"],
        intermediate_size=options["ffn_dim"],
        num_hidden_layers=options["num_layers"],
        num_reference_layers=depth,
        num_attention_heads=options["num_heads"],
        frequency_dim=options["freq_dim"],
        prediction="velocity",
        text_padding="attended",
        text_length=options.get("text_len", _OPTIONAL["text_len"]),
        block_weights={name: 3.0 for name in ("root_rotation", "heading_change", "translation", "root_velocity")},
    )
    stats = statistics(mean, std, config.motion_dim)
    if stats is None:
        stats = FeatureStats(torch.zeros(config.motion_dim), torch.ones(config.motion_dim))
    names = _names_of_weights(config, state, checkpoint)
    del state
    mapped = MappedState(functools.partial(_open, checkpoint))
    weights: dict[str, Any] = {"mean": stats.mean, "std": stats.std}
    for ours, theirs in names.items():
        weights[ours] = StoredWeight(functools.partial(_read, theirs, mapped, checkpoint), dtype)
    return MotionDiT.from_state(config, weights, checkpoint, dtype=dtype)


def _names_of_weights(config: MotionDiTConfig, state: Mapping[str, Tensor], source: str | Path) -> dict[str, str]:
    """Our name -> the upstream name of every weight; raises `ValueError` unless they fit the model, also in shape."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in MotionDiT(config).named_parameters()}
    names = dit_names(config.num_hidden_layers, config.num_reference_layers)
    names = {ours: theirs for ours, theirs in names.items() if ours in shapes}
    there = {name for name in state if name not in _BUFFERS and name != "freqs"}
    require(sorted(set(names.values()) - there), sorted(there - set(names.values())), source)
    for ours, theirs in names.items():
        if state[theirs].shape != shapes[ours] or not state[theirs].is_floating_point():
            raise ValueError(
                f"checkpoint must fit its options, got {str(source)!r} with {theirs} of shape "
                f"{list(state[theirs].shape)}, {state[theirs].dtype}, for {list(shapes[ours])}; check the options"
            )
    return names


def _read(name: str, state: MappedState, checkpoint: str | Path) -> Tensor:
    value = state[name]
    if not is_finite(value):
        raise ValueError(
            f"checkpoint must hold finite weights, got NaN or infinity in {str(checkpoint)!r}: {name}; take another"
        )
    return value


def convert_dit(
    checkpoint: str | Path,
    output: str | Path,
    options: str | Path | None = None,
    mean: str | Path | None = None,
    std: str | Path | None = None,
    dtype: str = "float32",
    text_encoder: str | None = None,
) -> Path:
    """Write the transformer of an upstream checkpoint as a folder that `MotionDiT.from_pretrained` reads.

    With `text_encoder` it is a whole pipeline's folder for `MotionPipeline.from_pretrained`.

    Args:
        options: JSON file of its sizes; default: `RELEASED_DIT_OPTIONS`.
        mean, std: `.npy` files `[276]`; without them a note about the consequences goes to standard error. Required
            for a pipeline.
        dtype: of the weights, "float32" or "bfloat16".
        text_encoder: hub id or folder, "google/umt5-xxl" for the released model.

    Raises:
        ValueError: for files that cannot be read or do not fit, see `load_upstream_dit`.
    """
    stored = find_dtype(dtype, MODEL_DTYPES)
    output = converted_folder(output)
    settings = RELEASED_DIT_OPTIONS if options is None else read_options(options)
    given = read_statistics("mean", mean), read_statistics("std", std)
    if text_encoder is not None and None in given:
        raise ValueError("mean and std must be given for a pipeline, got none; add --mean and --std")
    check_dit_options(settings)
    # check the text encoder before the large checkpoint is read
    width = settings["text_dim"] if text_encoder is None else feature_size(read_config(text_encoder))
    if width != settings["text_dim"]:
        raise ValueError(
            f"text_encoder must give features of width {settings['text_dim']}, got {width} from {text_encoder!r}; the "
            "released model reads google/umt5-xxl"
        )
    dit = load_upstream_dit(checkpoint, settings, *given)
    for parameter in dit.parameters():
        parameter.data = parameter.data.to(stored)
    if text_encoder is None:
        return save_converted(dit, output, "transformer", mean is not None)
    save_converted(dit, output / "dit", "transformer", True)
    encoder = {"name": text_encoder, "sentence": False, "max_length": dit.config.text_length, "dim": width}
    write_pipeline_parts(output, encoder, PUBLISHED_SAMPLING, "dit")
    return output


def check_dit_options(options: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless `options` describe a transformer that can be converted."""
    known = {*RELEASED_DIT_OPTIONS, *_FIXED, *_OPTIONAL}
    unknown = [str(name) for name in options if name not in known and name != "note"]
    if unknown:
        raise unknown_key_error("options", unknown, known)
    check_sizes(options, [*RELEASED_DIT_OPTIONS, *(name for name in _OPTIONAL if name in options)])
    for name, value in {**_FIXED, "in_dim": 276, "out_dim": 276, "ref_motion_dim": 138}.items():
        if options.get(name, value) != value:
            raise ValueError(f"options[{name!r}] must be {value!r} to be converted, got {options[name]!r}")


def _open(checkpoint: str | Path) -> dict[str, Tensor]:
    """The weights, from whichever of the usual keys holds them."""
    return open_state(checkpoint, ("model", "state_dict", None))


def dit_names(layers: int, reference_layers: int) -> dict[str, str]:
    """Our name -> the upstream name of every parameter of the transformer."""
    pairs = {
        "embed_motion": "motion_embedding",
        "project_time": "time_projection.1",
        "head.linear": "motion_head.head",
    }
    pairs |= {f"embed_{kind}.{n}": f"{kind}_embedding.{n}" for kind in ("text", "time") for n in (0, 2)}
    weights = {"head.modulation.learned": "motion_head.modulation"}
    pairs["embed_reference"] = "ref_motion_embedding"
    attentions = {"self_attention": "self_attn", "cross_attentions.0": "cross_attn"}
    attentions["cross_attentions.1"] = "ref_motion_cross_attn"
    # number of attentions per block: self, text and reference, or self alone in the reference encoder
    blocks = [(f"blocks.{n}", f"blocks.{n}", 3) for n in range(layers)]
    blocks += [(f"reference_blocks.{n}", f"ref_motion_encoder.{n}", 1) for n in range(reference_layers)]
    for ours, theirs, kinds in blocks:
        weights[f"{ours}.modulation.learned"] = f"{theirs}.modulation"
        pairs |= {f"{ours}.up": f"{theirs}.ffn.0", f"{ours}.down": f"{theirs}.ffn.2"}
        for inside, outside in list(attentions.items())[:kinds]:
            short = {"query": "q", "key": "k", "value": "v", "output": "o"}
            pairs |= {f"{ours}.{inside}.{name}": f"{theirs}.{outside}.{letter}" for name, letter in short.items()}
            for name in ("query", "key"):
                weights[f"{ours}.{inside}.norm_{name}.weight"] = f"{theirs}.{outside}.norm_{short[name]}.weight"
        if kinds > 1:
            pairs |= {f"{ours}.cross_norms.{n}": f"{theirs}.norm{3 + n}" for n in (0, 1)}
    return weights | {
        f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in pairs.items() for kind in ("weight", "bias")
    }
