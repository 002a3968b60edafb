"""What each setting of dit-mini.yaml does: small trainings that differ in one setting, with seeds and intervals.

    python recipes/flow/ablations.py --data PATH/TO/cmu_text_motion --seeds 3

| variant | what differs |
|---|---|
| as dit-mini | nothing: sigma uniform, shifted by 2; weight sigma squared, i.e. the error of the clean motion |
| grid, bell | sigma from 1000 steps shifted by 5, weighted by a bell that is zero at pure noise: ViMoGen's |
| grid | the same sigmas, unweighted |
| logit-normal | Gaussian logit of sigma, shifted by 3, unweighted |
| velocity | the last layer predicts the velocity, not the clean motion |
| no overlap | patches do not overlap |
| no smoothness | no loss on frame-to-frame differences |

A small text-only MotionDiT is trained per variant and seed (variants share the batches of a seed) and prompted with
the captions of the split `test`, sampled with the shift of its training. Variants of sampling alone reuse trained
models: a start from sigma 0.921 with pure noise, as in the released ViMoGen; frames recovered by summing up velocities
(`recovery: velocity`), also as released, instead of reading each frame by itself; no smoothing. The velocity error is
measured on the test clips at fixed sigmas with fixed noise.

Writes a run per variant and seed into the output folder; the same command resumes an interrupted run. Results:
`flow_ablations.json` and a section of `flow.md`, in docs/results. Measures and intervals: `measures.py`.

Letters: S seeds, N clips, T frames, D feature size.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import INTERVALS, RESULTS, TITLES, Examiner, about, cached, generate, stacked, table, write_results
from torch.nn.utils.rnn import pad_sequence

from motionmillion.eval.statistics.repeats import FRECHET, Repeats, summarise
from motionmillion.lm.flow import TIMESTEPS, interpolate
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.dit.pipeline import DiTPipeline
from motionmillion.pipeline.folder import is_pipeline
from motionmillion.training.dit import train_dit
from motionmillion.training.recipe import Recipe, load_yaml, merge

HERE = Path(__file__).parent
BASE = "as dit-mini"
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {},
    "grid, bell": {"flow": {"sampling": "grid", "shift": 5.0, "weighting": "bell"}},
    "grid": {"flow": {"sampling": "grid", "shift": 5.0, "weighting": "none"}},
    "logit-normal": {"flow": {"sampling": "logit_normal", "shift": 3.0, "weighting": "none"}},
    "velocity": {"prediction": "velocity"},
    "no overlap": {"overlap": False},
    "no smoothness": {"smoothness": 0.0},
}
"""Changes to the recipe's section `model`."""

START = 0.921
LATE = ", from sigma 0.921"
SAMPLED: dict[str, dict[str, dict[str, Any]]] = {
    BASE: {LATE: {}, ", added up": {"recovery": "velocity"}, ", not smoothed": {"smoothing": 0.0}},
    "grid, bell": {LATE: {}},
}
"""Further sampling options by variant; those of `LATE` follow from the shift."""

PAIRS = [*((name, BASE) for name in VARIANTS if name != BASE), ("grid", "grid, bell")]
SIGMAS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
COLUMNS = ("r1", "r3", "matching", FRECHET, "jitter", "dynamic", "sliding")
ERRORS = {f"error_{sigma:g}": f"at sigma {sigma:g}" for sigma in SIGMAS}
_BATCH = 28


def recipe(data: str, variant: Mapping[str, Any], seed: int, steps: int, output: Path, size: str) -> Recipe:
    """A small text-only training: recipes/flow/dit-mini.yaml except for the settings below."""
    content = load_yaml(HERE / "dit-mini.yaml")
    model = {"size": size, "num_reference_layers": 0, "dropout": 0.0}
    training = {"max_steps": steps, "learning_rate": 1.0e-3, "warmup_steps": min(100, steps // 2)}
    training |= {"eval_strategy": "no", "save_steps": 200, "save_total_limit": 1, "ema_decay": 0.99}
    rules = HERE.parent / "mini" / "captions.yaml"
    own = {"folder": data, "variants": 4, "caption_rules": str(rules)}
    content = merge(content, {"data": own, "model": model, "training": training})
    content["model"] |= variant
    del content["training"]["eval_steps"]
    return Recipe(**{**content, "output": str(output), "seed": seed})


def trained(run: Recipe) -> DiTPipeline:
    """The pipeline of a run, trained first if it does not exist."""
    final = Path(run.output) / "final"
    if not is_pipeline(final):
        train_dit(run, resume=True)
    pipe = MotionPipeline.from_pretrained(final)
    assert isinstance(pipe, DiTPipeline)
    return pipe


@torch.no_grad()
def velocity_errors(pipe: DiTPipeline, examiner: Examiner, seed: int = 0) -> dict[str, np.ndarray]:
    """Mean squared error of the velocity of each clip `[1, N]` at each sigma, conditioned on its caption."""
    dit, found = pipe.dit, {name: [] for name in ERRORS}
    longest = dit.config.max_frames
    clips = [dit.normalize(dit.representation.encode(clip.motion.canonicalize()))[:longest] for clip in examiner.clips]
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, len(clips), _BATCH):
        part = clips[start : start + _BATCH]
        clean = pad_sequence(part, batch_first=True)  # [B, T, D]
        there = torch.arange(clean.shape[1]) < torch.tensor([len(each) for each in part])[:, None]
        text, words = pipe.text_encoder(examiner.texts[start : start + _BATCH])
        noise = torch.randn(clean.shape, generator=generator)
        for name, sigma in zip(ERRORS, SIGMAS, strict=True):
            time = torch.full((len(part),), sigma * TIMESTEPS)
            velocity = dit(interpolate(clean, noise, sigma), time, text=text, text_mask=words, frame_mask=there)
            error = (velocity - (noise - clean)).square().mean(2) * there
            found[name] += (error.sum(1) / there.sum(1)).tolist()
    return {name: np.array([own]) for name, own in found.items()}


def figures(
    pipe: DiTPipeline, examiner: Examiner, seed: int, folder: Path, sampled: Mapping[str, Mapping[str, Any]]
) -> dict[str, Repeats]:
    """Measures of one trained model: under "" with velocity errors, then with its further sampling options."""
    shift = pipe.dit.config.flow["shift"]
    late = {"denoising_strength": START / (shift - (shift - 1) * START)}  # the strength that the shift maps to START

    def make(options: Mapping[str, Any]) -> Repeats:
        found = examiner.measure(generate(pipe, examiner.texts, examiner.seconds, seed, options))
        errors = {} if options else velocity_errors(pipe, examiner)
        return Repeats({**found.values, **errors}, found.points)

    found = {}
    for name, options in {"": {}, **{name: late if name == LATE else own for name, own in sampled.items()}}.items():
        path = folder / f"figures{name.replace(', ', '_').replace(' ', '-')}.npz"
        found[name] = cached(path, lambda options=options: make(options))
    return found


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["## Settings of dit-mini", "", f"    {result['command']}", ""]
    lines += [f"{result['machine']}; {result['about']}", "", *table(result["arms"], COLUMNS, "variant"), ""]
    lines += [*table(result["differences"], COLUMNS, "difference"), "", INTERVALS, "", "Velocity error:", ""]
    for rows in ("arms", "differences"):
        known = {name: own for name, own in result[rows].items() if "error_0.5" in own}
        lines += [*table(known, list(ERRORS), rows[:-1]), ""]
    return "\n".join(lines)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="training steps per run")
    parser.add_argument("--size", default="nano", help="size of the MotionDiT")
    parser.add_argument("--output", type=Path, default=Path("runs/flow/ablations"), help="folder of the runs")
    parser.add_argument("--resamples", type=int, default=200, help="bootstrap resamples for the intervals of FID")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of flow_ablations.json and flow.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    TITLES.update(ERRORS)
    examiner = Examiner(args.data, "test")
    runs: dict[str, list[Repeats]] = {}
    for seed in range(args.seeds):
        for name, variant in VARIANTS.items():
            folder = args.output / name.replace(", ", "-").replace(" ", "-") / str(seed)
            pipe = trained(recipe(args.data, variant, seed, args.steps, folder, args.size))
            for sampling, own in figures(pipe, examiner, seed, folder, SAMPLED.get(name, {})).items():
                runs.setdefault(name + sampling, []).append(own)
    arms = {name: examiner.placed(stacked(own)) for name, own in runs.items()}
    pairs = [*PAIRS, *((name + sampling, name) for name in VARIANTS for sampling in SAMPLED.get(name, {}))]
    words = f"{len(examiner.clips)} captions of {len(set(examiner.takes))} test takes, seeds 0 to {args.seeds - 1}, "
    words += f"size {args.size}, {args.steps} steps; evaluator {examiner.evaluator.weights_sha256()[:12]}."
    found = summarise(arms, pairs, examiner.real, examiner.takes, args.resamples)
    result = {**about("ablations.py", argv), "about": words, "variants": VARIANTS, **found}
    write_results("ablations", result, report(result), args.results)
    print(report(result))


if __name__ == "__main__":
    main()
