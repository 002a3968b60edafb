"""Conversion of MotionMillion's FSQ tokenizers.

    tokenizer = load_upstream_tokenizer("fsq_net.pth", RELEASED_TOKENIZER_OPTIONS, mean, std)
    convert_tokenizer("fsq_net.pth", "my_tokenizer", mean="mean.npy", std="std.npy")    # files in, folder out

Unusual in the original and kept: the patcher named in the options has zero levels, so there is no wavelet.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from motionmillion.checkpoints import open_state
from motionmillion.convert.options import RELEASED_TOKENIZER_OPTIONS, check_tokenizer_options, read_options
from motionmillion.convert.state import converted_folder, fill, read_statistics, save_converted, statistics
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig


def load_upstream_tokenizer(
    checkpoint: str | Path,
    options: Mapping[str, Any] = RELEASED_TOKENIZER_OPTIONS,
    mean: Tensor | None = None,
    std: Tensor | None = None,
) -> MotionTokenizer:
    """The tokenizer of an FSQ checkpoint of MotionMillion-Codes.

    Args:
        checkpoint: `.pth` with the state under "net".
        options: its training options: the keys of `RELEASED_TOKENIZER_OPTIONS`, and any others of the upstream script.
        mean, std: feature statistics `[272]` that the model was trained with; without them the model expects
            normalised features.

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
    stats = statistics(mean, std, tokenizer.representation.dim)
    source = {
        name.removeprefix("vqvae."): value
        for name, value in state.items()
        if not name.endswith((".wavelets", "._arange"))  # buffers of the unused patcher
    }
    names = _tokenizer_names(len(config.strides), config.depth)
    fill(tokenizer, {ours: source.pop(theirs, None) for ours, theirs in names.items()}, source, checkpoint)
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
        options: JSON file of its training options; default: `RELEASED_TOKENIZER_OPTIONS`.
        mean, std: `.npy` files `[272]`; without them a note about the consequences goes to standard error.

    Raises:
        ValueError: for files that cannot be read or do not fit, see `load_upstream_tokenizer`.
    """
    output = converted_folder(output)
    settings = RELEASED_TOKENIZER_OPTIONS if options is None else read_options(options)
    given = read_statistics("mean", mean), read_statistics("std", std)
    tokenizer = load_upstream_tokenizer(checkpoint, settings, *given)
    return save_converted(tokenizer, output, "tokenizer", mean is not None)


def _tokenizer_names(stages: int, depth: int) -> dict[str, str]:
    """Our name -> the upstream name of every weight and bias of the tokenizer."""
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
