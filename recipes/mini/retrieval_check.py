"""Are motions that were generated for captions of a source found again by them, as often as the real clips are?

    python recipes/mini/retrieval_check.py --model mini --data cmu_text_motion --split test --source watched

One caption of the source for each clip of the split; R-precision in batches of 32 by an evaluator that has not seen
the split. Intervals: bootstrap over takes.
"""

import argparse
import random

from motionmillion import MotionPipeline
from motionmillion.data import load_clips
from motionmillion.eval.distribution import r_precision
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.statistics.intervals import bootstrap
from motionmillion.progress import shown

BATCH, PART = 32, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--evaluator", default="mini")
    parser.add_argument("--data", required=True, help="folder of captioned motion")
    parser.add_argument("--split", default="test")
    parser.add_argument("--source", default="watched", help="source of the captions, such as watched or kinematic")
    parser.add_argument("--seed", type=int, default=0, help="of the captions and motions")
    options = parser.parse_args()
    draw, clips, texts = random.Random(options.seed), [], []
    for clip in load_clips(options.data, [options.split]):
        own = [text for text, source in zip(clip.captions, clip.sources, strict=False) if source == options.source]
        if own:
            clips.append(clip)
            texts.append(draw.choice(own))
    if len(clips) < BATCH:
        parser.error(f"--source must name the source of captions of at least {BATCH} clips, got {len(clips)}")
    evaluator, pipe = (
        TextMotionEvaluator.from_pretrained(options.evaluator),
        MotionPipeline.from_pretrained(options.model),
    )
    with shown():
        made = pipe(texts, seed=options.seed, batch_size=PART)
    points, takes = evaluator.embed_texts(texts), [clip.take for clip in clips]
    print(f"{len(clips)} clips of {len(set(takes))} takes; evaluator {evaluator.weights_sha256()[:12]}.\n")
    print("| motions | R@1 | R@2 | R@3 |\n|---|---|---|---|")
    for name, motions in (("real clips", [clip.motion for clip in clips]), (options.model, made)):
        embedded = evaluator.embed_motions(motions)

        def measure(rows, motions=embedded):
            return r_precision(points[rows], motions[rows], BATCH, options.seed, [texts[row] for row in rows])

        found = bootstrap(measure, takes, 200, 0, (0.0, 1.0))
        print(f"| {name} | {' | '.join(f'{e.mean:.3f} ({e.low:.3f} to {e.high:.3f})' for e in found.values())} |")


if __name__ == "__main__":
    main()
