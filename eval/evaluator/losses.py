"""Losses of the text-motion evaluator.

| loss | meaning |
|---|---|
| contrast | InfoNCE between the texts and motions of a batch, both ways; texts that say the same are no negatives, \
unless they name other sides |
| latents | smooth L1 distance between the two embeddings of a pair |
| prior | divergence of both distributions from each other and from a standard normal one |
| reconstruction | smooth L1 of the normalised features decoded from the motion's and from the text's embedding |

Source: TMR (Petrovich et al., ICCV 2023), sections 3.2 and 3.3; weights of MotionStreamer's evaluator by default.

Shapes: B batch, E width, P positions.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, smooth_l1_loss

if TYPE_CHECKING:
    from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig


from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig


@dataclass
class Embedding:
    """A distribution over embeddings: `mean` and `log_variance`, `[B, E]` each."""

    mean: Tensor
    log_variance: Tensor


@dataclass
class EvaluatorOutput:
    """Weighted sum of the losses, and each of them before weighting."""

    loss: Tensor
    losses: dict[str, Tensor]
    parts: dict[str, Tensor]  # with their weights, by the names of `TextMotionEvaluator.loss_counts`


def evaluator_losses(
    config: "TextMotionEvaluatorConfig",
    motion: "Embedding",
    text: "Embedding",
    sentences: Tensor,
    sides: Tensor,
    decoder: nn.Module | None,
    patches: Tensor,
    mask: Tensor,
) -> EvaluatorOutput:
    """Losses of a batch of pairs.

    Args:
        motion, text: distributions of the embeddings, `[B, E]` each.
        sentences: one embedding a text `[B, S]`.
        sides: equal numbers where texts name the same sides `[B]`.
        decoder: makes features from embeddings, or None.
        patches, mask: what the motion encoder read, `[B, P, ...]` and `[B, P]`.
    """
    values: dict[str, Any] = {}
    if config.losses.get("contrast"):
        values["contrast"] = contrast(
            motion.mean, text.mean, sentences, sides, config.contrast_temperature, config.same_meaning
        )
    if config.losses.get("latents"):
        values["latents"] = smooth_l1_loss(motion.mean, text.mean)
    if config.losses.get("prior"):
        normal = type(motion)(torch.zeros_like(motion.mean), torch.zeros_like(motion.mean))
        pairs = ((text, motion), (motion, text), (motion, normal), (text, normal))
        values["prior"] = sum(divergence(*pair) for pair in pairs)
    if config.losses.get("reconstruction") and decoder is not None:
        made = [decoder(_draw(embedding), mask) for embedding in (motion, text)]
        values["reconstruction"] = sum(smooth_l1_loss(each[mask], patches[mask]) for each in made)
    parts = {name: config.losses[name] * value for name, value in values.items()}
    return EvaluatorOutput(sum(parts.values(), motion.mean.new_zeros(())), values, parts)


def contrast(
    motion: Tensor, text: Tensor, sentences: Tensor, sides: Tensor, temperature: float, same_meaning: float
) -> Tensor:
    """InfoNCE over cosines of `[B, E]` and `[B, E]`, the mean of both ways.

    Args:
        sentences, sides: `[B, S]` and `[B]`; pairs of equal sides whose sentences have a cosine above `same_meaning`
            are left out of the negatives.
        temperature: divides the cosines.
    """
    similarity = normalize(text, dim=-1) @ normalize(motion, dim=-1).mT / temperature  # [B, B]
    sentences = normalize(sentences, dim=-1)
    same = (sentences @ sentences.mT > same_meaning) & (sides[:, None] == sides)
    same.fill_diagonal_(False)
    similarity = similarity.masked_fill(same, -torch.inf)
    own = torch.arange(len(similarity), device=similarity.device)
    return (cross_entropy(similarity, own) + cross_entropy(similarity.mT, own)) / 2


def divergence(of: "Embedding", other: "Embedding") -> Tensor:
    """Kullback-Leibler divergence between normal distributions with diagonal covariance, mean over `[B, E]`."""
    ratio = (of.log_variance - other.log_variance).exp()
    distance = (of.mean - other.mean).square() / other.log_variance.exp()
    return 0.5 * (ratio + distance - 1 - of.log_variance + other.log_variance).mean()


def _draw(embedding: "Embedding") -> Tensor:
    return embedding.mean + torch.randn_like(embedding.mean) * (0.5 * embedding.log_variance).exp()
