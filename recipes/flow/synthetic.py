"""Does a little synthetic motion of unknown verbs help more than as much real motion of known ones? A small test.

    python recipes/flow/synthetic.py --data PATH/TO/cmu_text_motion --seeds 3

ViMoGen reports that 6 % of synthetic clips, added to a text-to-motion model's data, lift its generalisation (arXiv
2510.26794, table of data sources). Here some verbs are held out: no clip that shows one is trained on. Small text-only
students (MotionDiT, from scratch) are trained on three sets that share their base:

| arm | data |
|---|---|
| base | real clips of the other verbs, without `extra` of them |
| real | base and these `extra` real clips |
| synthetic | base and `extra` clips of the held-out verbs, made by a teacher that knows them |

and asked for the held-out verbs in words that neither teacher nor student was given. A seed draws which real clips are
set aside, which wordings the teacher reads and how, and the student's weights and batches; arms of one seed share what
they can, prompts share their noise, and arms are compared pair by pair.

Written into the output folder: `<seed>/<arm>/scores.json`. Results: `synthetic.json` and a section of RESULTS.md here.
Give the same command again after an interruption: trainings go on from their checkpoint, arms that are scored are left
out.
Settings, verbs and wordings stand in `synthetic.yaml`, the test prompts in recipes/mini/verb_prompts.yaml.

Unusual: retrieval asks each motion for its text among those of 32 prompts, texts of its own verb not counted, and is
the exact expectation over the draw of these (`motionmillion.eval.repeats`). Classifier and evaluator have seen real
clips of all verbs.

Letters: N prompts, S seeds, E embedding size.
"""

import argparse
import itertools
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from measures import BATCH, PHYSICS, about, cell, generate, write_section

from motionmillion.batch import generate_files, output_jobs
from motionmillion.data.clips import SPLITS, ClipRecord, MotionClip, list_clips, load_clips
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.physics import physics_measures
from motionmillion.eval.repeats import Repeats, expected_precision, summarise
from motionmillion.eval.verbs import VerbClassifier, clip_verb
from motionmillion.io.files import write_text
from motionmillion.pipeline import MotionPipeline
from motionmillion.prompts import plain
from motionmillion.training.dit import train_dit
from motionmillion.training.recipe import Recipe, load_yaml

HERE = Path(__file__).parent
PROMPTS = HERE.parent / "mini" / "verb_prompts.yaml"
ARMS = ("base", "real", "synthetic")
PAIRS = (("synthetic", "real"), ("real", "base"), ("synthetic", "base"))
COLUMNS = {  # title: measure, and whether it is of the held-out verbs
    "verb accuracy, held out": ("right", True),
    "R@1, held out": ("r1", True),
    "verb accuracy, seen": ("right", False),
    "R@1, seen": ("r1", False),
    "foot sliding mm, seen": ("sliding", False),
    "jitter mm, seen": ("jitter", False),
    "dynamic mm, seen": ("dynamic", False),
}

Scores = dict[str, list[Any]]
"""Of one arm and seed, one entry a prompt: `prompt`, `verb`, `named`, `right`, `r1` and physics."""


def check_wordings(wordings: dict[str, list[str]], prompts: dict[str, list[str]]) -> None:
    """Raise `ValueError` if a wording of the teacher is a test prompt, or given twice; case does not count."""
    given = [plain(text) for texts in wordings.values() for text in texts]
    tested = {plain(text) for texts in prompts.values() for text in texts}
    bad = sorted({text for text in given if text in tested or given.count(text) > 1})
    if bad:
        raise ValueError(f"wordings must differ from each other and from the test prompts, got {bad}; reword them")


def split_records(
    records: list[ClipRecord], held_out: dict[str, str], left_out: list[str], extra: int, seed: int
) -> tuple[list[str], list[str]]:
    """Names of the clips of the base, validation among them, and of the `extra` training clips that are set aside.

    Raises:
        ValueError: if there are not enough clips of other verbs.
    """
    pattern = re.compile("|".join(held_out.values()), re.IGNORECASE)
    known = [
        record
        for record in records
        if record.captions and record.category not in left_out and not any(map(pattern.search, record.captions))
    ]
    train = [record.name for record in known if record.split == "train"]
    if len(train) <= extra:
        raise ValueError(f"extra must leave clips for the base, got {extra!r} of {len(train)} clips of other verbs")
    aside = {train[i] for i in np.random.default_rng(seed).permutation(len(train))[:extra]}
    base = [record.name for record in known if record.split != "test" and record.name not in aside]
    return base, sorted(aside)


def write_subset(source: Path, names: list[str], folder: Path) -> None:
    """A motion set of some clips of `source`, whose shards stay where they are."""
    wanted, lines = set(names), []
    for line in (source / "clips.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line) if line.strip() else {}
        if entry.get("clip") in wanted:
            lines.append(json.dumps({**entry, "shard": str((source / entry["shard"]).resolve())}))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "skeleton.json", folder / "skeleton.json")
    write_text("\n".join(lines) + "\n", folder / "clips.jsonl")


def teacher_prompts(wordings: dict[str, list[str]], extra: int, seed: int) -> list[str]:
    """`extra` wordings, as many of each verb as of the others."""
    draws = np.random.default_rng(seed)
    share, rest = divmod(extra, len(wordings))
    if rest or share > min(map(len, wordings.values())):
        raise ValueError(
            f"extra must be so many times the {len(wordings)} verbs as each has wordings at most, got {extra!r}"
        )
    return [texts[i] for texts in wordings.values() for i in sorted(draws.permutation(len(texts))[:share])]


def prepare(data: Path, config: dict[str, Any], seed: int, folder: Path) -> dict[str, float]:
    """Write `base`, `real` and `synthetic` into `folder`; seconds of each."""
    base, aside = split_records(list_clips(data), config["held_out"], config["left_out"], config["extra"], seed)
    write_subset(data, base, folder / "base")
    write_subset(data, aside, folder / "real")
    files = [folder / "synthetic" / f"motion{suffix}" for suffix in (".npz", ".txt")]
    jobs = output_jobs(teacher_prompts(config["wordings"], config["extra"], seed), files, 1, seed, resume=True)
    if jobs:
        generate_files(jobs, config["teacher"]["model"], "cpu", 12, {"seconds": config["teacher"]["seconds"]})
    return {arm: sum(clip.motion.seconds for clip in load_clips(folder / arm)) for arm in ARMS}


def train(config: dict[str, Any], arm: str, seed: int, folder: Path, output: Path) -> dict[str, float]:
    """One student; goes on from its checkpoint where there is one."""
    sources: list[dict[str, Any]] = [{"folder": str(folder / "base")}]
    if arm != "base":
        sources.append({"folder": str(folder / arm), "splits": list(SPLITS)})
    student = config["student"]
    data = {**student["data"], "sources": sources}
    return train_dit(Recipe(str(output), seed, data, student["model"], student["training"]), resume=True)


class Examiner:
    """Generates the test prompts and scores them.

    Args:
        clips: real clips of all verbs, for the classifier.
        prompts: of every verb.
        evaluation: `seconds` and `sampling` of the config.
    """

    def __init__(self, clips: list[MotionClip], prompts: dict[str, list[str]], evaluation: dict[str, Any]) -> None:
        known = [(clip.motion, verb) for clip in clips if (verb := clip_verb(clip))]
        self.classifier = VerbClassifier(0).fit([motion for motion, _ in known], [verb for _, verb in known])
        self.evaluator = TextMotionEvaluator.from_pretrained("mini")
        self.texts = [text for texts in prompts.values() for text in texts]
        self.verbs = [verb for verb, texts in prompts.items() for _ in texts]
        self.points = self.evaluator.embed_texts(self.texts)  # [N, E]
        self.seconds, self.sampling = evaluation["seconds"], evaluation["sampling"]

    def scores(self, pipe: MotionPipeline, seed: int, sampling: dict[str, Any] | None = None) -> Scores:
        """What is measured of a motion for each prompt."""
        options = self.sampling if sampling is None else sampling
        motions = generate(pipe, self.texts, [self.seconds] * len(self.texts), seed, options)
        named = self.classifier.predict(motions)
        physics = physics_measures([motion.positions() for motion in motions], fps=[motion.fps for motion in motions])
        right = [float(name == verb) for name, verb in zip(named, self.verbs, strict=True)]
        found = expected_precision(self.evaluator.embed_motions(motions), self.points, BATCH, self.verbs)[1]
        scores: Scores = {"prompt": self.texts, "verb": self.verbs, "named": named, "right": right}
        scores["r1"] = found.tolist()
        return scores | {name: (1000 * physics[source]).tolist() for name, source in PHYSICS.items()}


def repeats(runs: list[Scores], held_out: set[str]) -> Repeats:
    """Figures `[S, N]` of one arm by the titles of the table; NaN for verbs that a column is not about."""
    verbs, values = runs[0]["verb"], {}
    for title, (measure, of_held_out) in COLUMNS.items():
        about = np.array([(verb in held_out) == of_held_out for verb in verbs])
        values[title] = np.where(about, np.array([run[measure] for run in runs], dtype=float), np.nan)
    return Repeats(values, torch.zeros(len(runs), len(verbs), 1))


def by_verb(scores: dict[str, list[Scores]]) -> dict[str, dict[str, float]]:
    """Share of motions that show their verb: verb -> arm -> mean over prompts and seeds."""
    shares: dict[str, dict[str, float]] = {}
    for arm, runs in scores.items():
        for verb in dict.fromkeys(runs[0]["verb"]):
            hits = [r for run in runs for r, v in zip(run["right"], run["verb"], strict=True) if v == verb]
            shares.setdefault(verb, {})[arm] = float(np.mean(hits))
    return shares


def report(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    titles = list(COLUMNS)
    lines = [
        "## Synthetic clips of held-out verbs against real clips of seen ones",
        "",
        f"    {result['command']}",
        "",
    ]
    lines += [f"{result['machine']}; seeds {', '.join(map(str, result['seeds']))}. {result['about']}", ""]
    lines += [f"| data | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for name, row in {**result["arms"], **result["differences"]}.items():
        lines.append(f"| {name} | {' | '.join(cell(row[title]) for title in titles)} |")
    arms = list(result["arms"])
    lines += ["", "In brackets 95 % intervals over the prompts; behind them t intervals over the seeds.", ""]
    lines += [f"| verb accuracy | {' | '.join(arms)} |", "|---" * (len(arms) + 1) + "|"]
    for verb, shares in result["verbs"].items():
        mark = " (held out)" if verb in result["held_out"] else ""
        lines.append(f"| {verb}{mark} | {' | '.join(f'{shares[arm]:.2f}' for arm in arms)} |")
    return "\n".join(lines) + "\n"


def run_arm(config: dict[str, Any], examiner: Examiner, arm: str, seed: int, output: Path) -> None:
    """Train and score one arm of one seed, unless its scores are there."""
    file = output / str(seed) / arm / "scores.json"
    if not file.exists():
        figures = train(config, arm, seed, output / str(seed) / "data", file.parent)
        scores = examiner.scores(MotionPipeline.from_pretrained(file.parent / "final"), seed)
        write_text(json.dumps({"validation": figures, "scores": scores}) + "\n", file)


def collect(output: Path, seeds: int) -> dict[str, list[Scores]]:
    """Scores of every arm, seed by seed, of what there is."""
    found: dict[str, list[Scores]] = {}
    for arm in ARMS:
        files = [output / str(seed) / arm / "scores.json" for seed in range(seeds)]
        runs = [json.loads(file.read_text(encoding="utf-8"))["scores"] for file in files if file.exists()]
        if runs:
            found[arm] = runs
    return found


def teacher_scores(config: dict[str, Any], examiner: Examiner, output: Path) -> list[Scores]:
    """Scores of the teacher itself on the test prompts."""
    file = output / "teacher.json"
    if not file.exists():
        scores = examiner.scores(MotionPipeline.from_pretrained(config["teacher"]["model"]), 0, {})
        write_text(json.dumps({"scores": scores}) + "\n", file)
    return [json.loads(file.read_text(encoding="utf-8"))["scores"]]


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--config", type=Path, default=HERE / "synthetic.yaml")
    parser.add_argument("--output", type=Path, default=Path("runs/flow/synthetic"))
    parser.add_argument("--results", type=Path, default=HERE, help="folder of synthetic.json and RESULTS.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    config = load_yaml(args.config)
    prompts = yaml.safe_load(PROMPTS.read_text(encoding="utf-8"))
    check_wordings(config["wordings"], prompts)
    examiner = Examiner(load_clips(args.data), prompts, config["evaluation"])
    teacher = teacher_scores(config, examiner, args.output)
    seeds = range(args.seeds)
    seconds = {seed: prepare(args.data, config, seed, args.output / str(seed) / "data") for seed in seeds}
    for seed, arm in sorted(itertools.product(seeds, args.arms), key=lambda run: (run[1] == "base", run)):
        print(f"seed {seed}, {arm}", file=sys.stderr, flush=True)  # what is compared first, the base last
        run_arm(config, examiner, arm, seed, args.output)
    scores = {**collect(args.output, args.seeds), "teacher": teacher}
    arms = {arm: repeats(runs, set(config["held_out"])) for arm, runs in scores.items()}
    pairs = [pair for pair in PAIRS if arms.keys() >= set(pair)]
    result = {
        **about("synthetic.py", argv),
        "seeds": list(seeds),
        "about": f"{config['extra']} clips are added; {len(examiner.texts)} prompts, {examiner.seconds:g} s each.",
        "held_out": list(config["held_out"]),
        "seconds_of_data": seconds,
        "config": {name: config[name] for name in ("extra", "teacher", "student", "evaluation")},
        **summarise(arms, pairs, None, examiner.texts),
        "verbs": by_verb(scores),
    }
    write_text(json.dumps(result, indent=1) + "\n", args.results / "synthetic.json")
    write_section("synthetic", report(result), args.results / "RESULTS.md")
    print(report(result))


if __name__ == "__main__":
    main()
