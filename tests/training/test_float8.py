"""Training with matrix products in 8 bits, which CPUs emulate."""

import math
import sys

import pytest
from safetensors.torch import load_file

from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe


def test_a_model_learns_in_8_bits_and_is_saved_like_another(lm_recipe, log_of, tmp_path):
    pytest.importorskip("torchao", reason='needs pip install "motionmillion[quantization]"')
    logs, names = [], []
    for float8 in (False, True):
        training = {"float8": float8, "max_steps": 8, "eval_steps": 8, "save_steps": 8}
        train_lm(load_recipe(lm_recipe(training=training), [f"output={tmp_path / str(float8)}"]))
        logs.append([entry["loss"] for entry in log_of(tmp_path / str(float8)).values()])
        names.append(set(load_file(tmp_path / str(float8) / "final" / "lm" / "model.safetensors")))
    assert names[0] == names[1]
    assert logs[0] != logs[1] and logs[1] == pytest.approx(logs[0], rel=0.1)
    assert logs[1][-1] < logs[1][0] and all(map(math.isfinite, logs[1]))


def test_a_missing_torchao_is_named(lm_recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(ImportError, match="torchao must be installed for training.float8; run: pip install torchao"):
        train_lm(load_recipe(lm_recipe(training={"float8": True})))
