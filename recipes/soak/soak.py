"""Kills a training on several processes again and again, resumes it, and compares its end with that of a whole run.

    python recipes/soak/soak.py --output runs/soak              # run it again to go on where it was ended
    python recipes/soak/soak.py --output runs/soak --table      # the table of what was done so far

`soak.yaml` says what is trained. Every way (plain, ZeRO 2, ZeRO 3, FSDP 2, saves in the background) is trained once
undisturbed, and then in several runs, each of which is killed several times, at steps and in kinds drawn by the seed:

| kind | what happens |
|---|---|
| all | SIGKILL to all processes |
| one | SIGKILL to one process; the others get SIGTERM, as from torchrun, and SIGKILL when they do not end |
| stop | SIGTERM to one process: the run saves and ends by itself |
| save | SIGKILL to all processes inside the next save, when so many of its files are there |

A run passes if its final weights, and the losses, gradient norms and learning rates of all its steps, equal those of
the undisturbed run to the last bit. `results.jsonl` holds a line for each kill and each end.

Unusual: processes are forked from one that has imported the library, because its imports take longer than the
training; each of them runs the command `motionmillion train lm --resume`.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml

from motionmillion.io.files import write_text
from motionmillion.provenance import describe_machine
from motionmillion.training.recipe import load_yaml, merge
from motionmillion.training.resume import MARKER, checkpoints, read_mark
from motionmillion.training.stopping import STOPPED

CONFIG = Path(__file__).with_name("soak.yaml")
KINDS = ("all", "one", "stop", "save")
MODULES = [
    "motionmillion.cli.app",
    "motionmillion.training.lm.train",
    "motionmillion.data.synthetic",
    "deepspeed",
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "torch.utils.tensorboard",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
]
"""Imported before processes are forked; those that are not installed are left out."""
CONTEXT = multiprocessing.get_context("forkserver")
GRACE = 30
"""Seconds that processes have after SIGTERM, as under torchrun."""


@dataclass(frozen=True)
class Kill:
    """What is done to a run at a step: its kind, the process, and for `save` the number of files."""

    kind: str
    step: int
    process: int
    files: int


def plan(seed: str, kills: int, steps: int, processes: int) -> list[Kill]:
    """Kills of one run in the order of their steps."""
    draw = random.Random(seed)
    at = sorted(draw.sample(range(1, steps), kills))
    return [Kill(draw.choice(KINDS), step, draw.randrange(processes), draw.randrange(12)) for step in at]


def process(rank: int, processes: int, port: int, recipe: str, log: str) -> None:
    """One process of the training: the command, with its output in a file."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in places.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    sys.argv = ["motionmillion", "train", "lm", "--config", recipe, "--resume"]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from motionmillion.cli.app import main

    main()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Training:
    """One start of a run on several processes.

    Args:
        recipe: file of the recipe.
        run: output folder of the run.
    """

    def __init__(self, recipe: Path, run: Path, processes: int) -> None:
        self.run, self.log = run, run.with_suffix(".log")
        self._read, self.step = (self.log.stat().st_size if self.log.exists() else 0), 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        places = [(rank, processes, port, str(recipe), str(self.log)) for rank in range(processes)]
        self.processes: list[BaseProcess] = [CONTEXT.Process(target=process, args=place) for place in places]
        for each in self.processes:
            each.start()

    def wait_for(self, step: int) -> bool:
        """Wait until a step is logged; False if the training ends before."""
        while self.step < step:
            if not any(each.is_alive() for each in self.processes):
                return False
            self._check()
            time.sleep(0.002)
        return True

    def wait_for_save(self, files: int) -> tuple[str, int] | None:
        """Wait until the next unfinished checkpoint has so many files, or is done; its name and number of files."""
        before = set(checkpoints(self.run))
        while any(each.is_alive() for each in self.processes):
            for folder in set(checkpoints(self.run)) - before:
                there = [path.name for path in folder.rglob("*") if path.is_file()]
                if len(there) >= files or MARKER in there:
                    return folder.name, len(there)
            self._check()
        return None

    def end(self, seconds: float) -> list[int | None]:
        """Exit codes; when one process has failed, or after some seconds, the others are ended as torchrun does it."""
        deadline = time.monotonic() + seconds
        while any(each.is_alive() for each in self.processes) and time.monotonic() < deadline:
            if any(each.exitcode not in (None, 0, STOPPED) for each in self.processes):
                break
            self._check()
            time.sleep(0.01)
        self.send(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for each in self.processes:
            each.join(max(deadline - time.monotonic(), 0))
        self.send(signal.SIGKILL)
        for each in self.processes:
            each.join()
        return [each.exitcode for each in self.processes]

    def send(self, number: int, processes: list[int] | None = None) -> None:
        """Send a signal to those of the processes that are alive."""
        for rank in range(len(self.processes)) if processes is None else processes:
            each = self.processes[rank]
            if each.is_alive() and each.pid:
                os.kill(each.pid, number)

    def _check(self) -> None:
        """Read the last step that is logged."""
        if not self.log.exists() or self.log.stat().st_size == self._read:
            return
        with self.log.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            words = line.split()
            if len(words) > 2 and words[0] == "step" and words[2] == "loss":
                self.step = max(self.step, int(words[1]))


def strike(training: Training, kill: Kill, seconds: float) -> dict[str, Any]:
    """Kill a training as planned, and wait for its end."""
    found: dict[str, Any] = {}
    if not training.wait_for(kill.step):
        return {"codes": training.end(seconds), "late": True}
    if kill.kind == "save":
        found["save"] = training.wait_for_save(kill.files)
    if kill.kind == "one":
        training.send(signal.SIGKILL, [kill.process])
    elif kill.kind == "stop":
        training.send(signal.SIGTERM, [kill.process])
    else:
        training.send(signal.SIGKILL)
    found["at"], found["codes"] = training.step, training.end(seconds)
    return found


def outcome(run: Path) -> dict[str, Any]:
    """Final weights and figures of all steps, in a form that can be compared."""
    from motionmillion.provenance import files_hash

    newest = next(folder for folder in checkpoints(run) if read_mark(folder) is not None)
    history = json.loads((newest / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    kept = ("loss", "grad_norm", "learning_rate")
    losses = [[entry["step"], *(entry[key] for key in kept)] for entry in history if "loss" in entry]
    return {"weights": files_hash([run / "final" / "lm" / "model.safetensors"]), "figures": losses}


class Soak:
    """All runs, and the file of what was done to them."""

    def __init__(self, config: dict[str, Any], output: Path) -> None:
        self.config, self.output = config, output
        self.results = output / "results.jsonl"
        self._lock = threading.Lock()

    def done(self, way: str, name: str) -> list[dict[str, Any]]:
        """What was done to a run so far."""
        lines = self.results.read_text(encoding="utf-8").splitlines() if self.results.exists() else []
        return [each for line in lines if (each := json.loads(line))["way"] == way and each["run"] == name]

    def note(self, way: str, name: str, **found: Any) -> None:
        line = json.dumps({"way": way, "run": name, **found})
        with self._lock, self.results.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line if len(line) < 300 else line[:300] + "...", flush=True)

    def go(self, way: str, name: str, kills: list[Kill], seconds: float) -> None:
        """Train one run to its end, with those of its kills that are not done yet."""
        done = self.done(way, name)
        if any("end" in each for each in done):
            return
        run = self.output / way / name
        content = merge(self.config["common"], self.config["ways"][way])
        recipe = {"output": str(run), "seed": self.config["seed"], **content}
        recipe["data"] |= {"tokenizer": str(self.output / "tokenizer"), "cache": str(self.output / "cache")}
        if "save_staging" in recipe["training"]:
            recipe["training"]["save_staging"] = str(self.output / "staging")
        write_text(yaml.safe_dump(recipe, sort_keys=False), run.with_suffix(".yaml"))
        for number, kill in list(enumerate(kills))[len(done) :]:
            training = Training(run.with_suffix(".yaml"), run, self.config["processes"])
            found = strike(training, kill, seconds)
            self.note(way, name, kill=number, **vars(kill), **found, newest=_newest(run))
        for _ in range(2):  # a run that was killed while it wrote its last files is started once more
            training = Training(run.with_suffix(".yaml"), run, self.config["processes"])
            codes = training.end(seconds)
            if not any(codes):
                break
        ended = not any(codes) and (run / "final").is_dir()
        self.note(way, name, end=outcome(run) if ended else None, codes=codes)


def _newest(run: Path) -> str | None:
    """Name of the newest complete checkpoint."""
    return next((folder.name for folder in checkpoints(run) if read_mark(folder) is not None), None)


def make_tokenizer(folder: Path) -> None:
    """A tokenizer with random weights."""
    import torch

    from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

    torch.manual_seed(0)
    shape = {"wavelet": "haar", "wavelet_levels": 1, "strides": [2], "width": 16, "depth": 1}
    quantizer = {"type": "fsq", "levels": [5, 5, 5]}
    MotionTokenizer(MotionTokenizerConfig(features="rot272", quantizer=quantizer, **shape)).save_pretrained(folder)


def table(soak: Soak) -> str:
    """What was done so far, in Markdown."""
    rows = ["| way | kills | " + " | ".join(KINDS) + " | of them inside a save | runs | equal to the whole run |"]
    rows.append("|---" * (len(KINDS) + 5) + "|")
    for way in soak.config["ways"]:
        runs = [soak.done(way, f"run{number}") for number in range(soak.config["chains"])]
        whole = [each["end"] for each in soak.done(way, "whole") if "end" in each]
        kills = [each for run in runs for each in run if "kill" in each and not each.get("late")]
        kinds = Counter(each["kind"] for each in kills)
        inside = sum(each["newest"] != each["save"][0] for each in kills if each.get("save"))
        ends = [each["end"] for run in runs for each in run if "end" in each]
        equal = sum(end == whole[0] for end in ends) if whole and whole[0] else 0
        cells = [way, len(kills), *(kinds[kind] for kind in KINDS), inside, len(ends), equal]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a training again and again, and compare its end.")
    parser.add_argument("--output", default="runs/soak", help="folder of the runs")
    parser.add_argument("--config", default=str(CONFIG), help="what is trained, and how often it is killed")
    parser.add_argument("--ways", nargs="+", help="of the file; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--seconds", type=float, default=600, help="after which a run counts as hanging")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    config, output = load_yaml(options.config), Path(options.output)
    soak = Soak(config, output)
    if options.table:
        print(table(soak))
        return
    CONTEXT.set_forkserver_preload(MODULES)
    if not (output / "tokenizer").exists():
        make_tokenizer(output / "tokenizer")
        write_text(json.dumps(describe_machine("cpu"), indent=2) + "\n", output / "machine.json")
    ways = options.ways or list(config["ways"])
    with ThreadPoolExecutor(options.jobs) as pool:
        started = [pool.submit(soak.go, way, "whole", [], options.seconds) for way in ways]
        for chain in range(config["chains"]):
            for way in ways:
                steps = merge(config["common"], config["ways"][way])["training"]["max_steps"]
                kills = plan(f"{config['seed']} {way} {chain}", config["kills"], steps, config["processes"])
                started.append(pool.submit(soak.go, way, f"run{chain}", kills, options.seconds))
        for each in started:
            each.result()
    print(table(soak))


if __name__ == "__main__":
    main()
