"""Runs that are asked to stop: a checkpoint at once, an exit code of their own, and the same losses after --resume."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe
from motionmillion.training.resume import checkpoints, read_mark
from motionmillion.training.stopping import STOP_FILE, STOPPED, RunStopped

SIGNALS = [getattr(signal, name, None) for name in ("SIGTERM", "SIGUSR1")]
posix = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no such signals")
STEPS = {"max_steps": 8, "save_steps": 100, "eval_steps": 8}
needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for Linux and macOS")


def steps_of(folder) -> list[str]:
    return [checkpoint.name for checkpoint in checkpoints(folder)]


@pytest.mark.parametrize("launcher", [None, "torchrun"])
def test_a_file_stops_a_run_which_goes_on_later(lm_recipe, log_of, tmp_path, monkeypatch, capsys, launcher):
    whole, stopped = (load_recipe(lm_recipe(training=STEPS), [f"output={tmp_path / name}"]) for name in "ab")
    train_lm(whole)
    if launcher:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    file = tmp_path / "stop"
    monkeypatch.setenv(STOP_FILE, str(file))
    file.touch()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunStopped) as left:
        train_lm(stopped)
    assert left.value.code == (0 if launcher else STOPPED)
    assert signal.getsignal(signal.SIGTERM) == before
    assert steps_of(tmp_path / "b") == ["checkpoint-1"] and not (tmp_path / "b" / "final").exists()
    assert f"stopped on {STOP_FILE} ({file}) at step 1, with a checkpoint" in capsys.readouterr().err
    file.unlink()
    train_lm(stopped, resume=True)
    assert log_of(tmp_path / "b") == log_of(tmp_path / "a")
    assert (tmp_path / "b" / "final").exists()


def test_a_run_that_is_at_its_end_ends_as_usual(lm_recipe, tmp_path, monkeypatch):
    monkeypatch.setenv(STOP_FILE, str(tmp_path / "stop"))
    (tmp_path / "stop").touch()
    train_lm(load_recipe(lm_recipe(training={**STEPS, "max_steps": 1, "eval_steps": 1})))
    assert (tmp_path / "run" / "final").exists()


@posix
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_a_run_and_is_then_left_to_others(lm_recipe, tmp_path, number):
    before = signal.getsignal(number)

    def send() -> None:
        while signal.getsignal(number) == before:  # the run does not listen yet
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    steps = {"max_steps": 300, "save_steps": 300, "eval_steps": 300}
    with pytest.raises(RunStopped) as left:
        train_lm(load_recipe(lm_recipe(training=steps)))
    sender.join()
    assert left.value.code == STOPPED and signal.getsignal(number) == before
    (checkpoint,) = checkpoints(tmp_path / "run")
    assert read_mark(checkpoint) is not None and checkpoint.name != "checkpoint-300"


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_signals_stop_a_run(lm_recipe, tmp_path, number):
    """The process is killed after two minutes, so that a run that does not listen fails."""
    recipe = lm_recipe(training={**STEPS, "max_steps": 100000, "save_steps": 100000, "eval_steps": 100000})
    command = [sys.executable, "-m", "motionmillion.cli", "train", "lm", "--config", str(recipe)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("step 2 "):
                process.send_signal(number)
    watchdog.cancel()
    assert process.returncode == STOPPED, "".join(said)
    last = said[-1]
    assert last.startswith(f"stopped on {number.name} at step ") and "Traceback" not in "".join(said)
    assert steps_of(tmp_path / "run") == [f"checkpoint-{last.split('step ')[1].split(',')[0]}"]


@needs_bash
@pytest.mark.slow
def test_slurm_stops_requeues_and_resumes_a_job_of_two_processes(lm_recipe, log_of, tmp_path):
    """Slurm's commands are replaced by scripts that do the same on this machine."""
    tools = tmp_path / "tools"
    tools.mkdir()
    scripts = {
        "scontrol": 'if [ "$1" = show ]; then echo localhost; else echo "requeued $2"; fi',
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nSLURM_NODEID=0 exec "$@"',
    }
    for name, text in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    settings = {"SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_ID": str(os.getpid()), "SLURM_NNODES": "1", "GPUS": "2"}
    path = os.pathsep.join([str(tools), os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, **settings, "PATH": path, "OMP_NUM_THREADS": "1"}
    logs = {}
    for name, stop_at in (("whole", None), ("stopped", 4), ("stopped", None)):
        recipe = lm_recipe(training={**STEPS, "max_steps": 12, "eval_steps": 12})
        output = tmp_path / name
        command = ["bash", "recipes/lm/slurm.sbatch", str(recipe), "--set", f"output={output}"]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with subprocess.Popen(command, env=environment, **pipes) as process:
            watchdog = threading.Timer(240, process.kill)
            watchdog.start()
            said = []
            for line in process.stdout:
                said.append(line)
                if stop_at is not None and line.startswith(f"step {stop_at} "):
                    process.send_signal(signal.SIGUSR1)
        watchdog.cancel()
        text = "".join(said)
        assert process.returncode == 0, text[-4000:]
        assert (f"requeued {settings['SLURM_JOB_ID']}" in text) == (stop_at is not None), text[-4000:]
        assert (output / "final").exists() == (stop_at is None)
        logs[name] = log_of(output)
    assert logs["whole"] == logs["stopped"] and len(logs["whole"]) == 12
