"""The data sets of a language model's recipe, and the evaluation on them.

    sets = lm_data(recipe, options, tokenizer, encoder, model.config, arguments.device)
    figures = evaluate_lm(model, sets.validation, sets.plain, seed=0)

Clips come from motions, which are tokenized here, or from the token shards of `motionmillion tokenize`. Text features
come from the encoder, on the training device, once or in every step, or from the shards of `motionmillion data
encode-text`. What a visit to a clip draws depends only on torch's generator, see `motionmillion.training.order`.
"""

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import Dataset

from motionmillion.data.sets.latents import LatentCollator
from motionmillion.data.sets.live_texts import LiveTexts
from motionmillion.data.sets.mixing import mixed
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.texts import TextBank, Texts
from motionmillion.data.sets.token_cache import cached_texts
from motionmillion.data.sets.tokens import ShardDataset, TokenCollator, TokenDataset
from motionmillion.data.sets.wordings import Wordings
from motionmillion.data.shards.texts import TextShards
from motionmillion.data.shards.token_index import write_index
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.text.encoder import TextEncoder
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.lm.motions import motion_sequences
from motionmillion.training.lm.options import LMSection, check_latent_data
from motionmillion.training.origins import on_the_first
from motionmillion.training.recipe import Recipe
from motionmillion.training.sharing import over_processes, shared_batches


@dataclass
class LMData:
    """Data sets and collators for training and validation, and the sampling weight of each training clip.

    `prepare` computes what is left to compute of a batch on the training device, if anything.
    """

    train: Dataset
    validation: Dataset
    collate: Callable
    plain: Callable  # for validation: nothing is dropped or corrupted
    weights: torch.Tensor | None
    prepare: Callable | None = None
    unseen: Dataset | None = None  # training clips with captions that are held out


def lm_data(
    recipe: Recipe,
    data: LMSection,
    tokenizer: MotionTokenizer,
    encoder: TextEncoder,
    config: MotionLMConfig,
    device: torch.device,
    unseen: int = 0,
    fixed_shapes: bool = False,
) -> LMData:
    """The data sets that the section `data` of a recipe names.

    Args:
        encoder: computes the text features, on `device`, if no folder of them is given.
        unseen: most training clips that are evaluated with captions that are held out; 0 for all.
        fixed_shapes: pack training batches into few shapes, see `motionmillion.data.sets.packing`.

    Raises:
        ValueError: for data without captioned clips of the splits `train` and `val`, shards of another codebook, and
            text features of another encoder or without some of the captions.
    """
    if config.head == "flow":
        check_latent_data(recipe, data)
    live = LiveTexts(encoder) if data.live_texts else None
    texts = live or data.texts(encoder)
    if live or texts is None:
        encoder.to(device)
    if data.tokens:
        train, validation = _from_shards(Path(recipe.output) / "index", data, texts, encoder, config)
    else:
        train, validation = _from_motions(data, recipe.seed, texts, tokenizer, encoder)
    if not live:
        encoder.to("cpu")
    if isinstance(texts, TextShards):
        for dataset in (train, validation):
            texts.check(dataset.captions())
    plain, collate = collators(data, config)
    wordings = Wordings.of(train, data.held_out_captions, recipe.seed) if data.held_out_captions else None
    train.wordings = wordings
    held_out = wordings.unseen(train, unseen) if wordings else None
    if held_out is not None and not len(held_out):
        raise ValueError(
            f"data.held_out_captions must leave every clip a caption, and hold out some, got "
            f"{data.held_out_captions!r} for clips that have too few; leave it out"
        )
    return LMData(
        train=train,
        validation=validation,
        collate=PackedCollator(collate, data.packing, fixed_shapes) if data.packing else collate,
        plain=PackedCollator(plain, data.packing) if data.packing else plain,
        weights=_visits(train, data),
        prepare=live.encoded if live else None,
        unseen=held_out,
    )


def _visits(train: TokenDataset | ShardDataset, data: LMSection) -> torch.Tensor | None:
    """Sampling weight of each clip: by category, and for clips of data sets on disk by their mixing weights."""
    weights = data.visits(train.groups(data.balance_by))
    mixing = data.mixing()
    if mixing is None:
        return weights
    return mixed(torch.ones(len(train)) if weights is None else weights, train.datasets(), mixing)


def collators(data: LMSection, config: MotionLMConfig) -> tuple[TokenCollator, TokenCollator]:
    """The collators for validation and for training."""
    longest = config.context_codes
    if config.head == "flow":
        return LatentCollator(longest=longest), LatentCollator(data.caption_dropout, data.code_drop, longest)
    end, pad = config.end_token_id, config.padding_token_id
    shares = (data.caption_dropout, data.corruption, data.code_drop)
    return TokenCollator(end, pad, longest=longest), TokenCollator(end, pad, *shares, longest=longest)


def _from_shards(
    index: Path, data: LMSection, texts: Texts | None, encoder: TextEncoder, config: MotionLMConfig
) -> tuple[ShardDataset, ShardDataset]:
    folders, size = data.token_folders, config.codebook_size
    files = {split: index / f"{split}.arrow" for split in ("train", "val")}
    for split, file in files.items():
        on_the_first(functools.partial(write_index, folders, split, size, file))
    given = (size, texts, encoder, data.own_caption_share)
    train = ShardDataset(folders, "train", *given, data.caption_weights, files["train"])
    return train, ShardDataset(folders, "val", *given, index=files["val"])


def _from_motions(
    data: LMSection, seed: int, texts: Texts | None, tokenizer: MotionTokenizer, encoder: TextEncoder
) -> tuple[TokenDataset, TokenDataset]:
    training, held_out = motion_sequences(data, seed, tokenizer)
    if texts is None:
        captions = list(dict.fromkeys([*training.captions(), *held_out.captions()]))
        cache = data.cache
        texts = cached_texts(cache, captions, encoder) if cache else TextBank(captions, encoder, dtype=torch.bfloat16)
    train = TokenDataset.of(training, texts, data.own_caption_share, data.caption_weights)
    return train, TokenDataset.of(held_out, texts)


def evaluate_sets(model: MotionLM, sets: LMData, seed: int, samples: int = 0) -> dict[str, float]:
    """Metrics on the validation split, and as `wording_...` those on captions that are held out, if any are."""
    figures = evaluate_lm(model, sets.validation, sets.plain, seed, samples, sets.prepare)
    if sets.unseen is not None:
        unseen = evaluate_lm(model, sets.unseen, sets.plain, seed, samples, sets.prepare)
        figures |= {f"wording_{name}": value for name, value in unseen.items()}
    return figures


@torch.no_grad()
def evaluate_lm(
    model: MotionLM,
    dataset: Dataset,
    collate: Callable,
    seed: int,
    samples: int = 0,
    prepare: Callable | None = None,
) -> dict[str, float]:
    """Metrics on a data set, each clip with one caption drawn by `seed`; every process must call it.

    Args:
        collate: makes batches; with a `PackedCollator` rows contain little padding, and figures are the same.
        samples: number of clips, the same ones for a seed; 0 for all.
        prepare: called for every batch on the model's device, see `LMData`.

    Cross entropy (nats per token) and top-1 accuracy; for a flow head, the flow loss at noise drawn by `seed`, in
    units of the training latents' variance, and the END loss (nats per position where the motion could end).
    """
    sums: dict[str, float] = defaultdict(float)
    flow = model.config.head == "flow"
    noise = {"generator": torch.Generator(model.device).manual_seed(seed)} if flow else {}
    names = ("flow_loss", "end_loss") if flow else ("loss", "accuracy")
    for batch, counted in shared_batches(dataset, collate, samples, seed):
        inputs = {key: value.to(model.device) for key, value in batch.items()}
        inputs = inputs if prepare is None else prepare(inputs)
        output = model(**inputs, **noise, return_logits=False)
        found = (output.token_losses, output.end_losses if flow else output.token_hits)
        for name, values in zip(names, found, strict=True):
            sums[name] += counted * float(values.sum())
            sums[f"{name} count"] += counted * values.numel()
    total = over_processes(sums, model.device)
    means = {name: total[name] / total[f"{name} count"] for name in names}
    if flow:
        means = {"loss": means["flow_loss"] + model.config.end_weight * means["end_loss"], **means}
    return means
