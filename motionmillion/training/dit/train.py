"""Train MotionDiT, the flow-matching transformer, from a recipe file.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from: a folder or a list of folders, or so many synthetic clips |
| sources | instead of these, a list of sources: `folder` and how it is used, see below |
| text_encoder, sentence, text_length | see `motionmillion.text.encoder.TextEncoder` |
| text_features | folder of features of all captions, made with that encoder, which is then not loaded |
| shortest | frames below which a clip is left out, at the frame rate of the features |
| variants, speed, trim | versions of each clip, see `motionmillion.data.sets.pairs` |
| own_caption_share | how often a window of a longer take is described by a caption of its own |
| caption_weights | how often a caption of each source is drawn, see `motionmillion.data.sets.drawing` |
| caption_rules | file of rules that add wordings to training clips, see `motionmillion.data.captions` |
| compose | training clips made out of others, see `motionmillion.data.composition.composing.ComposeOptions` |
| balance | 0 visits every clip equally often, 1 every category; between them the share of both |
| balance_by | what counts as a category: `category`, or `description`, the title of the take |
| text_share | how often a clip is told by its text rather than by a reference, where a source does not say |
| corruption | settings of `motionmillion.data.sets.references.Corruption`, over ViMoGen's |
| sampling | default options of the pipeline that is written |
| start_from | pipeline of a trained DiT to go on from, or its transformer; see below |

A source is a mapping: `folder`, `text_share`, `trusted_text`, `trusted_reference`, `share` (of all visits, those that
go to it, such as 0.06; sources without one divide the rest by their clips), `splits` (all clips of these count as
training clips; left out, the folder's own splits hold). What it does not say is read from `source.json` in its folder
where there is one, the manifest of a data set that knows how it should be used. `model` takes `size` (a name of
`MotionDiTConfig.from_name`) and arguments of the config; `text_dim` follows from the encoder. With `start_from` the
model and the statistics of its features are those of the pipeline, text encoder and sampling too where the recipe
names none, and `model` takes what leaves weights as they are (`motionmillion.training.dit.start_from.TUNABLE`).

Validation is the loss on the clips of the split `val` with fixed noise, each told by its text or a reference as the
draw has it; the plain error of what the last layer says (`velocity`, or `clean` motion) is given for all of them and
for each of the two alone. Written at the end: `<output>/final`, a pipeline, with the averaged weights where
`training.ema_decay` is set.
"""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import set_seed

from motionmillion.configuration import check_number, check_whole, unknown_key_error
from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.data.clips import SPLITS, MotionClip, load_clips
from motionmillion.data.composition.composing import ComposeOptions, compose_clips
from motionmillion.data.sets.flow_pairs import FlowPairs, Source, check_names, collate_flow
from motionmillion.data.sets.references import Corruption
from motionmillion.features import get
from motionmillion.features.stats import FeatureStats, feature_stats
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline.folder import write_pipeline_settings
from motionmillion.pipeline.options import check_dit_defaults
from motionmillion.text.encoder import MINILM, DeferredTextEncoder, TextEncoder
from motionmillion.training.dit.start_from import (
    check_encoder,
    copied,
    find_dit,
    load_dit,
    own_options,
    statistics,
    tuned_config,
)
from motionmillion.training.export import PARTS, filled, whole_weights
from motionmillion.training.lm.data import category_weights, text_shards
from motionmillion.training.lm.options import check_drawing
from motionmillion.training.recipe import Recipe, clips_of, take_options
from motionmillion.training.resume import check_output
from motionmillion.training.trainer import build_trainer, run, training_arguments

_BATCH = 32
_SOURCE_FILE = "source.json"
_SOURCE_KEYS = ("folder", "text_share", "trusted_text", "trusted_reference", "share", "splits")


def train_dit(recipe: Recipe, resume: bool = False) -> dict[str, float]:
    """Train, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures.

    Args:
        resume: go on from the newest checkpoint of the output folder.

    Raises:
        ValueError: for unknown options, and data without captioned clips of the splits `train` and `val`.
    """
    # 1. check what can be checked before anything is loaded
    data = dit_data_options(recipe)
    started = find_dit(str(data["start_from"]), "data.start_from") if data["start_from"] else None
    if started is not None:
        data = own_options(started, recipe, data)
    check_output(recipe, resume)
    arguments = training_arguments(recipe)
    # 2. clips and texts
    sources = dit_sources(recipe, data)
    encoder = caption_encoder(data, arguments.device)
    # 3. model and data
    set_seed(recipe.seed)
    if started is None:
        model, stats = MotionDiT(dit_config(recipe, encoder.dim)), None
    else:
        old = load_dit(started, arguments.device)
        check_encoder(old, encoder, data["text_encoder"])
        model, stats = copied(old, tuned_config(old.config, recipe.model)), statistics(old)
    train, held_out = dit_data_sets(recipe, data, sources, encoder, model, stats)
    check_dit_defaults(data["sampling"], model.config.features)
    encoder.to("cpu")
    # 4. train, and write it
    trainer = build_trainer(
        model, arguments, train, held_out, collate_flow, lambda m: evaluate_dit(m, held_out, recipe.seed)
    )
    trainer.sample_weights = visits(train, data)
    return run_and_save(trainer, recipe, encoder, data["sampling"] or {})


def dit_config(recipe: Recipe, text_dim: int) -> MotionDiTConfig:
    """The config that a recipe's `model` section makes, for text features of that width."""
    options = {**recipe.model, "text_dim": text_dim}
    size = options.pop("size", None)
    return MotionDiTConfig.from_name(size, **options) if size else MotionDiTConfig(**options)


def caption_encoder(data: dict[str, Any], device: torch.device) -> TextEncoder:
    """The text encoder of the options `data`; without weights where features of all captions are there."""
    named = (data["text_encoder"], data["sentence"], data["text_length"])
    return DeferredTextEncoder(*named) if data["text_features"] else TextEncoder(*named, device)


def dit_data_sets(
    recipe: Recipe,
    data: dict[str, Any],
    sources: tuple[list[Source], list[Source]],
    encoder: TextEncoder,
    model: MotionDiT,
    stats: FeatureStats | None = None,
) -> tuple[FlowPairs, FlowPairs]:
    """Training and validation, normalised by `stats`, or those of the former, and the model takes them over."""
    config = model.config
    common: dict[str, Any] = dict(representation=model.representation, encoder=encoder)
    common |= dict(corruption=corruption_of(data["corruption"]))
    common |= dict(reference_blocks=config.reference_blocks if config.num_reference_layers else ())
    common |= dict(longest=config.max_frames, shortest=data["shortest"], texts=text_shards(data, encoder))
    versions = {key: data[key] for key in ("variants", "speed", "trim", "own_caption_share", "caption_weights")}
    train = FlowPairs(sources[0], text_dropout=config.text_dropout, **common, **versions, seed=recipe.seed)
    held_out = FlowPairs(sources[1], **common)
    if stats is None:
        stats = feature_stats((f for own in train.features for f in own), model.representation.layout)
    model.set_statistics(stats)
    train.normalize(stats)
    held_out.normalize(stats)
    return train, held_out


def visits(train: FlowPairs, data: dict[str, Any]) -> torch.Tensor | None:
    """How often to visit each clip, by the shares of the sources and, within these, by category."""
    return train.weights(category_weights(train.groups(data["balance_by"]), data["balance"]))


def run_and_save(trainer: Any, recipe: Recipe, encoder: TextEncoder, sampling: dict[str, Any]) -> dict[str, float]:
    """Train, and write the pipeline `<output>/final`, whose default options are `sampling`; the validation figures."""
    output = Path(recipe.output)
    if trainer.is_world_process_zero():
        save_parts(encoder, sampling, output / PARTS)
    figures = run(trainer, recipe)
    weights = whole_weights(trainer)
    if weights is not None:
        filled(MotionDiT, trainer.trained_model.config, weights).save_pretrained(output / "final" / "dit")
        save_parts(encoder, sampling, output / "final")
    return figures


def save_parts(encoder: TextEncoder, sampling: dict[str, Any], folder: Path) -> None:
    """Write what a pipeline's folder holds besides the transformer."""
    encoder.save_pretrained(folder)
    write_pipeline_settings(folder, sampling, "dit")


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


@torch.no_grad()
def evaluate_dit(model: MotionDiT, dataset: FlowPairs, seed: int) -> dict[str, float]:
    """Means over whole clips with noise that follows from `seed`.

    "loss" is weighed as in training; "velocity", for models that predict clean motion "clean", is the plain squared
    error of what the last layer says; "velocity_text" and "velocity_reference", or "clean_text" and
    "clean_reference", are those of the clips that were told by a text and by a reference.
    """
    kind = model.config.prediction
    sums: Counter[str] = Counter()
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for batch in DataLoader(dataset, batch_size=_BATCH, collate_fn=collate_flow):
            told = batch.get("use_reference", torch.zeros(len(batch["labels"]), dtype=torch.bool))
            for name, rows in (("text", ~told), ("reference", told)):
                count = int(rows.sum())
                if not count:
                    continue
                output = model(**{key: value[rows].to(model.device) for key, value in batch.items()})
                error = count * float(output.losses[kind])
                sums.update({"loss": count * float(output.loss), kind: error, f"{kind}_{name}": error})
                sums.update({f"{name} rows": count})
    counts = {name: sums[f"{name} rows"] for name in ("text", "reference")}
    every = sum(counts.values())
    means = {name: sums[name] / every for name in ("loss", kind)}
    return means | {f"{kind}_{name}": sums[f"{kind}_{name}"] / count for name, count in counts.items() if count}
