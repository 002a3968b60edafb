"""The benchmark of flow matching: its rows say what ran and what it took, and every check fires."""

import json

import pytest
import torch
from typer.testing import CliRunner

from motionmillion.bench.flow import (
    CODES,
    DIT,
    FLOW,
    SIZES,
    bench_flow,
    bench_flow_files,
    bench_pipelines,
    flow_report,
)
from motionmillion.cli.app import app
from motionmillion.lm.config import SIZES as LM_SIZES
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.dit.pipeline import DiTPipeline


@pytest.mark.slow
def test_every_kind_takes_its_turns_at_every_number_of_steps(tmp_path):
    shown = bench_flow_files(["mini"], [], [1, 2], 0.4, 2, None, 4, "float32", 2, "cpu", tmp_path)
    assert (tmp_path / "report.md").read_text() == shown + "\n"
    results = json.loads((tmp_path / "results.json").read_text())
    rows = results["rows"]
    assert [(row["kind"], row["steps"]) for row in rows] == [(CODES, None), (FLOW, 1), (FLOW, 2), (DIT, 1), (DIT, 2)]
    assert [(row["passes"], row["velocities"]) for row in rows] == [(6, 0), (6, 6), (6, 12), (1, 1), (2, 2)]
    assert rows[0]["speed"] == 1 and all(row["speed"] > 0 and row["motions"] == 2 for row in rows)
    assert all(row["realtime"] == pytest.approx(0.8 / row["seconds"]) for row in rows)
    assert "bench flow --size mini --steps 1 --steps 2 --seconds 0.4 --batch-size 2" in results["command"]
    assert results["machine"] in shown and "| dit | mini, patch 4 |" in shown


def test_sizes_are_those_of_the_configs():
    assert set(SIZES) <= set(LM_SIZES) and SIZES["1b"] == "1.3b"


def test_second_order_solvers_ask_twice():
    rows = bench_flow(["mini"], [2], 0.2, patch=4, solver="midpoint", guidance_scale=2.0, repeats=1)
    assert [row.velocities for row in rows] == [0, 3 * 4, 4]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_pipeline, tiny_latents, tiny_flow_lm) -> list[str]:
    root, encoder = tmp_path_factory.mktemp("pipelines"), tiny_pipeline.text_encoder
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_reference_layers=0)
    dit = MotionDiT(MotionDiTConfig(num_attention_heads=2, patch=4, text_dim=encoder.dim, **shape))
    torch.nn.init.normal_(dit.head.linear.weight, std=0.1)  # zero at first, which is no pose
    flow = MotionPipeline(tiny_latents, tiny_flow_lm, encoder, {"steps": 2, "solver": "heun"})
    pipes = {"dit": DiTPipeline(dit, encoder, {"steps": 3}), "flow": flow, "codes": tiny_pipeline}
    for name, pipe in pipes.items():
        pipe.save_pretrained(root / name)
    return [str(root / name) for name in pipes]


def test_saved_pipelines_are_timed_whole(folders):
    rows = bench_pipelines(folders, [], 0.8, repeats=1)
    assert [(row.kind, row.steps) for row in rows] == [(DIT, 3), (FLOW, 2), (CODES, None)]
    tokens = rows[2].passes
    assert rows[0].velocities == 3 and rows[1].velocities == 3 * tokens and rows[2].speed == 1
    table, results = flow_report(rows, "cpu")
    assert folders[0] not in table + json.dumps(results)
    alone = bench_pipelines(folders[:1], [1, 2], 0.4, repeats=1)
    assert (
        [row.steps for row in alone] == [1, 2] and alone[0].speed is None and "| - |" in flow_report(alone, "cpu")[0]
    )


def test_the_command_times_pipelines(folders):
    argv = ["bench", "flow", "--model", folders[0], "--steps", "1", "--seconds", "0.4", "--repeats", "1"]
    done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0 and "| dit |" in done.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ["3b"]}, "size must be one of.*got '3b'"),
        ({"steps": [0]}, "steps must be a whole number of at least 1"),
        ({"seconds": 0}, "seconds must be above 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1"),
        ({"patch": 0}, "patch must be a whole number of at least 1"),
        ({"solver": "rk4"}, "solver must be one of"),
        ({"dtype": "int4"}, "dtype must be one of"),
    ],
)
def test_bad_options_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        bench_flow(**{"sizes": ["mini"], "steps": [1], **changes})


def test_nothing_to_time_is_named():
    with pytest.raises(ValueError, match="size or model must be given"):
        bench_flow_files([], [], [1], 5.0, 1, None, 1, "float32", 1, "cpu")
