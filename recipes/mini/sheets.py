"""The pictures of the README and of the guide to editing, from the bundled models.

python recipes/mini/sheets.py --output recipes/mini
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from motionmillion import Motion, MotionPipeline

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
WALK = "a person walks forward"
EDITS = (
    ("a person waves with the left hand", {"joints": ["left_arm"]}),
    ("a person squats", {"frames": (30, 100), "keep_place": False}),
)
"""Prompts and what is made anew of `WALK`, 4 s at 30 frames per second."""


def page(motions: Iterable[Motion], path: Path) -> None:
    """A picture of six moments of each motion, one motion a row."""
    from PIL import Image

    strips = []
    with tempfile.TemporaryDirectory() as folder:
        for motion in motions:
            with Image.open(motion.save(Path(folder) / "strip.png", columns=6, rows=1)) as strip:
                strips.append(strip.convert("RGB"))
    whole = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    whole = whole.resize((whole.width * 2 // 3, whole.height * 2 // 3)).quantize(256, dither=Image.Dither.NONE)
    whole.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Contact sheets of generated motions.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--dit", default="mini-dit")
    parser.add_argument("--output", type=Path, default=Path("recipes/mini"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pipe, dit = MotionPipeline.from_pretrained(options.model), MotionPipeline.from_pretrained(options.dit)
    pipe([WAVE], seconds=4, seed=options.seed)[0].save(options.output / "wave.png", columns=6, rows=1)
    page(pipe(list(VERBS), seconds=4, seed=options.seed), options.output / "verbs.png")
    walk = pipe(WALK, seconds=4, seed=options.seed)[0]
    edited = [dit.edit(walk, prompt, seed=options.seed, **what) for prompt, what in EDITS]
    page([walk, *edited], options.output / "edit.png")


if __name__ == "__main__":
    main()
