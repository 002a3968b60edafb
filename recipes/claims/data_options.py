"""What the data options of recipes/mini are worth: a small language model without each of them follows instructions.

    python recipes/claims/data_options.py --data PATH/TO/cmu_text_motion --tokenizer mini

All arms are trained for as many steps on the clips of train, each as it is and mirrored. "all options" adds clips that
`motionmillion.data.composition` made of them and captions measured on the motion; every other arm leaves something
out. Every kind of clip is made once, with draws of its own, so that arms differ by what they leave out alone.

| figure | meaning |
|---|---|
| follows, sides | share of instructions followed, over all families and over those with a side; see recipes/mini |
| R@3 | of 32 captions of val, by an evaluator |
| loss | in nats per code, on val |
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import language
import yaml
from cells import run_cells, table
from language import SAMPLING
from material import Material, only_captions, parser
from torch import Tensor

from motionmillion.data.augment import mirror_clip
from motionmillion.data.clips import MotionClip, load_clips
from motionmillion.data.composition.composing import DESCRIBED, ComposeOptions, compose_clips
from motionmillion.data.sets.sequences import Sequences, Version, make_sequences
from motionmillion.data.sets.token_cache import cached_sequences, cached_texts, fingerprint
from motionmillion.data.sets.tokens import TokenDataset
from motionmillion.eval.instructions import instruction_check
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.folder import find_tokenizer
from motionmillion.progress import shown
from motionmillion.provenance import tensors_hash
from motionmillion.text.encoder import TextEncoder
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.origins import weights_of

PROMPTS = Path(__file__).parents[1] / "mini" / "instruction_prompts.yaml"
KINDS = {
    "sequences": {"sequences": 0.2},
    "overlays": {"overlays": 0.1},
    "reversals": {"reversals": 0.15},
    "moments": {"moments": 0.6, "settle": 0.5, "paces": 0.1, "describe": 8},
}
"""Clips that are added, and the options of `compose` that make them."""

MEASURED = "measured captions"
MIRRORED = "mirrored clips"
EVERY = (*KINDS, MIRRORED, MEASURED)
ARMS = {
    "all options": (),
    **{f"no {name}": (name,) for name in KINDS},
    f"no {MIRRORED}": (MIRRORED,),
    f"no {MEASURED}": (MEASURED, "moments"),  # moments have no other captions
    "no options": EVERY,
}
"""What each arm leaves out."""

MODEL = {"hidden_size": 160, "intermediate_size": 480, "num_hidden_layers": 4, "num_attention_heads": 4}
COLUMNS = {"follows": "follows", "sides": "sides", "r3": "R@3", "loss": "loss on val"}


class Features:
    """The features of all captions, in the place of the encoder that made them."""

    def __init__(self, folder: Path, captions: Sequence[str], encoder: TextEncoder) -> None:
        self.bank = cached_texts(folder, captions, encoder)
        self.dim, self.settings = encoder.dim, encoder.settings

    def __getitem__(self, text: str) -> Tensor:
        return self.bank[text]


class Composed(Material):
    """The clips of train with all that can be made of them, as codes, and the features of all captions.

    Args:
        data: folder of clips.
        tokenizer: bundled name or folder of a tokenizer with a codebook.
        output: folder of the cache.
        seed: of the compositions.
    """

    def __init__(self, data: str, tokenizer: str, output: Path, seed: int = 0) -> None:
        self.folder = find_tokenizer(tokenizer)
        self.tokenizer = MotionTokenizer.from_pretrained(self.folder).eval()
        self.read = functools.cache(lambda: load_clips(data, ["train", "val"]))
        self.made = {name: self._kind(data, output, name, seed) for name in ("val", "clips", *KINDS)}
        captions = {text: None for own in self.made.values() for text in own.captions()}
        self.encoder = TextEncoder(sentence=True, max_length=64)
        self.texts = Features(output, list(captions), self.encoder)

    @property
    def settings(self) -> dict[str, Any]:
        return {"tokenizer": weights_of(self.folder)[:12]}

    def validation(self, keep: Any = None) -> TokenDataset:
        return TokenDataset.of(self.made["val"], self.texts)

    def without(self, left_out: Sequence[str]) -> TokenDataset:
        """The training data of an arm."""
        kinds = ["clips", *(name for name in KINDS if name not in left_out)]
        parts = [self.made[name] for name in kinds]
        versions = 1 if MIRRORED in left_out else 2

        def kept(version: Version) -> Version:
            if MEASURED not in left_out:
                return version
            pairs = zip(version.captions, version.sources, strict=True)
            return only_captions(version, {text for text, source in pairs if source != DESCRIBED})

        codes = [own[:versions] for part in parts for own in part.codes]
        said = [[kept(version) for version in own[:versions]] for part in parts for own in part.versions]
        groups = {by: [group for part in parts for group in part.groups[by]] for by in parts[0].groups}
        return TokenDataset.of(Sequences(codes, said, groups), self.texts)

    def _kind(self, data: str, output: Path, name: str, seed: int) -> Sequences:
        options = {"describe": 8} if name == "clips" else KINDS.get(name, {})
        key = fingerprint([tensors_hash(self.tokenizer.state_dict()), str(data), name, options, seed])

        def make() -> Sequences:
            clips = [clip for clip in self.read() if (clip.split == "val") == (name == "val")]
            if name == "val":
                return make_sequences(clips, self.tokenizer)
            composed, _ = compose_clips(clips, ComposeOptions(**options), seed)
            made = composed[: len(clips)] if name == "clips" else composed[len(clips) :]
            return both_ways([clip for clip in made if clip.captions], self.tokenizer)

        return cached_sequences(output, key, make)


def both_ways(clips: Sequence[MotionClip], tokenizer: MotionTokenizer) -> Sequences:
    """Two versions of each clip: as it is, and mirrored."""
    plain = make_sequences(clips, tokenizer)
    mirrored = make_sequences([mirror_clip(clip) for clip in clips], tokenizer)
    codes = [a + b for a, b in zip(plain.codes, mirrored.codes, strict=True)]
    versions = [a + b for a, b in zip(plain.versions, mirrored.versions, strict=True)]
    return Sequences(codes, versions, plain.groups, plain.names)


def follows(lm: Any, material: Composed, prompts: Mapping[str, Sequence[str]], samples: int) -> dict[str, float]:
    """Shares of instructions that a model follows."""
    pipe = CodesPipeline(material.tokenizer, lm, material.encoder, SAMPLING)
    found = instruction_check(
        lambda texts: pipe(texts, seconds=5.0, num_samples=samples, seed=0, batch_size=32), prompts, samples
    )
    return {"follows": found["mean"]["rate"], "sides": found["sides"]["rate"]}


def main() -> None:
    made = parser(__doc__ or "", steps=1500, seeds=2)
    made.add_argument("--batch", type=int, default=48, help="clips of a training step")
    made.add_argument("--samples", type=int, default=5, help="motions for each instruction")
    options = made.parse_args()
    folder = options.output / "data_options"
    prompts = yaml.safe_load(PROMPTS.read_text(encoding="utf-8"))
    with shown():
        material = Composed(options.data, options.tokenizer, folder / "cache")
        judge = material.judge(options.judged)

        def make(left_out: Sequence[str], seed: int) -> dict[str, float]:
            training = {"max_steps": options.steps, "per_device_train_batch_size": options.batch}
            recipe = language.content(options.set, model=MODEL, training=training)
            dataset = material.without(left_out)
            lm, figures = language.train(material, dataset, recipe, seed)
            figures |= {"clips": float(len(dataset)), **follows(lm, material, prompts, options.samples)}
            return figures | language.judged(lm, material, judge, seed)

        arms = {arm: lambda seed, left_out=left_out: make(left_out, seed) for arm, left_out in ARMS.items()}
        settings = {**material.settings, "steps": options.steps, "batch": options.batch, "samples": options.samples}
        settings |= {"judged": options.judged, "set": options.set}
        results = run_cells(folder, settings, arms, range(options.seeds))
    print(table(results, {"clips": "clips", **COLUMNS}, baseline="all options", digits={"clips": 0}))


if __name__ == "__main__":
    main()
