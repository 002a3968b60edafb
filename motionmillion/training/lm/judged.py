"""Motions generated for captions of the validation split, and judged by an evaluator: R-precision, FID and jitter.

    trainer.add_callback(JudgedMotions(trainer, pipeline, sets.validation, JudgeOptions(every=5, samples=256), seed=0))

The loss says how well a model predicts one code after another, not whether what it generates fits the text. At every
n-th evaluation the clips of a fixed subset are generated from one of their captions each, shared by the processes:

| figure | meaning |
|---|---|
| generated_r_precision_top3 | captions whose motion is among the three nearest of 32 (of fewer, of all) |
| generated_fid | distance between the embeddings of the generated motions and of the clips' own codes, decoded |
| generated_jitter | mean joint acceleration, m/frame^2, see `motionmillion.eval.physics` |

Unusual: the reference are decoded codes, so that token shards suffice, and the tokenizer's own loss is not counted.
Under ZeRO 3 and FSDP the first process generates all of them, on its CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import TrainerCallback, TrainerState

from motionmillion.data.sets.live_texts import LiveTexts
from motionmillion.eval.distribution import frechet_distance, r_precision
from motionmillion.eval.evaluator import TextMotionEvaluator, find_evaluator
from motionmillion.eval.physics import jitter_degree
from motionmillion.motion import Motion
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.training.lm.samples import current_model
from motionmillion.training.order import SeededDataset
from motionmillion.training.sharing import chosen

_BATCH = 32


@dataclass(frozen=True)
class JudgeOptions:
    """`every` so many evaluations, `samples` motions are judged by `evaluator` (bundled name, folder or hub id)."""

    every: int
    samples: int
    evaluator: str


class StoredTexts:
    """The text features of a data set in the place of the encoder that made them.

    Args:
        texts: features `[L, C]` by caption.
        encoder: the encoder, for its settings.
    """

    def __init__(self, texts: Any, encoder: Any) -> None:
        self.texts, self.dim, self.settings = texts, encoder.dim, encoder.settings

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Features `[B, L, C]` and the mask of valid positions `[B, L]`."""
        states = [self.texts[caption].float() for caption in captions]
        lengths = torch.tensor([len(each) for each in states])
        padded = pad_sequence(states, batch_first=True)
        return padded, torch.arange(padded.shape[1]) < lengths[:, None]

    def warn_of_cuts(self, captions: Sequence[str]) -> None:
        """Nothing is cut."""


class JudgedMotions(TrainerCallback):
    """Generates and judges motions at every n-th evaluation, and logs the figures.

    Args:
        trainer: its current model is used.
        pipeline: its tokenizer, text encoder and default options are used.
        dataset: clips of the validation split.
        seed: chooses clips and captions, and seeds the generation.
    """

    def __init__(self, trainer: Any, pipeline: CodesPipeline, dataset: Any, options: JudgeOptions, seed: int) -> None:
        self.trainer, self.pipeline, self.dataset = trainer, pipeline, dataset
        self.options, self.seed = options, seed
        find_evaluator(options.evaluator)  # raises now rather than at the first evaluation
        self.evaluator: TextMotionEvaluator | None = None

    def on_evaluate(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        done = sum("eval_loss" in entry for entry in state.log_history)  # also those before a resume
        if done % self.options.every == 0:
            self.trainer.log({f"generated_{name}": value for name, value in self.figures().items()})

    def figures(self) -> dict[str, float]:
        """Figures of the current weights; every process must call it."""
        split, processes = self.trainer.args.split in ("zero3", "fsdp"), self.trainer.args.world_size
        lm = current_model(self.trainer, split, every=True)
        visits = chosen(len(self.dataset), self.options.samples, self.seed)
        first, step = (0, 1) if split else (self.trainer.args.process_index, processes)
        own: list[tuple[str, Tensor, Tensor, Tensor, float]] = []
        if lm is not None:
            seeded = SeededDataset(self.dataset.described())
            clips = [seeded[visit][0] for visit in visits[first::step]]
            seeds = [visit.seed % 2**31 for visit in visits[first::step]]
            for start in range(0, len(clips), _BATCH):
                own += self._judged(lm, clips[start : start + _BATCH], seeds[start : start + _BATCH])
        captions, texts, made, real, jitter = zip(*gather_object(own), strict=True)
        texts, made, real = torch.stack(texts), torch.stack(made), torch.stack(real)
        batch = min(32, len(captions))
        return {
            "r_precision_top3": r_precision(texts, made, batch, self.seed, captions)[3],
            "fid": frechet_distance(made, real),
            "jitter": sum(jitter) / len(jitter),
        }

    def _judged(self, lm: Any, clips: Sequence[tuple[str, Tensor]], seeds: Sequence[int]) -> list[Any]:
        """Caption, embeddings of the text, of the generated motion and of the clip, and jitter of each clip."""
        if self.evaluator is None:
            self.evaluator = TextMotionEvaluator.from_pretrained(self.options.evaluator)
        parts, judge = self.pipeline, self.evaluator
        texts: Any = self.dataset.texts
        encoder: Any = parts.text_encoder if isinstance(texts, LiveTexts) else StoredTexts(texts, parts.text_encoder)
        captions = [caption for caption, _ in clips]
        pipeline = CodesPipeline(parts.tokenizer, lm, encoder, parts.defaults)
        made = pipeline.sample(captions, seeds)
        real = [_decoded(parts.tokenizer, codes) for _, codes in clips]
        jitter = [jitter_degree(motion.positions(), fps=motion.fps) for motion in made]
        points = (judge.embed_texts(captions), judge.embed_motions(made), judge.embed_motions(real))
        return list(zip(captions, *points, jitter, strict=True))


def _decoded(tokenizer: Any, codes: Tensor) -> Motion:
    decode = tokenizer.decode_latents if codes.is_floating_point() else tokenizer.decode
    with torch.no_grad():
        return tokenizer.representation.decode(decode(codes[None])[0])
