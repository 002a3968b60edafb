"""Checkpoints that hold up the training only for as long as it takes to copy its state.

    saves = StagedSaves("/dev/shm", recipe.output, accelerator)
    with_all_processes_write_into(saves.folder / "checkpoint-100")
    saves.start(saves.folder / "checkpoint-100", output / "checkpoint-100", complete)     # returns at once
    saves.finish()                                   # waits; raises on all processes what failed on one

The processes of a machine write a checkpoint to a fast folder of their machine, in memory or on a drive of its own. A
thread of the first of them copies it to the folder of the run while the training goes on, and takes its checksums.
When the copies of all machines are there, the first process of the run marks the checkpoint as complete. So a process
that is killed at any time leaves the checkpoint before.

Unusual: threads of different machines wait for each other by files in the checkpoint's folder, not by messages, which
would get in the way of those of the training.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from motionmillion.io.files import write_text
from motionmillion.provenance import fingerprint
from motionmillion.training.resume import checksums, naming_full_disk

_PART = ".copied-{}.json"
_PAUSE = 0.2  # seconds between looks for the parts of other machines
_PATIENCE = 300  # such looks when the training has failed and other machines may be gone


class StagedSaves:
    """Copies checkpoints of one run in the background, one at a time.

    Args:
        staging: folder of this machine; the checkpoints of a run go into a subfolder of their own.
        output: folder of the run, which all machines share.
        accelerator: of the run, for its processes.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(self, staging: str | Path, output: str | Path, accelerator: Any) -> None:
        self.folder = Path(staging) / f"motionmillion-{fingerprint(str(Path(output).resolve()))[:16]}"
        places = gather_object([accelerator.local_process_index])
        self.machines = places.count(0)
        self.machine = places[: accelerator.process_index + 1].count(0) - 1
        self.copies, self.completes = accelerator.is_local_main_process, accelerator.is_main_process
        self._thread: threading.Thread | None = None
        self._error: str | None = None
        if self.copies:
            shutil.rmtree(self.folder, ignore_errors=True)  # what a killed run has left
            self.folder.mkdir(parents=True)

    def start(self, staged: Path, folder: Path, complete: Callable[[dict[str, str]], None]) -> None:
        """Copy a checkpoint that all processes have written; call it on every process, after `finish`.

        Args:
            staged: the checkpoint in `self.folder`.
            folder: where it belongs.
            complete: called on the first process with the checksums of all files when all of them are there.
        """
        if self.copies:
            self._thread = threading.Thread(target=self._copy, args=(staged, folder, complete))
            self._thread.start()

    def finish(self) -> None:
        """Wait for the copy in progress, on every process together.

        Raises:
            OSError: if it failed on any machine.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failed = next(filter(None, gather_object([self._error])), None)
        self._error = None
        if failed is not None:
            raise OSError(failed)

    def _copy(self, staged: Path, folder: Path, complete: Callable[[dict[str, str]], None]) -> None:
        sums, error = {}, None
        try:
            with naming_full_disk(folder):
                shutil.copytree(staged, folder, dirs_exist_ok=True)
            sums = checksums(staged)
        except Exception as caught:  # told to the other machines, and raised by `finish`
            self._error = error = str(caught)
        shutil.rmtree(staged, ignore_errors=True)
        if self.machines > 1:
            write_text(json.dumps({"error": error, "sums": sums}), folder / _PART.format(self.machine))
        if not self.completes:
            return
        parts = self._parts(folder) if self.machines > 1 else [{"error": error, "sums": sums}]
        if not any(part["error"] for part in parts):
            complete({name: value for part in parts for name, value in part["sums"].items()})

    def _parts(self, folder: Path) -> list[dict[str, Any]]:
        """What all machines have copied; they are waited for."""
        files, patience = [folder / _PART.format(machine) for machine in range(self.machines)], _PATIENCE
        while not all(file.exists() for file in files):
            patience -= not threading.main_thread().is_alive()
            if not patience:
                return [{"error": "another machine is gone", "sums": {}}]
            time.sleep(_PAUSE)
        parts = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        for file in files:
            file.unlink()
        return parts
