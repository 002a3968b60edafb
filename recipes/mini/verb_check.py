"""Does the model follow its prompts? Generates those of verb_prompts.yaml and classifies the verbs of the motions.

    python recipes/mini/verb_check.py --model mini --data FOLDER --seed 0 --output runs/mini/verb_check

Writes results.json and report.md; --sheets adds a picture of each verb's first motion. Ten verbs, as in earlier
figures; --verbs 20 adds ten more. The classifier is trained on the real clips of FOLDER, a copy of cmu_text_motion
(see `motionmillion.eval.verbs`); --real-only stops after scoring it on them.
"""

import argparse
import json
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from motionmillion.data import load_clips
from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.eval.instructions.unseen import check_different, check_unseen, seen_prompts
from motionmillion.eval.verbs import (
    MORE_VERBS,
    VERBS,
    VerbClips,
    VerbScore,
    clip_verb,
    clip_verb_of_twenty,
    verb_check,
)
from motionmillion.io.files import write_text
from motionmillion.motion import Motion
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.provenance import command_line

PROMPTS = Path(__file__).with_name("verb_prompts.yaml")
CAPTIONS = Path(__file__).with_name("captions.yaml")
PROMPTS_PER_VERB = 20
GOAL = 0.8


def read_prompts(path: Path = PROMPTS, verbs: Sequence[str] = VERBS) -> dict[str, list[str]]:
    """The prompts of each of `verbs`.

    Raises:
        ValueError: unless each of the verbs has twenty prompts, no two of all say the same, and no verb is unknown.
    """
    prompts = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not set(verbs) <= set(prompts) <= {*VERBS, *MORE_VERBS}:
        raise ValueError(f"prompts must be for the verbs {tuple(verbs)}, got {tuple(prompts)} in {str(path)!r}")
    for verb, texts in prompts.items():
        if len(texts) != PROMPTS_PER_VERB:
            raise ValueError(f"{verb} must have {PROMPTS_PER_VERB} prompts, got {len(texts)} in {str(path)!r}")
    check_different(prompts, str(path))
    return {verb: texts for verb, texts in prompts.items() if verb in verbs}


def real_scores(clips: VerbClips, seconds: float | None, pipe: CodesPipeline | None) -> dict[str, VerbScore]:
    """Scores of the classifier on real clips, by name; the first is the reference for the model."""

    def middle(motion: Motion) -> Motion:
        frames = round((seconds or motion.seconds) * motion.fps)
        start = max(motion.num_frames - frames, 0) // 2
        return motion.slice(start, start + frames)

    scores = {"real clips, other takes": clips.cross_validated()}
    scores["real clips, splits val and test"] = clips.held_out()
    if seconds is not None:
        scores[f"real clips cut to {seconds:g} s"] = clips.cross_validated(middle)
    if pipe is not None:

        def recode(motion: Motion) -> Motion:
            features = pipe.tokenizer.representation.encode(motion.canonicalize())[None]
            return pipe.decode(pipe.tokenizer.encode(features.to(pipe.device))[0]).slice(0, features.shape[1])

        scores["real clips through the tokenizer"] = clips.cross_validated(recode)
    return scores


def machine() -> dict[str, Any]:
    """Processor, cores and library versions."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8")) if info.exists() else []
    packages = ("motionmillion", "torch", "transformers", "scikit-learn", "numpy")
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    if package == "motionmillion":
        import motionmillion

        return motionmillion.__version__
    return version(package)


def report(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    real, generated = result["real"], result.get("generated")
    versions = ", ".join(f"{name} {number}" for name, number in result["machine"]["versions"].items())
    lines = ["# Verb check", "", f"Command: `{result['command']}`", "", f"Seed {result['seed']}; {versions};"]
    lines += [f"{result['machine']['processor']}, {result['machine']['threads']} threads.", ""]
    lines += ["| verb | generated | real clips, other takes | most often confused with |", "|---|---|---|---|"]
    for verb in real["accuracy"]:
        made, mistaken = "", ""
        if generated:
            wrong = {name: n for name, n in generated["confusion"][verb].items() if name != verb}
            made = _share(generated, verb)
            mistaken = ", ".join(f"{name} {n}" for name, n in sorted(wrong.items(), key=lambda item: -item[1])[:2])
        lines.append(f"| {verb} | {made} | {_share(real, verb)} | {mistaken} |")
    lines += ["", "| motions | number | mean over verbs (95 % interval) | all (95 % interval) |", "|---|---|---|---|"]
    rows = {"generated": generated} if generated else {}
    for name, score in {**rows, **result["real_scores"]}.items():
        macro, plain = (_range(score[kind], score[f"{kind}_interval"]) for kind in ("macro", "plain"))
        lines.append(f"| {name} | {sum(score['counts'].values())} | {macro} | {plain} |")
    if generated:
        ratio = _range(result["ratio"], result["ratio_interval"])
        lines += ["", f"Generated against real clips: {ratio}; the goal is {100 * GOAL:.0f} %."]
    return "\n".join(lines) + "\n"


def _share(score: dict[str, Any], verb: str) -> str:
    count = score["counts"][verb]
    return f"{100 * score['accuracy'][verb]:.0f} % ({round(score['accuracy'][verb] * count)}/{count})"


def _range(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="mini", help="bundled name, pipeline folder or hub id")
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.jsonl")
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="YAML file: verb -> twenty prompts")
    parser.add_argument("--verbs", type=int, choices=(10, 20), default=10, help="how many verbs to tell apart")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of every motion; 0: the model decides")
    parser.add_argument("--temperature", type=float, help="default: the pipeline's own, also for the next two options")
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--guidance-scale", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("runs/mini/verb_check"))
    parser.add_argument("--sheets", action="store_true", help="write a .png of each verb's first prompt")
    parser.add_argument("--real-only", action="store_true", help="score the classifier on real clips, without a model")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    seconds = args.seconds or None
    args.output.mkdir(parents=True, exist_ok=True)
    verbs, label = ((*VERBS, *MORE_VERBS), clip_verb_of_twenty) if args.verbs == 20 else (VERBS, clip_verb)
    prompts = read_prompts(args.prompts, verbs)
    clips = load_clips(args.data)
    told = [add_captions(clip, load_caption_rules(CAPTIONS)) for clip in clips]
    check_unseen({verb: texts for verb, texts in prompts.items() if verb in MORE_VERBS}, told)
    seen = seen_prompts({verb: texts for verb, texts in prompts.items() if verb in VERBS}, told)  # kept as they were
    if seen:
        print(f"note: {len(seen)} prompts of the first ten verbs are captions of this data: {seen}", file=sys.stderr)
    pipe = None if args.real_only else CodesPipeline.from_pretrained(args.model, args.device)
    print("scoring the classifier on real clips: some minutes on one core", file=sys.stderr)
    known = VerbClips(clips, args.seed, label)
    scores = real_scores(known, seconds, pipe)
    real = next(iter(scores.values()))
    result: dict[str, Any] = {"real": real.as_dict()}
    if pipe is not None:
        print("generating", file=sys.stderr)
        options = {"temperature": args.temperature, "top_p": args.top_p, "guidance_scale": args.guidance_scale}
        result = verb_check(pipe, known.classifier(), prompts, seconds, args.seed, real, **options)
        if args.sheets:
            first = {verb: texts[0] for verb, texts in prompts.items()}
            motions = pipe(list(first.values()), seconds=seconds, seed=args.seed, **options)
            for verb, motion in zip(first, motions, strict=True):
                motion.save(args.output / f"{verb}.png")
    result["command"] = command_line("recipes/mini/verb_check.py", argv)
    result.update(seed=args.seed, seconds=seconds, machine=machine(), seen_prompts=seen)
    result["real_scores"] = {name: score.as_dict() for name, score in scores.items()}
    write_text(json.dumps(result, indent=1) + "\n", args.output / "results.json")
    write_text(report(result), args.output / "report.md")
    print(report(result))


if __name__ == "__main__":
    try:
        main()
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
