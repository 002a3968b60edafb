"""Does an evaluator retrieve the caption of an unseen motion? Held-out retrieval compared with chance level.

    python recipes/evaluator/held_out.py --data cmu_text_motion --evaluator mini -o runs/evaluator/held_out

Real clips of the splits val and test, with their own captions and with captions shuffled among the clips. Batches
of 32 as published, top 1 to 3, averaged over draws of captions and batches; the 95 % intervals are bootstrapped over
takes. Results are counted in two ways: as published, and with identical captions not counted as wrong, because many
clips of these data are "a person walks".
"""

import argparse
from pathlib import Path

import torch

from motionmillion.data import load_clips
from motionmillion.eval.distribution import bootstrap, r_precision
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.eval.results import Estimate
from motionmillion.eval.suites.clips import clip_id, clips_suite
from motionmillion.io.files import write_text

BATCH, DRAWS = 32, 20


def captions(clips: list, seed: int) -> list[str]:
    """One caption per clip, drawn like those of the suite `text-to-motion`."""
    texts = {
        prompt.id: prompt.text
        for split in ("val", "test")
        if any(clip.split == split for clip in clips)
        for prompt in clips_suite(clips, split, seed).prompts
    }
    return [texts[clip_id(clip.name)] for clip in clips]


Draws = list[tuple[list[str], torch.Tensor]]
"""Captions of all clips with their embeddings, drawn several times."""


def shuffled(draws: Draws) -> Draws:
    """The same with the captions of all clips in another order."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for texts, points in draws:
        order = torch.randperm(len(texts), generator=generator)
        found.append(([texts[index] for index in order.tolist()], points[order]))
    return found


def precision(draws: Draws, clips, motions, merged: bool, resamples: int) -> dict[int, Estimate]:
    """R-precision with intervals.

    Args:
        merged: identical captions do not count as wrong.
    """

    def measure(rows: torch.Tensor) -> dict[int, float]:
        found = []
        for seed, (texts, points) in enumerate(draws):
            groups = [texts[row] for row in rows] if merged else rows
            found.append(r_precision(points[rows], motions[rows], BATCH, seed, groups))
        return {k: sum(each[k] for each in found) / len(found) for k in found[0]}

    return bootstrap(measure, [clip.take for clip in clips], resamples, 0, (0.0, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of captioned motion")
    parser.add_argument("--evaluator", default="mini")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for held_out.md")
    args = parser.parse_args()
    clips = [clip for clip in load_clips(args.data, ["val", "test"]) if clip.captions]
    evaluator = TextMotionEvaluator.from_pretrained(args.evaluator)
    motions = evaluator.embed_motions([clip.motion for clip in clips])
    lines = ["| captions | counted | R@1 | R@2 | R@3 |", "|---|---|---|---|---|"]
    texts = [captions(clips, seed) for seed in range(DRAWS)]
    own = [(drawn, evaluator.embed_texts(drawn)) for drawn in texts]
    for name, draws in (("own", own), ("shuffled", shuffled(own))):
        for merged in (False, True):
            found = precision(draws, clips, motions, merged, args.resamples)
            cells = [f"{e.mean:.3f} ({e.low:.3f} to {e.high:.3f})" for e in found.values()]
            way = "equal texts merged" if merged else "as published"
            lines.append(f"| {name} | {way} | {' | '.join(cells)} |")
    lines.append(f"| chance | | {' | '.join(f'{k / BATCH:.3f}' for k in (1, 2, 3))} |")
    takes = len({clip.take for clip in clips})
    head = f"{len(clips)} clips of {takes} takes, {DRAWS} draws; evaluator {evaluator.weights_sha256()[:12]}."
    table = "\n".join([head, "", *lines])
    print(table)
    print(write_text(table + "\n", args.output / "held_out.md"))


if __name__ == "__main__":
    main()
