"""Does the model do what it is told? Rules on joints judge the motions of instruction_prompts.yaml.

    python recipes/mini/instruction_check.py --model mini --data FOLDER --seed 0 --output runs/instructions

Writes results.json and report.md: for each family of instructions how many motions follow them, how many real clips of
FOLDER (a copy of cmu_text_motion) that show the same pass the rule, and how many that show something else. The rules
are those of `motionmillion.eval.instructions`. --real-only stops after the real clips; --through MODEL also judges
the real clips after a tokenizer has encoded and decoded them: a model on its codes can hardly do better. To choose
sampling options, use --prompts recipes/mini/instruction_prompts_tune.yaml and --options guidance_scale=3.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

import motionmillion
from motionmillion.data import MotionClip, load_clips
from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.eval.instructions import FAMILIES, RealRates, instruction_check, real_rates, wilson
from motionmillion.eval.instructions.unseen import check_different, check_unseen
from motionmillion.eval.reconstruction import reconstruct
from motionmillion.io.files import write_text
from motionmillion.pipeline import MotionPipeline, find_pipeline, pipeline_defaults
from motionmillion.pipeline.folder import load_tokenizer
from motionmillion.progress import tracked
from motionmillion.provenance import command_line, describe_machine

PROMPTS = Path(__file__).with_name("instruction_prompts.yaml")
CAPTIONS = Path(__file__).with_name("captions.yaml")
PROMPTS_PER_FAMILY = (2, 4)


def read_prompts(path: Path = PROMPTS) -> dict[str, list[str]]:
    """The instructions of each family.

    Raises:
        ValueError: unless all families are known and have two to four prompts, and no two of all say the same.
    """
    prompts = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = sorted(set(prompts) - set(FAMILIES))
    if unknown:
        raise ValueError(f"prompts must be for known families, got {unknown} in {str(path)!r}; see {tuple(FAMILIES)}")
    low, high = PROMPTS_PER_FAMILY
    for family, texts in prompts.items():
        if not low <= len(texts) <= high:
            raise ValueError(f"{family} must have {low} to {high} prompts, got {len(texts)} in {str(path)!r}")
    check_different(prompts, str(path))
    return prompts


def report(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    real, made = result["real"], result.get("generated")
    families = made["families"] if made else {name: None for name in real}
    lines = [
        "# Instruction check",
        "",
        f"Command: `{result['command']}`",
        "",
        f"{result['machine']}, motionmillion {result['version']}.",
        "",
    ]
    if made:
        lines += [
            f"Seed {result['seed']}, {result['samples']} samples a prompt, {result['seconds'] or 'own'} seconds."
        ]
        lines += [f"Sampling: {', '.join(f'{name} {value}' for name, value in result['sampling'].items())}.", ""]
    lines += [
        "| family | generated | 95 % | real clips | other families' clips | the other side's | through tokenizer |",
        "|---" * 7 + "|",
    ]
    for name, row in families.items():
        rates = real[name]
        cells = (
            [f"{row['rate']:.0%} ({row['passed']}/{row['count']})", _percent(*row["interval"])] if row else ["", ""]
        )
        through = _share(result["through"][name]) if "through" in result else ""
        opposite = "" if rates["opposite"] is None else f"{rates['opposite']:.0%}"
        shown = [*cells, _share(rates), f"{rates['chance']:.0%}", opposite, through]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    lines += ["", *_means(result, list(families))]
    return "\n".join(lines) + "\n"


def _means(result: dict[str, Any], families: list[str]) -> list[str]:
    """Rows of the means: over all families, and over those that name a side."""
    real, made = result["real"], result.get("generated")
    lines = [
        "| mean over | generated | 95 % | real clips | other families' clips | through tokenizer |",
        "|---" * 6 + "|",
    ]
    for title, key, names in (
        ("families", "mean", families),
        ("families with a side", "sides", [name for name in families if FAMILIES[name].side]),
    ):
        clips = _mean_share(real, names)
        through = _mean_share(result["through"], names) if "through" in result else ""
        chance = f"{sum(real[name]['chance'] for name in names) / len(names):.1%}" if names else "-"
        row = made[key] if made else None
        cells = [f"{row['rate']:.1%}", _percent(*row["interval"])] if row else ["", ""]
        lines.append(f"| {len(names)} {title} | {' | '.join(cells)} | {clips} | {chance} | {through} |")
    return lines


def _share(rates: dict[str, Any]) -> str:
    return f"{rates['passed'] / rates['count']:.0%} ({rates['passed']}/{rates['count']})" if rates["count"] else "-"


def _mean_share(rates: dict[str, Any], names: list[str]) -> str:
    """The mean over the families that have clips, and their number."""
    known = [rates[name] for name in names if rates[name]["count"]]
    return f"{sum(r['passed'] / r['count'] for r in known) / len(known):.1%} ({len(known)})" if known else "-"


def _percent(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f}"


def through_tokenizer(model: str | Path, clips: Sequence[MotionClip]) -> dict[str, RealRates]:
    """`real_rates` of the clips that show a family, after a tokenizer has encoded and decoded them."""
    tokenizer = load_tokenizer(model)
    codec = tokenizer.representation
    clips = [clip for clip in clips if any(family.shown_by(clip) for family in FAMILIES.values())]
    decoded = []
    for clip in tracked(clips, "through the tokenizer", "clips"):
        features = codec.encode(clip.motion.resample(codec.fps).canonicalize())
        (made,), _ = reconstruct(tokenizer, [features])
        decoded.append(clip.replace(motion=codec.decode(made)))
    return real_rates(decoded)


def sampling_options(pairs: list[str]) -> dict[str, Any]:
    """`["guidance_scale=3"]` as keyword arguments.

    Raises:
        ValueError: for what is no `key=value`.
    """
    options = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise ValueError(f"options must be key=value, got {pair!r}")
        options[key] = yaml.safe_load(value)
    return options


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="mini", help="bundled name, pipeline folder or hub id")
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.jsonl")
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="YAML file: family -> two to four prompts")
    parser.add_argument("--samples", type=int, default=10, help="motions for each prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0, help="of every motion; 0 leaves it to the model")
    parser.add_argument(
        "--options", nargs="*", default=[], metavar="KEY=VALUE", help="sampling, as of a pipeline's call"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="motions at a time; changes no result")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("runs/instructions"))
    parser.add_argument("--through", type=Path, metavar="MODEL", help="its tokenizer, for the real clips")
    parser.add_argument("--real-only", action="store_true", help="no model: judge real clips")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    prompts, options, seconds = read_prompts(args.prompts), sampling_options(args.options), args.seconds or None
    clips = load_clips(args.data)
    check_unseen(prompts, [add_captions(clip, load_caption_rules(CAPTIONS)) for clip in clips])
    print("judging real clips", file=sys.stderr)
    result: dict[str, Any] = {"real": {name: asdict(rates) for name, rates in real_rates(clips).items()}}
    if args.through:
        result["through"] = {name: asdict(rates) for name, rates in through_tokenizer(args.through, clips).items()}
    for rates in result["real"].values():
        rates["interval"] = wilson(rates["passed"], rates["count"])
    if not args.real_only:
        pipe = MotionPipeline.from_pretrained(args.model, args.device)
        print(f"generating {args.samples * sum(map(len, prompts.values()))} motions", file=sys.stderr)
        shared = {"seconds": seconds, "num_samples": args.samples, "seed": args.seed, "batch_size": args.batch_size}
        result["generated"] = instruction_check(
            lambda texts: pipe(texts, **shared, **options), prompts, args.samples, args.seed
        )
        result["sampling"] = {**pipeline_defaults(find_pipeline(args.model)), **options}
    result["command"] = command_line("recipes/mini/instruction_check.py", argv)
    result.update(seed=args.seed, samples=args.samples, seconds=seconds, machine=describe_machine(args.device))
    result["version"] = motionmillion.__version__
    args.output.mkdir(parents=True, exist_ok=True)
    write_text(json.dumps(result, indent=1) + "\n", args.output / "results.json")
    write_text(report(result), args.output / "report.md")
    print(report(result))


if __name__ == "__main__":
    try:
        main()
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
