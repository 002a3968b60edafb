"""Above which similarity does a motion count as showing a text? The threshold of the gate's own judge.

    python recipes/flow/gate_threshold.py --data PATH/TO/cmu_text_motion

Every clip of the split val is compared with all its captions, and with all captions of other categories. Among the
thresholds whose balanced accuracy is within a percentage point of the best, the strictest is chosen, because a wrong
reference does more harm than a missing one; it is then measured on the split test. The split train would give too good
a result: the bundled evaluator was trained on it. Also measured: how many real clips pass the gate's threshold of
jitter. Results: `flow_gate_threshold.json` and a section of `flow.md`, in docs/results.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measures import RESULTS, about, write_results
from torch.nn.functional import normalize

from motionmillion.data import MotionClip, load_clips
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.physics import physics_measures
from motionmillion.pipeline.dit.gate import JITTER

THRESHOLDS = np.round(np.arange(0.0, 0.80001, 0.05), 2)


def similarities(evaluator: TextMotionEvaluator, clips: Sequence[MotionClip]) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarities of clips with their own captions, and with captions of clips of other categories."""
    motions = normalize(evaluator.embed_motions([clip.motion for clip in clips]).double(), dim=-1)
    captions = [(text, number) for number, clip in enumerate(clips) for text in dict.fromkeys(clip.captions)]
    texts = normalize(evaluator.embed_texts([text for text, _ in captions]).double(), dim=-1)
    cosines = (motions @ texts.T).numpy()  # [clips, captions]
    own = np.array([[number == clip for _, number in captions] for clip in range(len(clips))])
    categories = [clip.category for clip in clips]
    foreign = np.array([[categories[number] != category for _, number in captions] for category in categories])
    return cosines[own], cosines[foreign]


def shares(own: np.ndarray, foreign: np.ndarray, threshold: float) -> tuple[float, float]:
    """Fractions of own captions that are accepted and of foreign ones that are rejected."""
    return float((own >= threshold).mean()), float((foreign < threshold).mean())


def measured(found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Fractions at every threshold, the chosen threshold, and the area under the ROC curve."""
    rows = {f"{t:.2f}": {split: shares(*own, t) for split, own in found.items()} for t in THRESHOLDS}
    means = np.array([sum(row["val"]) / 2 for row in rows.values()])
    best = float(THRESHOLDS[means >= means.max() - 0.01].max())
    areas = {split: float((np.sort(no).searchsorted(yes) / len(no)).mean()) for split, (yes, no) in found.items()}
    counts = {split: [len(own), len(foreign)] for split, (own, foreign) in found.items()}
    return {"rows": rows, "chosen": best, "area": areas, "captions": counts}


def smooth(clips: Sequence[MotionClip]) -> float:
    """Fraction of clips below the gate's threshold of jitter."""
    motions = [clip.motion for clip in clips]
    measures = physics_measures([m.positions() for m in motions], fps=[m.fps for m in motions])
    return float((measures["jitter_degree"] < JITTER).double().mean())


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["## Thresholds of the gate", "", f"    {result['command']}", "", result["machine"], ""]
    lines += [
        "| similarity | val: own accepted | val: foreign rejected | test: own accepted | test: foreign rejected |"
    ]
    lines += ["|---|---|---|---|---|"]
    for threshold, row in result["rows"].items():
        mark = " (chosen)" if float(threshold) == result["chosen"] else ""
        figures = " | ".join(f"{share:.3f}" for split in ("val", "test") for share in row[split])
        lines.append(f"| {threshold}{mark} | {figures} |")
    lines.append("")
    for split, (own, foreign) in result["captions"].items():
        words = f"{split}: {own} own captions, {foreign} foreign; area under the curve {result['area'][split]:.3f}; "
        lines.append(f"- {words}{result['smooth'][split]:.3f} of the clips have jitter below {JITTER * 1000:g} mm.")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder of real motion with captions")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of flow_gate_threshold.json and flow.md")
    args = parser.parse_args(argv)
    evaluator = TextMotionEvaluator.from_pretrained("mini")
    clips = {split: [c for c in load_clips(args.data, [split]) if c.captions] for split in ("val", "test")}
    result = about("gate_threshold.py", argv)
    result |= measured({split: similarities(evaluator, own) for split, own in clips.items()})
    result |= {"smooth": {split: smooth(own) for split, own in clips.items()}}
    write_results("gate_threshold", result, report(result), args.results)
    print(report(result))


if __name__ == "__main__":
    main()
