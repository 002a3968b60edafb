"""The `data` section of a language model's recipe, checked before anything is loaded.

    data = lm_data_options(recipe)

What the keys mean stands in `motionmillion.training.lm`.
"""

from typing import Any

from motionmillion.configuration import check_number, check_whole, unknown_key_error
from motionmillion.data.composition.composing import ComposeOptions
from motionmillion.data.sets.groups import check_balance_by
from motionmillion.data.sets.texts import check_caption_weights
from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.pipeline.options import DEFAULTS, FLOW_DEFAULTS, check_defaults
from motionmillion.text.encoder import MINILM, check_texts
from motionmillion.tokenizer import MotionTokenizerConfig
from motionmillion.tokenizer.quantizers.continuous import ContinuousOptions
from motionmillion.tokenizer.quantizers.registry import parse_options
from motionmillion.training.lm.lora import LoraOptions
from motionmillion.training.recipe import Recipe, take_options


def lm_data_options(recipe: Recipe) -> dict[str, Any]:
    """All options of the section, the missing ones by default.

    Raises:
        ValueError: for unknown keys and values out of range.
    """
    data = take_options(
        recipe.data,
        "data section",
        **dict(folder=None, tokens=None, synthetic=0, tokenizer=None, start_from=None),
        **dict(text_encoder=MINILM, sentence=True, text_length=150, text_features=None),
        **dict(variants=8, speed=0.1, trim=0.15, own_caption_share=0.5, balance=0.5, caption_rules=None),
        **dict(caption_weights=None, balance_by="category", compose=None, cache=None),
        **dict(caption_dropout=0.1, corruption=0.1, code_drop=0.0, packing=0, sampling=None, samples=None),
    )
    shares = ("own_caption_share", "balance", "caption_dropout", "corruption", "code_drop")
    for name in shares:
        if check_number(f"data.{name}", data[name]) > 1:
            raise ValueError(f"data.{name} must be in [0, 1], got {data[name]!r}")
    TokenCollator(0, 1, *(data[name] for name in shares[2:]))
    check_drawing(data)
    for name, least in (("text_length", 1), ("variants", 0), ("packing", 0), ("synthetic", 0)):
        check_whole(f"data.{name}", data[name], least)
    if data["samples"]:
        check_texts(data["samples"])
    if data["sampling"] is not None and not isinstance(data["sampling"], dict):
        raise ValueError(f"data.sampling must be a mapping of options, got {data['sampling']!r}")
    if data["sampling"]:  # null takes an option out of what a base recipe says
        data["sampling"] = {name: value for name, value in data["sampling"].items() if value is not None}
    flow = recipe.model.get("head") == "flow"
    if not data["start_from"]:  # else the head is not known yet
        check_defaults(data["sampling"], flow, "data.sampling")
    elif unknown := set(data["sampling"] or {}) - {*DEFAULTS, *FLOW_DEFAULTS}:
        raise unknown_key_error("data.sampling", unknown, {*DEFAULTS, *FLOW_DEFAULTS})
    if flow:
        check_latent_data(recipe, data)
    sources = [name for name in ("folder", "tokens", "synthetic") if data[name]]
    if len(sources) != 1:
        raise ValueError(f"data must name one of folder, tokens and synthetic, got {sources or 'none'}")
    if not data["tokenizer"] and not data["start_from"]:
        raise ValueError("data must name the folder of a trained tokenizer, got none; train one first")
    if data["cache"] is not None and not isinstance(data["cache"], str):
        raise ValueError(f"data.cache must be a folder, got {data['cache']!r}")
    if data["tokens"]:
        for name in ("compose", "cache"):
            if data[name]:
                raise ValueError(f"data.{name} must be left out with data.tokens, got {data[name]!r}; name motions")
    return data


def check_drawing(data: dict[str, Any]) -> None:
    """Check what a recipe's `data` section says about captions, groups and compositions.

    Raises:
        ValueError: for unknown names and values out of range.
    """
    data["caption_weights"] = check_caption_weights(data["caption_weights"], "data.caption_weights")
    check_balance_by(data["balance_by"], "data.balance_by")
    ComposeOptions.from_section(data["compose"])


def check_latent_data(recipe: Recipe, data: dict[str, Any]) -> None:
    """Raise `ValueError` for data options that models with a flow head do not have."""
    if data["tokens"]:
        raise ValueError(
            f'data.tokens must be left out with head "flow", got {data["tokens"]!r}; shards hold codes, name '
            "motions as data.folder"
        )
    if recipe.data.get("corruption"):
        raise ValueError(
            f'data.corruption must be 0 with head "flow", got {data["corruption"]!r}; use model.latent_noise'
        )


def motion_of(config: MotionTokenizerConfig, head: str, name: str) -> dict[str, Any]:
    """Arguments of `MotionLMConfig` that follow from the tokenizer's config: codes, or channels of latents.

    Args:
        name: of the tokenizer, for the error.

    Raises:
        ValueError: for a tokenizer without what the head needs.
    """
    options = parse_options(config.quantizer)
    continuous = isinstance(options, ContinuousOptions)
    if (head == "flow") != continuous:
        wanted, remedy = "continuous latents", "leave model.head out for codes"
        if continuous:
            wanted, remedy = "a codebook", "set model.head to flow for continuous latents"
        kind = config.quantizer["type"]
        raise ValueError(f'data.tokenizer must have {wanted}, got {name!r} with quantizer "{kind}"; {remedy}')
    if isinstance(options, ContinuousOptions):
        return {"codebook_size": 0, "latent_dim": options.channels}
    return {"codebook_size": options.codebook_size}


def lora_options(recipe: Recipe, data: dict[str, Any]) -> LoraOptions | None:
    """The section `model.lora`; None where the whole model is trained.

    Raises:
        ValueError: for unknown keys, values out of range, and without a model to adapt.
    """
    lora = LoraOptions.from_section(recipe.model.get("lora"))
    if lora is not None and not data["start_from"]:
        raise ValueError("model.lora must have a model to adapt, got none; name one as data.start_from")
    return lora
