"""What is measured of every motion, by hand where it can be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.eval import measures
from motionmillion.eval.body.pose_prior import PosePrior
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
from motionmillion.eval.results import Measure, SampleResult
from motionmillion.eval.scoring import FAULTS, Embedded, Sample, Scorer, estimates, raw_measures, text_alignment
from motionmillion.eval.statistics.calibration import Calibration
from motionmillion.eval.suites import Prompt, Suite
from motionmillion.eval.suites.mbench.prompts import MBENCH_CATEGORIES
from motionmillion.eval.suites.mbench.scores import mbench_scores
from motionmillion.eval.suites.scores import Batch, category_scores
from motionmillion.eval.suites.text_to_motion.scores import text_to_motion_scores


def points(*places: float) -> torch.Tensor:
    return torch.tensor(places, dtype=torch.float32)[:, None]


def test_text_alignment_by_hand():
    texts = ["walk", "run", "jump", "walk"]
    embedded = Embedded(motions=points(0.1, 2.9, 0.0, 5.1), texts=points(0.0, 3.0, 5.0, 0.0))
    found = text_alignment(embedded, texts)
    # three different texts; the third motion lies nearest to "walk", then "run"; the fourth nearest to "jump"
    assert found["text_alignment_percent"].tolist() == [100, 100, 0, 0]
    assert found["retrieval_top1"].tolist() == [1, 1, 0, 0] and found["retrieval_top3"].tolist() == [1, 1, 1, 1]


def test_motions_that_are_all_alike_find_nothing():
    texts = [f"text {n}" for n in range(5)]
    embedded = Embedded(motions=torch.zeros(5, 2), texts=torch.ones(5, 2))
    assert text_alignment(embedded, texts)["text_alignment_percent"].tolist() == [0] * 5  # ties count for the others
    with pytest.raises(ValueError, match="at least two different texts"):
        text_alignment(embedded, ["walk"] * 5)


def test_raw_measures_name_a_motion_that_cannot_be_measured(turning_motion):
    good = Sample("good", Prompt("good", "turn", "x"), turning_motion, turning_motion.positions())
    values = raw_measures([good], PosePrior.bundled())
    assert all(column.shape == (1,) and np.isfinite(column).all() for column in values.values())
    assert values["seconds"][0] == pytest.approx(10.0)
    broken = replace(good, id="broken", positions=torch.full_like(good.positions, torch.nan))
    with pytest.raises(ValueError, match="broken must be finite"):
        raw_measures([good, broken], PosePrior.bundled())


def test_a_new_measure_is_a_function_and_a_line(monkeypatch, turning_motion):
    new = measures.MotionMeasure(
        Measure("frames", "frames", "lower", measures.SMOOTH, 0),
        lambda motions: np.array([float(motion.num_frames) for motion in motions.motions]),
    )
    monkeypatch.setattr(measures, "MOTION_MEASURES", [*measures.MOTION_MEASURES, new])
    sample = Sample("turn", Prompt("turn", "turn", "x"), turning_motion, turning_motion.positions())
    assert raw_measures([sample], PosePrior.bundled())["frames"].tolist() == [turning_motion.num_frames]
    scores = category_scores(batch(4, ["even", "odd"], {"frames": float, "jerk": float}))
    names = [measure.name for measure in scores.measures]
    assert names[names.index("jerk") + 1] == "frames"  # the last of its axis
    assert [group.values["frames"].mean for group in scores.groups] == [1.5, 1, 2]


def test_statues_are_not_plausible_and_motion_is():
    walk = synthesize("walk", seed=0, seconds=3)
    statue = walk.replace(
        rotations=walk.rotations[:1].expand_as(walk.rotations),
        translation=walk.translation[:1].expand(len(walk.translation), 3),
    )
    samples = [Sample(n, Prompt(n, n, "x"), m, m.positions()) for n, m in (("walk", walk), ("statue", statue))]
    scorer = Scorer(
        TextMotionEvaluator(TextMotionEvaluatorConfig(width=32, heads=4, feedforward=48)),
        Calibration.bundled(),
        PosePrior.bundled(),
    )
    values = scorer.physics(samples)
    assert values["dynamic_degree"][1] == 0 and values["foot_sliding"][1] == 0
    assert values["plausibility_percent"][1] == 0 and values["smoothness_percent"][1] == 0
    faults = [scorer.calibration.unharmful(name, values[name][:1].tolist())[0] for name in FAULTS]
    assert 0 < values["plausibility_percent"][0] == pytest.approx(100 * np.mean(faults))


def test_estimates_draw_whole_takes_and_leave_out_what_is_missing():
    rows = [SampleResult(str(n), "x", values={"speed": float(n)} if n < 4 else {}) for n in range(6)]
    takes = {str(n): "ab"[n // 2] if n < 4 else "c" for n in range(6)}
    found = estimates(rows, takes, ["speed", "height"], resamples=500)
    assert set(found) == {"speed"} and found["speed"].count == 4
    assert found["speed"].mean == 1.5 and (found["speed"].low, found["speed"].high) == (0.5, 2.5)


def batch(count: int, categories: list[str], values: dict, seed: int = 0, levels: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    prompts = [
        Prompt(f"p{n}", f"text {n}", categories[n % len(categories)], level="command" if levels else None)
        for n in range(count)
    ]
    texts = torch.randn(count, 8, generator=generator)
    embedded = Embedded(texts + 0.3 * torch.randn(count, 8, generator=generator), texts)
    blank: dict = dict(motion=None, positions=torch.zeros(1, 22, 3))
    samples = [Sample(p.id, p, take=p.id, **blank) for p in prompts]
    rows = [
        SampleResult(p.id, p.text, p.category, values={k: v(n) for k, v in values.items()})
        for n, p in enumerate(prompts)
    ]
    return Batch(Suite("own", "1", tuple(prompts)), samples, rows, embedded, resamples=50, repeats=4)


def test_categories_and_levels_have_their_own_means():
    scores = category_scores(batch(40, ["even", "odd"], {"jerk": lambda n: float(n % 2)}, levels=True))
    means = {group.name: group.values["jerk"].mean for group in scores.groups}
    assert means == {"all": 0.5, "even": 0.0, "odd": 1.0, "command": 0.5}
    precision = scores.groups[0].values["r_precision_top1"]
    assert precision.mean > 0.5 and precision.count == 4
    assert [m.name for m in scores.measures[:5]][0::4] == ["text_alignment_percent", "r_precision_top1"]


def test_too_few_motions_for_a_batch_are_said_and_nothing_is_filled_in():
    scores = category_scores(batch(31, ["one"], {"jerk": float}))
    assert "r_precision_top1" not in scores.groups[0].values
    assert "R-precision is left out: it needs motions of 32 prompts, got 31." in scores.notes


def test_several_samples_of_a_prompt_are_never_wrong_for_its_text():
    one = batch(40, ["one"], {"jerk": float})
    samples = [replace(s, id=f"{s.id}_{k}") for s in one.samples for k in range(2)]
    rows = [replace(r, id=f"{r.id}_{k}") for r in one.rows for k in range(2)]
    texts = one.embedded.texts.repeat_interleave(2, 0)
    twice = replace(one, samples=samples, rows=rows, embedded=Embedded(texts, texts))  # every motion on its text
    assert category_scores(twice).groups[0].values["r_precision_top1"].mean == 1


def test_text_to_motion_stands_beside_real_motion():
    real = batch(40, ["one"], {"jerk": float})
    shuffled = torch.roll(real.embedded.motions, 7, 0)
    worse = replace(real, embedded=Embedded(shuffled, real.embedded.texts))
    scores = text_to_motion_scores(worse, real)
    everything, reference = scores.groups[:2]
    assert (everything.kind, reference.kind) == ("all", "reference")
    assert everything.values["frechet_distance"].mean == pytest.approx(0, abs=1e-6)  # the same motions, other texts
    assert everything.values["matching_distance"].mean > 2 * reference.values["matching_distance"].mean
    assert everything.values["r_precision_top1"].mean < 0.2 < reference.values["r_precision_top1"].mean
    assert "frechet_distance" not in reference.values


def test_several_samples_of_each_prompt_give_multimodality():
    one = batch(10, ["one"], {"jerk": float})
    several = [replace(s, id=f"{s.id}_{k}") for s in one.samples for k in range(3)]
    rows = [replace(r, id=f"{r.id}_{k}") for r in one.rows for k in range(3)]
    motions = one.embedded.motions.repeat_interleave(3, 0)
    still = replace(one, samples=several, rows=rows, embedded=Embedded(motions, motions))
    assert text_to_motion_scores(still, one).groups[0].values["multimodality"].mean == 0
    varied = motions + torch.randn(motions.shape, generator=torch.Generator().manual_seed(0))
    moving = replace(still, embedded=Embedded(varied, motions))
    assert text_to_motion_scores(moving, one).groups[0].values["multimodality"].mean > 1


def test_mbench_measures_each_dimension_on_its_own_prompts():
    values = {name: lambda n: float(n % 4) for name in ("Jitter_Degree", "Pose_Quality", "capsule_penetration")}
    scores = mbench_scores(batch(8, list(MBENCH_CATEGORIES), values))
    found = scores.groups[0].values
    assert found["Jitter_Degree"].mean == 0 and found["Pose_Quality"].mean == 1  # of the first and second category
    assert found["capsule_penetration"].mean == 1 and found["capsule_penetration"].count == 2
    assert any("stands in for Body_Penetration" in note for note in scores.notes)
    assert not any("stands in for Pose_Quality" in note for note in scores.notes)
    own = mbench_scores(batch(8, ["mine", "yours"], values)).groups[0].values
    assert own["Jitter_Degree"].count == 8


@pytest.mark.parametrize("count", [1, 4, 5])
def test_text_alignment_among_a_few_texts_is_left_out(turning_motion, count):
    scorer = Scorer(None, Calibration.bundled(), PosePrior.bundled())  # type: ignore[arg-type]
    own = batch(count, ["one"], {"jerk": float})
    motion = turning_motion.slice(0, 40)
    samples = [replace(sample, motion=motion, positions=motion.positions()) for sample in own.samples]
    for row in scorer.rows(samples, own.embedded):
        assert ("text_alignment_percent" in row.values) == (count >= 5) and "smoothness_percent" in row.values
    few = f"Text alignment is left out: it needs motions of 5 different texts, got {count}."
    assert (few in category_scores(own).notes) == (count < 5)
