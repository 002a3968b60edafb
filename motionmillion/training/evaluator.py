"""Train a text-motion evaluator from a recipe file.

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
| mirrored | add mirrored copies to each batch, which doubles it, to contrast left and right |

`model` takes arguments of `TextMotionEvaluatorConfig`; the text width follows from the encoder. Validation is
retrieval on the whole clips of the split `val`, with the published batches of 32 (of fewer clips, one batch of all).
Written at the end: `<output>/final`.
"""

from pathlib import Path

from transformers import set_seed

from motionmillion.data.clips import MotionClip
from motionmillion.data.sets.pairs import PairDataset, collate_pairs
from motionmillion.eval.distribution import matching_distance, r_precision
from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
from motionmillion.eval.evaluator.model import TextMotionEvaluator
from motionmillion.eval.suites.clips import clip_id, clips_suite
from motionmillion.features.stats import feature_stats
from motionmillion.progress import say_lines
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.arguments import training_arguments
from motionmillion.training.origins import check_origins, clips_of
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import check_output, note_recipe
from motionmillion.training.sections import EvaluatorSection, read_section
from motionmillion.training.sharing import chosen
from motionmillion.training.trainer import build_trainer, run

_BATCH = 32


def train_evaluator(recipe: Recipe, resume: bool = False, force: bool = False) -> dict[str, float]:
    """Train, validate on the `val` split, write `<output>/final`; returns the validation figures.

    Args:
        resume: continue from the newest checkpoint in the output folder.
        force: only warn if a run to resume was trained on other data.

    Raises:
        ValueError: for unknown options, and data without captioned clips of the splits `train` and `val`.
    """
    # 1. checks that need nothing loaded
    data = data_options(recipe)
    arguments = training_arguments(recipe, "evaluator")
    check_output(recipe, resume)
    say_lines(data.check_clips(captioned=True, val=2))
    note_recipe(recipe)
    config = TextMotionEvaluatorConfig(**recipe.model)
    # 2. clips and texts
    clips = data.clips(recipe.seed)
    training = data.training_clips(clips, recipe.seed)
    validation = [clip for clip in clips if clip.split == "val" and clip.captions]
    if len(validation) < 2:
        raise ValueError(f"data must hold captioned clips of the split 'val' to tell apart, got {len(validation)}")
    encoder = TextEncoder(config.text_encoder, config.sentence, config.text_length, arguments.device)
    config.text_dim = encoder.dim
    # 3. model
    set_seed(recipe.seed)
    model = TextMotionEvaluator(config)
    model.use_text_encoder(encoder)
    drawn = {"own_caption_share": data.own_caption_share, "caption_weights": data.caption_weights, "seed": recipe.seed}
    train = PairDataset(training, model.representation, encoder, **data.versions, **drawn)
    model.set_statistics(feature_stats((f for own in train.features for f in own), model.representation.layout))
    check_origins(recipe.output, clips_of(train, data.folders, data.skip_bad), force)
    # 4. train
    compared = [validation[v.index] for v in chosen(len(validation), arguments.eval_samples, recipe.seed)]
    held_out = PairDataset(validation, model.representation, encoder)
    trainer = build_trainer(
        model, arguments, train, held_out, collate_pairs, lambda m: evaluate_retrieval(m, compared, recipe.seed)
    )
    trainer.sample_weights = data.visits(train.groups(data.balance_by))
    figures = run(trainer, recipe)
    if trainer.is_world_process_zero():
        trainer.trained_model.save_pretrained(Path(recipe.output) / "final")
    return figures


def data_options(recipe: Recipe) -> EvaluatorSection:
    """The section `data` of a recipe; unknown keys and values out of range raise `ValueError`."""
    return read_section(EvaluatorSection, recipe.data)


def evaluate_retrieval(
    evaluator: TextMotionEvaluator, clips: list[MotionClip], seed: int = 0, repeats: int = 10
) -> dict[str, float]:
    """R-precision and matching distance on whole clips of one split, each with one of its captions.

    Clips with identical captions are not counted as errors for each other. Both metrics are means over `repeats`
    random draws of captions and batches.
    """
    motions = evaluator.embed_motions([clip.motion for clip in clips])
    totals: dict[str, float] = {}
    for repeat in range(repeats):
        texts = {p.id: p.text for p in clips_suite(clips, clips[0].split, seed + repeat).prompts}
        captions = [texts[clip_id(clip.name)] for clip in clips]
        points = evaluator.embed_texts(captions)
        found = r_precision(points, motions, min(_BATCH, len(clips)), seed + repeat, captions)
        figures = {f"r_precision_top{k}": value for k, value in found.items()}
        figures["matching_distance"] = matching_distance(points, motions)
        for name, value in figures.items():
            totals[name] = totals.get(name, 0.0) + value / repeats
    return totals
