"""The same work on many tasks, in this process or in several.

    for task, result in run_tasks(tasks, make_worker, ("my_motions",), workers=8): ...

`make_worker(*arguments)` is called once in each process and gives the function that is called with each task. Results
are yielded in the order of completion, and workers are only a few tasks ahead of the consumer.
Long tasks call `report(amount)`, and `on_report` is called with the sums in the process that waits.

Worker processes are spawned and ignore Ctrl-C. Each watches a pipe whose other end only this process holds: when it
closes, because the work is stopped or this process is killed, the workers exit at once.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")

_INTERVAL = 0.5
"""Seconds between two looks at the reports."""


def usable_cores() -> int:
    """Number of CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(
    tasks: Iterable[Task],
    make: Callable[..., Callable[[Task], Result]],
    arguments: tuple[Any, ...] = (),
    workers: int = 1,
    on_report: Callable[[float], Any] | None = None,
) -> Generator[tuple[Task, Result], None, None]:
    """Each of `tasks` with its result, in any order.

    Args:
        workers: number of processes; with 1, this process works.

    Raises:
        ChildProcessError: if a worker dies.
    """
    if workers <= 1:
        global _reports
        _reports, work = on_report, make(*arguments)
        yield from ((task, work(task)) for task in tasks)
        return
    try:
        yield from _in_processes(tasks, make, arguments, workers, on_report)
    except BrokenProcessPool:
        raise ChildProcessError(
            f"workers must keep running, got one of {workers} that ended suddenly; if memory ran out, use fewer"
        ) from None


def report(amount: float) -> None:
    """Say that a part of the current task is done; for `on_report` of `run_tasks`."""
    if _reports is not None:
        _reports(amount)


def _in_processes(
    tasks: Iterable[Task],
    make: Callable[..., Callable[[Task], Result]],
    arguments: tuple[Any, ...],
    workers: int,
    on_report: Callable[[float], Any] | None,
) -> Iterator[tuple[Task, Result]]:
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    queue = context.Queue() if on_report is not None else None
    pool = ProcessPoolExecutor(workers, context, _start, (watched, queue, make, arguments))

    def look() -> None:
        while queue is not None and on_report is not None and not queue.empty():
            on_report(queue.get())

    try:
        yield from _finished(pool, tasks, 2 * workers, look)
        pool.shutdown()
        look()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        watched.close()


def _finished(
    pool: ProcessPoolExecutor, tasks: Iterable[Task], ahead: int, look: Callable[[], None]
) -> Iterator[tuple[Task, Any]]:
    waiting: dict[Future[Any], Task] = {}
    queue = iter(tasks)
    while True:
        with _without_interrupt():  # the first call starts the processes, which inherit this
            for task in queue:
                waiting[pool.submit(_work, task)] = task
                if len(waiting) >= ahead:
                    break
        if not waiting:
            return
        done = wait(waiting, timeout=_INTERVAL, return_when=FIRST_COMPLETED).done
        look()
        for future in done:
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


_worker: Callable[[Any], Any] | None = None  # of a worker process
_reports: Callable[[float], Any] | None = None


def _start(watched: Connection, queue: Any, make: Callable[..., Callable[[Any], Any]], arguments: tuple) -> None:
    global _worker, _reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    torch.set_num_threads(1)
    _reports = None if queue is None else queue.put
    _worker = make(*arguments)


def _end_with(watched: Connection) -> None:
    """End this process when the other end of the pipe closes; nothing is ever sent."""
    watched.poll(None)
    os._exit(1)


def _work(task: Any) -> Any:
    if _worker is None:
        raise RuntimeError("worker must be started before it works, got none")
    return _worker(task)
