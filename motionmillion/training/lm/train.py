"""Train a motion language model from a recipe file.

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
| tokens | token shards in place of motions, a folder or a list of folders; their clips have one version |
| tokenizer | folder of the trained tokenizer |
| cache | folder that keeps codes and text features for the next start, see `motionmillion.data.sets.token_cache` |
| live_texts | compute text features in every step on the training device, see `motionmillion.data.sets.live_texts` |
| held_out_captions | fraction of the captions that is only evaluated on, see `motionmillion.data.sets.wordings` |
| caption_dropout, corruption, code_drop | see `motionmillion.data.sets.tokens.TokenCollator` |
| packing | positions of a row that holds several samples, see `motionmillion.data.sets.packing`; 0 packs nothing |
| samples | prompts shown as contact sheets at every evaluation, see `motionmillion.training.lm.samples` |

`model` takes `size` (a name of `MotionLMConfig.from_name`) and arguments of the config; codebook and text width follow
from tokenizer and encoder. With `head: flow` the tokenizer must have continuous latents, which come from motions, not
from token shards; their mean and standard deviation become part of the model, and the noise on what the model reads is
`model.latent_noise`, not `data.corruption`. With `start_from` the model is that of the pipeline and only `model.lora`
is used, which trains adapters, see `motionmillion.training.lm.lora`; tokenizer, text encoder and sampling come from
the pipeline where the recipe leaves them out.

Written at the end: `<output>/final`, a pipeline with the full weights, even if they were sharded over processes;
adapters are merged into it, and also saved on their own in `<output>/adapter`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import set_seed

from motionmillion.data.sets.latents import latent_statistics
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.latents.model import MotionFlowLM
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.folder import find_pipeline, find_tokenizer
from motionmillion.progress import say_lines
from motionmillion.text.encoder import TextEncoder
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.arguments import MotionTrainingArguments, training_arguments
from motionmillion.training.export import PARTS, language_model, whole_weights
from motionmillion.training.lm.data import evaluate_sets, lm_data
from motionmillion.training.lm.judged import JudgedMotions, JudgeOptions
from motionmillion.training.lm.lora import (
    add_adapters,
    check_peft,
    is_adapted,
    model_folder,
    save_adapters,
)
from motionmillion.training.lm.options import LMSection, check_latent_data, lm_data_options, lora_options, motion_of
from motionmillion.training.lm.samples import SampleSheets
from motionmillion.training.origins import check_origins, check_tokens, clips_of, model_of, shards_of, weights_of
from motionmillion.training.plan.cost import Step, lm_shape
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import check_output, note_recipe
from motionmillion.training.start import read_on_the_first, weights_on_the_first
from motionmillion.training.trainer import MotionTrainer, build_trainer, run


def train_lm(recipe: Recipe, resume: bool = False, force: bool = False) -> dict[str, float]:
    """Train, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures.

    Args:
        resume: continue from the newest checkpoint in the output folder.
        force: only warn if the codes come from another tokenizer, or a run to resume was trained on other data.
    """
    # 1. checks that need nothing loaded
    data = lm_data_options(recipe)
    lora = lora_options(recipe, data)
    if lora:
        check_peft()
    arguments = training_arguments(recipe)
    check_output(recipe, resume)
    say_lines(data.check_clips(captioned=True))
    note_recipe(recipe)
    # 2. the parts of the pipeline
    parts = _parts(recipe, data)
    set_seed(recipe.seed)
    model = _model(recipe, data, parts, arguments)
    if model.config.head == "flow":
        check_latent_data(recipe, data)
    _check_origins(recipe, data, parts, force)
    model.lean_training = True
    pipeline = CodesPipeline(parts.tokenizer, model, parts.encoder, parts.sampling)
    trained = add_adapters(model, lora, str(data.start_from)) if lora else model
    # 3. train
    unseen = arguments.eval_samples
    few_shapes = arguments.torch_compile
    sets = lm_data(recipe, data, parts.tokenizer, parts.encoder, model.config, arguments.device, unseen, few_shapes)
    check_origins(recipe.output, clips_of(sets.train, data.folders, data.skip_bad), force)
    if isinstance(model, MotionFlowLM) and not data.start_from:
        train: Any = sets.train
        model.set_statistics(*latent_statistics(latents for versions in train.codes for latents in versions))
    trainer = build_trainer(
        trained,
        arguments,
        sets.train,
        sets.validation,
        sets.collate,
        lambda model: evaluate_sets(model, sets, recipe.seed, arguments.eval_samples),
    )
    trainer.sample_weights, trainer.prepare = sets.weights, sets.prepare
    shape = lm_shape(model.config, lora)
    trainer.operations = lambda batch: shape.operations(_step_of(batch))
    if data.samples:
        trainer.add_callback(SampleSheets(data.samples, trainer, pipeline, Path(recipe.output) / "samples"))
    if arguments.generate_every:
        judge = JudgeOptions(arguments.generate_every, arguments.generate_samples, arguments.generate_evaluator)
        trainer.add_callback(JudgedMotions(trainer, pipeline, sets.validation, judge, recipe.seed))
    if trainer.is_world_process_zero():
        pipeline.save_settings(Path(recipe.output) / PARTS)
        parts.tokenizer.save_pretrained(Path(recipe.output) / PARTS / "tokenizer")
    figures = run(trainer, recipe)
    # 4. write the pipeline
    _save(trainer, pipeline, Path(recipe.output))
    return figures


@dataclass
class LMParts:
    """The parts of the pipeline around the language model."""

    tokenizer: MotionTokenizer
    folder: Path  # of the tokenizer
    encoder: TextEncoder
    sampling: dict[str, Any] | None


def _parts(recipe: Recipe, data: LMSection) -> LMParts:
    """Tokenizer, text encoder and sampling of the recipe; missing ones come from the pipeline to start from."""
    source: str | Path | None = data.tokenizer
    if data.start_from:
        started = find_pipeline(data.start_from)
        data = data.completed(started, recipe.data)
        source = source or (started / "tokenizer" if (started / "tokenizer").is_dir() else None)
    if not source:
        raise ValueError(f"data must name the folder of a trained tokenizer, got none in {data.start_from!r}")
    folder = find_tokenizer(source)
    return LMParts(MotionTokenizer.from_pretrained(folder).eval(), folder, data.encoder(), data.sampling)


def _check_origins(recipe: Recipe, data: LMSection, parts: LMParts, force: bool) -> None:
    """Compare the tokenizer with that of the codes, and everything with what a run to resume was trained on."""
    tokens = data.token_folders
    check_tokens(tokens, parts.folder, force)
    found = {"tokenizer": weights_of(parts.folder), **shards_of(tokens, data.text_features)}
    if data.start_from:
        found["data.start_from"] = model_of(model_folder(data.start_from))
    check_origins(recipe.output, found, force)


def _model(recipe: Recipe, data: LMSection, parts: LMParts, arguments: MotionTrainingArguments) -> MotionLM:
    """A new model, or the trained one to start from."""
    if data.start_from:
        return read_on_the_first(MotionLM, model_folder(data.start_from), arguments)
    options = {key: value for key, value in recipe.model.items() if key != "lora"}
    options |= motion_of(parts.tokenizer.config, options, str(data.tokenizer))
    options |= {"text_dim": parts.encoder.dim, "caption_dropout": float(data.caption_dropout)}
    size = options.pop("size", None)
    config = MotionLMConfig.from_name(size, **options) if size else MotionLMConfig(**options)
    with weights_on_the_first(arguments):
        return MotionLM(config)


def _step_of(batch: dict[str, Any]) -> Step:
    """A batch of one process in terms of its cost."""
    rows, predicted = batch["labels"].shape[:2]
    return Step(1, rows, batch["text_features"].shape[1] + predicted, predicted)


def _save(trainer: MotionTrainer, pipeline: CodesPipeline, output: Path) -> None:
    """Write the pipeline with the trained weights, and any adapters separately; only one process writes."""
    weights, model = whole_weights(trainer), trainer.trained_model
    if weights is None:
        return
    if is_adapted(model):
        save_adapters(model, weights, output / "adapter")
    lm = language_model(model, weights)
    CodesPipeline(pipeline.tokenizer, lm, pipeline.text_encoder, pipeline.defaults).save_pretrained(output / "final")
