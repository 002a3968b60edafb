"""Text positions and seconds of real captioned clips, for `motionmillion bench lm --packing`.

    python recipes/bench/lengths.py DATA > motionmillion/bench/lengths.json

DATA is a folder of motions with captions; each of its training clips gives one pair, with one caption sampled with
seed 0. Text is counted in tokens of the bundled model's text encoder.
"""

import json
import random
import sys

from motionmillion.data.clips import load_clips
from motionmillion.text import TextEncoder


def main() -> None:
    draw = random.Random(0)
    tokenizer = TextEncoder().tokenizer
    clips = [clip for clip in load_clips(sys.argv[1]) if clip.split == "train" and clip.captions]
    captions = tokenizer([draw.choice(clip.captions) for clip in clips])["input_ids"]
    pairs = [[len(text), round(clip.motion.seconds, 2)] for text, clip in zip(captions, clips, strict=True)]
    json.dump({"pairs": "text positions and seconds of a clip", "clips": len(pairs), "lengths": pairs}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
