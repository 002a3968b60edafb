"""Train MotionDiT, the flow-matching transformer, from a recipe file.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from: a folder or a list of folders, or so many synthetic clips |
| sources | instead of these, a list of sources: `folder` and how it is used, see below |
| text_encoder, sentence, text_length | see `motionmillion.text.TextEncoder` |
| variants, speed, trim | versions of each clip, see `motionmillion.data.pairs` |
| own_caption_share | how often a window of a longer take is described by a caption of its own |
| caption_rules | file of rules that add wordings to training clips, see `motionmillion.data.captions` |
| balance | 0 visits every clip equally often, 1 every category; between them the share of both |
| text_share | how often a clip is told by its text rather than by a reference, where a source does not say |
| corruption | settings of `motionmillion.data.references.Corruption`, over ViMoGen's |
| sampling | default options of the pipeline that is written |

A source is a mapping: `folder`, `text_share`, `trusted_text`, `trusted_reference`, `weight`, `splits` (all clips of these
count as training clips; left out, the folder's own splits hold). What it does not say is read from `source.json` in its
folder where there is one, the manifest of a data set that knows how it should be used. `model` takes `size` (a name of
`MotionDiTConfig.from_name`) and arguments of the config; `text_dim` follows from the encoder.

Validation is the loss on the clips of the split `val` with fixed noise, in both branches. Written at the end:
`<output>/final`, a pipeline, with the averaged weights where `training.ema_decay` is set.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from transformers import set_seed

from motionmillion.configuration import check_number, unknown_key_error
from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.data.clips import SPLITS, MotionClip, load_clips
from motionmillion.data.flow_pairs import FlowPairs, Source, collate_flow
from motionmillion.data.references import Corruption
from motionmillion.features.stats import feature_stats
from motionmillion.lm.dit import MotionDiT
from motionmillion.lm.dit_config import MotionDiTConfig
from motionmillion.text import MINILM, TextEncoder
from motionmillion.training.lm_data import category_weights
from motionmillion.training.recipe import Recipe, clips_of, take_options
from motionmillion.training.resume import check_output
from motionmillion.training.trainer import build_trainer, run, training_arguments

_BATCH = 32
_SOURCE_FILE = "source.json"
_SOURCE_KEYS = ("folder", "text_share", "trusted_text", "trusted_reference", "weight", "splits")


def train_dit(recipe: Recipe, resume: bool = False) -> dict[str, float]:
    """Train, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures.

    Args:
        resume: go on from the newest checkpoint of the output folder.

    Raises:
        ValueError: for unknown options, and data without captioned clips of the splits `train` and `val`.
    """
    # 1. check what can be checked before anything is loaded
    data = dit_data_options(recipe)
    corruption = Corruption(**_corruption_options(data["corruption"]))
    check_output(recipe, resume)
    arguments = training_arguments(recipe)
    # 2. clips and texts
    training, validation = dit_sources(recipe, data)
    encoder = TextEncoder(data["text_encoder"], data["sentence"], data["text_length"], arguments.device)
    options = {**recipe.model, "text_dim": encoder.dim}
    size = options.pop("size", None)
    config = MotionDiTConfig.from_name(size, **options) if size else MotionDiTConfig(**options)
    # 3. model
    set_seed(recipe.seed)
    model = MotionDiT(config)
    common: dict[str, Any] = dict(reference_blocks=config.reference_blocks if config.num_reference_layers else ())
    common |= dict(longest=config.max_frames)
    versions = {key: data[key] for key in ("variants", "speed", "trim", "own_caption_share")}
    train = FlowPairs(
        training,
        model.representation,
        encoder,
        config.text_dropout,
        corruption,
        **common,
        **versions,
        seed=recipe.seed,
    )
    held_out = FlowPairs(validation, model.representation, encoder, corruption=corruption, **common)
    encoder.to("cpu")
    stats = feature_stats((f for own in train.features for f in own), model.representation.layout)
    model.set_statistics(stats)
    train.normalize(stats)
    held_out.normalize(stats)
    # 4. train
    trainer = build_trainer(
        model, arguments, train, held_out, collate_flow, lambda m: evaluate_dit(m, held_out, recipe.seed)
    )
    balance = category_weights([clips[0].category for clips in train.versions], data["balance"])
    trainer.sample_weights = train.weights if balance is None else train.weights * balance
    with plain_attention(arguments.device):
        figures = run(trainer, recipe)
    # 5. write it
    if trainer.is_world_process_zero():
        trainer.trained_model.save_pretrained(Path(recipe.output) / "final" / "dit")
    return figures


def plain_attention(device: torch.device) -> Any:
    """A context in which CPUs take the plain kernel: the backward pass of the fused one is slow on short sequences."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()


def dit_data_options(recipe: Recipe) -> dict[str, Any]:
    """All options of a recipe's `data` section.

    Raises:
        ValueError: for unknown keys, values out of range, and no or several places of clips.
    """
    data = take_options(
        recipe.data,
        "data section",
        **dict(folder=None, synthetic=0, sources=None, text_encoder=MINILM, sentence=True, text_length=150),
        **dict(variants=8, speed=0.1, trim=0.15, own_caption_share=0.5, caption_rules=None, balance=0.0),
        **dict(text_share=0.8, corruption=None, sampling=None),
    )
    if check_number("data.text_share", data["text_share"]) > 1:
        raise ValueError(f"data.text_share must be in [0, 1], got {data['text_share']!r}")
    places = [name for name in ("folder", "synthetic", "sources") if data[name]]
    if len(places) != 1:
        raise ValueError(f"data must name one of folder, synthetic and sources, got {places or 'none'}")
    _corruption_options(data["corruption"])
    return data


def _corruption_options(given: Any) -> dict[str, Any]:
    known = set(Corruption.__dataclass_fields__)
    if not isinstance(given, dict | None) or set(given or {}) - known:
        raise unknown_key_error("data.corruption", set(given or {}) - known, known)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in (given or {}).items()}


def dit_sources(recipe: Recipe, data: dict[str, Any]) -> tuple[list[Source], list[Source]]:
    """Training and validation sources of the options `data` of a recipe."""
    rules = load_caption_rules(data["caption_rules"]) if data["caption_rules"] else []
    if data["sources"]:
        loaded = [_source_clips(entry) for entry in data["sources"]]
    else:
        loaded = [({}, clips_of(data["folder"], data["synthetic"], recipe.seed))]
    training, validation = [], []
    for settings, clips in loaded:
        settings = {"text_share": data["text_share"], **settings}
        train = [add_captions(clip, rules) for clip in clips if clip.split == "train" and clip.captions]
        training.append(Source(train, **settings))
        validation.append(Source([clip for clip in clips if clip.split == "val" and clip.captions], **settings))
    return training, validation


def _source_clips(entry: Any) -> tuple[dict[str, Any], list[MotionClip]]:
    """How one source is used, and its clips."""
    if not isinstance(entry, dict) or "folder" not in entry:
        raise ValueError(f"data.sources must be mappings with a folder, got {entry!r}")
    file = Path(entry["folder"]) / _SOURCE_FILE
    try:
        own = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{_SOURCE_FILE} must be a JSON object, got {str(file)!r} ({error})") from None
    settings = {**own, **entry}
    if set(settings) - set(_SOURCE_KEYS):
        raise unknown_key_error("a source", set(settings) - set(_SOURCE_KEYS), _SOURCE_KEYS)
    splits, folder = settings.pop("splits", None), settings.pop("folder")
    clips = load_clips(folder, splits or SPLITS)
    return settings, [clip.replace(split="train") for clip in clips] if splits else clips


@torch.no_grad()
def evaluate_dit(model: MotionDiT, dataset: FlowPairs, seed: int) -> dict[str, float]:
    """Losses on whole clips with noise that follows from `seed`: as trained, and the plain error of each branch."""
    totals: dict[str, list[float]] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for batch in DataLoader(dataset, batch_size=_BATCH, collate_fn=collate_flow):
            batch = {name: value.to(model.device) for name, value in batch.items()}
            rows = len(batch["labels"])
            output = model(**batch)
            totals.setdefault("loss", []).extend([float(output.loss)] * rows)
            totals.setdefault("velocity", []).extend([float(output.losses["velocity"])] * rows)
    return {name: sum(values) / len(values) for name, values in totals.items()}
