"""How much context should a part of a timeline get from the previous one? A classifier recognises the verbs of both.

    python recipes/mini/transition_check.py --model mini --data FOLDER --output runs/mini/transition_check

Each of ten verbs is followed by four others, 4 s each, for each value of the option `transition`. "First" and "second"
are the fractions of parts that show their verb, according to the classifier of `motionmillion.eval.verbs`, trained on
the real clips of FOLDER; "still the first" is the fraction of second parts that continue the first verb. The
acceleration is the mean over joints and pairs at the border. Writes results.json and report.md.
"""

import argparse
import json
import random
from pathlib import Path

from verb_check import read_prompts

from motionmillion.data import load_clips
from motionmillion.eval.verbs import VERBS, VerbClips
from motionmillion.io.files import write_text
from motionmillion.motion import Motion
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.provenance import describe_machine

TRANSITIONS = (0.1, 0.3, 0.5, 1.0, 2.0, 5.0)
SECONDS = 4.0


def border_acceleration(motion: Motion, frame: int) -> float:
    """Mean second difference of the joints around a frame, millimetres per frame squared."""
    positions = motion.positions()[frame - 3 : frame + 3] * 1000
    return float((positions[2:] - 2 * positions[1:-1] + positions[:-2]).norm(dim=-1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare transitions of timelines.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--data", required=True, help="copy of cmu_text_motion")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="runs/mini/transition_check", help="folder for report.md and results.json")
    options = parser.parse_args()
    classifier = VerbClips(load_clips(options.data)).classifier()
    prompts = {verb: texts[index] for index, (verb, texts) in enumerate(sorted(read_prompts().items()))}
    draw = random.Random(options.seed)
    pairs = [(first, then) for first in VERBS for then in draw.sample([v for v in VERBS if v != first], 4)]
    pipe, rows = CodesPipeline.from_pretrained(options.model), []
    frames = round(SECONDS * pipe.fps)
    for transition in TRANSITIONS:
        parts = [[(prompts[verb], SECONDS) for verb in pair] for pair in pairs]
        motions = [pipe.timeline(each, seed=options.seed, transition=transition)[0] for each in parts]
        first = classifier.predict([motion.slice(0, frames) for motion in motions])
        second = classifier.predict([motion.slice(frames, 2 * frames) for motion in motions])
        rows.append(
            {
                "transition": transition,
                "codes": pipe.overlap(pipe.options({"transition": transition})),
                "first": sum(a == b for a, (b, _) in zip(first, pairs, strict=True)) / len(pairs),
                "second": sum(a == b for a, (_, b) in zip(second, pairs, strict=True)) / len(pairs),
                "still_first": sum(a == b for a, (b, _) in zip(second, pairs, strict=True)) / len(pairs),
                "acceleration": sum(border_acceleration(m, frames) for m in motions) / len(motions),
            }
        )
        print(rows[-1], flush=True)
    lines = [f"{describe_machine('cpu')}; seed {options.seed}, {len(pairs)} timelines of two verbs per row.", ""]
    lines += [
        "| transition s | codes | first | second | still the first | acceleration mm/frame^2 |",
        "|---" * 6 + "|",
    ]
    for row in rows:
        shares = " | ".join(f"{row[name]:.0%}" for name in ("first", "second", "still_first"))
        lines.append(f"| {row['transition']} | {row['codes']} | {shares} | {row['acceleration']:.1f} |")
    write_text("\n".join(lines) + "\n", Path(options.output) / "report.md")
    write_text(json.dumps(rows, indent=2) + "\n", Path(options.output) / "results.json")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
