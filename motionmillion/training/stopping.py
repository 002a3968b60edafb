"""Ends a run early on request, after the step in progress and with a checkpoint.

    request = StopRequest(accelerator)
    with request.listening():
        trainer.add_callback(StopOnRequest(request))
        trainer.train()
    request.leave_if_made(step)                 # raises RunStopped, a SystemExit with STOPPED

A request is a SIGTERM or SIGUSR1 to any process, or a file that the environment variable MOTIONMILLION_STOP names.
Batch systems send such signals some minutes before the time of a job is up; `torchrun` kills its processes half a
minute after a SIGTERM, so jobs with large checkpoints use the file. A second signal ends the process at once.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from motionmillion.progress import say

STOPPED = 75
"""Exit code of a run that was asked to stop and can be resumed (EX_TEMPFAIL of sysexits.h)."""
STOP_FILE = "MOTIONMILLION_STOP"
"""Environment variable with the path of a file; once that exists, the run ends."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class RunStopped(SystemExit):
    """The run has ended on request, with a checkpoint; the code is `STOPPED`, or 0 under `torchrun`.

    `torchrun` would take any other code for a failure, and start the run again.
    """


class StopRequest:
    """Whether this run was asked to stop; every process must ask `made` at the same steps."""

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self.reason = ""  # known to the process that was asked
        self.granted = False
        self._before: dict[int, Any] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals in the context; outside the main thread, where none can be taken, only the file counts."""
        try:
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        except ValueError:
            pass
        try:
            yield
        finally:
            self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.reason = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def made(self) -> bool:
        """Whether any process was asked to stop; the same answer on every process."""
        file = os.environ.get(STOP_FILE)
        if not self.reason and file and Path(file).exists():
            self.reason = f"{STOP_FILE} ({file})"
        if self.accelerator.num_processes == 1:
            self.granted = bool(self.reason)
        else:
            asked = torch.tensor(int(bool(self.reason)), device=self.accelerator.device)
            self.granted = bool(int(self.accelerator.reduce(asked, "sum")))
        return self.granted

    def leave_if_made(self, step: int) -> None:
        """Raise `RunStopped` if the run has ended on request."""
        if not self.granted:
            return
        if self.reason:
            say(f"stopped on {self.reason} at step {step}, with a checkpoint; --resume goes on from there")
        raise RunStopped(0 if "TORCHELASTIC_RUN_ID" in os.environ else STOPPED)


class StopOnRequest(TrainerCallback):
    """Saves and ends the training after the step in which a request arrived, unless it is the last one anyway."""

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step < state.max_steps and self.request.made():
            control.should_save = control.should_training_stop = True
