"""The tables of `proof.sh`: what a filter left out, and what that changed in tokenizers and language models.

    python recipes/data/proof_table.py runs/data/proof --seeds 0 1 2

For each measure: mean over the seeds with all clips and with the filtered ones, and the mean difference of the pairs
with one seed, with Student's 95 % interval over the seeds. Both are scored on the same clips, test clips that pass the
filter. Writes `proof.md` into the folder and prints it.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.eval.results import EVERYTHING, Results
from motionmillion.eval.statistics.repeats import half_width
from motionmillion.io.files import write_text
from motionmillion.provenance import describe_machine

SETS = ("all", "good")
SUITES = {
    "tokenizer": {
        "mpjpe_mm": "MPJPE, mm",
        "pa_mpjpe_mm": "PA-MPJPE, mm",
        "excess_acceleration_mm": "excess acceleration, mm/frame²",
        "reconstructed_foot_sliding_mm": "foot sliding after, mm per 1/20 s",
        "perplexity": "code perplexity",
    },
    "lm": {
        "r_precision_top1": "R@1 of 32",
        "matching_distance": "MM-Dist",
        "frechet_distance": "FID",
        "diversity": "diversity",
        "jitter_degree": "jitter",
        "dynamic_degree": "dynamic degree",
        "foot_sliding": "foot sliding",
        "ground_penetration": "ground penetration",
    },
}


def values_of(folder: Path, suite: str) -> dict[str, float]:
    """The means over all clips in the results of a suite."""
    results = Results.load(folder / f"{suite}_test")
    group = next(each for each in results.groups if each.name == EVERYTHING)
    return {key: estimate.mean for key, estimate in group.values.items()}


def data_table(facts: Mapping[str, Any], faults: Mapping[str, int]) -> list[str]:
    """What is in both sets, and why clips were left out."""
    lines = ["| | all | filtered |", "|---|---|---|"]
    rows = {
        "clips": lambda own: f"{own['clips']:,} ({', '.join(f'{n:,} {s}' for s, n in own['splits'].items())})",
        "hours": lambda own: f"{own['hours']:.2f}",
        "texts": lambda own: f"{own['captions']['texts']:,}",
        "jerk, m/s³: mean, 95 %": lambda own: f"{own['quality']['jerk']['mean']:g}, {own['quality']['jerk']['95%']:g}",
        "sliding, m/s: mean, 95 %": lambda own: (
            f"{own['quality']['sliding']['mean']:g}, {own['quality']['sliding']['95%']:g}"
        ),
        "findings of the audit": lambda own: str(sum(own["findings"].values())),
    }
    lines += [f"| {name} | " + " | ".join(say(facts[which]) for which in SETS) + " |" for name, say in rows.items()]
    return [*lines, "", "Left out: " + ", ".join(f"{count:,} {reason}" for reason, count in faults.items()) + "."]


def score_table(folder: Path, seeds: list[int]) -> list[str]:
    """Scores of both sets, and their differences."""
    lines = ["| model | measure | all | filtered | difference | 95 % over seeds |", "|---|---|---|---|---|---|"]
    for suite, measures in SUITES.items():
        found = {which: [values_of(folder / f"{which}-{seed}", suite) for seed in seeds] for which in SETS}
        for key, label in measures.items():
            if key not in found["all"][0]:
                continue
            own = {which: np.array([values[key] for values in found[which]]) for which in SETS}
            apart = own["good"] - own["all"]
            width = half_width(apart)
            half = float("nan") if width is None else width
            lines.append(
                f"| {suite} | {label} | {own['all'].mean():.4g} | {own['good'].mean():.4g} | {apart.mean():+.3g} | "
                f"{apart.mean() - half:+.3g} to {apart.mean() + half:+.3g} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    facts = {which: json.loads((args.folder / f"{which}.json").read_text(encoding="utf-8")) for which in SETS}
    faults = json.loads((args.folder / "good/dataset.json").read_text(encoding="utf-8"))["faults"]
    lines = [*data_table(facts, faults), "", *score_table(args.folder, args.seeds), ""]
    lines += [f"Seeds {', '.join(map(str, args.seeds))}; {describe_machine('cpu')}."]
    write_text("\n".join(lines) + "\n", args.folder / "proof.md")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
