"""Tables of an ablation: every run measured on the test split, then means over seeds.

    python recipes/tokenizer/ablation_table.py --data FOLDER [FOLDER ...] --output runs/tokenizer/ablation

Measures each `<output>/<group>/<variant>/<seed>/final` once (stored in `test.json` next to it), then prints and writes
`table.md` and `table.json`. The value after "+-" is half of the 95 % t interval over seeds; a single seed has none.
The last columns compare the excess acceleration with that of the variants none and rearrange of the group front_end.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

from motionmillion.data.clips import MotionClip, load_clips
from motionmillion.eval.statistics.repeats import half_width
from motionmillion.eval.suites.tokenizer.report import tokenizer_report
from motionmillion.io.files import write_text
from motionmillion.pipeline.folder import load_tokenizer
from motionmillion.training.recipe import load_yaml

COLUMNS = {
    "mpjpe_mm": "MPJPE",
    "pa_mpjpe_mm": "PA-MPJPE",
    "rotation_degrees": "rotation",
    "acceleration_error_mm": "acceleration error",
    "excess_acceleration_mm": "excess acceleration",
    "excess_jerk_mm": "excess jerk",
    "reconstructed_foot_sliding_mm": "foot sliding",
    "usage": "code usage",
    "perplexity": "perplexity",
}
TRUTH = {"acceleration_mm": "acceleration", "jerk_mm": "jerk", "foot_sliding_mm": "foot sliding"}
Summary = dict[str, tuple[float, float | None]]  # mean and half of the 95 % interval by measure


def measure(run: Path, datasets: dict[str, list[MotionClip]]) -> dict[str, float]:
    """Measures of one run on the test split, read from its `test.json` if it exists."""
    file = run / "test.json"
    if not file.exists():
        report = tokenizer_report(load_tokenizer(run / "final"), datasets, resamples=1)
        write_text(json.dumps({**report.overall.mean, **(report.overall.codes or {})}, indent=2) + "\n", file)
    return json.loads(file.read_text(encoding="utf-8"))


def summarise(runs: list[dict[str, float]]) -> Summary:
    """Mean and half of the 95 % interval over seeds of every measure."""
    summary = {}
    for key in runs[0]:
        values = [run[key] for run in runs]
        summary[key] = (statistics.fmean(values), half_width(values))
    return summary


def table(group: str, variants: dict[str, tuple[int, Summary]], controls: dict[str, Summary]) -> str:
    """Markdown of one group, one row per variant; excess acceleration is also compared with the controls."""
    heads = ["variant", "seeds", *COLUMNS.values(), *(f"excess against {name}" for name in controls)]
    lines = [f"### {group}", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, (seeds, summary) in variants.items():
        cells = [name, str(seeds)]
        for key in COLUMNS:
            mean, half = summary.get(key, (math.nan, None))
            cells.append(f"{mean:.3g}" if half is None else f"{mean:.3g} +- {half:.2g}")
        excess = summary["excess_acceleration_mm"][0]
        for control in controls.values():
            ratio = excess / control["excess_acceleration_mm"][0] - 1
            cells.append(f"{ratio:+.0%}" if excess > 0 else "smoother than truth")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of an ablation.")
    parser.add_argument("--data", nargs="+", required=True, help="folders of motions; their test split is measured")
    parser.add_argument("--config", default=str(Path(__file__).with_name("ablation.yaml")), help="the variants")
    parser.add_argument("--output", default="runs/tokenizer/ablation", help="folder of the runs")
    options = parser.parse_args()
    folder = Path(options.output)
    order = [(group, name) for group, own in load_yaml(options.config)["groups"].items() for name in own]
    found = [run.parent for pair in order for run in sorted(folder.glob("/".join((*pair, "*", "run.json"))))]
    if not found:
        sys.exit(f"ablation_table: output must hold finished runs, got none in {str(folder)!r}; run ablation.py first")
    try:
        datasets = {Path(data).name: load_clips(data, ["test"]) for data in options.data}
    except ValueError as error:
        sys.exit(f"ablation_table: {error}")
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    for run in found:
        group, variant = run.parts[-3:-1]
        runs.setdefault(group, {}).setdefault(variant, []).append(measure(run, datasets))
    results = {group: {v: (len(r), summarise(r)) for v, r in own.items()} for group, own in runs.items()}
    plain = results.get("front_end", {})
    controls = {name: plain[name][1] for name in ("none", "rearrange") if name in plain}
    first = next(iter(next(iter(runs.values())).values()))[0]
    clips = sum(map(len, datasets.values()))
    units = "Units: mm, degrees, mm/frame^2, mm/frame^3; foot sliding in mm per 1/20 s"
    truth = ", ".join(f"{name} {first[key]:.3g}" for key, name in TRUTH.items())
    lines = [f"Test split: {clips} clips. {units}. Ground truth: {truth}."]
    text = "\n\n".join(lines + [table(group, own, controls) for group, own in results.items()])
    print(text)
    write_text(text + "\n", folder / "table.md")
    write_text(json.dumps(runs, indent=2) + "\n", folder / "table.json")


if __name__ == "__main__":
    main()
