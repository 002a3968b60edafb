"""Encoding with feedback: codes whose decoded heading and path drift less.

    output = best_of_passes(codec, features, frames, once, corrections=2)    # once: features -> (output, decoded)

Heading and path are sums over time, so small errors of every code add up. Here a clip is encoded and decoded again a
few times, each time with the drift so far subtracted from the way that the encoder sees; of all passes the codes with
the smallest mean error of the joints are kept. Poses are not touched, and nothing is trained.

Shapes: B batch, T frames, D feature size.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from motionmillion.features import Representation
from motionmillion.tokenizer.quantizers.base import QuantizerOutput

GAIN = 0.7
"""Share of the drift that is subtracted in each pass."""
SECONDS = 2.0
"""Time over which the drift is averaged: the encoder cannot follow faster corrections."""


def can_feed_back(codec: Representation) -> bool:
    """Whether features have a root that can be replaced."""
    return type(codec).with_root is not Representation.with_root


def best_of_passes(
    codec: Representation,
    features: Tensor,
    frames: Sequence[int],
    once: Callable[[Tensor], tuple[QuantizerOutput, Tensor]],
    corrections: int,
) -> QuantizerOutput:
    """For each row of features `[B, T, D]`, the best of several passes.

    Args:
        frames: valid frames of each row.
        once: a pass: quantized channels and codes of features `[B, T, D]`, and the features that they decode to.
        corrections: number of passes after the first.
    """
    best, decoded = once(features)
    least, seen = _errors(codec, features, decoded, frames), features
    for _ in range(corrections):
        seen = seen.clone()
        for row, (target, made, count) in enumerate(zip(features, decoded, frames, strict=True)):
            seen[row, :count] = _corrected(codec, target[:count], seen[row, :count], made[:count])
        output, decoded = once(seen)
        errors = _errors(codec, features, decoded, frames)
        best, least = _choose(errors < least, output, best), errors.minimum(least)
    return best


def _errors(codec: Representation, target: Tensor, decoded: Tensor, frames: Sequence[int]) -> Tensor:
    """Mean distance of the joints in each row `[B]`, metres."""
    rows = zip(target, decoded, frames, strict=True)
    apart = [codec.positions(wanted[:n]) - codec.positions(made[:n]) for wanted, made, n in rows]
    return torch.stack([each.norm(dim=-1).mean() for each in apart])


def _choose(rows: Tensor, new: QuantizerOutput, old: QuantizerOutput) -> QuantizerOutput:
    """The rows `[B]` of `new`, the others of `old`."""
    wide = rows[:, None, None]
    codes = None if new.codes is None or old.codes is None else torch.where(rows[:, None], new.codes, old.codes)
    latents, quantized = torch.where(wide, new.latents, old.latents), torch.where(wide, new.quantized, old.quantized)
    return QuantizerOutput(latents, codes, quantized, old.loss)


def _corrected(codec: Representation, target: Tensor, seen: Tensor, decoded: Tensor) -> Tensor:
    """Features `[T, D]` that the encoder sees next: `seen`, less the drift of `decoded` from `target`."""
    (wanted_yaw, wanted), (yaw, path), (seen_yaw, seen_path) = map(codec.root, (target, decoded, seen))
    drift = torch.cat([(yaw - wanted_yaw)[:, None], path - wanted], dim=1)  # [T, 4]
    drift = GAIN * _mean_over_time(drift, round(SECONDS * codec.fps))
    turned = seen_yaw - drift[:, 0]
    return codec.with_root(seen, turned - turned[0], seen_path - drift[:, 1:])


def _mean_over_time(values: Tensor, frames: int) -> Tensor:
    """Running mean of `[T, C]` over so many frames, ends repeated."""
    padded = F.pad(values.mT[None], (frames // 2, (frames - 1) // 2), mode="replicate")
    return F.avg_pool1d(padded, frames, stride=1)[0].mT
