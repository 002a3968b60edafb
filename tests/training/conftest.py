"""Shared by the training tests: a tiny tokenizer and a tiny text encoder on disk, and recipes that use them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from motionmillion.data import synthetic_clips


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """Folder of a BERT with one layer of random weights, and words of the synthetic captions as its vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

    folder = tmp_path_factory.mktemp("parts") / "encoder"
    captions = [caption for clip in synthetic_clips(20, 0) for caption in clip.captions]
    words = sorted({word for caption in captions for word in caption.lower().split()})
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    set_seed(0)
    shape = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **shape)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_parts(tiny_encoder, tiny_tokenizer) -> dict[str, Any]:
    """The keys of a recipe's `data` section that name a tokenizer and a text encoder."""
    folder = tiny_encoder.parent / "tokenizer"
    tiny_tokenizer.save_pretrained(folder)
    return {"tokenizer": str(folder), "text_encoder": str(tiny_encoder), "sentence": False, "text_length": 32}


@pytest.fixture(scope="session")
def write_lm(tiny_parts) -> Callable[..., Path]:
    """A function that writes the recipe of a tiny language model, whose run goes into `folder/run`.

    Sections that it is given are merged into the recipe's; None leaves a key of `data` out.
    """

    def write(folder: Path, **sections: Any) -> Path:
        training = {"max_steps": 6, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "warmup_steps": 2}
        training |= {"lr_scheduler_type": "cosine", "eval_steps": 3, "save_steps": 3, "logging_steps": 1}
        model = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        data = {"synthetic": 12, "variants": 2, **tiny_parts, **sections.get("data", {})}
        content = {
            "output": str(folder / "run"),
            "seed": 0,
            "data": {key: value for key, value in data.items() if value is not None},
            "model": {**model, **sections.get("model", {})},
            "training": {**training, **sections.get("training", {})},
        }
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def lm_recipe(write_lm, tmp_path) -> Callable[..., Path]:
    """`write_lm` into the folder of a test."""
    return lambda **sections: write_lm(tmp_path, **sections)


@pytest.fixture(scope="session")
def log_of() -> Callable[[Path], dict[int, dict[str, float]]]:
    """A function that reads what a run has logged: step -> loss, grad_norm and learning_rate."""

    def read(run: Path) -> dict[int, dict[str, float]]:
        newest = max(run.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))
        history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
        kept = ("loss", "grad_norm", "learning_rate")
        return {entry["step"]: {key: entry[key] for key in kept} for entry in history if "loss" in entry}

    return read


@pytest.fixture(scope="session")
def tiny_pipeline_folder(tiny_parts, tiny_encoder, tiny_tokenizer) -> Path:
    """A pipeline with random weights and a text encoder on disk."""
    from motionmillion import MotionPipeline
    from motionmillion.lm import MotionLM, MotionLMConfig
    from motionmillion.text.encoder import TextEncoder

    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    lm = MotionLM(MotionLMConfig(codebook_size=tiny_tokenizer.config.codebook_size, text_dim=16, **shape))
    encoder = TextEncoder(str(tiny_encoder), sentence=True, max_length=20)
    return MotionPipeline(tiny_tokenizer, lm, encoder, {"temperature": 0.7}).save_pretrained(
        tiny_encoder.parent / "pipe"
    )
