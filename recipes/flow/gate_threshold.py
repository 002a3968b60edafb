"""From which similarity on does a motion show a text? The threshold of the gate's own judge.

    python recipes/flow/gate_threshold.py --data PATH/TO/cmu_text_motion

Every clip of the split val is held against all its captions, and against all captions of other categories. Of the
thresholds whose mean of the two shares of right answers is within a percentage point of the best, the strictest is
chosen, because a wrong reference does more harm than a missing one; it is measured anew on the split test. The clips
of the split train would flatter it: the bundled evaluator was trained on them. Also printed: how many real clips pass
the gate's threshold of jitter.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from torch.nn.functional import normalize

from motionmillion.data import MotionClip, load_clips
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.physics import physics_measures
from motionmillion.gating import JITTER

THRESHOLDS = np.round(np.arange(0.0, 0.80001, 0.05), 2)


def similarities(evaluator: TextMotionEvaluator, clips: Sequence[MotionClip]) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of clips with captions of their own, and with those of clips of other categories."""
    motions = normalize(evaluator.embed_motions([clip.motion for clip in clips]).double(), dim=-1)
    captions = [(text, number) for number, clip in enumerate(clips) for text in dict.fromkeys(clip.captions)]
    texts = normalize(evaluator.embed_texts([text for text, _ in captions]).double(), dim=-1)
    cosines = (motions @ texts.T).numpy()  # [clips, captions]
    own = np.array([[number == clip for _, number in captions] for clip in range(len(clips))])
    categories = [clip.category for clip in clips]
    foreign = np.array([[categories[number] != category for _, number in captions] for category in categories])
    return cosines[own], cosines[foreign]


def shares(own: np.ndarray, foreign: np.ndarray, threshold: float) -> tuple[float, float]:
    """Shares of own captions that pass, and of foreign ones that do not."""
    return float((own >= threshold).mean()), float((foreign < threshold).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of real motion with captions")
    args = parser.parse_args()
    evaluator = TextMotionEvaluator.from_pretrained("mini")
    clips = {split: [c for c in load_clips(args.data, [split]) if c.captions] for split in ("val", "test")}
    found = {split: similarities(evaluator, own) for split, own in clips.items()}
    print("| similarity | val: own pass | val: foreign do not | test: own pass | test: foreign do not |")
    print("|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        row = [f"{share:.3f}" for split in ("val", "test") for share in shares(*found[split], threshold)]
        print(f"| {threshold:.2f} | {' | '.join(row)} |")
    means = np.array([sum(shares(*found["val"], threshold)) / 2 for threshold in THRESHOLDS])
    best = THRESHOLDS[means >= means.max() - 0.01].max()
    for split, (own, foreign) in found.items():
        area = float((np.sort(foreign).searchsorted(own) / len(foreign)).mean())
        mean = sum(shares(own, foreign, best)) / 2
        print(f"{split}: {len(own)} own, {len(foreign)} foreign; right at {best:.2f}: {mean:.3f}; area {area:.3f}")
    for split, own in clips.items():
        measures = physics_measures([c.motion.positions() for c in own], fps=[c.motion.fps for c in own])
        smooth = float((measures["jitter_degree"] < JITTER).double().mean())
        print(f"{split}: {smooth:.3f} of {len(own)} clips jitter less than {JITTER}")


if __name__ == "__main__":
    main()
