"""The pictures of the README, from the bundled model.

python recipes/mini/sheets.py --model mini --output recipes/mini
"""

import argparse
from pathlib import Path

from motionmillion import MotionPipeline

WAVE = "a person waves with the right hand"
VERBS = (
    "a person walks forward",
    "someone runs",
    "a person jumps up",
    "a person kicks a ball",
    "a boxer punches",
    "someone takes a seat",
    "a person climbs",
    "someone dances salsa",
)


def main() -> None:
    from PIL import Image

    parser = argparse.ArgumentParser(description="Contact sheets of generated motions.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--output", type=Path, default=Path("recipes/mini"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pipe = MotionPipeline.from_pretrained(options.model)
    pipe([WAVE], seconds=4, seed=options.seed)[0].save(options.output / "wave.png", columns=6, rows=1)
    strips = []
    for number, motion in enumerate(pipe(list(VERBS), seconds=4, seed=options.seed)):
        path = motion.save(options.output / f"strip-{number}.png", columns=6, rows=1)
        with Image.open(path) as strip:
            strips.append(strip.convert("RGB"))
        path.unlink()
    page = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    page = page.resize((page.width * 2 // 3, page.height * 2 // 3)).quantize(256, dither=Image.Dither.NONE)
    page.save(options.output / "verbs.png", optimize=True)


if __name__ == "__main__":
    main()
