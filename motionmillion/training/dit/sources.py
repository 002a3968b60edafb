"""Sources of clips that a DiT's recipe names, and the options of its `data` section.

training, validation = dit_sources(recipe, dit_data_options(recipe))
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from motionmillion.configuration import check_number, check_whole, unknown_key_error
from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.data.clips import SPLITS, MotionClip, load_clips
from motionmillion.data.composition.composing import ComposeOptions, compose_clips
from motionmillion.data.sets.flow_pairs import Source, check_names
from motionmillion.data.sets.references import Corruption
from motionmillion.features import get
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.pipeline.options import check_dit_defaults
from motionmillion.text.encoder import MINILM
from motionmillion.training.lm.options import check_drawing
from motionmillion.training.recipe import Recipe, clips_of, take_options

_SOURCE_FILE = "source.json"
_SOURCE_KEYS = ("folder", "text_share", "trusted_text", "trusted_reference", "share", "splits")


def dit_data_options(recipe: Recipe) -> dict[str, Any]:
    """All options of a recipe's `data` section.

    Raises:
        ValueError: for unknown keys, values out of range, and no or several places of clips.
    """
    data = take_options(
        recipe.data,
        "data section",
        **dict(folder=None, synthetic=0, sources=None, text_encoder=MINILM, sentence=True, text_length=150),
        **dict(
            text_features=None,
            shortest=2,
            variants=8,
            speed=0.1,
            trim=0.15,
            own_caption_share=0.5,
            caption_rules=None,
            balance=0.0,
            caption_weights=None,
            balance_by="category",
            compose=None,
        ),
        **dict(text_share=0.8, corruption=None, sampling=None, start_from=None),
    )
    if check_number("data.text_share", data["text_share"]) > 1:
        raise ValueError(f"data.text_share must be in [0, 1], got {data['text_share']!r}")
    places = [name for name in ("folder", "synthetic", "sources") if data[name]]
    if len(places) != 1:
        raise ValueError(f"data must name one of folder, synthetic and sources, got {places or 'none'}")
    check_whole("data.shortest", data["shortest"], 2)
    if data["sources"] and not isinstance(data["sources"], list):
        raise ValueError(f"data.sources must be a list of mappings, got {data['sources']!r}")
    corruption_of(data["corruption"])
    check_drawing(data)
    if data["sampling"] is not None:
        data["sampling"] = check_dit_defaults(data["sampling"])
    return data


def corruption_of(given: Any) -> Corruption:
    """The settings of a recipe over ViMoGen's."""
    if not isinstance(given, dict | None):
        raise ValueError(f"data.corruption must be a mapping, got {given!r}")
    return Corruption(**take_options(given or {}, "data.corruption", **dataclasses.asdict(Corruption())))


def dit_sources(recipe: Recipe, data: dict[str, Any]) -> tuple[list[Source], list[Source]]:
    """Training and validation sources of the options `data` of a recipe."""
    rules = load_caption_rules(data["caption_rules"]) if data["caption_rules"] else []
    compose = ComposeOptions.from_section(data["compose"])
    if data["sources"]:
        loaded = [_source_clips(entry) for entry in data["sources"]]
    else:
        loaded = [({}, clips_of(data["folder"], data["synthetic"], recipe.seed))]
    training, validation = [], []
    for settings, clips in loaded:
        settings = {"text_share": data["text_share"], **settings}
        train = [add_captions(clip, rules) for clip in clips if clip.split == "train" and clip.captions]
        if compose is not None and train:
            train, _ = compose_clips(train, compose, recipe.seed)
        training.append(Source(train, **settings))
        validation.append(Source([clip for clip in clips if clip.split == "val" and clip.captions], **settings))
    for split, found in (("train", training), ("val", validation)):
        if not any(source.clips for source in found):
            raise ValueError(f"data must have clips with captions in the split {split!r}, got none")
    return training, validation


def _source_clips(entry: Any) -> tuple[dict[str, Any], list[MotionClip]]:
    """How one source is used, and its clips."""
    settings = source_settings(entry)
    splits, folder = settings.pop("splits", None), settings.pop("folder")
    clips = load_clips(folder, splits or SPLITS)
    return settings, [clip.replace(split="train") for clip in clips] if splits else clips


def source_settings(entry: Any, config: MotionDiTConfig | None = None) -> dict[str, Any]:
    """What an entry of `data.sources` and the manifest in its folder say.

    Args:
        config: of the model, for a check of the blocks that are trusted.

    Raises:
        ValueError: for unknown keys and blocks, values out of range, and a damaged manifest.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("folder"), str | Path):
        raise ValueError(f"data.sources must be mappings with a folder, got {entry!r}")
    file = Path(entry["folder"]) / _SOURCE_FILE
    try:
        own = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{_SOURCE_FILE} must be a JSON object, got {str(file)!r} ({error})") from None
    if not isinstance(own, dict):
        raise ValueError(f"{_SOURCE_FILE} must be a JSON object, got a {type(own).__name__} in {str(file)!r}")
    if "folder" in own:
        raise ValueError(
            f"folder must be left out, got {own['folder']!r} in {str(file)!r}; it is about its own folder"
        )
    settings = {**own, **entry}
    try:
        _check_source(own, config)
    except ValueError as error:
        raise ValueError(f"{error}; in {str(file)!r}") from None
    _check_source(settings, config)
    return settings


def _check_source(settings: dict[str, Any], config: MotionDiTConfig | None) -> None:
    """Raise `ValueError` for keys and values that a source cannot have."""
    if set(settings) - set(_SOURCE_KEYS):
        raise unknown_key_error("a source", set(settings) - set(_SOURCE_KEYS), _SOURCE_KEYS)
    splits = check_names("splits", settings.get("splits"))
    if set(splits or ()) - set(SPLITS):
        raise unknown_key_error("splits of a source", set(splits or ()) - set(SPLITS), SPLITS)
    source = Source([], **{key: value for key, value in settings.items() if key not in ("folder", "splits")})
    if config is not None:
        source.check_blocks(get(config.features).layout)
