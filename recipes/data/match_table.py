"""How well `motionmillion data match` tells captions that fit from captions of other clips.

    python recipes/data/match_table.py --data PATH/TO/cmu_text_motion --split test --clips 150

Clips of a split that the evaluator was not trained on, evenly spread, each with its own captions and with those of the
clip half of the list away, unless both have one description. Prints a table of what is kept of both.
"""

import argparse
import random
from pathlib import Path

import numpy as np

from motionmillion.curation.match import Matcher
from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.eval.evaluator import TextMotionEvaluator, find_evaluator

LIMITS = (50, 60, 70, 80, 90, 95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=150)
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--evaluator", default="mini")
    args = parser.parse_args()
    records = [record for record in list_clips(args.data, (args.split,)) if record.captions]
    records, read = records[:: max(len(records) // args.clips, 1)][: args.clips], ClipReader(args.data)
    clips = [read(record) for record in records]
    others = [record for record in list_clips(args.data, ("train",)) if record.captions]
    draw = random.Random(0)
    texts = [draw.choice(record.captions) for record in draw.sample(others, min(args.texts, len(others)))]
    matcher = Matcher(TextMotionEvaluator.from_pretrained(find_evaluator(args.evaluator)), texts)
    motions, half = [clip.motion for clip in clips], len(clips) // 2
    swapped = [clips[(row + half) % len(clips)] for row in range(len(clips))]
    differ = np.array([one.description != two.description for one, two in zip(clips, swapped, strict=True)])
    right = np.array(matcher.percents(motions, [clip.captions for clip in clips]))
    wrong = np.array(matcher.percents(motions, [clip.captions for clip in swapped]))[differ]
    area = (right[:, None] > wrong).mean() + (right[:, None] == wrong).mean() / 2
    print(
        f"{len(right)} clips with captions of their own, {len(wrong)} with others; area under the curve {area:.3f}\n"
    )
    print("\n| kept from | own captions kept | other captions kept |\n|---|---|---|")
    for limit in LIMITS:
        print(f"| {limit} % | {(right >= limit).mean():.1%} | {(wrong >= limit).mean():.1%} |")


if __name__ == "__main__":
    main()
