"""From a suite and a system to results, as in `motionmillion evaluate --suite ...`.

    outcome = evaluate_suite(Evaluation(suite="motionmillion-eval", output="runs/mini-eval", model="mini"))
    outcome.results.overall.values["text_alignment_percent"]

1. prompts, evaluator, judge     motionmillion.eval.suites, .evaluator, .judges
2. motions for them              generated (motionmillion.eval.run.generation), or another system's files
(.motion_files)
3. measures of every motion      motionmillion.eval.scoring
4. a judge's answers             motionmillion.eval.run.questions
5. measures of the suite         motionmillion.eval.suites.scores
6. results.json, report.md and report.html

A repeated run keeps motions and the judge's answers and recomputes the rest. Unusual: everything that a run needs is
checked and loaded before the first motion is generated. A failing judge does not affect other measures: its unanswered
questions are counted in the notes, and the same command asks them again. Motions of another system that a page cannot
read without options are copied as .npz next to the results, for viewing only.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionmillion.eval.results import Results
from motionmillion.eval.run.evaluation import MBENCH, TEXT_TO_MOTION, Evaluation, ForeignMotions
from motionmillion.eval.run.generation import generate_suite, sample_files
from motionmillion.eval.suites import Suite, get_suite
from motionmillion.eval.suites.clips import balanced_distractors, clip_id, clips_suite
from motionmillion.eval.suites.mbench.prompts import MBENCH_CATEGORIES
from motionmillion.provenance import machine, plain_name, versions, weights_hash

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip
    from motionmillion.eval.judges.judge import Answer, Judge
    from motionmillion.eval.scoring import Sample, Scorer
    from motionmillion.eval.suites.scores import Batch, Scores
    from motionmillion.motion import Motion

MOTIONS, COPIES = "motions", "motion_copies"
_DISTRACTORS = 9


@dataclass(frozen=True)
class Outcome:
    """Outcome of an evaluation: results, written files, and the judge's answers."""

    results: Results
    files: list[Path]
    answers: "Sequence[Answer]" = ()


def evaluate_suite(evaluation: Evaluation) -> Outcome:
    """Run an evaluation, see the module's docstring.

    Raises:
        ValueError: for inconsistent arguments, missing prompts or motions, and motions that cannot be measured.
    """
    evaluation.check()
    # import torch and the rest only now
    from motionmillion.eval.report import write_report
    from motionmillion.eval.run.questions import ask, judge_notes, suite_judge, with_answers
    from motionmillion.eval.suites.scores import histograms

    # 1. prompts, evaluator and other models
    clips = _real_clips(evaluation)
    whole = _suite(evaluation, clips)
    suite = _limited(whole, evaluation.limit)
    scorer = _scorer(evaluation)
    judge = suite_judge(evaluation, whole, scorer)
    # 2. motions
    made = _generate(evaluation, suite, whole)
    samples = _samples(evaluation, suite, whole, clips)
    # 3. measures of every motion
    batch = _measure(evaluation, suite, samples, scorer)
    # 4. judge
    answers = ask(evaluation, suite, samples, judge)
    batch = replace(batch, rows=with_answers(batch.rows, answers, evaluation.suite == MBENCH))
    # 5. measures of the suite
    real = None
    if clips:
        wanted = {sample.prompt.id for sample in samples}
        known = [clip for clip in clips if clip_id(clip.name) in wanted]
        real = _measure(evaluation, suite, _real_samples(suite, known), scorer)
    scores = _scores(evaluation, batch, real)
    # 6. files
    results = Results(
        suite=suite.name,
        system=evaluation.name or plain_name(evaluation.model or evaluation.motions or "", 1),
        protocol=_protocol(evaluation, suite, scorer, judge, answers, made),
        measures=[measure for measure in scores.measures if any(measure.name in g.values for g in scores.groups)],
        groups=scores.groups,
        samples=batch.rows,
        histograms=histograms(batch.rows, scorer.calibration),
        notes=[*scores.notes, *judge_notes(judge, answers)],
    )
    output = Path(evaluation.output)
    files = [results.save(output), *write_report(results, output)]
    return Outcome(results, files, answers)


def _real_clips(evaluation: Evaluation) -> "list[MotionClip]":
    """The captioned clips that the suite is made from; empty except for text-to-motion."""
    if evaluation.data is None:
        return []
    from motionmillion.data.clips import SPLITS, load_clips

    if evaluation.split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {evaluation.split!r}")
    return [clip for clip in load_clips(evaluation.data, [evaluation.split]) if clip.captions]


def _suite(evaluation: Evaluation, clips: "Sequence[MotionClip]") -> Suite:
    """The prompts; for MBench's judge with wrong answers if they have none."""
    if clips or evaluation.suite == TEXT_TO_MOTION:
        suite = clips_suite(clips, evaluation.split, evaluation.seed)
        suite = replace(suite, name=TEXT_TO_MOTION, source=plain_name(evaluation.data or "", 1))
    elif evaluation.suite == MBENCH and str(evaluation.prompts or "").endswith(".json"):
        suite = replace(Suite.load(evaluation.prompts), name=MBENCH)  # type: ignore[arg-type]
    else:
        suite = get_suite(evaluation.suite, evaluation.prompts)
    if evaluation.suite == MBENCH and not set(suite.categories) <= set(MBENCH_CATEGORIES):
        suite = _with_distractors(suite, evaluation.seed)
    return suite


def _limited(suite: Suite, limit: int) -> Suite:
    """The first `limit` prompts of each category; all if it is 0."""
    if not limit:
        return suite
    ids = [[p.id for p in suite.prompts if p.category == category][:limit] for category in suite.categories]
    return suite.only([name for names in ids for name in names])


def _with_distractors(suite: Suite, seed: int) -> Suite:
    """Nine wrong answers for each prompt, from other categories, or from all other texts if those have too few."""
    texts = {prompt.category: set() for prompt in suite.prompts}
    for prompt in suite.prompts:
        texts[prompt.category].add(prompt.text.lower())
    count = len(set().union(*texts.values()))
    if min(count - len(own) for own in texts.values()) >= _DISTRACTORS:
        return balanced_distractors(suite, _DISTRACTORS, seed)
    alone = replace(suite, prompts=tuple(replace(prompt, category=prompt.text) for prompt in suite.prompts))
    drawn = balanced_distractors(alone, min(_DISTRACTORS, count - 1), seed).prompts
    pairs = zip(suite.prompts, drawn, strict=True)
    return replace(suite, prompts=tuple(replace(own, distractors=other.distractors) for own, other in pairs))


def _generate(evaluation: Evaluation, suite: Suite, whole: Suite) -> dict[str, Any]:
    """Generate the model's motions, if there is a model; returns their settings."""
    if evaluation.model is None:
        return {}
    folder = Path(evaluation.output) / MOTIONS
    return generate_suite(suite, evaluation.model, folder, evaluation.generation, evaluation.device, whole.sha256)


def _samples(evaluation: Evaluation, suite: Suite, whole: Suite, clips: "Sequence[MotionClip]") -> "list[Sample]":
    """Every motion with its prompt, in the order of the suite."""
    from motionmillion.eval.run.motion_files import MotionFolder
    from motionmillion.eval.scoring import Sample

    own = evaluation.foreign if evaluation.motions else ForeignMotions()
    root = Path(evaluation.motions or Path(evaluation.output) / MOTIONS)
    folder = MotionFolder(root, own.fps, own.up, own.representation, own.route)  # type: ignore[arg-type]
    ids = [prompt.id for prompt in suite.prompts]
    if evaluation.model is not None:
        found = {p.id: tuple(sample_files(p, evaluation.generation.num_samples)) for p in suite.prompts}
    else:
        found = folder.find(ids, [prompt.id for prompt in whole.prompts], own.allow_missing)
    takes = {clip_id(clip.name): clip.take for clip in clips}
    samples = []
    for prompt in suite.prompts:
        for number, file in enumerate(found.get(prompt.id, ())):
            read = folder.read(file)
            name = prompt.id if number == 0 else f"{prompt.id}_{number}"
            motion, take = read.motion.replace(caption=prompt.text), takes.get(prompt.id, prompt.id)
            seen = _viewable(root / file, motion, name, evaluation)
            samples.append(Sample(name, prompt, motion, read.positions, _relative(seen, evaluation), take))
    if evaluation.motions is not None:
        folder.warn_of_axis()
    return samples


def _viewable(file: Path, motion: "Motion", name: str, evaluation: Evaluation) -> Path:
    """The file, or a copy in the output that pages can read without options."""
    foreign = evaluation.foreign
    if evaluation.motions is None or (file.suffix.lower() != ".npy" and not (foreign.fps or foreign.up)):
        return file
    from motionmillion.io import write_motion

    return write_motion(motion, Path(evaluation.output) / COPIES / f"{name}.npz")


def _relative(file: Path, evaluation: Evaluation) -> str:
    """Path of a motion relative to the folder of the results, if it is below or next to it."""
    return Path(os.path.relpath(file.resolve(), Path(evaluation.output).resolve())).as_posix()


def _real_samples(suite: Suite, clips: "Sequence[MotionClip]") -> "list[Sample]":
    from motionmillion.eval.scoring import Sample

    prompts = {prompt.id: prompt for prompt in suite.prompts}
    return [
        Sample(clip_id(clip.name), prompts[clip_id(clip.name)], motion, motion.positions(), "", clip.take)
        for clip in clips
        for motion in [clip.motion.canonicalize()]
    ]


def _scorer(evaluation: Evaluation) -> "Scorer":
    from motionmillion.eval.body.mesh import BodyMesh
    from motionmillion.eval.body.nrdf import Nrdf
    from motionmillion.eval.body.pose_prior import PosePrior
    from motionmillion.eval.evaluator.model import TextMotionEvaluator
    from motionmillion.eval.scoring import Scorer
    from motionmillion.eval.statistics.calibration import Calibration

    given = evaluation.calibration
    calibration = Calibration.bundled() if given is None else Calibration.load(given)
    evaluator = TextMotionEvaluator.from_pretrained(evaluation.evaluator).to(evaluation.device)  # type: ignore[arg-type]
    nrdf = None if evaluation.nrdf is None else Nrdf.load(evaluation.nrdf)
    body = None if evaluation.smpl is None else BodyMesh.load(evaluation.smpl, evaluation.device)
    return Scorer(evaluator, calibration, PosePrior.bundled(), nrdf, body)


def _measure(evaluation: Evaluation, suite: Suite, samples: "Sequence[Sample]", scorer: "Scorer") -> "Batch":
    """All measures of the samples; for MBench also those under its own names."""
    from motionmillion.eval.suites.scores import Batch

    embedded = scorer.embed(samples)
    rows = scorer.rows(samples, embedded)
    if evaluation.suite == MBENCH:
        from motionmillion.eval.suites.mbench.measures import mbench_values

        values = mbench_values(samples, rows, evaluation.axes, scorer.nrdf, scorer.body)
        rows = [replace(row, values={**row.values, **own}) for row, own in zip(rows, values, strict=True)]
    return Batch(suite, samples, rows, embedded, evaluation.resamples, evaluation.repeats, evaluation.seed)


def _scores(evaluation: Evaluation, batch: "Batch", real: "Batch | None") -> "Scores":
    from motionmillion.eval.suites.mbench.scores import mbench_scores
    from motionmillion.eval.suites.scores import category_scores
    from motionmillion.eval.suites.text_to_motion import text_to_motion_scores

    if real is not None:
        return text_to_motion_scores(batch, real)
    return mbench_scores(batch) if evaluation.suite == MBENCH else category_scores(batch)


def _protocol(
    evaluation: Evaluation,
    suite: Suite,
    scorer: "Scorer",
    judge: "Judge | None",
    answers: "Sequence[Answer]",
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything needed to reproduce the results."""
    from motionmillion.eval.judges import tally

    calibration, config = scorer.calibration, scorer.evaluator.config
    own: dict[str, Any] = {
        "suite": {"name": suite.name, "version": suite.version, "sha256": suite.sha256, "source": suite.source},
        "evaluator": {
            "name": plain_name(evaluation.evaluator),
            "sha256": scorer.evaluator.weights_sha256(),
            "features": config.features,
            "frames_read": f"the first {config.max_frames}",
            "text_encoder": config.text_encoder,
        },
        "calibration": {"source": calibration.source, "clips": calibration.count, "sha256": calibration.sha256},
        "physics": {"fps": 20, "axes": evaluation.axes, "positions": evaluation.foreign.route},
        "pose_prior": {"sha256": weights_hash(scorer.pose_prior), "rotations": "recovered from the joints"},
        "intervals": {"level": 0.95, "resamples": evaluation.resamples, "repeats": evaluation.repeats},
        "seed": evaluation.seed,
    }
    if evaluation.limit:
        own["limit"] = f"{evaluation.limit} prompts per category"
    if evaluation.model is not None:
        own["generation"] = dict(made)
        default = made.get("sampling", {}).get("default_seconds")
        own["lengths"] = _length_rule(suite, evaluation.generation.seconds or default)
    else:
        own["motions"] = plain_name(evaluation.motions or "", 1)
        own["lengths"] = "as in the files"
        own["foreign"] = {k: v for k, v in vars(evaluation.foreign).items() if v not in (None, False)}
    if judge is not None:
        own["judge"] = judge.describe() | {"answers": tally(answers)}
    return {**own, "versions": versions(), "machine": machine(evaluation.device)}


def _length_rule(suite: Suite, seconds: float | None) -> str:
    rest = "the model decides" if seconds is None else f"{seconds:g} s"
    known = sum(prompt.seconds is not None for prompt in suite.prompts)
    if not known:
        return rest
    return "as in the suite" if known == len(suite.prompts) else f"as in the suite, else {rest}"
