"""Candidates: several motions of each prompt as tokens, and how well each of them fits it.

    found = Candidates(prompts, tokens, fits, losses)
    found.save("candidates.safetensors")
    dataset = CandidateDataset(Candidates.load("candidates.safetensors"), text_encoder)
    batch = collate_candidates([dataset[i] for i in ...], padding)

The training data of `motionmillion.training.lm.preference`. Of each prompt a visit draws the two candidates that fit
best and two of the others, with their advantages: how many standard deviations they fit better than the mean.

Letters: P prompts, K candidates, N tokens, B batch, L text length, C text feature size.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from motionmillion.data.sets.texts import TextBank, padded_texts
from motionmillion.io.files import atomic_path
from motionmillion.text.encoder import TextEncoder

BEST, OTHERS = 2, 2
"""Candidates of a visit."""
ALIKE = 0.03
"""Standard deviation of fits below which the candidates of a prompt are alike."""
_FLOOR = 0.02
"""Added to the standard deviation, so that small differences do not count much."""
_MOST = 2.5
"""Largest advantage."""


@dataclass
class Candidates:
    """Candidates of prompts.

    Args:
        prompts: P texts.
        tokens: of each prompt `[K, N]`, padded.
        fits: how well candidates fit their prompts `[P, K]`; only differences within a row count.
        losses: nats a token `[P, K]`, of the model that sampled them.
    """

    prompts: list[str]
    tokens: list[Tensor]
    fits: Tensor
    losses: Tensor

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.tokens[0]) if self.tokens else 0)
        if not self.prompts or len(self.tokens) != shape[0] or {self.fits.shape, self.losses.shape} != {shape}:
            raise ValueError(
                f"candidates must have tokens, fits and losses of every prompt, got {shape[0]} prompts, "
                f"{len(self.tokens)} tokens, fits {list(self.fits.shape)} and losses {list(self.losses.shape)}"
            )
        if shape[1] < BEST + OTHERS:
            raise ValueError(f"candidates must be at least {BEST + OTHERS} for each prompt, got {shape[1]}")

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        tensors = {f"tokens_{number}": tokens.int() for number, tokens in enumerate(self.tokens)}
        tensors |= {"fits": self.fits.float(), "losses": self.losses.float()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {"prompts": json.dumps(self.prompts, ensure_ascii=False)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file of `save`.

        Raises:
            ValueError: if it is damaged.
        """
        try:
            with safe_open(path, "pt") as file:
                prompts = json.loads((file.metadata() or {})["prompts"])
                tokens = [file.get_tensor(f"tokens_{number}").long() for number in range(len(prompts))]
                return cls(prompts, tokens, file.get_tensor("fits"), file.get_tensor("losses"))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"candidates must be a whole file, got {str(path)!r} ({reason}); delete it") from None

    def differing(self) -> list[int]:
        """The prompts whose candidates differ in how they fit; the others teach nothing."""
        return (self.fits.std(dim=1) > ALIKE).nonzero()[:, 0].tolist()

    def part(self, rows: Sequence[int]) -> Self:
        """The candidates of some prompts."""
        chosen = torch.tensor(rows, dtype=torch.long)
        prompts, tokens = [self.prompts[row] for row in rows], [self.tokens[row] for row in rows]
        return type(self)(prompts, tokens, self.fits[chosen], self.losses[chosen])


class CandidateDataset(Dataset):
    """Prompts with four of their candidates, two of them drawn at random at each access.

    Args:
        candidates: of which each prompt's should differ.
        encoder: makes the text features.
    """

    def __init__(self, candidates: Candidates, encoder: TextEncoder) -> None:
        self.candidates = candidates
        fits = candidates.fits
        deviation = fits.std(dim=1, keepdim=True) + _FLOOR
        self.advantages = ((fits - fits.mean(dim=1, keepdim=True)) / deviation).clamp(-_MOST, _MOST)  # [P, K]
        self.texts = TextBank(candidates.prompts, encoder)

    def __len__(self) -> int:
        return len(self.candidates.prompts)

    def __getitem__(self, item: int) -> dict[str, Any]:
        found = self.candidates
        order = found.fits[item].argsort(descending=True)
        others = order[BEST:][torch.randperm(len(order) - BEST)[:OTHERS]]
        drawn = torch.cat([order[:BEST], others])
        return {
            "text": self.texts[found.prompts[item]],
            "tokens": found.tokens[item][drawn],
            "advantages": self.advantages[item][drawn],
            "before": found.losses[item][drawn],
        }


def collate_candidates(samples: Sequence[Mapping[str, Any]], padding: int) -> dict[str, Tensor]:
    """A batch whose rows are candidates: `tokens` `[B, N]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`,
    `advantages` and `before`, the losses of the model that sampled them, `[B]`."""
    rows = [row for sample in samples for row in sample["tokens"]]
    tokens = pad_sequence(rows, batch_first=True, padding_value=padding)
    features, mask = padded_texts([sample["text"].float() for sample in samples for _ in sample["tokens"]])
    return {
        "tokens": tokens,
        "text_features": features,
        "text_mask": mask,
        "advantages": torch.cat([sample["advantages"] for sample in samples]),
        "before": torch.cat([sample["before"] for sample in samples]),
    }
