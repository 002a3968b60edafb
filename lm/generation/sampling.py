"""Sampling of the next token of each row: guidance, limits on repetition, truncation, and the random choice.

    sampler = Sampler(Sampling(temperature=0.8, top_p=0.95), config, seeds=[0, 1])
    tokens = sampler(logits, history, forbid_end=False)        # [B]

Unusual: each row has its own random generator on the CPU, so its tokens depend only on its text and its seed: not on
the rest of the batch, and not on the device.

Letters: B batch, N tokens so far, K codebook size.
"""

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from motionmillion.configuration import check_whole, unknown_key_error
from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.flow import MAX_GUIDANCE, FlowSampling


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Args:
        do_sample: False, or a temperature of 0, takes the most likely token.
        temperature: divides the logits.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the most likely tokens that together reach this probability; 1 keeps all.
        min_p: keep tokens with at least this fraction of the highest probability; 0 keeps all.
        repetition_penalty: above 1, codes that were already used become less likely (arXiv 1909.05858); 1 is off.
        no_repeat_ngram_size: n-grams of this size never occur twice; 0 is off. Cyclic motion like walking needs a
            large size.
        guidance_scale: classifier-free guidance: 1 is off, more follows the text more closely. Needs a model that was
            trained with caption dropout.

    Raises:
        ValueError: for values out of range.
    """

    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    guidance_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must not be negative, got {self.temperature!r}; 0 is greedy")
        if not (_is_number(self.guidance_scale) and 0 <= self.guidance_scale <= MAX_GUIDANCE):
            raise ValueError(f"guidance_scale must be in 0 to {MAX_GUIDANCE:g}, got {self.guidance_scale!r}; 1 is off")
        for name in ("top_k", "no_repeat_ngram_size"):
            check_whole(name, getattr(self, name), 0)
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p!r}")
        if not (_is_number(self.min_p) and 0 <= self.min_p <= 1):
            raise ValueError(f"min_p must be in [0, 1], got {self.min_p!r}")
        if not (_is_number(self.repetition_penalty) and 0 < self.repetition_penalty < math.inf):
            raise ValueError(f"repetition_penalty must be above 0, got {self.repetition_penalty!r}; 1 is off")

    @property
    def guided(self) -> bool:
        """Whether each row needs an unconditional copy, for guidance."""
        return self.guidance_scale != 1

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken."""
        return not self.do_sample or self.temperature == 0


CODE_FIELDS = {field.name for field in dataclasses.fields(Sampling)}
"""Sampling options of models of codes."""

LATENT_FIELDS = {field.name for field in dataclasses.fields(FlowSampling)} - {"strength"}
"""Sampling options of models of latents, which have no motion to start from."""


class SeededRows:
    """The rows of a sampler, each with a random generator of its own, so that rows may come and go."""

    generators: list[torch.Generator]

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        self.generators = [self.generators[row] for row in rows]

    @classmethod
    def together(cls, samplers: Sequence[Self]) -> Self:
        """One sampler of the rows of several with the same options."""
        made = copy.copy(samplers[0])
        made.generators = [generator for sampler in samplers for generator in sampler.generators]
        return made

    def apart(self) -> list[Self]:
        """A sampler for each row; together they go on as this one would."""
        made = [copy.copy(self) for _ in self.generators]
        for row, sampler in enumerate(made):
            sampler.keep([row])
        return made


class Sampler(SeededRows):
    """Samples tokens; `keep` drops rows that have ended.

    Args:
        seeds: one per row.
    """

    @classmethod
    def from_options(
        cls, options: Sampling | Mapping[str, Any], config: MotionLMConfig, seeds: Sequence[int]
    ) -> "Sampler":
        """Make a sampler from a `Sampling`, or from fields of it.

        Raises:
            ValueError: for unknown options and values out of range.
        """
        if not isinstance(options, Sampling):
            check_fields(options, continuous=False)
            options = Sampling(**options)
        return cls(options, config, seeds)

    @property
    def guided(self) -> bool:
        """Whether each row needs an unconditional copy, for guidance."""
        return self.sampling.guided

    @property
    def reads_history(self) -> bool:
        """Whether the tokens so far matter, because repetition is limited."""
        return bool(self.repetition)

    def __init__(self, sampling: Sampling, config: MotionLMConfig, seeds: Sequence[int]) -> None:
        self.sampling, self.config = sampling, config
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        # limits on repetition need the history; truncation, after the temperature, is applied last
        self.repetition, self.truncation = LogitsProcessorList(), LogitsProcessorList()
        if sampling.repetition_penalty != 1:
            self.repetition.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
        if sampling.no_repeat_ngram_size:
            self.repetition.append(NoRepeatNGramLogitsProcessor(sampling.no_repeat_ngram_size))
        if sampling.temperature not in (0, 1):
            self.truncation.append(TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_k:
            self.truncation.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:
            self.truncation.append(TopPLogitsWarper(float(sampling.top_p)))
        if sampling.min_p:
            self.truncation.append(MinPLogitsWarper(float(sampling.min_p)))

    def __call__(self, logits: Tensor, history: Tensor, forbid_end: bool) -> Tensor:
        """Sample tokens `[B]`.

        Args:
            logits: `[B, K + 1]`; with guidance `[2 B, K + 1]`, the second half without text.
            history: codes so far `[B, N]`; arbitrary from END on in rows that have ended.
            forbid_end: END must not be chosen.
        """
        scores = self.guided_scores(logits)
        end = self.config.end_token_id
        if self.repetition and history.shape[1]:
            free = scores[:, end]
            scores = self.repetition(history.clamp(max=end), scores)  # type: ignore[arg-type]
            scores[:, end] = free  # END is exempt from limits on repetition
        if forbid_end:
            scores = scores.clone()
            scores[:, end] = -torch.inf
        return self.draw(scores)

    def guided_scores(self, logits: Tensor) -> Tensor:
        """Guided logits `[B, n]`, float32, from `[2 B, n]` with and without text, or unguided `[B, n]`."""
        if not self.sampling.guided:
            return logits.float()
        conditional, unconditional = logits.float().chunk(2)
        return unconditional + self.sampling.guidance_scale * (conditional - unconditional)

    def draw(self, scores: Tensor) -> Tensor:
        """Sample one of n choices per row `[B]` from their logits `[B, n]`."""
        if self.sampling.greedy:
            return scores.argmax(dim=-1)
        noise = torch.stack([torch.rand(scores.shape[1], generator=g) for g in self.generators]).to(scores.device)
        # Gumbel-max trick: the argmax of logits plus Gumbel noise is a sample of the softmax
        gumbel = -(-noise.clamp(min=1e-20).log()).log()
        return (self.truncation(None, scores) + gumbel).argmax(dim=-1)  # type: ignore[arg-type]

    def ended(self, chosen: Tensor) -> Tensor:
        """Mask `[B]` of the tokens that end their row."""
        return chosen == self.config.end_token_id


def check_fields(options: Mapping[str, Any], continuous: bool) -> None:
    """Raise `ValueError` for sampling options that the other kind of language model has, and for unknown ones.

    Args:
        continuous: whether the model has a flow head, and so fields of `FlowSampling`, else those of `Sampling`.
    """
    known, others = (LATENT_FIELDS, CODE_FIELDS) if continuous else (CODE_FIELDS, LATENT_FIELDS)
    for name in sorted(set(options) & others - known):
        raise other_kind_error(name, options[name], continuous)
    if set(options) - known:
        raise unknown_key_error("sampling options", set(options) - known, known)


def other_kind_error(name: str, value: Any, continuous: bool) -> ValueError:
    """The error for a sampling option that only models of codes have, or only models of latents (not `continuous`)."""
    kind, remedy = "codes, which has no flow", "use temperature, top_k and top_p"
    if continuous:
        kind, remedy = "latents, which has no codes to choose from", "use temperature and guidance_scale"
    return ValueError(f"{name} must be left out for a model of {kind}, got {value!r}; {remedy}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
