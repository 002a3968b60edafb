"""Pieces of a data set -> codes, in this process or in several.

    for piece, results in encode_pieces(pieces, "my_motions", tokenizer, folder, workers=8): ...

Results are yielded in the order of completion, and workers are only a few pieces ahead of the consumer. Worker
processes are spawned, load the tokenizer once and ignore Ctrl-C. Each watches a pipe whose other end only this process
holds: when it closes, because the work is stopped or this process is killed, the workers exit at once.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from motionmillion.data.clips import ClipRecord
from motionmillion.data.shards.encoding import ClipEncoder, EncodedClip
from motionmillion.tokenizer import MotionTokenizer

Results = list[EncodedClip | str]


@dataclass(frozen=True)
class Piece:
    """The clips that a worker gets at a time: piece `number` of `shard`."""

    shard: int
    number: int
    records: tuple[ClipRecord, ...]


def usable_cores() -> int:
    """Number of CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    workers = min(workers, len(pieces))
    if not pieces:
        return
    arguments = (str(folder), str(tokenizer), device, batch_size)
    try:
        if workers == 1:
            encoder = _make_encoder(*arguments)
            yield from ((piece, encoder(piece.records)) for piece in pieces)
        else:
            yield from _in_processes(pieces, arguments, workers)
    except BrokenProcessPool:
        raise ChildProcessError(
            f"workers must keep running, got one of {workers} that ended suddenly; if memory ran out, use fewer"
        ) from None
    except (RuntimeError, MemoryError) as error:  # raised by torch for memory and devices
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ChildProcessError(f"workers must be able to encode, got {reason!r} on device {device!r}") from error


def _in_processes(
    pieces: Sequence[Piece], arguments: tuple[str, str, str, int], workers: int
) -> Iterator[tuple[Piece, Results]]:
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _start_worker, (watched, *arguments))
    try:
        yield from _finished(pool, pieces, 2 * workers)
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        watched.close()


def _finished(pool: ProcessPoolExecutor, pieces: Iterable[Piece], ahead: int) -> Iterator[tuple[Piece, Results]]:
    waiting: dict[Future[Results], Piece] = {}
    queue = iter(pieces)
    while True:
        with _without_interrupt():  # the first call starts the processes, which inherit this
            for piece in queue:
                waiting[pool.submit(_encode, piece.records)] = piece
                if len(waiting) >= ahead:
                    break
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future.result()


@contextlib.contextmanager
def _without_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_encoder: ClipEncoder | None = None  # of a worker process


def _start_worker(watched: Connection, folder: str, tokenizer: str, device: str, batch_size: int) -> None:
    global _encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    torch.set_num_threads(1)
    _encoder = _make_encoder(folder, tokenizer, device, batch_size)


def _end_with(watched: Connection) -> None:
    """End this process when the other end of the pipe closes; nothing is ever sent."""
    watched.poll(None)
    os._exit(1)


def _encode(records: tuple[ClipRecord, ...]) -> Results:
    if _encoder is None:
        raise RuntimeError("worker must be started before it encodes, got none")
    return _encoder(records)


def _make_encoder(folder: str, tokenizer: str, device: str, batch_size: int) -> ClipEncoder:
    model = MotionTokenizer.from_pretrained(tokenizer, dtype=torch.float32).eval().to(device)  # type: ignore[arg-type]
    return ClipEncoder(folder, model, batch_size)
