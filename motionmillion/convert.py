"""Checkpoints of other projects -> ours, with the same numbers out.

    tokenizer = load_upstream_tokenizer("fsq_net.pth", RELEASED_TOKENIZER_OPTIONS, mean, std)
    convert_tokenizer("fsq_net.pth", "my_tokenizer", mean="mean.npy", std="std.npy")    # files in, folder out
    convert_lm("net_last.pth", "my_lm")              # see motionmillion.convert_lm

Reads the FSQ tokenizer and the language model of MotionMillion-Codes (Go to Zero, arXiv 2507.07095). Checkpoints are
pickles there: they are read with `weights_only=True`, which runs nothing that they contain.

What is unusual there and carried over: the patcher named in the options has zero levels, so there is no wavelet.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motionmillion.checkpoints import quiet_transformers
from motionmillion.convert_lm import convert_lm, load_upstream_lm
from motionmillion.convert_options import RELEASED_TOKENIZER_OPTIONS, check_tokenizer_options, read_options
from motionmillion.convert_state import open_state, require
from motionmillion.features.stats import FeatureStats
from motionmillion.io.arrays import load_array, to_finite
from motionmillion.io.files import PathError, check_writable
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

__all__ = [
    "RELEASED_TOKENIZER_OPTIONS",
    "convert_lm",
    "convert_tokenizer",
    "load_upstream_lm",
    "load_upstream_tokenizer",
]


def load_upstream_tokenizer(
    checkpoint: str | Path,
    options: Mapping[str, Any] = RELEASED_TOKENIZER_OPTIONS,
    mean: Tensor | None = None,
    std: Tensor | None = None,
) -> MotionTokenizer:
    """The tokenizer of an FSQ checkpoint of MotionMillion-Codes.

    Args:
        checkpoint: `.pth` with the state under "net".
        options: its training options: the keys of `RELEASED_TOKENIZER_OPTIONS`, and any other of the upstream script.
        mean, std: feature statistics `[272]` that the model was trained with; without them features are expected
            normalised.

    Raises:
        ValueError: for options that are missing, unknown or cannot be converted, statistics that do not fit, and
            weights that are missing or left over.
    """
    check_tokenizer_options(options)
    state = open_state(checkpoint, "net")
    config = MotionTokenizerConfig(
        wavelet="none",
        wavelet_levels=0,
        strides=[options["stride_t"]] * options["down_t"],
        width=options["width"],
        latent_dim=options["output_emb_width"],
        depth=options["depth"],
        dilation_growth=options["dilation_growth_rate"],
        quantizer={"type": "fsq", "size": options["nb_code"]},
    )
    tokenizer = MotionTokenizer(config).eval()
    stats = _statistics(mean, std, tokenizer.representation.dim)
    source = {
        name.removeprefix("vqvae."): value
        for name, value in state.items()
        if not name.endswith((".wavelets", "._arange"))  # buffers of the idle patcher
    }
    names = _tokenizer_names(len(config.strides), config.depth)
    _fill(tokenizer, {ours: source.pop(theirs, None) for ours, theirs in names.items()}, source, checkpoint)
    if stats is not None:
        tokenizer.set_statistics(stats)
    return tokenizer


def convert_tokenizer(
    checkpoint: str | Path,
    output: str | Path,
    options: str | Path | None = None,
    mean: str | Path | None = None,
    std: str | Path | None = None,
) -> Path:
    """Write the tokenizer of an upstream checkpoint as a folder that `MotionTokenizer.from_pretrained` reads.

    Args:
        options: JSON file of its training options; without it they are `RELEASED_TOKENIZER_OPTIONS`.
        mean, std: `.npy` files `[272]`; without them one line on standard error says what that means.

    Raises:
        ValueError: for files that cannot be read or do not fit, see `load_upstream_tokenizer`.
    """
    output = Path(output)
    if output.is_file():
        raise PathError(f"output must be a folder, got the file {str(output)!r}; name another")
    check_writable(output / "config.json")
    settings = RELEASED_TOKENIZER_OPTIONS if options is None else read_options(options)
    tokenizer = load_upstream_tokenizer(checkpoint, settings, _read("mean", mean), _read("std", std))
    with quiet_transformers():
        tokenizer.save_pretrained(output)
    if mean is None:
        message = "mean and std were not given, so this tokenizer expects normalised features; add --mean and --std"
        print(f"motionmillion: {message}", file=sys.stderr)
    return output


def _read(name: str, file: str | Path | None) -> Tensor | None:
    return None if file is None else torch.from_numpy(to_finite(load_array(file), name, file))


def _statistics(mean: Tensor | None, std: Tensor | None, dim: int) -> FeatureStats | None:
    """Checked statistics `[D]`, None without any."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        given, lacking = ("mean", "std") if std is None else ("std", "mean")
        raise ValueError(f"mean and std must be given together, got {given} alone; add {lacking}")
    stats = FeatureStats(torch.as_tensor(mean).float(), torch.as_tensor(std).float())
    for name, value in (("mean", stats.mean), ("std", stats.std)):
        if value.shape != (dim,) or not bool(value.isfinite().all()):
            raise ValueError(f"{name} must be finite and of shape [{dim}], got shape {list(value.shape)}")
    if bool((stats.std <= 0).any()):
        raise ValueError(f"std must be above 0, got {float(stats.std.min())!r} at {int(stats.std.argmin())}")
    return stats


def _tokenizer_names(stages: int, depth: int) -> dict[str, str]:
    """Our name -> theirs, without "weight" and "bias", for every module of the tokenizer."""
    last = 3 + stages  # encoder: patcher, convolution, ReLU, one stage each, convolution
    modules = {"encoder.conv_in": "encoder.model.1", "encoder.conv_out": f"encoder.model.{last}"}
    modules |= {"decoder.conv_in": "decoder.model.0", "decoder.conv_mid": f"decoder.model.{2 + stages}"}
    modules["decoder.conv_out"] = f"decoder.model.{4 + stages}"
    modules |= {f"quantizer.project_{way}": f"quantizer.project_{way}" for way in ("in", "out")}
    for stage in range(stages):
        modules[f"encoder.downs.{stage}"] = f"encoder.model.{3 + stage}.0"
        modules[f"decoder.ups.{stage}"] = f"decoder.model.{2 + stage}.2"
        for block in range(depth):
            for part in ("norm1", "conv1", "norm2", "conv2"):
                inside = f"model.{block}.{part}"
                modules[f"encoder.stacks.{stage}.blocks.{block}.{part}"] = f"encoder.model.{3 + stage}.1.{inside}"
                modules[f"decoder.stacks.{stage}.blocks.{block}.{part}"] = f"decoder.model.{2 + stage}.0.{inside}"
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in modules.items() for kind in ("weight", "bias")}


def _fill(model: nn.Module, weights: dict[str, Tensor | None], rest: Mapping[str, Tensor], source: str | Path) -> None:
    """Load `weights` into all parameters of `model`; anything missing, or left over in `rest`, is an error."""
    missing = [name for name, _ in model.named_parameters() if weights.get(name) is None]
    require(missing, sorted(rest), source)
    try:
        model.load_state_dict({k: v for k, v in weights.items() if v is not None}, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip().rstrip(".")
        raise ValueError(
            f"checkpoint must fit its options, got {str(source)!r}: {reason}; check the options"
        ) from None
