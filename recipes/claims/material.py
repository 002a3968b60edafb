"""What the language models of the claims are trained on and judged with: codes, captions, text features, an evaluator.

    material = Material.of(options)                       # from the arguments that `parser` makes
    train = material.training()                           # three versions of each clip, with all their captions
    language.train(material, train, {"attention": "causal"}, seed=0)

Made once, in the output folder, and safe to interrupt between its steps: codes of `VERSIONS` versions of every clip
of train (mirrored or not, other speeds, ends cut) and of the clips of val as they are, then the features of all
captions. `--codes` and `--texts` name folders that exist, of `motionmillion tokenize` and `data encode-text
--sentence --text-length 64`.

Letters: N clips, E embedding size.
"""

import argparse
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.data.clips import MotionClip, load_clips
from motionmillion.data.mirror_words import mirror_caption
from motionmillion.data.sets.groups import BALANCED_BY
from motionmillion.data.sets.sequences import Sequences, Version, make_sequences
from motionmillion.data.sets.tokens import TokenDataset
from motionmillion.data.shards.text_writer import encode_text
from motionmillion.data.shards.texts import TextShards
from motionmillion.data.shards.tokens import TokenClip, load_token_shards, shard_name, write_header, write_shard
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.pipeline.folder import find_tokenizer
from motionmillion.provenance import fingerprint
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.order import SeededDataset
from motionmillion.training.origins import check_tokens, weights_of
from motionmillion.training.sharing import chosen

VERSIONS, TEXT_LENGTH = 3, 64
Keep = Callable[[Version], Version]


def parser(description: str, steps: int | None = 400, seeds: int = 3) -> argparse.ArgumentParser:
    """Arguments that all scripts of this folder have.

    Args:
        steps: default of `--steps`; None leaves the argument out.
    """
    made = argparse.ArgumentParser(description=description.split("\n")[0])
    made.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    made.add_argument("--tokenizer", default="runs/mini/tokenizer/final", help="folder of the tokenizer")
    made.add_argument("--codes", help="token shards of that tokenizer; default: made in the output folder")
    made.add_argument("--texts", help="text features of all captions; default: made in the output folder")
    made.add_argument("--output", type=Path, default=Path("runs/claims"), help="folder of cells")
    made.add_argument("--seeds", type=int, default=seeds, help="cells of each arm")
    made.add_argument("--judged", type=int, default=128, help="captions of val to generate motions for; 0 for none")
    made.add_argument("--set", nargs="*", default=[], help="changes of base.yaml, such as training.max_steps=50")
    if steps is not None:
        made.add_argument("--steps", type=int, default=steps, help="training steps of a cell")
    return made


@dataclass(frozen=True)
class Judge:
    """What generated motions are compared with.

    Args:
        captions: of N clips of val.
        texts, real: their embeddings, and those of the clips' own codes, decoded, `[N, E]`.
    """

    evaluator: Any
    captions: list[str]
    texts: Tensor
    real: Tensor


class Material:
    """Codes, captions and text features.

    Args:
        data: folder of clips.
        tokenizer: folder of a tokenizer with a codebook.
        output: where codes and features are made if they are not given.
    """

    def __init__(self, data: str, tokenizer: str, output: Path, codes: str | None, texts: str | None) -> None:
        self.folder = find_tokenizer(tokenizer)
        self.tokenizer = MotionTokenizer.from_pretrained(self.folder).eval()
        self.codes = Path(codes) if codes else output / "codes"
        if not codes and not (self.codes / "tokens.json").exists():
            write_codes(load_clips(data, ["train", "val"]), self.tokenizer, self.folder, self.codes)
        check_tokens([self.codes], self.folder)
        if not texts:
            # versions are mirrored at random, so the shards may lack captions as they are
            encode_text([self.codes, data], output / "texts", sentence=True, text_length=TEXT_LENGTH)
        self.texts = TextShards(texts or output / "texts")
        self._clips: dict[str, list[TokenClip]] = {}

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Material":
        """From the arguments of a script."""
        return cls(options.data, options.tokenizer, options.output, options.codes, options.texts)

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies the material in results of cells."""
        return {"tokenizer": weights_of(self.folder)[:12]}

    def clips(self, split: str) -> list[TokenClip]:
        """Versions of the clips of a split, read once."""
        if split not in self._clips:
            found = load_token_shards(self.codes, [split], self.tokenizer.config.codebook_size)
            self._clips[split] = [clip for clip in found if clip.captions]
        return self._clips[split]

    def training(self, keep: Keep | None = None, only: Callable[[str], bool] | None = None) -> TokenDataset:
        """The clips of train.

        Args:
            keep: changes the captions of a version.
            only: takes the names of clips that it is true for.
        """
        return self._dataset(self.clips("train"), keep, only)

    def validation(self, keep: Keep | None = None) -> TokenDataset:
        """The clips of val."""
        return self._dataset(self.clips("val"), keep)

    def _dataset(
        self, clips: Iterable[TokenClip], keep: Keep | None, only: Callable[[str], bool] | None = None
    ) -> TokenDataset:
        return TokenDataset.of(sequences(clips, keep, only), self.texts)

    def judge(self, count: int) -> Judge:
        """Captions of a fixed subset of val with embeddings; none for a count of 0."""
        if not count:
            return Judge(None, [], torch.zeros(0, 1), torch.zeros(0, 1))
        evaluator, dataset = TextMotionEvaluator.from_pretrained("mini"), self.validation()
        drawn = SeededDataset(dataset.described())
        pairs = [drawn[visit][0] for visit in chosen(len(dataset), count, 0)]
        captions = [caption for caption, _ in pairs]
        with torch.no_grad():
            decoded = [self.tokenizer.decode(codes[None])[0] for _, codes in pairs]
        motions = [self.tokenizer.representation.decode(features) for features in decoded]
        return Judge(evaluator, captions, evaluator.embed_texts(captions), evaluator.embed_motions(motions))


def sequences(
    clips: Iterable[TokenClip], keep: Keep | None = None, only: Callable[[str], bool] | None = None
) -> Sequences:
    """Token clips named `NAME@0`, `NAME@1` as versions of the clip NAME."""
    grouped: dict[str, list[tuple[Tensor, Version, str]]] = {}
    for clip in clips:
        name = clip.name.split("@")[0]
        version = Version(clip.captions, clip.own_captions, clip.sources, clip.whole, clip.ends)
        version = version if keep is None else keep(version)
        if version.captions and (only is None or only(name)):
            grouped.setdefault(name, []).append((clip.codes, version, clip.category))
    rows = list(grouped.values())
    groups: dict[str, list[str | None]] = {by: [own[0][2] for own in rows] for by in BALANCED_BY}
    return Sequences(
        [[c for c, *_ in own] for own in rows], [[v for _, v, _ in own] for own in rows], groups, [*grouped]
    )


def write_codes(clips: list[MotionClip], tokenizer: MotionTokenizer, source: Path, folder: Path) -> None:
    """Write token shards with `VERSIONS` versions of each clip of train, and the clips of val."""
    rows: list[dict[str, Any]] = []
    for split, versions in (("train", VERSIONS), ("val", 0)):
        own = [clip for clip in clips if clip.split == split and clip.captions]
        made = make_sequences(own, tokenizer, versions, trim=0.1)
        for clip, codes, said in zip(own, made.codes, made.versions, strict=True):
            for number, (code, version) in enumerate(zip(codes, said, strict=True)):
                rows.append(_row(clip, f"{clip.name}@{number}", code, version, tokenizer.config.frames_per_token))
    config = tokenizer.config
    facts = {"codebook_size": config.codebook_size, "frames_per_token": config.frames_per_token}
    facts |= {"features": config.features, "weights_sha256": weights_of(source)}
    run = fingerprint([facts, [row["name"] for row in rows]])
    note = {"run": run, "skipped": [], "clips": len(rows), "codes": sum(len(row["codes"]) for row in rows)}
    write_shard(rows, folder / shard_name(0, 1), note)
    header = {"format": 1, "run": run, "complete": True, "shards": 1, "tokenizer": facts}
    write_header({**header, "splits": ["train", "val"], "source": {"clips": len(clips)}}, folder)


def _row(clip: MotionClip, name: str, codes: Tensor, version: Version, hop: int) -> dict[str, Any]:
    said = {"captions": version.captions, "own_captions": version.own_captions, "sources": version.sources}
    row = {"name": name, "split": clip.split, "subject": clip.subject, "category": clip.category}
    row |= {key: list(value) for key, value in said.items()}
    return row | {"whole": version.whole, "ends": version.ends, "frames": hop * len(codes), "codes": codes.tolist()}


@functools.cache
def draw(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on a caption and a seed, and is the same with sides exchanged."""
    return int(fingerprint([seed, min(text, mirror_caption(text))])[:12], 16) / 16**12


def first_captions(count: int, seed: int) -> Keep:
    """Keeps so many captions of a version, the first in a random order; mirrored versions keep the same ones."""

    def keep(version: Version) -> Version:
        order = sorted(set(version.captions), key=lambda text: (draw(text, seed), text))[:count]
        return only_captions(version, set(order))

    return keep


def only_captions(version: Version, wanted: set[str]) -> Version:
    """A version with those of its captions that are wanted."""
    kept = [place for place, text in enumerate(version.captions) if text in wanted]
    sources = tuple(version.sources[place] for place in kept) if version.sources else ()
    own = tuple(text for text in version.own_captions if text in wanted)
    return replace(
        version, captions=tuple(version.captions[place] for place in kept), own_captions=own, sources=sources
    )
