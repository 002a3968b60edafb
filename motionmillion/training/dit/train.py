"""Train MotionDiT, the flow-matching transformer, from a recipe file.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from: a folder or a list of folders, or a number of synthetic clips |
| skip_bad | leave out clips that cannot be read, and names in lists that match none, and list them |
| variants, speed, trim | versions of each clip, see `motionmillion.data.augment.random_variant` |
| own_caption_share | fraction of visits in which a window of a longer take is described by a caption of its own |
| caption_rules | file of rules that add wordings to training clips, see `motionmillion.data.captions` |
| caption_weights | probability weights of the sources of captions, see `motionmillion.data.sets.texts` |
| compose | training clips made out of others, see `motionmillion.data.composition.composing.ComposeOptions` |
| balance | 0 visits every clip equally often, 1 every category; values between them are a compromise |
| balance_by | what a category is: `category`, `description` (title of the take) or `action` (verb of the caption) |
| text_encoder, sentence, text_length | see `motionmillion.text.encoder.TextEncoder` |
| text_features | folder of features of all captions, made with that encoder, which is then not loaded |
| start_from | pipeline (bundled name, folder, hub id) whose model is trained further |
| sampling | default options of the pipeline that is written, see `motionmillion.pipeline.options` |
| sources | in place of folder and synthetic, a list of sources: `folder` and how it is used, see below |
| text_share | probability of conditioning on the text rather than on a reference, where a source does not say |
| corruption | settings of `motionmillion.data.sets.references.Corruption`, over ViMoGen's |
| shortest | frames below which a clip is left out, at the frame rate of the features |

A source is a mapping: `folder`, `text_share`, `trusted_text`, `trusted_reference`, `share` (its fraction of all
visits, such as 0.06; sources without one divide the rest in proportion to their numbers of clips), `splits` (all clips
of these splits are used for training; if left out, the folder's own splits apply). Keys that it does not set are read
from `source.json` in its folder, if there is one: a manifest with the recommended settings of a data set. `model`
takes `size` (a name of `MotionDiTConfig.from_name`) and arguments of the config; `text_dim` follows from the encoder.
With `start_from`, the model and its feature statistics are those of the pipeline, and so are text encoder and sampling
if the recipe names none; `model` then only takes settings that do not change the weights
(`motionmillion.training.dit.start_from.TUNABLE`).

Validation is the loss on the clips of the split `val` with fixed noise, each conditioned on its text or on a
reference, drawn at random; the unweighted error of the last layer's output (`velocity`, or `clean` motion) is reported
for all clips and for each kind of conditioning separately. Written at the end: `<output>/final`, a pipeline, with the
averaged weights if `training.ema_decay` is set.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from motionmillion.data.sets.flow_pairs import FlowPairs, Source, collate_flow
from motionmillion.features.stats import FeatureStats, feature_stats
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline.folder import write_pipeline_parts
from motionmillion.pipeline.options import DiTOptions
from motionmillion.progress import say_lines
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.arguments import training_arguments
from motionmillion.training.dit.sources import DiTSection, dit_data_options, dit_sources
from motionmillion.training.dit.start_from import (
    check_encoder,
    copied,
    dit_config,
    find_dit,
    statistics,
    tuned_config,
)
from motionmillion.training.export import PARTS, filled, whole_weights
from motionmillion.training.origins import check_origins, clips_of, model_of, shards_of
from motionmillion.training.plan.cost import Step
from motionmillion.training.plan.dit_cost import DiTShape, dit_shape
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import check_output, note_recipe
from motionmillion.training.sharing import over_processes, shared_batches
from motionmillion.training.start import lean, read_on_the_first, weights_on_the_first
from motionmillion.training.trainer import build_trainer, run


def train_dit(recipe: Recipe, resume: bool = False, force: bool = False) -> dict[str, float]:
    """Train, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures.

    Args:
        resume: continue from the newest checkpoint in the output folder.
        force: only warn if a run to resume was trained on other data.

    Raises:
        ValueError: for unknown options, and data without captioned clips of the splits `train` and `val`.
    """
    # 1. checks that need nothing loaded
    data = dit_data_options(recipe)
    started = find_dit(str(data.start_from), "data.start_from") if data.start_from else None
    if started is not None:
        data = data.completed(started.parent, recipe.data)
    arguments = training_arguments(recipe, "dit")
    check_output(recipe, resume)
    say_lines(data.check_clips(captioned=True))
    note_recipe(recipe)
    found = {} if started is None else {"data.start_from": model_of(started)}
    check_origins(recipe.output, {**found, **shards_of([], data.text_features)}, force)
    # 2. clips and texts
    sources = dit_sources(recipe, data)
    encoder = data.encoder(arguments.device)
    # 3. model and data
    set_seed(recipe.seed)
    if started is None:
        stats = None
        with weights_on_the_first(arguments):
            model = MotionDiT(dit_config(recipe, encoder.dim))
    else:
        old = read_on_the_first(MotionDiT, started, arguments)
        old = old if lean(arguments) else old.to(arguments.device)
        check_encoder(old, encoder, data.text_encoder)
        model, stats = copied(old, tuned_config(old.config, recipe.model)), statistics(old)
    train, held_out = dit_data_sets(recipe, data, sources, encoder, model, stats)
    check_origins(recipe.output, clips_of(train, data.every_folder, data.skip_bad), force)
    DiTOptions.from_defaults(data.sampling).check_features(model.config.features)
    encoder.to("cpu")
    # 4. train, and write the pipeline
    samples = arguments.eval_samples
    trainer = build_trainer(
        model, arguments, train, held_out, collate_flow, lambda m: evaluate_dit(m, held_out, recipe.seed, samples)
    )
    trainer.sample_weights = visits(train, data)
    shape = dit_shape(model.config)
    trainer.operations = lambda batch: _operations(shape, model.config.patch, batch)
    return run_and_save(trainer, recipe, encoder, data.sampling or {})


def dit_data_sets(
    recipe: Recipe,
    data: DiTSection,
    sources: tuple[list[Source], list[Source]],
    encoder: TextEncoder,
    model: MotionDiT,
    stats: FeatureStats | None = None,
) -> tuple[FlowPairs, FlowPairs]:
    """Training and validation sets, normalised by `stats` or by those of the training set, which the model adopts."""
    config = model.config
    common: dict[str, Any] = dict(representation=model.representation, encoder=encoder)
    common |= dict(corruption=data.corruption)
    common |= dict(reference_blocks=config.reference_blocks if config.num_reference_layers else ())
    common |= dict(longest=config.max_frames, shortest=data.shortest, texts=data.texts(encoder))
    drawn = {"own_caption_share": data.own_caption_share, "caption_weights": data.caption_weights, "seed": recipe.seed}
    train = FlowPairs(sources[0], text_dropout=config.text_dropout, **common, **data.versions, **drawn)
    held_out = FlowPairs(sources[1], **common)
    if stats is None:
        stats = feature_stats((f for own in train.features for f in own), model.representation.layout)
    model.set_statistics(stats)
    train.normalize(stats)
    held_out.normalize(stats)
    return train, held_out


def visits(train: FlowPairs, data: DiTSection) -> torch.Tensor | None:
    """Sampling weight of each clip, from the sources' fractions of visits and, within a source, by category."""
    return train.weights(data.visits(train.groups(data.balance_by)))


def _operations(shape: DiTShape, patch: int, batch: dict[str, Any]) -> float:
    """Floating point operations of a batch."""
    rows, frames = batch["labels"].shape[:2]
    step = Step(1, rows, -(-frames // patch), 1)
    by_text = 1 - float(batch["use_reference"].float().mean()) if "use_reference" in batch else 1.0
    return replace(shape, words=batch["text"].shape[1], text_share=by_text).operations(step)


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
    """Write the parts of a pipeline's folder other than the transformer."""
    write_pipeline_parts(folder, encoder.settings, sampling, "dit")


@torch.no_grad()
def evaluate_dit(model: MotionDiT, dataset: FlowPairs, seed: int, samples: int = 0) -> dict[str, float]:
    """Means over whole clips with noise that follows from `seed`; every process must call it.

    Args:
        samples: number of clips, the same ones for a seed; 0 for all.

    "loss" is weighted as in training; "velocity" (or "clean", for models that predict clean motion) is the unweighted
    squared error of the last layer's output; "velocity_text" and "velocity_reference", or "clean_text" and
    "clean_reference", are its means over the clips conditioned on a text and on a reference.
    """
    kind = model.config.prediction
    sums: Counter[str] = Counter()
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for batch, counted in shared_batches(dataset, collate_flow, samples, seed):
            told = batch.get("use_reference", torch.zeros(len(batch["labels"]), dtype=torch.bool))
            for name, rows in (("text", ~told), ("reference", told)):
                count = int(rows.sum()) * counted
                if name == "reference" and "use_reference" not in batch:
                    continue
                if not bool(rows.any()):  # every process makes the same calls
                    rows = torch.arange(len(rows)) == 0
                output = model(**{key: value[rows].to(model.device) for key, value in batch.items()})
                error = count * float(output.losses[kind])
                sums.update({"loss": count * float(output.loss), kind: error, f"{kind}_{name}": error})
                sums.update({f"{name} rows": count})
    sums = Counter(over_processes(sums, model.device))
    counts = {name: sums[f"{name} rows"] for name in ("text", "reference")}
    every = sum(counts.values())
    means = {name: sums[name] / every for name in ("loss", kind)}
    return means | {f"{kind}_{name}": sums[f"{kind}_{name}"] / count for name, count in counts.items() if count}
