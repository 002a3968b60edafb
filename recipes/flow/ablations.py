"""What each setting of dit-mini.yaml does: small trainings that differ in one of them, with seeds and intervals.

    python recipes/flow/ablations.py --data PATH/TO/cmu_text_motion --seeds 3

| variant | what differs |
|---|---|
| as dit-mini | nothing: noise uniform, shifted by 2, weighted by sigma squared, the error of the clean motion |
| grid, bell | noise of 1000 steps shifted by 5, weighted by a bell that is nothing at pure noise: ViMoGen's |
| grid | the same noise without weights |
| logit-normal | the logit of the noise Gaussian, shifted by 3, without weights |
| velocity | the last layer says the velocity, not the clean motion |
| no overlap | patches stand side by side |
| no smoothness | the loss leaves out the steps from frame to frame |

Small MotionDiTs of texts alone are trained with each, on the same batches seed by seed, and asked for the captions of
the split `test`, each with the shift of its training. What differs in sampling alone is tried on trained models: a
start from sigma 0.921 with pure noise, as the released ViMoGen starts; frames that are steps added up
(`recovery: velocity`), also as released, and not read one by one; motion that is not smoothed. The error of the
velocity is that of the test clips at fixed sigmas and noise.

Written into the output folder: a run for each variant and seed; an interrupted run goes on with the same command.
Results: `ablations.json` and a section of RESULTS.md here. Measures and intervals: `measures.py`.

Letters: S seeds, N clips, T frames, D feature size.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import INTERVALS, TITLES, Examiner, about, cached, generate, stacked, table, write_section
from torch.nn.utils.rnn import pad_sequence

from motionmillion.eval.repeats import FRECHET, Repeats, summarise
from motionmillion.io.files import write_text
from motionmillion.lm.flow import TIMESTEPS, interpolate
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline_dit import DiTPipeline
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
"""Changes of the section `model`."""

START = 0.921
LATE = ", from sigma 0.921"
SAMPLED: dict[str, dict[str, dict[str, Any]]] = {
    BASE: {LATE: {}, ", added up": {"recovery": "velocity"}, ", not smoothed": {"smoothing": 0.0}},
    "grid, bell": {LATE: {}},
}
"""Further samplings of a variant and their options; that of `LATE` follows from the shift."""

PAIRS = [*((name, BASE) for name in VARIANTS if name != BASE), ("grid", "grid, bell")]
SIGMAS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
COLUMNS = ("r1", "r3", "matching", FRECHET, "jitter", "dynamic", "sliding")
ERRORS = {f"error_{sigma:g}": f"at sigma {sigma:g}" for sigma in SIGMAS}
_BATCH = 28


def recipe(data: str, variant: Mapping[str, Any], seed: int, steps: int, output: Path, size: str) -> Recipe:
    """A small training of texts alone, like recipes/flow/dit-mini.yaml but for what is named here."""
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
    """The pipeline of a run, trained now unless it is there."""
    final = Path(run.output) / "final"
    if not (final / "pipeline.json").exists():
        train_dit(run, resume=True)
    pipe = MotionPipeline.from_pretrained(final)
    assert isinstance(pipe, DiTPipeline)
    return pipe


@torch.no_grad()
def velocity_errors(pipe: DiTPipeline, examiner: Examiner, seed: int = 0) -> dict[str, np.ndarray]:
    """Mean square error of the velocity of each clip `[1, N]` at each sigma, told by its caption."""
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
    """Figures of one trained model: under "" with the errors of its velocity, and of its further samplings."""
    shift = pipe.dit.config.flow["shift"]
    late = {"denoising_strength": START / (shift - (shift - 1) * START)}  # the strength whose shifted sigma it is

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
    lines += [*table(result["differences"], COLUMNS, "difference"), "", INTERVALS, "", "Error of the velocity:", ""]
    for rows in ("arms", "differences"):
        known = {name: own for name, own in result[rows].items() if "error_0.5" in own}
        lines += [*table(known, list(ERRORS), rows[:-1]), ""]
    return "\n".join(lines)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="of each training")
    parser.add_argument("--size", default="nano", help="of MotionDiT")
    parser.add_argument("--output", type=Path, default=Path("runs/flow/ablations"), help="folder of the runs")
    parser.add_argument("--resamples", type=int, default=200, help="of the intervals of FID")
    parser.add_argument("--results", type=Path, default=HERE, help="folder of ablations.json and RESULTS.md")
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
    write_text(json.dumps(result, indent=1) + "\n", args.results / "ablations.json")
    write_section("ablations", report(result), args.results / "RESULTS.md")
    print(report(result))


if __name__ == "__main__":
    main()
