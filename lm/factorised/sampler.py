"""Samples the next code of each row, digit by digit.

    sampler = FactorisedSampler.of_model(lm, {"temperature": 0.8, "top_p": 0.95}, seeds=[0, 1])
    tokens = sampler(states, history, forbid_end=False)        # [B]

Guidance, temperature and truncation (`top_k`, `top_p`, `min_p`) act on each digit, given the digits before it; at
temperature 0 each digit is the most likely one. Limits on repetition act on whole codes: the penalty is applied to the
last digit, each value of which completes one code; a digit is forbidden if all codes that begin with it are.

Letters: B rows, N codes so far, D digits, C width of the transformer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.factorised.head import DepthHead
from motionmillion.lm.generation.sampling import Sampler
from motionmillion.lm.head import OutputHead


class DigitModel(Protocol):
    """The part of `motionmillion.lm.factorised.model.MotionFactorisedLM` that the sampler uses."""

    config: MotionLMConfig
    levels: list[int]
    lm_head: OutputHead
    depth: DepthHead

    def split_codes(self, codes: Tensor, /) -> Tensor: ...

    def join_digits(self, digits: Tensor, /) -> Tensor: ...


class FactorisedSampler(Sampler):
    """Samples the digits of codes; see `motionmillion.lm.generation.sampling.Sampler`."""

    lm: DigitModel

    @classmethod
    def of_model(cls, lm: DigitModel, options: Any, seeds: Sequence[int]) -> FactorisedSampler:
        """Make a sampler from a `Sampling` or its fields; raises as `Sampler.from_options`."""
        sampler = cls.from_options(options, lm.config, seeds)
        assert isinstance(sampler, FactorisedSampler)
        sampler.lm = lm
        return sampler

    def __call__(self, logits: Tensor, history: Tensor, forbid_end: bool) -> Tensor:
        """Sample tokens `[B]`.

        Args:
            logits: states `[B, C]`; with guidance `[2 B, C]`, the second half without text.
            history: codes so far `[B, N]`; arbitrary from END on in rows that have ended.
            forbid_end: END must not be chosen.
        """
        lm, states = self.lm, logits
        repeated = self.repetition and history.shape[1] > 0
        forbidden = [self._forbidden(codes) for codes in history] if repeated else []
        scores = self.guided_scores(lm.lm_head(states)).clone()  # [B, L_0 + 1]
        if forbid_end:
            scores[:, -1] = -torch.inf
        first = self.draw(self._allowed(scores, scores.new_zeros(len(scores), 0).long(), forbidden))
        ended = first == lm.levels[0]
        digits = first.masked_fill(ended, 0)[:, None]  # [B, 1]
        for level in range(1, len(lm.levels)):
            # with guidance the unconditional rows get the same digits
            given = digits.repeat(states.shape[0] // digits.shape[0], 1)
            scores = self.guided_scores(lm.depth.last(states, given))  # [B, L_level]
            if repeated and level + 1 == len(lm.levels):
                scores = self._penalised(scores, digits, history)
            digits = torch.cat([digits, self.draw(self._allowed(scores, digits, forbidden))[:, None]], dim=1)
        return torch.where(ended, lm.config.end_token_id, lm.join_digits(digits))

    def _penalised(self, scores: Tensor, digits: Tensor, history: Tensor) -> Tensor:
        """Scores `[B, L]` of the last digit, penalised where it would complete a code that was already used."""
        scores = scores.clone()
        for row, codes in enumerate(history):
            used, places = self._used(codes)
            past = self.lm.split_codes(used)
            fits = (past[:, :-1] == digits[row]).all(dim=1)  # codes that the last digit can still complete
            if bool(fits.any()):
                values = scores[row, past[:, -1]]
                scores[row, past[fits, -1]] = self.repetition(places[None], values[None].clone())[0][fits]  # type: ignore
        return scores

    def _forbidden(self, codes: Tensor) -> Tensor:
        """Digits `[n, D]` of the codes that must not follow the codes `[N]` of a row."""
        used, places = self._used(codes)
        barred = self.repetition(places[None], torch.zeros(1, len(used)).to(places.device))[0] == -torch.inf  # type: ignore
        return self.lm.split_codes(used[barred])

    def _used(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The distinct codes `[n]` of a row, and the index of each position's code among them `[N]`."""
        return torch.unique(codes[codes < self.lm.config.end_token_id], return_inverse=True)

    def _allowed(self, scores: Tensor, digits: Tensor, forbidden: list[Tensor]) -> Tensor:
        """Scores `[B, L]` of the digit after `digits`, minus infinity where only forbidden codes could follow."""
        level = digits.shape[1]
        completions = math.prod(self.lm.levels[level + 1 :])  # of each value of this digit
        for row, codes in enumerate(forbidden):
            match = codes[(codes[:, :level] == digits[row]).all(dim=1)]
            counts = torch.bincount(match[:, level], minlength=scores.shape[1])
            scores[row] = scores[row].masked_fill(counts == completions, -torch.inf)
        return scores
