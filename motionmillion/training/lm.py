"""Train a motion language model from a recipe file.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from |
| tokenizer | folder of the trained tokenizer |
| text_encoder, sentence, text_length | see `motionmillion.text.TextEncoder` |
| variants, speed, trim | versions of each clip, see `motionmillion.data.tokens` |
| own_caption_share | how often a window of a longer take is described by a caption of its own |
| caption_rules | file of rules that add wordings to training clips, see `motionmillion.data.captions` |
| balance | 0 visits every clip equally often, 1 every category; between them the share of both |
| caption_dropout, corruption | see `TokenCollator` |
| start_from | folder of a language model to go on from, for fine-tuning; `model` is then not used |
| sampling | default sampling options of the pipeline that is written, see `motionmillion.pipeline` |

`model` takes `size` (a name of `MotionLMConfig.from_name`) and arguments of the config; codebook and text width follow
from tokenizer and encoder.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import set_seed

from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.data.clips import MotionClip
from motionmillion.data.tokens import TokenCollator, TokenDataset
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.pipeline import MotionPipeline
from motionmillion.text import MINILM, TextEncoder
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.recipe import Recipe, clips_of, take_options
from motionmillion.training.trainer import build_trainer, check_output, run, training_arguments


def train_lm(recipe: Recipe, resume: bool = False) -> dict[str, float]:
    """Train, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures."""
    data = take_options(
        recipe.data,
        "data section",
        **dict(folder=None, synthetic=0, tokenizer=None, text_encoder=MINILM, sentence=True, text_length=150),
        **dict(variants=8, speed=0.1, trim=0.15, own_caption_share=0.5, balance=0.5, caption_rules=None),
        **dict(caption_dropout=0.1, corruption=0.1, sampling=None, start_from=None),
    )
    if not data["tokenizer"]:
        raise ValueError("data must name the folder of a trained tokenizer, got none; train one first")
    tokenizer = MotionTokenizer.from_pretrained(data["tokenizer"]).eval()
    if not tokenizer.config.codebook_size:
        raise ValueError(f'data.tokenizer must have a codebook, got {data["tokenizer"]!r} with quantizer "none"')
    check_output(recipe, resume)
    arguments = training_arguments(recipe)
    encoder = TextEncoder(data["text_encoder"], data["sentence"], data["text_length"])
    set_seed(recipe.seed)
    model = _model(recipe.model, data["start_from"], tokenizer.config.codebook_size, encoder.dim)

    clips = clips_of(data["folder"], data["synthetic"], recipe.seed)
    rules = load_caption_rules(data["caption_rules"]) if data["caption_rules"] else []
    train_clips = [add_captions(clip, rules) for clip in clips if clip.split == "train" and clip.captions]
    versions = {key: data[key] for key in ("variants", "speed", "trim", "own_caption_share")}
    train_set = TokenDataset(train_clips, tokenizer, encoder, **versions, seed=recipe.seed)
    validation = TokenDataset([clip for clip in clips if clip.split == "val"], tokenizer, encoder)
    end, pad = model.config.end_token_id, model.config.padding_token_id
    plain = TokenCollator(end, pad)
    trainer = build_trainer(
        model,
        arguments,
        train_set,
        validation,
        TokenCollator(end, pad, data["caption_dropout"], data["corruption"]),
        lambda model: evaluate_lm(model, validation, plain, recipe.seed),
    )
    trainer.sample_weights = category_weights(train_clips, data["balance"])
    figures = run(trainer, recipe)
    if trainer.is_world_process_zero():
        MotionPipeline(tokenizer, trainer.trained_model, encoder, data["sampling"]).save_pretrained(
            Path(recipe.output) / "final"
        )
    return figures


def _model(options: dict[str, Any], start_from: str | None, codebook_size: int, text_dim: int) -> MotionLM:
    """A new model, or the one of a folder (a pipeline or its `lm`) to go on from."""
    if start_from:
        inside = Path(start_from) / "lm"
        return MotionLM.from_pretrained(inside if inside.is_dir() else start_from, dtype=torch.float32)
    options = {**options, "codebook_size": codebook_size, "text_dim": text_dim}
    size = options.pop("size", None)
    return MotionLM(MotionLMConfig.from_name(size, **options) if size else MotionLMConfig(**options))


def evaluate_lm(model: MotionLM, dataset: TokenDataset, collate: TokenCollator, seed: int) -> dict[str, float]:
    """Cross entropy (nats a token) and top-1 accuracy, each clip with one caption drawn by `seed`."""
    loss, correct, count = 0.0, 0, 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for batch in DataLoader(dataset, batch_size=32, collate_fn=collate):  # type: ignore[arg-type]
            batch = {key: value.to(model.device) for key, value in batch.items()}
            output = model(**batch)
            counted = batch["labels"] != collate.pad
            tokens = int(counted.sum())
            chosen = output.logits[:, : counted.shape[1]].argmax(-1)
            loss += float(output.loss) * tokens
            correct += int(((chosen == batch["labels"]) & counted).sum())
            count += tokens
    return {"loss": loss / count, "accuracy": correct / count}


def category_weights(clips: Sequence[MotionClip], balance: float) -> torch.Tensor | None:
    """How often to visit each clip: its category's size to the power of -`balance`; None for all alike."""
    if not 0 <= balance <= 1:
        raise ValueError(f"balance must be in [0, 1], got {balance!r}")
    if balance == 0:
        return None
    sizes = Counter(clip.category for clip in clips)
    return torch.tensor([sizes[clip.category] ** -balance for clip in clips], dtype=torch.float64)
