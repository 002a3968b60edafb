"""Training options of MotionMillion-Codes: those that a conversion needs, and those that it ignores.

    options = read_options("options.json")
    check_tokenizer_options(options)                 # or check_lm_options(options)

Names are those of the upstream scripts, with underscores for hyphens. Options that shape the network are required, or
must have the one value that the upstream code supports; those that only affect training are ignored. Any other is an
error, since it could be a misspelt option of the first kind. A language model of a published width needs no options:
its sizes are inferred from its weights, and given options are compared with them.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from motionmillion.configuration import check_number, check_whole, unknown_key_error
from motionmillion.io.files import existing_file
from motionmillion.tokenizer.quantizers.fsq import FSQ_LEVELS

RELEASED_TOKENIZER_OPTIONS: Mapping[str, Any] = {
    "nb_code": 65536,
    "width": 512,
    "code_dim": 512,
    "output_emb_width": 512,
    "down_t": 1,
    "stride_t": 2,
    "depth": 3,
    "dilation_growth_rate": 3,
}
"""Options of the released FSQ tokenizer: 64,000 codes, 11.35 M parameters, two frames per code."""

_FIXED = {
    "vq_act": "relu",
    "vq_norm": "LN",
    "kernel_size": 3,
    "patch_size": 1,
    "quantizer": "FSQ",
    "motion_type": "vector_272",
    "model": "vqvae",
    "causal": False,
    "use_attn": False,
}

# training, logging and plotting; "features" is the shape of an example input
_IDLE = frozenset(
    """acc_loss acc_vel_loss batch_size beta cal_acceleration commit dataname debug draw eval_iter exp_name features
    fps gamma gradient_accumulation_steps loss_vel lr lr_scheduler mu nb_vis num_workers out_dir patch_method
    print_iter recons_loss results_dir resume_gpt resume_pth root_loss save save_iter save_latest savegif savenpy seed
    text_type total_iter use_acc_loss use_acc_vel_loss use_patcher use_root_loss version vis_gt visual_name
    warm_up_iter weight_decay window_size z_latent""".split()
)

PUBLISHED_LMS: Mapping[str, tuple[int, int, int]] = {
    "44M": (8, 8, 512),
    "111M": (12, 12, 768),
    "343M": (24, 16, 1024),
    "775M": (36, 20, 1280),
    "1B": (48, 24, 1536),
    "3B": (24, 32, 3200),
    "5B": (24, 32, 4096),
    "6B": (28, 32, 4096),
    "7B": (36, 32, 4096),
    "13B": (40, 40, 5120),
    "30B": (60, 52, 6656),
    "65B": (80, 64, 8192),
}
"""Layers, attention heads and width of the upstream sizes (its option `pretrained_llama`)."""

_LM_WHOLE = "n_layer n_head n_embd nb_code vocab_size end_token pad_token text_dim block_size".split()
_LM_FIXED = {"quantizer": "FSQ", "motion_type": "vector_272"}

# sizes of the tokenizer, sizes of a GPT that the upstream script parses but does not use, and training
_LM_IDLE = _IDLE | frozenset(
    """code_dim decay_option depth dilation_growth_rate down_t drop_out_rate embed_dim_gpt eval_loss_iter
    eval_metric_iter ff_rate if_maxtest kernel_size lr_scheduler_type mixed_precision n_head_gpt note num_layers
    optimizer output_emb_width pkeep quantbeta resume_trans rewrite_model_path save_iter_last stride_t text_encode
    text_lengths train_split use_rewrite_model vq_act vq_name vq_norm width""".split()
)


def read_options(file: str | Path) -> dict[str, Any]:
    """Read options from a JSON file.

    Raises:
        ValueError: if it is missing or not a JSON object.
    """
    try:
        options = json.loads(existing_file(file).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"options must be a JSON file, got {str(file)!r} ({error}); repair it") from None
    if not isinstance(options, dict):
        raise ValueError(f"options must be a JSON object of names and values, got another kind in {str(file)!r}")
    return options


def check_sizes(options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise `ValueError` unless `options` hold a positive whole number for each of `names`."""
    missing = [name for name in names if name not in options]
    if missing:
        raise ValueError(f"options must hold every size of the network, got none for {', '.join(missing)}; add them")
    for name in names:
        value = options[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"options[{name!r}] must be a positive whole number, got {value!r}")


def check_tokenizer_options(options: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless `options` describe a tokenizer that can be converted."""
    needed = [name for name in RELEASED_TOKENIZER_OPTIONS if name != "code_dim"]
    # ignored options are not suggested for misspelt ones
    known = {*needed, "code_dim", *_FIXED}
    unknown = [str(name) for name in options if name not in known | _IDLE]
    if unknown:
        raise unknown_key_error("options", unknown, known)
    check_sizes(options, needed)
    for name, value in {**_FIXED, "code_dim": options["output_emb_width"]}.items():
        if options.get(name, value) != value:
            raise ValueError(f"options[{name!r}] must be {value!r} to be converted, got {options[name]!r}")
    if options["nb_code"] not in FSQ_LEVELS:
        raise ValueError(f"options['nb_code'] must be one of {sorted(FSQ_LEVELS)}, got {options['nb_code']!r}")


def check_lm_options(options: Mapping[str, Any]) -> None:
    """Raise `ValueError` for unknown or invalid `options` of a language model; none is required."""
    known = {*_LM_WHOLE, *_LM_FIXED, "pretrained_llama", "rope_base"}
    unknown = [str(name) for name in options if name not in known | _LM_IDLE]
    if unknown:
        raise unknown_key_error("options", unknown, known)
    for name in _LM_WHOLE:
        if name in options:
            check_whole(f"options[{name!r}]", options[name], 1)
    if check_number("options['rope_base']", options.get("rope_base", 10000)) == 0:
        raise ValueError("options['rope_base'] must be above 0, got 0")
    for name, value in _LM_FIXED.items():
        if options.get(name, value) != value:
            raise ValueError(f"options[{name!r}] must be {value!r} to be converted, got {options[name]!r}")
    size = options.get("pretrained_llama")
    if size is not None and size not in PUBLISHED_LMS:
        raise ValueError(f"options['pretrained_llama'] must be one of {sorted(PUBLISHED_LMS)}, got {size!r}")


def nominal_codes(size: int) -> int:
    """Codes of an FSQ codebook of a nominal size, e.g. 64,000 for 65,536; other sizes are returned unchanged."""
    return math.prod(FSQ_LEVELS[size]) if size in FSQ_LEVELS else size
