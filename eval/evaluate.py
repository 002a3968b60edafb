"""From a suite and a system to results: what `motionmillion evaluate --suite ...` does.

    outcome = evaluate_suite(Evaluation(suite="motionmillion-eval", output="runs/mini-eval", model="mini"))
    outcome.results.overall.values["text_alignment_percent"]

1. the suite's prompts           motionmillion.eval.suites
2. motions for them              generated (motionmillion.eval.generation), or another system's files (.motion_files)
3. figures of every motion       motionmillion.eval.scoring
4. a judge's answers             motionmillion.eval.judges
5. figures of the suite          motionmillion.eval.suite_scores
6. results.json, report.md and report.html

Everything but step 2 starts anew when a run is repeated; motions, and what a judge has answered, are kept. Unusual:
all arguments are checked before anything heavy is loaded, and a judge that fails costs no other figure: what it left
unanswered is counted in the notes, and asked again by the same command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from motionmillion.configuration import check_whole
from motionmillion.eval.bootstrap import check_resamples
from motionmillion.eval.generation import GenerationOptions, generate_suite, sample_files
from motionmillion.eval.protocol import machine, plain_name, versions, weights_hash
from motionmillion.eval.results import Results, SampleResult
from motionmillion.eval.suites import Suite, get_suite
from motionmillion.eval.suites.clips import balanced_distractors, clip_id, clips_suite
from motionmillion.eval.suites.mbench import MBENCH_CATEGORIES
from motionmillion.io.files import check_writable

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip
    from motionmillion.eval.judges import Answer, Judge
    from motionmillion.eval.scoring import Sample, Scorer
    from motionmillion.eval.suite_scores import Batch, Scores

TEXT_TO_MOTION = "text-to-motion"
MBENCH = "mbench"
MOTIONS = "motions"
_DISTRACTORS = 9
_JUDGED = {"Motion_Condition_Consistency": "choice", "Motion_Generalizability": "match"}


@dataclass(frozen=True)
class ForeignMotions:
    """How another system's files are read, see `motionmillion.eval.motion_files.MotionFolder`."""

    fps: float | None = None
    up: str | None = None
    representation: str | None = None
    route: str = "positions"
    allow_missing: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and how.

    Args:
        suite: "motionmillion-eval", "motionmillion-eval-official", "mbench", "text-to-motion" or a JSON suite.
        output: folder for results, reports and generated motions.
        model: generates the motions: bundled name, folder or hub id; None where `motions` are given.
        motions: folder of another system's motions.
        foreign: how these are read.
        prompts: the user's file or folder of prompts, see `get_suite`.
        data, split: "text-to-motion": folder of captioned real motion and its split.
        evaluator: bundled name, folder or hub id.
        judge: "" for none, but the evaluator in MBench; see `motionmillion.eval.judges.make_judge`.
        axes: "corrected", or "released" for MBench's physics with the height where its released code looks for it.
        generation: see `GenerationOptions`.
        nrdf, smpl: the user's files for MBench's pose quality and body penetration.
        calibration: file of real motion's distribution; None takes the bundled one.
        name: of the system in tables; "" takes that of the model or folder.
        resamples, repeats, seed: of intervals and random draws; captions are drawn by `seed` too.
        limit: evaluate the first prompts of each category only; 0 is all.
        device: where models run.
    """

    suite: str
    output: str | Path
    model: str | None = None
    motions: str | Path | None = None
    foreign: ForeignMotions = field(default_factory=ForeignMotions)
    prompts: str | Path | None = None
    data: str | Path | None = None
    split: str = "test"
    evaluator: str = "mini"
    judge: str = ""
    judge_options: Mapping[str, Any] = field(default_factory=dict)
    axes: Literal["corrected", "released"] = "corrected"
    generation: GenerationOptions = field(default_factory=GenerationOptions)
    nrdf: str | Path | None = None
    smpl: str | Path | None = None
    calibration: str | Path | None = None
    name: str = ""
    resamples: int = 2000
    repeats: int = 20
    seed: int = 0
    limit: int = 0
    device: str = "cpu"

    def check(self) -> None:
        """Raise `ValueError` for what does not go together."""
        if (self.model is None) == (self.motions is None):
            raise ValueError(
                f"model or motions must be given, and not both, got {self.model!r} and {self.motions!r}; name a model "
                "that generates, or a folder of motions"
            )
        if (self.data is None) == (self.suite == TEXT_TO_MOTION):
            raise ValueError(
                f"data must name a folder of captioned motion for the suite {TEXT_TO_MOTION!r} and no other, got "
                f"{self.data!r} for {self.suite!r}"
            )
        if self.axes not in ("corrected", "released") or (self.axes == "released" and self.suite != MBENCH):
            raise ValueError(
                f'axes must be "corrected", or "released" for the suite {MBENCH!r}, got {self.axes!r} for '
                f"{self.suite!r}"
            )
        for name in ("nrdf", "smpl"):
            if getattr(self, name) is not None and self.suite != MBENCH:
                raise ValueError(
                    f"{name} must come with the suite {MBENCH!r}, got it for {self.suite!r}; leave it out"
                )
        self.generation.check()
        check_resamples(self.resamples)
        check_whole("repeats", self.repeats, 1)
        check_whole("limit", self.limit, 0)
        check_whole("seed", self.seed, 0)
        if Path(self.output).is_file():
            raise ValueError(f"output must be a folder, got the file {str(self.output)!r}; choose another name")
        check_writable(Path(self.output) / "results.json")


@dataclass(frozen=True)
class Outcome:
    """What came of an evaluation: results, the files written, and how many questions nobody answered."""

    results: Results
    files: list[Path]
    unanswered: int = 0


def evaluate_suite(evaluation: Evaluation) -> Outcome:
    """Run an evaluation, see the module's docstring.

    Raises:
        ValueError: for arguments that do not fit, missing prompts or motions, and motions that cannot be measured.
    """
    evaluation.check()
    # 1. prompts
    clips = _real_clips(evaluation)
    suite = _suite(evaluation, clips)
    # 2. motions
    made = _generate(evaluation, suite)
    samples = _samples(evaluation, suite, clips)
    # 3. figures of every motion
    from motionmillion.eval.report import write_report
    from motionmillion.eval.suite_scores import histograms

    scorer = _scorer(evaluation)
    batch = _measure(evaluation, suite, samples, scorer)
    # 4. judge
    judge = _judge(evaluation, suite, scorer)
    answers = _ask(evaluation, suite, samples, judge)
    batch = replace(batch, rows=_judged(batch.rows, answers, evaluation.suite == MBENCH))
    # 5. figures of the suite
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
        samples=scores.rows,
        histograms=histograms(scores.rows, scorer.calibration),
        notes=[*scores.notes, *_judge_notes(answers)],
    )
    output = Path(evaluation.output)
    files = [results.save(output), *write_report(results, output)]
    return Outcome(results, files, sum(answer.failed for answer in answers))


def _real_clips(evaluation: Evaluation) -> "list[MotionClip]":
    """The captioned clips that the suite is made of; none but for text-to-motion."""
    if evaluation.data is None:
        return []
    from motionmillion.data.clips import SPLITS, load_clips

    if evaluation.split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {evaluation.split!r}")
    return [clip for clip in load_clips(evaluation.data, [evaluation.split]) if clip.captions]


def _suite(evaluation: Evaluation, clips: "Sequence[MotionClip]") -> Suite:
    if clips or evaluation.suite == TEXT_TO_MOTION:
        suite = clips_suite(clips, evaluation.split, evaluation.seed)
        suite = replace(suite, name=TEXT_TO_MOTION, source=plain_name(evaluation.data or "", 1))
    elif evaluation.suite == MBENCH and str(evaluation.prompts or "").endswith(".json"):
        suite = replace(Suite.load(evaluation.prompts), name=MBENCH)  # type: ignore[arg-type]
    else:
        suite = get_suite(evaluation.suite, evaluation.prompts)
    if evaluation.suite == MBENCH and not set(suite.categories) <= set(MBENCH_CATEGORIES):
        suite = _with_distractors(suite, evaluation.seed)
    if evaluation.limit:
        ids = [[p.id for p in suite.prompts if p.category == c][: evaluation.limit] for c in suite.categories]
        suite = suite.only([name for names in ids for name in names])
    return suite


def _with_distractors(suite: Suite, seed: int) -> Suite:
    """Nine wrong answers for each prompt, from other categories; from all other texts where those have too few."""
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


def _generate(evaluation: Evaluation, suite: Suite) -> dict[str, Any]:
    """Motions of the model, where there is one; what they were made with."""
    if evaluation.model is None:
        return {}
    folder = Path(evaluation.output) / MOTIONS
    return generate_suite(suite, evaluation.model, folder, evaluation.generation, evaluation.device)


def _samples(evaluation: Evaluation, suite: Suite, clips: "Sequence[MotionClip]") -> "list[Sample]":
    """Every motion with its prompt, in the order of the suite."""
    from motionmillion.eval.motion_files import MotionFolder
    from motionmillion.eval.scoring import Sample

    own = evaluation.foreign if evaluation.motions else ForeignMotions()
    root = Path(evaluation.motions or Path(evaluation.output) / MOTIONS)
    folder = MotionFolder(root, own.fps, own.up, own.representation, own.route)  # type: ignore[arg-type]
    ids = [prompt.id for prompt in suite.prompts]
    if evaluation.model is not None:
        found = {p.id: tuple(sample_files(p, evaluation.generation.num_samples)) for p in suite.prompts}
    else:
        found = folder.find(ids, allow_missing=own.allow_missing)
    takes = {clip_id(clip.name): clip.take for clip in clips}
    samples = []
    for prompt in suite.prompts:
        for number, file in enumerate(found.get(prompt.id, ())):
            read = folder.read(file)
            name = prompt.id if number == 0 else f"{prompt.id}_{number}"
            motion, take = read.motion.replace(caption=prompt.text), takes.get(prompt.id, prompt.id)
            samples.append(Sample(name, prompt, motion, read.positions, _relative(root / file, evaluation), take))
    return samples


def _relative(file: Path, evaluation: Evaluation) -> str:
    """The name of a motion from the folder of the results, where it lies below it or beside it."""
    import os

    return Path(os.path.relpath(file.resolve(), Path(evaluation.output).resolve())).as_posix()


def _real_samples(suite: Suite, clips: "Sequence[MotionClip]") -> "list[Sample]":
    from motionmillion.eval.scoring import Sample

    prompts = {prompt.id: prompt for prompt in suite.prompts}
    return [
        Sample(clip_id(clip.name), prompts[clip_id(clip.name)], clip.motion, clip.motion.positions(), "", clip.take)
        for clip in clips
    ]


def _scorer(evaluation: Evaluation) -> "Scorer":
    from motionmillion.eval.calibration import Calibration
    from motionmillion.eval.evaluator import TextMotionEvaluator
    from motionmillion.eval.pose_prior import PosePrior
    from motionmillion.eval.scoring import Scorer

    given = evaluation.calibration
    calibration = Calibration.bundled() if given is None else Calibration.load(given)
    evaluator = TextMotionEvaluator.from_pretrained(evaluation.evaluator).to(evaluation.device)  # type: ignore[arg-type]
    return Scorer(evaluator, calibration, PosePrior.bundled())


def _measure(evaluation: Evaluation, suite: Suite, samples: "Sequence[Sample]", scorer: "Scorer") -> "Batch":
    from motionmillion.eval.suite_scores import Batch

    embedded = scorer.embed(samples)
    rows = scorer.rows(samples, embedded)
    if evaluation.suite == MBENCH:
        from motionmillion.eval.mbench import mbench_values

        values = mbench_values(samples, rows, evaluation.axes, evaluation.nrdf, evaluation.smpl)
        rows = [replace(row, values={**row.values, **own}) for row, own in zip(rows, values, strict=True)]
    return Batch(suite, samples, rows, embedded, evaluation.resamples, evaluation.repeats, evaluation.seed)


def _judge(evaluation: Evaluation, suite: Suite, scorer: "Scorer") -> "Judge | None":
    from motionmillion.eval.judges import make_judge

    spec = evaluation.judge or ("retrieval" if evaluation.suite == MBENCH else "")
    if not spec:
        return None
    options: dict[str, Any] = dict(evaluation.judge_options)
    if spec == "retrieval":
        options |= {"evaluator": scorer.evaluator, "texts": [prompt.text for prompt in suite.prompts]}
        options["identity"] = scorer.evaluator.weights_sha256()
    else:
        options["device"] = evaluation.device
    judge = make_judge(spec, **options)
    judge.check()
    return judge


def _ask(evaluation: Evaluation, suite: Suite, samples: "Sequence[Sample]", judge: "Judge | None") -> "list[Answer]":
    """A judge's answers; in MBench a choice or a match by category, else a match of every sample."""
    if judge is None:
        return []
    from motionmillion.eval.judges import Question, ask_all

    published = set(suite.categories) <= set(MBENCH_CATEGORIES)
    questions = []
    for sample in samples:
        for dimension, kind in _JUDGED.items():
            if evaluation.suite == MBENCH and published and sample.prompt.category != dimension:
                continue
            if evaluation.suite != MBENCH and kind == "choice":
                continue
            distractors = sample.prompt.distractors if kind == "choice" else ()
            questions.append(Question(sample.id, kind, sample.motion, sample.prompt.text, distractors))  # type: ignore[arg-type]
    return ask_all(judge, questions, Path(evaluation.output) / "judge.jsonl", evaluation.seed, progress=True)


def _judged(rows: Sequence[SampleResult], answers: "Sequence[Answer]", mbench: bool) -> list[SampleResult]:
    """Rows with the answers as values; what was not answered, or not clearly, is left out."""
    dimensions = {kind: dimension for dimension, kind in _JUDGED.items()}
    found: dict[str, dict[str, float]] = {}
    for answer in answers:
        if answer.right is not None:
            name = dimensions[answer.kind] if mbench else "judge_match"
            found.setdefault(answer.id, {})[name] = float(answer.right)
    return [replace(row, values={**row.values, **found.get(row.id, {})}) for row in rows]


def _judge_notes(answers: "Sequence[Answer]") -> list[str]:
    failed, unclear = sum(a.failed for a in answers), sum(a.unclear for a in answers)
    notes = []
    if failed:
        reason = next(a.error for a in answers if a.failed)
        notes.append(
            f"The judge left {failed} of {len(answers)} questions unanswered ({reason}); run again to ask them."
        )
    if unclear:
        notes.append(f"{unclear} of {len(answers)} replies of the judge were unclear and count for nothing.")
    return notes


def _scores(evaluation: Evaluation, batch: "Batch", real: "Batch | None") -> "Scores":
    from motionmillion.eval.suite_scores import category_scores, mbench_scores, text_to_motion_scores

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
    """Everything that one must know to get the same figures."""
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
        "pose_prior": {"sha256": weights_hash(scorer.pose_prior), "rotations": "found from the joints"},
        "intervals": {"level": 0.95, "resamples": evaluation.resamples, "repeats": evaluation.repeats},
        "seed": evaluation.seed,
    }
    if evaluation.limit:
        own["limit"] = f"{evaluation.limit} prompts a category"
    if evaluation.model is not None:
        own["generation"] = dict(made)
        own["lengths"] = _length_rule(suite, evaluation.generation.seconds)
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
    return "as the suite says" if known == len(suite.prompts) else f"as the suite says, else {rest}"
