"""The section `data` of a language model's recipe, checked before anything is loaded.

    data = lm_data_options(recipe)
    data.packing

Its keys are the fields of `LMSection`; the docstring of `motionmillion.training.lm.train` lists them in a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from motionmillion.configuration import check_share, check_whole
from motionmillion.data.sets.mixing import mixing_weights
from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.data.shards.tokens import read_header
from motionmillion.pipeline.options import CodesOptions, FlowHeadOptions, check_known
from motionmillion.text.encoder import check_texts
from motionmillion.tokenizer import MotionTokenizerConfig
from motionmillion.tokenizer.quantizers.continuous import ContinuousOptions
from motionmillion.tokenizer.quantizers.registry import parse_options
from motionmillion.training.lm.lora import LoraOptions
from motionmillion.training.recipe import Recipe
from motionmillion.training.sections import BALANCE, TextToMotionSection, option, read_section

_COLLATED = "see `motionmillion.data.sets.tokens.TokenCollator`"


@dataclass(frozen=True)
class LMSection(TextToMotionSection):
    """The section `data` of a language model's recipe.

    Raises:
        ValueError: for values out of range, and unless exactly one source of clips is set.
    """

    balance: float = option(0.5, BALANCE)
    tokens: str | list[str] | None = option(
        None, "token shards in place of motions, a folder or a list of folders; their clips have one version"
    )
    tokenizer: str | None = option(None, "folder of the trained tokenizer")
    cache: str | None = option(
        None, "folder that keeps codes and text features for the next start, see `motionmillion.data.sets.token_cache`"
    )
    live_texts: bool = option(
        False, "compute text features in every step on the training device, see `motionmillion.data.sets.live_texts`"
    )
    held_out_captions: float = option(
        0.0, "fraction of the captions that is only evaluated on, see `motionmillion.data.sets.wordings`"
    )
    caption_dropout: float = option(0.1, _COLLATED)
    corruption: float = option(0.1, _COLLATED)
    code_drop: float = option(0.0, _COLLATED)
    packing: int = option(
        0, "positions of a row that holds several samples, see `motionmillion.data.sets.packing`; 0 packs nothing"
    )
    samples: list[str] | None = option(
        None, "prompts shown as contact sheets at every evaluation, see `motionmillion.training.lm.samples`"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("held_out_captions", "caption_dropout", "corruption", "code_drop"):
            check_share(f"data.{name}", getattr(self, name))
        TokenCollator(0, 1, self.caption_dropout, self.corruption, self.code_drop)
        check_whole("data.packing", self.packing, 0)
        if self.samples:
            if not isinstance(self.samples, list):
                raise ValueError(f"data.samples must be a list of prompts, got {self.samples!r}")
            check_texts(self.samples)
        if not isinstance(self.sampling, Mapping | None):
            raise ValueError(f"data.sampling must be a mapping of options, got {self.sampling!r}")
        places = [name for name in ("folder", "tokens", "synthetic") if getattr(self, name)]
        if len(places) != 1:
            raise ValueError(f"data must name one of folder, tokens and synthetic, got {places or 'none'}")
        if not self.tokenizer and not self.start_from:
            raise ValueError("data must name the folder of a trained tokenizer, got none; train one first")
        if not isinstance(self.cache, str | None):
            raise ValueError(f"data.cache must be a folder, got {self.cache!r}")
        if not isinstance(self.live_texts, bool):
            raise ValueError(f"data.live_texts must be true or false, got {self.live_texts!r}")
        if self.live_texts and self.text_features:
            raise ValueError(f"data.text_features must be left out with data.live_texts, got {self.text_features!r}")
        for name in ("compose", "cache"):
            if self.tokens and getattr(self, name):
                raise ValueError(
                    f"data.{name} must be left out with data.tokens, got {getattr(self, name)!r}; name motions"
                )

    def mixing(self) -> dict[str, float | None] | None:
        """Mixing weights by source, if the motions are or the codes were made of data sets on disk with any."""
        if not self.tokens:
            return super().mixing()
        return mixing_weights([read_header(folder).get("sources", {}) for folder in self.token_folders])

    @property
    def token_folders(self) -> list[str]:
        """The folders of token shards."""
        return [self.tokens] if isinstance(self.tokens, str) else list(self.tokens or [])


def lm_data_options(recipe: Recipe) -> LMSection:
    """The section of a recipe, checked together with the model's head.

    Raises:
        ValueError: for unknown keys, values out of range, and options that the head does not have.
    """
    data = read_section(LMSection, recipe.data)
    flow = recipe.model.get("head") == "flow"
    if not data.start_from:  # otherwise the head is not known yet
        (FlowHeadOptions if flow else CodesOptions).from_defaults(data.sampling, "data.sampling")
    else:
        known = CodesOptions.defaults_of_folder() | FlowHeadOptions.defaults_of_folder()
        check_known(data.sampling or {}, known, "data.sampling")
    if flow:
        check_latent_data(recipe, data)
    return data


def check_latent_data(recipe: Recipe, data: LMSection) -> None:
    """Raise `ValueError` for data options that models with a flow head do not support."""
    if data.tokens:
        raise ValueError(
            f'data.tokens must be left out with head "flow", got {data.tokens!r}; shards hold codes, name '
            "motions as data.folder"
        )
    if recipe.data.get("corruption"):
        raise ValueError(
            f'data.corruption must be 0 with head "flow", got {data.corruption!r}; use model.latent_noise'
        )


def motion_of(config: MotionTokenizerConfig, model: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Arguments of `MotionLMConfig` that follow from the tokenizer's config: codebook size, or channels of latents.

    Args:
        model: the section `model` of the recipe; if it asks for factorised codes without giving their levels, the
            levels of the tokenizer's quantizer are used.
        name: name of the tokenizer in the error message.

    Raises:
        ValueError: for a tokenizer without the codebook, latents or levels that the model needs.
    """
    options = parse_options(config.quantizer)
    continuous = isinstance(options, ContinuousOptions)
    kind = config.quantizer["type"]
    if (model.get("head", "codes") == "flow") != continuous:
        wanted, remedy = "continuous latents", "leave model.head out for codes"
        if continuous:
            wanted, remedy = "a codebook", "set model.head to flow for continuous latents"
        raise ValueError(f'data.tokenizer must have {wanted}, got {name!r} with quantizer "{kind}"; {remedy}')
    if isinstance(options, ContinuousOptions):
        return {"codebook_size": 0, "latent_dim": options.channels}
    codes: dict[str, Any] = {"codebook_size": options.codebook_size}
    if model.get("codes") != "factorised" or model.get("code_levels") is not None:
        return codes
    if config.code_levels is None:
        raise ValueError(
            f"data.tokenizer must have a quantizer with levels for factorised codes, got {name!r} with quantizer "
            f'"{kind}"; set model.code_levels to numbers whose product is {options.codebook_size}'
        )
    return {**codes, "code_levels": config.code_levels}


def lora_options(recipe: Recipe, data: LMSection) -> LoraOptions | None:
    """The section `model.lora`; None if the whole model is trained.

    Raises:
        ValueError: for unknown keys, values out of range, and a missing model to adapt.
    """
    lora = LoraOptions.from_section(recipe.model.get("lora"))
    if lora is not None and not data.start_from:
        raise ValueError("model.lora must have a model to adapt, got none; name one as data.start_from")
    return lora
