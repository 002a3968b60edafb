"""Clips of a folder -> codes, the same codes in every batch.

    encoder = ClipEncoder("my_motions", tokenizer, batch_size=32)
    results = encoder(list_clips("my_motions"))     # EncodedClip, or the reason why a clip cannot be read

What is unusual: padding and company in a batch change the last bits of a float, which moves a value that lies on the
border between two codes to its neighbour about once in a hundred thousand codes. A clip with a value that near to a
border is encoded again alone, so that codes are always those of `tokenizer.encode(features[None])`.

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
"""What counts as on the border, as a share of a channel's largest value; differences of 1.5e-6 were seen on a CPU."""

_MOST_FRAMES = 2**16
"""Frames of a batch with its padding; a longer clip goes alone."""

_STEPWISE = (FiniteScalarQuantizer, LookupFreeQuantizer)
"""Quantizers whose codes only change with a channel that crosses a border; of others every clip is encoded alone."""


@dataclass(frozen=True)
class EncodedClip:
    """Codes `[N]`, int32, of a clip of `frames` frames at the representation's rate."""

    frames: int
    codes: np.ndarray


class ClipEncoder:
    """Reads clips, canonicalizes them, makes features and encodes them.

    Args:
        folder: a folder that `list_clips` reads.
        tokenizer: on the device that it shall run on.
        batch_size: clips that go through the encoder together; it does not change the codes.
    """

    def __init__(self, folder: str | Path, tokenizer: MotionTokenizer, batch_size: int = 32) -> None:
        self.reader = ClipReader(folder)
        self.tokenizer = tokenizer
        self.batch_size = batch_size

    def __call__(self, records: Sequence[ClipRecord]) -> list[EncodedClip | str]:
        """For each of `records`, in order, its codes, or in one line why it has none."""
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
    """Codes `[N]` of each of the features `[T, D]`, exactly as if each were encoded alone; on the CPU."""
    settled: dict[int, Tensor] = {}
    stepwise = batch_size > 1 and isinstance(tokenizer.quantizer, _STEPWISE)
    for part in _batches([features.shape[0] for features in clips], batch_size) if stepwise else ():
        rows = _encode_batch(tokenizer, [clips[index] for index in part])
        settled |= {index: row for index, row in zip(part, rows, strict=True) if row is not None}
    return [
        settled[index] if index in settled else tokenizer.encode(features[None].to(tokenizer.device))[0].cpu()
        for index, features in enumerate(clips)
    ]


def encode_motion(tokenizer: MotionTokenizer, clips: Sequence[Tensor]) -> list[Tensor]:
    """Codes `[N]` of each of the features `[T, D]`, of a tokenizer without a codebook latents `[N, Q]`; on the CPU."""
    if tokenizer.config.codebook_size:
        return encode_features(tokenizer, clips)
    return [tokenizer.encode_latents(features[None].to(tokenizer.device))[0].float().cpu() for features in clips]


def _batches(frames: Sequence[int], size: int) -> Iterator[list[int]]:
    """Indices sorted by length, at most `size` of them, and few enough to bound what padding fills."""
    part: list[int] = []
    for index in sorted(range(len(frames)), key=frames.__getitem__):
        if len(part) == size or frames[index] * (len(part) + 1) > _MOST_FRAMES:
            yield part
            part = []
        part.append(index)
    if part:
        yield part


def _encode_batch(tokenizer: MotionTokenizer, clips: Sequence[Tensor]) -> list[Tensor | None]:
    """Codes of each clip, None for those with a value near a border."""
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
    """One thread on a CPU, because a process a core is faster; full float32 elsewhere, for the sake of the codes."""
    threads, short = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = short
