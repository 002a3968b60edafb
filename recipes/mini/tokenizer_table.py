"""The tokenizer table of the model card: reconstruction of whole clips, split by split.

    python recipes/mini/tokenizer_table.py --model mini --data FOLDER --output runs/mini/tokenizer_table

Prints and writes `report.md` and `results.json`. Deterministic: nothing is drawn at random.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from motionmillion.batch import load_tokenizer
from motionmillion.data import load_clips
from motionmillion.data.clips import SPLITS
from motionmillion.eval.reconstruction import evaluate_tokenizer
from motionmillion.io.files import write_text

ROWS = {
    "mpjpe_mm": "MPJPE, root-aligned, position route (mm)",
    "mpjpe_rotations_mm": "MPJPE, root-aligned, rotation route (mm)",
    "pa_mpjpe_mm": "PA-MPJPE (mm)",
    "rotation_degrees": "rotation error, heading included (degrees)",
    "acceleration_error_mm": "acceleration error (mm/frame^2)",
    "excess_acceleration_mm": "excess acceleration over ground truth (mm/frame^2)",
    "acceleration_mm": "acceleration of the ground truth (mm/frame^2)",
    "root_path_m": "pelvis path error (m)",
    "code_usage": "code usage (share of the codebook)",
    "code_perplexity": "code perplexity",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Reconstruction of a tokenizer on a motion set.")
    parser.add_argument("--model", default="mini", help="pipeline or tokenizer: bundled name or folder")
    parser.add_argument("--data", required=True, help="folder of motions")
    parser.add_argument("--output", default="runs/mini/tokenizer_table", help="folder for report.md and results.json")
    options = parser.parse_args()
    try:
        tokenizer = load_tokenizer(options.model)
        clips = load_clips(options.data)
    except ValueError as error:
        sys.exit(f"tokenizer_table: {error}")
    representation = tokenizer.representation
    results: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        members = [clip.motion.canonicalize() for clip in clips if clip.split == split]
        results[split] = evaluate_tokenizer(tokenizer, [representation.encode(motion) for motion in members])
        results[split]["clips"] = len(members)
        results[split]["minutes"] = sum(motion.seconds for motion in members) / 60
    report = table(results)
    print(report)
    folder = Path(options.output)
    write_text(report + "\n", folder / "report.md")
    write_text(json.dumps({"torch": torch.__version__, "splits": results}, indent=2) + "\n", folder / "results.json")


def table(results: dict[str, dict[str, float]]) -> str:
    """Markdown, one column a split."""
    heads = [f"{split} ({r['clips']:.0f} clips, {r['minutes']:.1f} min)" for split, r in results.items()]
    lines = ["| measure | " + " | ".join(heads) + " |", "|---" * (len(results) + 1) + "|"]
    for key, label in ROWS.items():
        lines.append(f"| {label} | " + " | ".join(f"{r[key]:.3g}" for r in results.values()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
