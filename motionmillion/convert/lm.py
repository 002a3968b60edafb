"""Conversion of language models of MotionMillion-Codes (Go to Zero, arXiv 2507.07095), with identical outputs.

    convert_lm("net_last.pth", "my_lm")              # checkpoint -> folder, in bounded memory
    lm = load_upstream_lm("net_last.pth")            # checkpoint -> model

Sizes are inferred from the weights; only the number of attention heads is not visible there and follows from the width
for the published sizes. The checkpoint is memory-mapped and written shard by shard, so a conversion takes the memory
of two shards (three from float32 to bfloat16), whatever the model's size.

Layout differences: upstream, one matrix computes query, key and value, and the rotary embedding rotates neighbouring
pairs of channels, while Llama's rotates the two halves of a head; the rows of queries and keys are therefore permuted.

Unusual: the upstream models were trained with rotary angles in lower precision than at inference; see
`TRAINED_PRECISION`.

Shapes: C width, H heads.
"""

import functools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor
from transformers import GenerationConfig

from motionmillion.checkpoints import MappedState, StoredWeight, is_finite, open_state, quiet_transformers
from motionmillion.configuration import MODEL_DTYPES, find_dtype
from motionmillion.convert.options import PUBLISHED_LMS, check_lm_options, nominal_codes, read_options
from motionmillion.convert.state import require
from motionmillion.io.files import atomic_folder, check_new_folder, write_text
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.pipeline.folder import write_pipeline_parts
from motionmillion.progress import tracked
from motionmillion.text.encoder import feature_size, read_config
from motionmillion.tokenizer import MotionTokenizer

TRAINED_PRECISION = {"7B": "bfloat16", "3B": "autocast"}
"""Precision of rotary angles in training of the released sizes, inferred from their launch scripts: the 7B in pure
bfloat16 (DeepSpeed), the 3B under autocast, which computes powers in float32 and rounds positions and exponents. In
both cases pairs of positions above 256 coincide. Their published inference is float32, which is the default here."""


@dataclass(frozen=True)
class _Source:
    """Source of one of our weights: an upstream tensor or a third of its rows, with the rows of heads permuted."""

    name: str
    third: int | None = None
    heads: int | None = None

    def read(self, state: Mapping[str, Tensor] | MappedState) -> Tensor:
        value = state[self.name]
        if self.third is not None:
            value = value.chunk(3)[self.third]
        return value if self.heads is None else _halves(value, self.heads)


def load_upstream_lm(
    checkpoint: str | Path,
    options: Mapping[str, Any] | None = None,
    rope_precision: str = "float32",
    dtype: torch.dtype = torch.float32,
    **low: Any,
) -> MotionLM:
    """The language model of a checkpoint of MotionMillion-Codes.

    Weights are read one at a time, so that memory is that of the model in `dtype`, or in its few bits.

    Args:
        checkpoint: `.pth` with the state under "trans", or `.safetensors`.
        options: `n_head` if it does not follow from the width; others are compared with the weights. Names are
            those of the upstream scripts.
        rope_precision: how rotary angles are computed, see `MotionLMConfig`.
        dtype: of the model.
        low: `motionmillion.quantization.low_bit_arguments`, for low-bit weights.

    Raises:
        ValueError: for options that are unknown or do not fit the weights, and weights that are missing or left over.
    """
    options = options or {}
    check_lm_options(options)
    state = open_state(checkpoint, "trans")
    config = _config(state, options, rope_precision, checkpoint)
    sources = _sources(config)
    _check_weights(config, sources, state, checkpoint)
    del state
    mapped = MappedState(functools.partial(open_state, checkpoint, "trans"))
    weights = {
        name: StoredWeight(functools.partial(_finite, entry, mapped, checkpoint), dtype)
        for name, entry in sources.items()
    }
    return MotionLM.from_state(config, weights, checkpoint, dtype=dtype, **low)


def convert_lm(
    checkpoint: str | Path,
    output: str | Path,
    options: str | Path | None = None,
    rope_precision: str = "float32",
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    text_encoder: str | None = None,
    shard_size: str | int = "2GB",
) -> Path:
    """Write the language model of an upstream checkpoint as a folder that `MotionLM.from_pretrained` reads.

    With `tokenizer` and `text_encoder` it is a whole pipeline's folder for `MotionPipeline.from_pretrained`. The
    folder is written atomically. Two lines on standard error report what was found.

    Args:
        options: JSON file, see `load_upstream_lm`.
        rope_precision: "float32", "bfloat16" or "autocast", see `MotionLMConfig`.
        dtype: "float32" or "bfloat16"; None keeps the checkpoint's.
        tokenizer: folder of a `MotionTokenizer`, e.g. one that `convert_tokenizer` wrote.
        text_encoder: hub id or folder, "google/flan-t5-xl" for the released models.
        shard_size: size of a safetensors file, e.g. "2GB"; takes two to three times as much memory, half of it mapped.

    Raises:
        ValueError: for options, weights, or parts of a pipeline that do not fit.
    """
    chosen = None if dtype is None else find_dtype(dtype, MODEL_DTYPES)
    if (tokenizer is None) != (text_encoder is None):
        lacking = "text_encoder" if text_encoder is None else "tokenizer"
        raise ValueError(f"tokenizer and text_encoder must be given together for a pipeline, got no {lacking}; add it")
    check_new_folder(output)
    settings = {} if options is None else read_options(options)
    check_lm_options(settings)
    state = open_state(checkpoint, "trans")
    config = _config(state, settings, rope_precision, checkpoint)
    sources = _sources(config)
    _check_weights(config, sources, state, checkpoint)
    # a mixed checkpoint is stored in float32
    kinds = {value.dtype for value in state.values()}
    stored = chosen or (torch.float32 if len(kinds) > 1 else kinds.pop())
    del state
    with atomic_folder(output) as folder:
        place = folder
        if tokenizer is not None and text_encoder is not None:
            place = folder / "lm"
            _write_parts(folder, config, tokenizer, text_encoder)
        _write_model(place, config, sources, checkpoint, stored, shard_size)
    _report(config, stored)
    return Path(output)


def _config(
    state: Mapping[str, Tensor], options: Mapping[str, Any], rope_precision: str, source: str | Path
) -> MotionLMConfig:
    """Our config, inferred from the weights and compared with the options."""
    needed = ("transformer.wte.weight", "llama_proj.weight", "transformer.h.0.mlp.c_fc1.weight")
    require([name for name in needed if name not in state or state[name].ndim != 2], [], source)
    rows, width = state["transformer.wte.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("transformer.h."))
    codes, text_dim = rows - 2, state["llama_proj.weight"].shape[1]
    found = dict(
        n_layer=layers, n_embd=width, text_dim=text_dim, vocab_size=rows, end_token=codes, pad_token=codes + 1
    )
    for name, value in found.items():
        if options.get(name, value) != value:
            raise ValueError(
                f"options[{name!r}] must be {value}, as in {str(source)!r}, got {options[name]!r}; leave it out"
            )
    nominal = options.get("nb_code", codes)
    if codes not in (nominal, nominal_codes(nominal)):
        raise ValueError(
            f"options['nb_code'] must match the {codes} codes of {str(source)!r}, got {nominal}; leave it out"
        )
    heads = _heads(layers, width, options)
    return MotionLMConfig(
        codebook_size=codes,
        text_dim=text_dim,
        hidden_size=width,
        intermediate_size=state["transformer.h.0.mlp.c_fc1.weight"].shape[0],
        num_hidden_layers=layers,
        num_attention_heads=heads,
        rope_parameters={"rope_type": "default", "rope_theta": float(options.get("rope_base", 10000))},
        rope_precision=rope_precision,
        context_codes=max((options.get("block_size", 301) - 1) // 2, 1),  # half of a training row is text
    )


def _heads(layers: int, width: int, options: Mapping[str, Any]) -> int:
    name = options.get("pretrained_llama")
    if name is not None and PUBLISHED_LMS[name][::2] != (layers, width):
        raise ValueError(
            f"options['pretrained_llama'] must fit the weights, {layers} layers of width {width}, got {name!r}; "
            "leave it out"
        )
    # published sizes: the width determines the number of heads
    heads = options.get("n_head") or next((h for _, h, w in PUBLISHED_LMS.values() if w == width), None)
    if heads is None:
        raise ValueError(
            f"options must hold n_head, got none for the width {width}, which is not that of a published size; "
            'add a JSON file such as {"n_head": 8}'
        )
    if width % (2 * heads):
        raise ValueError(f"options['n_head'] must divide half the width {width}, got {heads}")
    return heads


def _sources(config: MotionLMConfig) -> dict[str, _Source]:
    """The source of each of our weights, by name."""
    sources = {
        "embed_tokens.weight": _Source("transformer.wte.weight"),
        "lm_head.weight": _Source("lm_head.weight"),
        "norm.weight": _Source("transformer.ln_f.scale"),
        "project_text.weight": _Source("llama_proj.weight"),
        "project_text.bias": _Source("llama_proj.bias"),
    }
    parts = {
        "self_attn.o_proj": "attn.c_proj.weight",
        "mlp.gate_proj": "mlp.c_fc1.weight",
        "mlp.up_proj": "mlp.c_fc2.weight",
        "mlp.down_proj": "mlp.c_proj.weight",
        "input_layernorm": "rms_1.scale",
        "post_attention_layernorm": "rms_2.scale",
    }
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"layers.{layer}.", f"transformer.h.{layer}."
        # rows of query, key and value in one matrix; values are not rotated, so not permuted
        for third, (letter, heads) in enumerate(zip("qkv", (config.num_attention_heads,) * 2 + (None,), strict=True)):
            sources[f"{ours}self_attn.{letter}_proj.weight"] = _Source(theirs + "attn.c_attn.weight", third, heads)
        for mine, other in parts.items():
            sources[f"{ours}{mine}.weight"] = _Source(theirs + other)
    return sources


def _check_weights(
    config: MotionLMConfig, sources: Mapping[str, _Source], state: Mapping[str, Tensor], source: str | Path
) -> None:
    """Raise `ValueError` unless the weights are those of the model, in number and shape."""
    used = {entry.name for entry in sources.values()}
    require(sorted(used - set(state)), sorted(set(state) - used), source)
    with torch.device("meta"):
        model = MotionLM(config)
    for name, parameter in model.named_parameters():
        theirs = state[sources[name].name]
        # query, key and value share one matrix upstream
        expected = [parameter.shape[0] * (1 if sources[name].third is None else 3), *parameter.shape[1:]]
        if list(theirs.shape) != expected or not theirs.is_floating_point():
            raise ValueError(
                f"checkpoint must fit its options, got {str(source)!r} with {sources[name].name} of shape "
                f"{list(theirs.shape)}, {theirs.dtype}, for {expected}; check the options"
            )


def _finite(entry: _Source, state: Mapping[str, Tensor] | MappedState, source: str | Path) -> Tensor:
    value = entry.read(state)
    if not is_finite(value):
        raise ValueError(
            f"checkpoint must hold finite weights, got NaN or infinity in {str(source)!r}: {entry.name}; take another"
        )
    return value


def _halves(weight: Tensor, heads: int) -> Tensor:
    """Permute the rows of each head from neighbouring pairs (0, 1), (2, 3), ... to halves 0, 2, ..., 1, 3, ..."""
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _write_model(
    folder: Path,
    config: MotionLMConfig,
    sources: Mapping[str, _Source],
    checkpoint: str | Path,
    dtype: torch.dtype,
    shard_size: str | int,
) -> None:
    """Write config and shards as `save_pretrained` names them, with one shard in memory at a time."""
    with torch.device("meta"):
        # meta tensors: only shapes and dtypes, to plan the shards
        weights = {name: value.to(dtype) for name, value in MotionLM(config).state_dict().items()}
    plan = split_torch_state_dict_into_shards(weights, max_shard_size=shard_size)
    config.architectures, config.dtype = ["MotionLM"], dtype
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)
    for file, names in tracked(plan.filename_to_tensors.items(), "converting", "files"):
        state = open_state(checkpoint, "trans")  # map again for each shard, to free the pages of the last one
        weights = {name: _finite(sources[name], state, checkpoint).to(dtype).contiguous() for name in names}
        save_file(weights, folder / file, {"format": "pt"})
        del state, weights
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", folder / "model.safetensors.index.json")


def _write_parts(folder: Path, config: MotionLMConfig, tokenizer: str | Path, text_encoder: str) -> None:
    """Write the other parts of a pipeline's folder, after checking that they match the language model."""
    motions = MotionTokenizer.from_pretrained(tokenizer)
    if motions.config.codebook_size != config.codebook_size:
        raise ValueError(
            f"tokenizer must have the {config.codebook_size} codes that the language model was trained on, got "
            f"{motions.config.codebook_size} in {str(tokenizer)!r}; convert the one that its training used"
        )
    width = feature_size(read_config(text_encoder))
    if width != config.text_dim:
        raise ValueError(
            f"text_encoder must give features of width {config.text_dim}, got {width} from {text_encoder!r}; the "
            "released models read google/flan-t5-xl"
        )
    with quiet_transformers():
        motions.save_pretrained(folder / "tokenizer")
    encoder = {"name": text_encoder, "sentence": False, "max_length": 150, "dim": width}
    write_pipeline_parts(folder, encoder, {"temperature": 0.0})  # as published


def _report(config: MotionLMConfig, dtype: torch.dtype) -> None:
    """Print what was found to standard error."""
    shape = (config.num_hidden_layers, config.num_attention_heads, config.hidden_size)
    size = next((name for name, published in PUBLISHED_LMS.items() if published == shape), "a size of its own")
    print(
        f"motionmillion: {size}, {shape[0]} layers, {shape[1]} heads, width {shape[2]}, {config.codebook_size} codes, "
        f"text width {config.text_dim}, weights in {str(dtype).removeprefix('torch.')}",
        file=sys.stderr,
    )
    trained = TRAINED_PRECISION.get(size)
    known = (
        f"trained with rotary angles in {trained}" if trained else "the rotary precision of its training is unknown"
    )
    if trained == config.rope_precision:
        note = "the same is used here"
    elif config.rope_precision == "float32":
        note = "float32 is used here, as in the published inference; --rope-precision " + (trained or "bfloat16")
        note += " is the alternative"
    else:
        note = f"{config.rope_precision} is used here; the published inference uses float32"
    print(f"motionmillion: {known}; {note}", file=sys.stderr)
