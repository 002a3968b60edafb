"""Clips of a folder -> codes, independent of the batch.

    encoder = ClipEncoder("my_motions", tokenizer, batch_size=32)
    results = encoder(list_clips("my_motions"))     # each an EncodedClip, or the reason why the clip cannot be read

Unusual: padding and the other clips in a batch change the last bits of a float, which flips a value at the boundary
between two codes about once in a hundred thousand codes. A clip with a value that close to a boundary is encoded again
on its own, so that codes are always those of `tokenizer.encode(features[None])`.

Shapes: B batch, T frames, D feature size, N codes in time, Q quantized channels.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionmillion.data.clips import ClipReader, ClipRecord
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.tokenizer.quantizers.fsq import FiniteScalarQuantizer
from motionmillion.tokenizer.quantizers.lfq import LookupFreeQuantizer

_NEAR_CPU, _NEAR_OTHER = 3e-5, 3e-4
"""Tolerance of a boundary, as a fraction of a channel's largest value; differences of 1.5e-6 were seen on a CPU."""

_MOST_FRAMES = 2**16
"""Maximum frames per batch, padding included; a longer clip is its own batch."""

_STEPWISE = (FiniteScalarQuantizer, LookupFreeQuantizer)
"""Quantizers whose codes only change if a channel crosses a boundary; with others every clip is encoded on its own."""


@dataclass(frozen=True)
class EncodedClip:
    """Codes `[N]`, int32, of a clip of `frames` frames at the representation's rate."""

    frames: int
    codes: np.ndarray


class ClipEncoder:
    """Reads clips, canonicalizes them, computes features and encodes them.

    Args:
        folder: a folder that `list_clips` reads.
        tokenizer: a tokenizer, on the device to run on.
        batch_size: clips per batch; it does not change the codes.
    """

    def __init__(self, folder: str | Path, tokenizer: MotionTokenizer, batch_size: int = 32) -> None:
        self.reader = ClipReader(folder)
        self.tokenizer = tokenizer
        self.batch_size = batch_size

    def __call__(self, records: Sequence[ClipRecord]) -> list[EncodedClip | str]:
        """For each of `records`, in order, its codes, or the reason why it has none, in one line."""
        with _steady(self.tokenizer.device):
            found = [self._features(record) for record in records]
            whole = [features for features in found if not isinstance(features, str)]
            codes = iter(encode_features(self.tokenizer, whole, self.batch_size))
        return [
            entry if isinstance(entry, str) else EncodedClip(entry.shape[0], next(codes).numpy().astype(np.int32))
            for entry in found
        ]

    def _features(self, record: ClipRecord) -> Tensor | str:
        try:
            features = self.tokenizer.representation.encode(self.reader(record).motion.canonicalize())
            if not bool(torch.isfinite(features).all()):
                raise ValueError("motion must have finite features, got values that overflow")
        except (ValueError, OSError) as error:
            return " ".join(str(error).split())
        return features


@torch.no_grad()
def encode_features(tokenizer: MotionTokenizer, clips: Sequence[Tensor], batch_size: int = 32) -> list[Tensor]:
    """Codes `[N]` of each clip's features `[T, D]`, exactly as if it were encoded on its own; on the CPU."""
    settled: dict[int, Tensor] = {}
    corrected = bool(tokenizer.config.root_corrections)  # several passes have several sets of boundaries
    stepwise = batch_size > 1 and isinstance(tokenizer.quantizer, _STEPWISE) and not corrected
    for part in _batches([features.shape[0] for features in clips], batch_size) if stepwise else ():
        rows = _encode_batch(tokenizer, [clips[index] for index in part])
        settled |= {index: row for index, row in zip(part, rows, strict=True) if row is not None}
    return [
        settled[index] if index in settled else tokenizer.encode(features[None].to(tokenizer.device))[0].cpu()
        for index, features in enumerate(clips)
    ]


def encode_motion(tokenizer: MotionTokenizer, clips: Sequence[Tensor]) -> list[Tensor]:
    """Codes `[N]` of each clip's features `[T, D]`, or latents `[N, Q]` without a codebook; on the CPU."""
    if tokenizer.config.codebook_size:
        return encode_features(tokenizer, clips)
    return [tokenizer.encode_latents(features[None].to(tokenizer.device))[0].float().cpu() for features in clips]


def _batches(frames: Sequence[int], size: int) -> Iterator[list[int]]:
    """Batches of indices sorted by length, at most `size` each, with a bounded number of padded frames."""
    part: list[int] = []
    for index in sorted(range(len(frames)), key=frames.__getitem__):
        if len(part) == size or frames[index] * (len(part) + 1) > _MOST_FRAMES:
            yield part
            part = []
        part.append(index)
    if part:
        yield part


def _encode_batch(tokenizer: MotionTokenizer, clips: Sequence[Tensor]) -> list[Tensor | None]:
    """Codes of each clip, None for those with a value near a boundary."""
    lengths = torch.tensor([features.shape[0] for features in clips], device=tokenizer.device)
    features = torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True).to(tokenizer.device)
    latents: list[Tensor] = []
    hook = tokenizer.quantizer.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0]))
    try:
        codes = tokenizer.encode(features, lengths)  # [B, N]
    finally:
        hook.remove()
    channels = tokenizer.quantizer.project_in(latents[0])  # [B, N, Q]
    near = _NEAR_CPU if channels.device.type == "cpu" else _NEAR_OTHER
    shift = near * channels.abs().amax((0, 1))
    counts = tokenizer.code_lengths(lengths)
    valid = torch.arange(codes.shape[1], device=codes.device) < counts[:, None]
    moved = torch.zeros_like(valid)
    for way in (shift, -shift):
        moved |= tokenizer.quantizer.quantize(channels + way, None)[1] != codes
    doubtful = (moved & valid).any(1).tolist()
    rows = zip(codes.cpu(), counts.tolist(), doubtful, strict=True)
    return [None if unsure else row[:count].clone() for row, count, unsure in rows]


@contextlib.contextmanager
def _steady(device: torch.device) -> Iterator[None]:
    """One thread on a CPU, because one process per core is faster; full float32 elsewhere, for reproducible codes."""
    threads, short = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = short
