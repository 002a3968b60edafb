"""From a suite and a system to results, as in `motionmillion evaluate --suite ...`.

    outcome = evaluate_suite(Evaluation(suite="motionmillion-eval", output="runs/mini-eval", model="mini"))
    outcome.results.overall.values["text_alignment_percent"]

1. prompts, evaluator, judge     motionmillion.eval.suites, .evaluator, .judges
2. motions for them              generated (.generation), or another system's files (.motion_files)
3. measures of every motion      motionmillion.eval.scoring, and the suite's own
4. a judge's answers             the suite's questions (.questions)
5. measures of the suite         the suite's scores
6. results.json, report.md and report.html

No suite is known by name here: each is a `motionmillion.eval.suites.base.SuiteKind`, which is asked.

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

from motionmillion.configuration import check_device
from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.eval.results import Results, SampleResult, check_results_folder
from motionmillion.eval.run.evaluation import Evaluation
from motionmillion.eval.run.generation import generate_suite, sample_files
from motionmillion.eval.suites import SuiteKind
from motionmillion.eval.suites.base import Axes
from motionmillion.eval.suites.clips import clip_id
from motionmillion.io import write_motion
from motionmillion.progress import doing, tracked
from motionmillion.provenance import machine, plain_name, versions, weights_hash

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip
    from motionmillion.eval.judges.judge import Answer, Judge
    from motionmillion.eval.run.motion_files import MotionFolder
    from motionmillion.eval.scoring import Embedded, Sample, Scorer

MOTIONS, COPIES = "motions", "motion_copies"


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
    kind, output, seed = evaluation.kind, Path(evaluation.output), evaluation.seed
    # 1. prompts, evaluator and other models
    clips = kind.clips(evaluation.source)
    whole = kind.read(evaluation.source, clips)
    with doing("starting PyTorch"):  # only now
        from motionmillion.eval.judges.ask import ask_all
        from motionmillion.eval.report.report import MARKDOWN, PAGE, write_report
        from motionmillion.eval.run.questions import ANSWERS, judge_notes, suite_judge, with_answers
        from motionmillion.eval.suites.scores import Batch
    system = evaluation.name or plain_name(evaluation.model or evaluation.motions or "", 1)
    check_results_folder(output, (MARKDOWN, PAGE), whole.name, system, evaluation.overwrite)
    suite = _limited(whole, evaluation.limit)
    evaluation = replace(evaluation, device=check_device(evaluation.device))
    with doing("loading the evaluator"):
        scorer = _scorer(
            evaluation.evaluator, evaluation.calibration, evaluation.nrdf, evaluation.smpl, evaluation.device
        )
    spec, cache = evaluation.judge or kind.judge, output / ANSWERS
    judge = suite_judge(spec, evaluation.judge_options, whole, scorer, evaluation.device, cache.exists())
    # 2. motions
    made = _generate(evaluation, suite, whole.sha256)
    folder, found = _motion_files(evaluation, suite, whole)
    takes = {clip_id(clip.name): clip.take for clip in clips}
    samples = _samples(suite.prompts, folder, found, takes, output)
    if evaluation.motions is not None:
        folder.warn_of_axis()
    # 3. measures of every motion
    draws = {"resamples": evaluation.resamples, "repeats": evaluation.repeats, "seed": seed}
    batch = Batch(suite, samples, *_measure(kind, samples, scorer, evaluation.axes), **draws)
    # 4. judge
    answers: list[Answer] = []
    if judge is not None:
        questions = kind.questions(suite, samples)
        answers = ask_all(judge, questions, cache, seed, ask_again=evaluation.ask_again)
    batch = replace(batch, rows=with_answers(batch.rows, answers, kind.answers))
    # 5. measures of the suite
    real = None
    if clips:
        known = _real_samples({sample.prompt.id: sample.prompt for sample in samples}, clips)
        real = Batch(suite, known, *_measure(kind, known, scorer, evaluation.axes), **draws)
    with doing("measuring the suite"):
        scores = kind.scores(batch, real)
    # 6. files
    results = Results(
        suite=suite.name,
        system=system,
        protocol=_protocol(evaluation, suite, scorer, judge, answers, made),
        measures=[measure for measure in scores.measures if any(measure.name in g.values for g in scores.groups)],
        groups=scores.groups,
        samples=batch.rows,
        histograms=kind.histograms(batch.rows, scorer.calibration),
        notes=[*scores.notes, *judge_notes(judge, answers)],
    )
    with doing("writing the report"):
        files = [results.save(output), *write_report(results, output)]
    return Outcome(results, files, answers)


def _limited(suite: Suite, limit: int) -> Suite:
    """The first `limit` prompts of each category; all if it is 0."""
    if not limit:
        return suite
    ids = [[p.id for p in suite.prompts if p.category == category][:limit] for category in suite.categories]
    return suite.only([name for names in ids for name in names])


def _generate(evaluation: Evaluation, suite: Suite, whole_sha256: str) -> dict[str, Any]:
    """Generate the model's motions, if there is a model; returns their settings."""
    if evaluation.model is None:
        return {}
    folder = Path(evaluation.output) / MOTIONS
    return generate_suite(suite, evaluation.model, folder, evaluation.generation, evaluation.device, whole_sha256)


def _motion_files(
    evaluation: Evaluation, suite: Suite, whole: Suite
) -> "tuple[MotionFolder, Mapping[str, Sequence[str]]]":
    """The folder of motions, and its files by prompt id; files of other prompts of the whole suite may be there."""
    from motionmillion.eval.run.motion_files import MotionFolder

    if evaluation.motions is None:
        count = evaluation.generation.num_samples
        folder = MotionFolder(Path(evaluation.output) / MOTIONS)
        return folder, {prompt.id: sample_files(prompt, count) for prompt in suite.prompts}
    own = evaluation.foreign
    folder = MotionFolder(
        evaluation.motions,
        own.fps,
        own.up,
        own.representation,
        own.route,  # type: ignore[arg-type]
        own.mapping,
    )
    ids, known = ([prompt.id for prompt in prompts] for prompts in (suite.prompts, whole.prompts))
    return folder, folder.find(ids, known, own.allow_missing)


def _samples(
    prompts: "Sequence[Prompt]",
    folder: "MotionFolder",
    files: Mapping[str, Sequence[str]],
    takes: Mapping[str, str],
    output: Path,
) -> "list[Sample]":
    """Every motion with its prompt, in the order of the prompts.

    Args:
        takes: the recording of a prompt by its id, where there is one.
        output: folder of the results, for copies of motions that pages cannot read without options.
    """
    from motionmillion.eval.scoring import Sample

    samples = []
    for prompt in tracked(prompts, "reading motions", "prompts"):
        for number, file in enumerate(files.get(prompt.id, ())):
            read = folder.read(file)
            name = prompt.id if number == 0 else f"{prompt.id}_{number}"
            motion, seen = read.motion.replace(caption=prompt.text), folder.folder / file
            if seen.suffix.lower() == ".npy" or folder.fps or folder.up or folder.mapping:
                seen = write_motion(motion, output / COPIES / f"{name}.npz")
            take = takes.get(prompt.id, prompt.id)
            samples.append(Sample(name, prompt, motion, read.positions, _relative(seen, output), take))
    return samples


def _relative(file: Path, folder: Path) -> str:
    """Path of a motion relative to the folder of the results, if it is below or next to it."""
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def _real_samples(prompts: "Mapping[str, Prompt]", clips: "Sequence[MotionClip]") -> "list[Sample]":
    """The clips of prompts, which are given by id."""
    from motionmillion.eval.scoring import Sample

    samples = []
    for clip in clips:
        name = clip_id(clip.name)
        if name in prompts:
            motion = clip.motion.canonicalize()
            samples.append(Sample(name, prompts[name], motion, motion.positions(), "", clip.take))
    return samples


def _scorer(
    evaluator: str,
    calibration: str | Path | None,
    nrdf: str | Path | None = None,
    smpl: str | Path | None = None,
    device: str = "cpu",
) -> "Scorer":
    """Load the models that measure; arguments as in `Evaluation`."""
    from motionmillion.eval.body.mesh import BodyMesh
    from motionmillion.eval.body.nrdf import Nrdf
    from motionmillion.eval.body.pose_prior import PosePrior
    from motionmillion.eval.evaluator.model import TextMotionEvaluator
    from motionmillion.eval.scoring import Scorer
    from motionmillion.eval.statistics.calibration import Calibration

    return Scorer(
        TextMotionEvaluator.from_pretrained(evaluator).to(device),  # type: ignore[arg-type]
        Calibration.bundled() if calibration is None else Calibration.load(calibration),
        PosePrior.bundled(),
        None if nrdf is None else Nrdf.load(nrdf),
        None if smpl is None else BodyMesh.load(smpl, device),
    )


def _measure(
    kind: SuiteKind, samples: "Sequence[Sample]", scorer: "Scorer", axes: Axes
) -> "tuple[list[SampleResult], Embedded]":
    """All measures of the samples, those of the suite included, and their embeddings."""
    embedded = scorer.embed(samples)
    rows = scorer.rows(samples, embedded)
    values = kind.values(samples, rows, scorer, axes)
    return [replace(row, values={**row.values, **own}) for row, own in zip(rows, values, strict=True)], embedded


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
