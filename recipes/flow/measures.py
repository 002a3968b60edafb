"""Shared by the comparisons in this folder: captions of real clips, measures of generated motions, result tables.

    examiner = Examiner("cmu_text_motion", "test")
    runs = [generate(pipe, examiner, seed, options) for seed in range(3)]
    repeats = examiner.repeats(runs)                       # values [S, N], see motionmillion.eval.statistics.repeats

| measure | what |
|---|---|
| r1, r2, r3 | probability that a text retrieves its motion among 32; identical texts do not count as wrong |
| matching | distance between text and motion in the evaluator's embedding space |
| verb | whether a classifier that sees neither text nor evaluator predicts the clip's verb, where it is clear |
| away | distance from the clip's true motion, in standard deviations of the classifier's motion descriptor |
| jitter, dynamic, sliding | MBench's, mm per frame at 20 frames/s |

Unusual: lengths are those of the clips rounded to half seconds, so that motions of equal length are batched together.

Shapes: S seeds, N clips, E embedding size.
"""

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionmillion.data.clips import MotionClip, load_clips
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.physics import physics_measures
from motionmillion.eval.statistics.repeats import FRECHET, Repeats, expected_precision
from motionmillion.eval.suites.clips import clip_id, clips_suite
from motionmillion.eval.verbs import VerbClassifier, VerbClips, clip_verb
from motionmillion.eval.verbs.descriptor import motion_descriptor
from motionmillion.io.files import atomic_path, write_text
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline
from motionmillion.provenance import describe_machine, plain_name
from motionmillion.text.prompts import plain

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
BATCH = 32
PHYSICS = {"jitter": "jitter_degree", "dynamic": "dynamic_degree", "sliding": "foot_sliding"}
TITLES = {
    "r1": "R@1",
    "r2": "R@2",
    "r3": "R@3",
    "matching": "MM-Dist",
    FRECHET: "FID",
    "verb": "verb accuracy",
    "away": "distance from true motion",
    "jitter": "jitter mm",
    "dynamic": "dynamic mm",
    "sliding": "foot sliding mm",
    "used": "reference used",
    "goal": "distance from target mm",
}


class Examiner:
    """The captions of one split, and every measure of motions generated from them.

    Args:
        data: a folder of captioned clips with the splits `train` and `split`.
        split: source of the captions.
        batch: size of the retrieval pool.
        like: an examiner of another split, whose training clips, classifier and evaluator are reused.
    """

    def __init__(
        self, data: str | Path, split: str = "test", batch: int = BATCH, like: "Examiner | None" = None
    ) -> None:
        clips = load_clips(data, ["train", split] if like is None else [split])
        self.clips = [clip for clip in clips if clip.split == split and clip.captions]
        self.train = [clip for clip in clips if clip.split == "train"] if like is None else like.train
        texts = {prompt.id: prompt.text for prompt in clips_suite(self.clips, split).prompts}
        self.texts = [texts[clip_id(clip.name)] for clip in self.clips]
        self.seconds = [max(round(clip.motion.seconds * 2), 2) / 2 for clip in self.clips]
        self.takes = [clip.take for clip in self.clips]
        self.batch = min(batch, len(self.clips))
        self.evaluator = TextMotionEvaluator.from_pretrained("mini") if like is None else like.evaluator
        self.points = self.evaluator.embed_texts(self.texts)  # [N, E]
        self.real = self.evaluator.embed_motions([clip.motion for clip in self.clips])  # [N, E]
        self.verbs = [clip_verb(clip) for clip in self.clips]
        self.classifier = _classifier(self.train) if like is None else like.classifier
        self._spread = _spread(self.train) if like is None else like._spread
        self._true = torch.stack([motion_descriptor(clip.motion) for clip in self.clips])

    def measure(self, motions: Sequence[Motion]) -> Repeats:
        """Measures of one motion per clip, as one seed: values `[1, N]`."""
        motions = list(motions)
        named = [""] * len(motions) if self.classifier is None else self.classifier.predict(motions)
        right = [np.nan if verb is None else float(name == verb) for name, verb in zip(named, self.verbs, strict=True)]
        described = torch.stack([motion_descriptor(motion) for motion in motions])
        physics = physics_measures([m.positions() for m in motions], fps=[m.fps for m in motions])
        values = {name: 1000 * physics[source].numpy() for name, source in PHYSICS.items()}
        values["verb"] = np.array(right) if self.classifier else np.full(len(motions), np.nan)
        values["away"] = ((described - self._true) / self._spread).abs().mean(1).double().numpy()
        points = self.evaluator.embed_motions(motions)
        return Repeats({name: own[None] for name, own in values.items()}, points[None])

    def placed(self, repeats: Repeats) -> Repeats:
        """Adds the measures that depend on embeddings: retrieval and distance to the text, `[S, N]` each."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("r1", "r2", "r3", "matching")}
        names = [plain(text) for text in self.texts]
        for points in repeats.points:
            for k, precision in expected_precision(self.points, points, self.batch, names).items():
                found[f"r{k}"].append(precision)
            found["matching"].append((self.points - points).norm(dim=1).double().numpy())
        return Repeats({**{k: np.stack(v) for k, v in found.items()}, **repeats.values}, repeats.points)


def stacked(seeds: Sequence[Repeats]) -> Repeats:
    """Concatenate single seeds."""
    values = {name: np.concatenate([each.values[name] for each in seeds]) for name in seeds[0].values}
    return Repeats(values, torch.cat([each.points for each in seeds]))


def chosen(use: np.ndarray, yes: Repeats, no: Repeats) -> Repeats:
    """Per motion the first system where `use` `[S, N]` is true, else the second; keeps per-motion values only."""
    values = {name: np.where(use, yes.values[name], no.values[name]) for name in yes.values}
    return Repeats(values, torch.where(torch.from_numpy(use)[..., None], yes.points, no.points))


def _spread(clips: Sequence[MotionClip]) -> torch.Tensor:
    """Standard deviations of the motion descriptor."""
    return torch.stack([motion_descriptor(clip.motion) for clip in clips]).std(0).clamp(min=1e-3)


def _classifier(clips: Sequence[MotionClip]) -> VerbClassifier | None:
    """A classifier trained on clips with a clear verb; None if there are fewer than two verbs."""
    known = VerbClips(clips)
    return known.classifier() if len(set(known.verbs)) > 1 else None


def seeds_of(seed: int, count: int) -> list[int]:
    """A seed for each clip."""
    return [int.from_bytes(hashlib.sha256(f"{seed}/{row}".encode()).digest()[:4], "big") for row in range(count)]


def generate(
    pipe: MotionPipeline, texts: Sequence[str], seconds: Sequence[float], seed: int, options: Mapping[str, Any]
) -> list[Motion]:
    """One motion per text; motions of equal length are batched together."""
    seeds, motions = seeds_of(seed, len(texts)), {}
    for length in sorted(set(seconds)):
        rows = [row for row, own in enumerate(seconds) if own == length]
        made = pipe.sample([texts[r] for r in rows], [seeds[r] for r in rows], seconds=length, **options)
        motions.update(zip(rows, made, strict=True))
    return [motions[row] for row in range(len(texts))]


def cached(path: Path, make: Callable[[], Repeats]) -> Repeats:
    """Values from the file of an earlier run, or computed now and stored there."""
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files if name != "points"}
            return Repeats(values, torch.from_numpy(stored["points"]))
    found = make()
    with atomic_path(path) as part:
        np.savez(part, **{"points": found.points.numpy(), **found.values})  # type: ignore[arg-type]
    print(path.name, file=sys.stderr, flush=True)
    return found


def cell(found: Mapping[str, float | None] | None, digits: int = 3) -> str:
    """A mean, its interval over clips in parentheses, and after a semicolon its interval over seeds."""
    if found is None:
        return "-"
    text = f"{found['mean']:.{digits}f}"
    if found.get("low") is not None:
        text += f" ({found['low']:.{digits}f} to {found['high']:.{digits}f})"
    if found.get("seeds_low") is not None:
        text += f"; {found['seeds_low']:.{digits}f} to {found['seeds_high']:.{digits}f}"
    return text


def table(rows: Mapping[str, Mapping[str, Any]], names: Sequence[str], first: str = "") -> list[str]:
    """Markdown lines with a row per entry and a column per measure."""
    digits = dict.fromkeys((*PHYSICS, "goal"), 1)
    lines = [f"| {first} | {' | '.join(TITLES[name] for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for row, values in rows.items():
        lines.append(f"| {row} | {' | '.join(cell(values.get(name), digits.get(name, 3)) for name in names)} |")
    return lines


INTERVALS = (
    "In parentheses: 95 % bootstrap intervals over clips, resampling whole takes. After the semicolon: 95 % "
    "t intervals over seeds."
)


def about(script: str, argv: Sequence[str] | None) -> dict[str, str]:
    """The command and the machine, for the results; folders are shortened to their last part."""
    words = [plain_name(word) for word in (sys.argv[1:] if argv is None else argv)]
    command = shlex.join(["python", f"recipes/flow/{script}", *words])
    return {"command": command, "machine": describe_machine("cpu")}


def write_results(name: str, result: Mapping[str, Any], text: str, folder: Path = RESULTS) -> None:
    """Write one script's result as `flow_{name}.json` and its Markdown as a section of `flow.md`.

    Args:
        name: of the script, without suffix.
        result: what is written as JSON.
        text: the same as Markdown.
        folder: where both files are.
    """
    write_text(json.dumps(result, indent=1) + "\n", folder / f"flow_{name}.json")
    write_section(name, text, folder / "flow.md")


def write_section(name: str, text: str, path: Path) -> None:
    """Replace the section between the markers of `name` in a Markdown file, or append it."""
    old = path.read_text(encoding="utf-8") if path.exists() else "# Measurements of flow matching\n"
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = f"{start}\n\n{text.strip()}\n\n{end}"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if pattern.search(old):
        write_text(pattern.sub(lambda _: section, old), path)
    else:
        write_text(f"{old.rstrip()}\n\n{section}\n", path)
