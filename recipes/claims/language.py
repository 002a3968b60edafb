"""Trains one language model of a claim, and measures it.

    lm, figures = train(material, material.training(), content, seed=0)
    figures |= judged(lm, material, material.judge(128), seed=0)

Models are small and runs short: figures compare arms of one table with each other, and say nothing about a model that
was trained until it learns no more.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from material import Judge, Material
from torch import Tensor
from torch.utils.data import Dataset
from transformers import set_seed

from motionmillion.data.sets.groups import category_weights
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.tokens import TokenCollator, TokenDataset
from motionmillion.eval.distribution import frechet_distance, r_precision
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.training.arguments import training_arguments
from motionmillion.training.lm.data import evaluate_lm
from motionmillion.training.lm.judged import StoredTexts
from motionmillion.training.lm.options import motion_of
from motionmillion.training.plan.cost import Step, lm_shape
from motionmillion.training.recipe import Recipe, apply_override, load_yaml, merge
from motionmillion.training.trainer import build_trainer, run

BASE = Path(__file__).with_name("base.yaml")
ROW, CAPTION_DROPOUT, BALANCE = 288, 0.1, 0.5
SAMPLING = {"temperature": 0.9, "top_p": 0.95, "guidance_scale": 2.0, "min_seconds": 2.0, "max_seconds": 8.0}
_FACTORISED = ("code_levels", "depth_width", "depth_layers")
TEXT_PARTS = {"words and sentence": slice(None), "words": slice(1, None), "sentence": slice(0, 1)}
"""Positions of a text: the mean of its words, then the words."""


class TextPart:
    """Text features by caption, of which a model reads a part; see `TEXT_PARTS`."""

    def __init__(self, texts: Any, part: str) -> None:
        self.texts, self.rows = texts, TEXT_PARTS[part]
        self.dim, self.settings = texts.dim, texts.settings

    def __getitem__(self, text: str) -> Tensor:
        return self.texts[text][self.rows].float()


def content(overrides: Sequence[str] = (), **sections: Mapping[str, Any]) -> dict[str, Any]:
    """The content of base.yaml with changes by section, then the user's."""
    made = merge(load_yaml(BASE), {name: dict(own) for name, own in sections.items()})
    for override in overrides:
        apply_override(made, override)
    return made


def train(
    material: Material,
    dataset: TokenDataset,
    recipe_content: Mapping[str, Any],
    seed: int,
    part: str = "words and sentence",
    others: Mapping[str, Dataset] | None = None,
) -> tuple[MotionLM, dict[str, float]]:
    """A trained model, with its loss in nats per token and accuracy on val, parameters and training operations.

    Args:
        recipe_content: sections `model` and `training`.
        part: of the texts, see `TEXT_PARTS`.
        others: further data sets by name that the model is evaluated on.
    """
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(output=folder, seed=seed, **recipe_content)
        arguments = training_arguments(recipe)
        set_seed(seed)
        model = MotionLM(_config(material, recipe.model))
        model.lean_training = True
        end, pad = model.config.end_token_id, model.config.padding_token_id
        longest = model.config.context_codes
        collate = PackedCollator(TokenCollator(end, pad, CAPTION_DROPOUT, longest=longest), ROW)
        plain = PackedCollator(TokenCollator(end, pad, longest=longest), ROW)
        sets: dict[str, Any] = {"": material.validation(), **(others or {})}
        for each in (dataset, *sets.values()):
            each.texts = TextPart(material.texts, part)

        def evaluation(model: MotionLM) -> dict[str, float]:
            found = {name: evaluate_lm(model, own, plain, seed=0) for name, own in sets.items()}
            return {f"{name}{key}": value for name, own in found.items() for key, value in own.items()}

        trainer = build_trainer(model, arguments, dataset, sets[""], collate, evaluation)
        trainer.sample_weights = category_weights(dataset.groups("category"), BALANCE)
        shape = lm_shape(model.config)
        trainer.operations = lambda batch: shape.operations(_step_of(batch))
        figures = {name.removeprefix("eval_"): value for name, value in run(trainer, recipe).items()}
    figures.pop("epoch", None)
    sizes = {"parameters": float(shape.parameters), "operations": float(trainer.state.total_flos)}
    return model.eval(), {**figures, **sizes}


def _config(material: Material, model: Mapping[str, Any]) -> MotionLMConfig:
    options = dict(model)
    if options.get("codes") != "factorised":
        options = {name: value for name, value in options.items() if name not in _FACTORISED}
    options |= motion_of(material.tokenizer.config, options, str(material.folder))
    return MotionLMConfig(**options, text_dim=material.texts.dim, caption_dropout=CAPTION_DROPOUT)


def _step_of(batch: Mapping[str, Any]) -> Step:
    rows, predicted = batch["labels"].shape[:2]
    return Step(1, rows, batch["text_features"].shape[1] + predicted, predicted)


@torch.no_grad()
def judged(
    lm: MotionLM, material: Material, judge: Judge, seed: int, part: str = "words and sentence"
) -> dict[str, float]:
    """R-precision and FID of motions generated for the captions of a judge; nothing if it has none."""
    if not judge.captions:
        return {}
    encoder: Any = StoredTexts(TextPart(material.texts, part), material.texts)
    pipeline = CodesPipeline(material.tokenizer, lm, encoder, SAMPLING)
    motions = []
    for start in range(0, len(judge.captions), 32):
        own = judge.captions[start : start + 32]
        motions += pipeline.sample(own, [10_000 * seed + start + place for place in range(len(own))])
    points = judge.evaluator.embed_motions(motions)
    batch = min(32, len(judge.captions))
    found = r_precision(judge.texts, points, batch, 0, judge.captions)
    return {"r1": found[1], "r3": found[3], "fid": frechet_distance(points, judge.real)}


def ceiling(judge: Judge) -> dict[str, float]:
    """R-precision of the clips' own codes, decoded."""
    if not judge.captions:
        return {}
    found = r_precision(judge.texts, judge.real, min(32, len(judge.captions)), 0, judge.captions)
    return {"r1": found[1], "r3": found[3]}
