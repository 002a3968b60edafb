"""Pieces of a data set -> codes, in this process or in several.

    for piece, results in encode_pieces(pieces, "my_motions", tokenizer, folder, workers=8): ...

Every process loads the tokenizer once; see `motionmillion.data.shards.pool`.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from motionmillion.data.records import ClipRecord
from motionmillion.data.shards.encoding import ClipEncoder, EncodedClip
from motionmillion.data.shards.pool import run_tasks, usable_cores
from motionmillion.tokenizer import MotionTokenizer

__all__ = ["Piece", "Results", "encode_pieces", "usable_cores"]

Results = list[EncodedClip | str]


@dataclass(frozen=True)
class Piece:
    """The clips that a worker gets at a time: piece `number` of `shard`."""

    shard: int
    number: int
    records: tuple[ClipRecord, ...]


def encode_pieces(
    pieces: Sequence[Piece],
    folder: str | Path,
    tokenizer: str | Path,
    device: str = "cpu",
    batch_size: int = 32,
    workers: int = 1,
) -> Generator[tuple[Piece, Results], None, None]:
    """Each of `pieces` with its results, in any order.

    Args:
        folder: folder of the clips.
        tokenizer: folder of a `MotionTokenizer`.
        workers: number of processes; with 1, this process encodes.

    Raises:
        ChildProcessError: if a worker dies, or fails for a reason that does not concern a single clip.
    """
    if not pieces:
        return
    arguments = (str(folder), str(tokenizer), device, batch_size)
    try:
        yield from run_tasks(pieces, _make_encoder, arguments, min(workers, len(pieces)))
    except (RuntimeError, MemoryError) as error:  # raised by torch for memory and devices
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ChildProcessError(f"workers must be able to encode, got {reason!r} on device {device!r}") from error


def _make_encoder(folder: str, tokenizer: str, device: str, batch_size: int) -> Callable[[Piece], Results]:
    model = MotionTokenizer.from_pretrained(tokenizer, dtype=torch.float32).eval().to(device)  # type: ignore[arg-type]
    encoder = ClipEncoder(folder, model, batch_size)
    return lambda piece: encoder(piece.records)
