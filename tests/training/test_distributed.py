"""Training on two processes under ZeRO 2, ZeRO 3 and FSDP: killed, resumed, exported, generating.

These runs are real: torchrun starts two processes that talk by gloo. What a recipe asks for on GPUs is the same.
They take `-m slow`, which continuous integration adds for ZeRO 3.
"""

import importlib.util
import json
import math
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import torch
from safetensors.torch import load_file

from motionmillion import MotionPipeline
from motionmillion.cli.app import main
from motionmillion.training.arguments import MotionTrainingArguments
from motionmillion.training.distributed import deepspeed_options, process_arguments, safe_unpickling
from motionmillion.training.export import checkpoint_model, export_checkpoint
from motionmillion.training.lm.lora import TARGETS
from motionmillion.training.resume import (
    MARKER,
    checkpoints,
    mark_whole,
    newest_intact,
    newest_whole,
    read_mark,
    remove_newer,
)
from motionmillion.training.sharded import fsdp_weights

ROOT = Path(__file__).resolve().parents[2]
STEPS, SAVE = 30, 8
THERE = importlib.util.find_spec("deepspeed") is not None
needs_deepspeed = pytest.mark.skipif(not THERE, reason="needs deepspeed")
SPLITS = [
    pytest.param("zero3", marks=[needs_deepspeed, pytest.mark.slow]),
    pytest.param("zero2", marks=[needs_deepspeed, pytest.mark.slow]),
    pytest.param("fsdp", marks=pytest.mark.slow),
]


class Runs(NamedTuple):
    """The same training twice: never stopped, and killed and resumed."""

    whole: Path
    resumed: Path
    killed_at: int


def training_of(split: str) -> dict:
    """The training arguments of a run with the repository's own configuration files."""
    if split == "fsdp":
        return {"fsdp": True, "fsdp_config": str(ROOT / "recipes/lm/fsdp.json")}
    options = json.loads((ROOT / f"recipes/lm/{split}.json").read_text())
    if split == "zero3":  # else weights as small as these are not split up
        options["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return {"deepspeed": options}


def kill(pid: int) -> None:
    """SIGKILL a process and all that it has started."""
    launcher = psutil.Process(pid)
    for one in [launcher, *launcher.children(recursive=True)]:
        one.kill()


def launch(recipe: Path, *options: str, kill_at: int | None = None, processes: int = 2) -> str:
    """Train on several processes; with `kill_at`, until that step is logged, then all are killed with SIGKILL."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
    command += ["-m", "motionmillion.cli", "train", "lm", "--config", str(recipe), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen(command, env=environment, cwd=ROOT, **pipes) as process:
        watchdog = threading.Timer(240, kill, [process.pid])  # a run that hangs fails its test
        watchdog.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if kill_at is not None and line.startswith(f"step {kill_at} "):
                kill(process.pid)
                break
        watchdog.cancel()
    text = "".join(lines)
    assert kill_at is not None or process.returncode == 0, text[-4000:]
    assert "Writing model shards" not in text and "{'loss'" not in text
    return text


@pytest.fixture(scope="module", params=SPLITS)
def runs(request, tmp_path_factory, write_lm) -> Runs:
    """Half precision, accumulated batches and dropout: everything that could go on differently."""
    training = {
        "max_steps": STEPS,
        "save_steps": SAVE,
        "eval_steps": STEPS,
        "bf16": True,
        **training_of(request.param),
    }
    training |= {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 1}
    killed_at = random.randrange(SAVE + 1, STEPS - 6)
    folders = []
    for name in ("whole", "resumed"):
        folders.append(tmp_path_factory.mktemp(name))
        dropout = {"attention_dropout": 0.1, "hidden_dropout": 0.1}
        recipe = write_lm(folders[-1], training=training, model=dropout)
        if name == "whole":
            launch(recipe)
            continue
        launch(recipe, kill_at=killed_at)
        run = folders[-1] / "run"
        assert not (run / "final").exists()
        newest = max(int(path.name.rsplit("-", 1)[1]) for path in run.glob("checkpoint-*") if read_mark(path))
        half = shutil.copytree(run / f"checkpoint-{newest}", run / f"checkpoint-{newest + SAVE}", dirs_exist_ok=True)
        next(half.rglob("*1_*")).unlink()  # a part of the second process is missing
        launch(recipe, "--resume")
    return Runs(folders[0] / "run", folders[1] / "run", killed_at)


def test_a_killed_run_goes_on_with_the_same_losses(runs, log_of):
    whole, resumed = log_of(runs.whole), log_of(runs.resumed)
    assert list(whole) == list(range(1, STEPS + 1))
    assert whole == resumed, f"killed at step {runs.killed_at}"
    assert whole[STEPS]["loss"] < 0.7 * whole[1]["loss"]


def test_warm_up_and_cosine_count_steps_of_the_run(runs, log_of):
    rates = [entry["learning_rate"] for entry in log_of(runs.whole).values()]
    expected = [
        1e-2 * min(step / 2, 0.5 + 0.5 * math.cos(math.pi * max(step - 2, 0) / (STEPS - 2))) for step in range(STEPS)
    ]
    assert rates == pytest.approx(expected, rel=1e-6)


def test_the_end_is_a_pipeline_with_all_weights(runs):
    for run in (runs.whole, runs.resumed):
        weights = load_file(run / "final" / "lm" / "model.safetensors")
        assert {value.dtype for value in weights.values()} == {torch.float32}
        assert weights["layers.1.mlp.down_proj.weight"].shape == (32, 64)
    one, other = (load_file(run / "final" / "lm" / "model.safetensors") for run in (runs.whole, runs.resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    pipe = MotionPipeline.from_pretrained(runs.resumed / "final")
    assert pipe("a person walks", seconds=1)[0].num_frames == 30


def test_a_checkpoint_becomes_a_pipeline(runs, tmp_path, monkeypatch, capsys):
    checkpoint = runs.whole / f"checkpoint-{STEPS}"
    monkeypatch.setattr(
        sys, "argv", ["motionmillion", "convert", "checkpoint", str(checkpoint), "-o", str(tmp_path / "out")]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, capsys.readouterr().err
    final, converted = (
        load_file(folder / "lm" / "model.safetensors") for folder in (runs.whole / "final", tmp_path / "out")
    )
    assert set(final) == set(converted)
    assert all(torch.equal(final[name], converted[name]) for name in final)
    assert MotionPipeline.from_pretrained(tmp_path / "out")("a person walks", seconds=1)[0].num_frames == 30


@pytest.mark.slow  # half a minute
@needs_deepspeed
def test_adapters_under_zero_3_and_averages_under_zero_1(write_lm, tmp_path, tiny_pipeline_folder):
    folders = [tmp_path / name for name in ("lora", "average")]
    for folder in folders:
        folder.mkdir()
    launch(
        write_lm(
            folders[0],
            data={"start_from": str(tiny_pipeline_folder), "tokenizer": None, "text_encoder": None},
            model={"lora": {"rank": 4}},
            training={**training_of("zero3"), "max_steps": 4, "save_steps": 2, "eval_steps": 4},
        )
    )
    run = folders[0] / "run"
    before, after = (
        load_file(folder / "lm" / "model.safetensors") for folder in (tiny_pipeline_folder, run / "final")
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.split(".")[-2] in TARGETS}
    export_checkpoint(run / "checkpoint-4", tmp_path / "converted")
    converted = load_file(tmp_path / "converted" / "lm" / "model.safetensors")
    assert all(torch.equal(converted[name], after[name]) for name in after)
    training = {
        **training_of("zero1"),
        "ema_decay": 0.5,
        "max_steps": 4,
        "save_steps": 2,
        "eval_steps": 4,
        "bf16": True,
    }
    launch(write_lm(folders[1], training=training))
    run = folders[1] / "run"
    average = load_file(run / "final" / "lm" / "model.safetensors")
    export_checkpoint(run / "checkpoint-4", tmp_path / "averaged")
    (run / "checkpoint-4" / "ema.pt").unlink()
    last = checkpoint_model(run / "checkpoint-4").state_dict()
    assert any(not torch.equal(last[name], average[name]) for name in last)
    averaged = load_file(tmp_path / "averaged" / "lm" / "model.safetensors")
    assert all(torch.equal(averaged[name], average[name]) for name in average)


@pytest.mark.parametrize("split", SPLITS)
def test_a_run_goes_on_with_another_number_of_processes(split, write_lm, log_of, tmp_path):
    """The clips of a step are the same ones, only sums are rounded differently; the best model may be an older one."""
    logs = []
    for name, processes in (("same", 2), ("other", 1)):
        training = {"max_steps": 8, "save_steps": 4, "eval_steps": 2, "per_device_train_batch_size": 1}
        training |= {"metric_for_best_model": "loss", "greater_is_better": True}  # the first is the best
        training |= {"weight_decay": 0.1, **training_of(split)}
        (tmp_path / name).mkdir()
        recipe = write_lm(tmp_path / name, training=training)
        launch(recipe, "--set", "training.gradient_accumulation_steps=2")
        run = tmp_path / name / "run"
        shutil.rmtree(run / "checkpoint-8")
        shutil.rmtree(run / "final")
        accumulated = f"training.gradient_accumulation_steps={4 // processes}"
        launch(recipe, "--resume", "--set", accumulated, processes=processes)
        state = json.loads((run / "checkpoint-8" / "trainer_state.json").read_text())
        assert state["best_global_step"] == 2 and (run / "final" / "pipeline.json").is_file()
        logs.append([entry["loss"] for entry in log_of(run).values()])
    assert len(logs[0]) == 8 and logs[1] == pytest.approx(logs[0], rel=1e-3)


def test_an_index_of_shards_runs_no_code(tmp_path):
    """The index of FSDP's shards is a pickle."""
    import pickle

    class Touch:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    folder = tmp_path / "checkpoint-1" / "pytorch_model_fsdp_0"
    folder.mkdir(parents=True)
    (folder / ".metadata").write_bytes(pickle.dumps(Touch()))
    with pytest.raises(ValueError, match="checkpoint must hold whole shards, got .*pytorch_model_fsdp_0"):
        fsdp_weights(tmp_path / "checkpoint-1")
    assert not (tmp_path / "touched").exists() and fsdp_weights(tmp_path) is None


@needs_deepspeed
def test_an_inner_block_leaves_the_outer_one_what_it_allows():
    from torch.serialization import get_safe_globals

    before = list(get_safe_globals())
    with safe_unpickling():
        allowed = list(get_safe_globals())
        with safe_unpickling():
            assert set(get_safe_globals()) == set(allowed)
        assert set(get_safe_globals()) == set(allowed) > set(before)
    assert set(get_safe_globals()) == set(before)


@needs_deepspeed
def test_nothing_in_a_checkpoint_is_run(tmp_path):
    """A checkpoint whose file would run code when it is unpickled is refused, and the code does not run."""

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    run = tmp_path / "run" / "checkpoint-1"
    (run / "global_step1").mkdir(parents=True)
    (run / "latest").write_text("global_step1")
    (run / "trainer_state.json").write_text("{}")
    torch.save({"module": Bomb()}, run / "global_step1" / "mp_rank_00_model_states.pt")
    torch.save({"optimizer_state_dict": Bomb()}, run / "global_step1" / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    mark_whole(run, 1, "zero2", {})
    with pytest.raises(ValueError, match="checkpoint must be whole, got .*checkpoint-1.*: Weights only load failed"):
        export_checkpoint(run, tmp_path / "out")
    assert not (tmp_path / "exploded").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["missing", "cut", "unmarked"])
def test_checkpoints_that_are_not_whole_are_passed_over(tmp_path, change):
    for step in (3, 20):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "global_step").mkdir(parents=True)
        (folder / "global_step" / "part.pt").write_bytes(b"1234")
        mark_whole(folder, 2, "zero2", {})
    assert newest_whole(tmp_path, 2, "zero2") == tmp_path / "checkpoint-20"
    part = folder / "global_step" / "part.pt"
    if change == "missing":
        part.unlink()
    elif change == "cut":
        part.write_bytes(b"12")
    else:
        (folder / MARKER).unlink()
    assert newest_whole(tmp_path, 2, "zero2") == tmp_path / "checkpoint-3"
    remove_newer(tmp_path / "checkpoint-3", tmp_path)
    assert checkpoints(tmp_path) == [tmp_path / "checkpoint-3"]


def test_a_run_that_was_killed_inside_its_first_save_begins_again(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    assert newest_whole(tmp_path, 2, "zero2", first_save=5) is None
    with pytest.raises(ValueError, match="checkpoints must be whole to resume, got none"):
        newest_whole(tmp_path, 2, "zero2", first_save=4)  # a later one: steps before it would be lost
    (tmp_path / "checkpoint-3").mkdir()
    assert newest_whole(tmp_path, 2, "zero2", first_save=5) is None
    (tmp_path / "checkpoint-3" / MARKER).write_text('{"files": {"gone": 1}}')
    with pytest.raises(ValueError, match="checkpoints must be whole to resume, got none"):
        newest_whole(tmp_path, 2, "zero2", first_save=5)  # damaged, not unfinished
    remove_newer(None, tmp_path)
    assert checkpoints(tmp_path) == [tmp_path / "checkpoint-3"]


def test_a_folder_that_some_machines_do_not_see_is_refused(tmp_path, monkeypatch):
    (tmp_path / "checkpoint-5").mkdir()
    mark_whole(tmp_path / "checkpoint-5", 2, "", {})
    monkeypatch.setattr("motionmillion.training.resume.gather_object", lambda own: [*own, None])
    arguments = MotionTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(ValueError, match="output must be a folder that all machines share, got .* some see empty"):
        newest_intact(str(tmp_path), arguments)
    assert read_mark(tmp_path / "checkpoint-5") is not None


def test_a_run_is_resumed_as_it_was_written(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    mark_whole(tmp_path / "checkpoint-3", 2, "zero2", {})
    message = (
        "must be resumed as it was written, by 2 processes under zero2, got {} for .*checkpoint-3.*data.start_from"
    )
    for processes, split, words in ((4, "zero3", "4 processes under zero3"), (2, "", "2 processes without DeepSpeed")):
        with pytest.raises(ValueError, match=message.format(words)):
            newest_whole(tmp_path, processes, split)
    assert newest_whole(tmp_path, 8, "zero2") == tmp_path / "checkpoint-3"  # any number will do
    assert newest_whole(tmp_path / "elsewhere", 1, "") is None


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"deepspeed": "nosuch.json"}, "training.deepspeed must name a JSON file, got 'nosuch.json'"),
        ({"deepspeed": {"zero_optimization": {"stage": 4}}}, "must set zero_optimization.stage to 1, 2 or 3, got 4"),
        ({"deepspeed": {"train_batch_size": 4}}, "must set zero_optimization.stage to 1, 2 or 3, got 0"),
        ({"deepspeed": {"zero_optimization": {"stage": 2}}, "fsdp": True}, "must name deepspeed or fsdp, got both"),
    ],
)
def test_mistakes_in_a_distributed_recipe_are_named(training, message, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    if THERE or "both" in message:
        with pytest.raises(ValueError, match=message):
            process_arguments(training)
    monkeypatch.delenv("LOCAL_RANK")
    with pytest.raises(ValueError, match="must be started by a launcher, got none; run: torchrun"):
        process_arguments(training)


def test_a_missing_deepspeed_is_named(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setitem(sys.modules, "deepspeed", None)  # as Python has it where a package is not installed
    with pytest.raises(ImportError, match=r'run: pip install "motionmillion\[deepspeed\]"'):
        process_arguments({"deepspeed": {"zero_optimization": {"stage": 2}}})


@pytest.mark.parametrize("split", [{"fsdp": True}, {"deepspeed": {"zero_optimization": {"stage": 3}}}])
def test_averages_need_whole_weights(split, tmp_path):
    with pytest.raises(ValueError, match="ema_decay must be 0 under ZeRO 3 and FSDP, .*got 0.9; use ZeRO 2"):
        MotionTrainingArguments(output_dir=str(tmp_path), ema_decay=0.9, **split)


@needs_deepspeed
def test_a_lock_that_a_killed_build_has_left_holds_up_no_run(tmp_path):
    lock = tmp_path / "deepspeed_shm_comm" / "lock"
    lock.parent.mkdir()
    lock.touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    code = (
        "from motionmillion.training.distributed import close_processes, process_arguments\n"
        "process_arguments({'deepspeed': {'zero_optimization': {'stage': 2}}})\n"
        "close_processes()"
    )
    one = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = {**os.environ, **one, "TORCH_EXTENSIONS_DIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [lock]  # nothing was built


@needs_deepspeed
def test_a_short_deepspeed_configuration_is_completed():
    options = deepspeed_options({"zero_optimization": {"stage": 2}, "gradient_clipping": 0.5})
    assert options["train_micro_batch_size_per_gpu"] == options["gradient_accumulation_steps"] == "auto"
    assert options["gradient_clipping"] == 0.5 and options["bf16"] == {"enabled": "auto"}
    assert options["zero_force_ds_cpu_optimizer"] is False


@pytest.mark.parametrize("name", ["nosuch", "checkpoint-1"])
def test_what_is_no_checkpoint_is_refused(tmp_path, name):
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(ValueError, match=f"must be a whole checkpoint-N folder of a run, got .*{name}"):
        export_checkpoint(tmp_path / name, tmp_path / "out")
