"""One contact sheet for each way to compose clips: joined, overlaid, reversed.

python recipes/mini/composition_sheets.py --data PATH/TO/cmu_text_motion --output sheets --seed 0
"""

import argparse
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from motionmillion.data.clips import ClipReader, MotionClip, list_clips
from motionmillion.data.composition import join_clips, overlay_clips, reverse_clip

TRIES = 600
CLIPS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description="Contact sheets of composed clips.")
    parser.add_argument("--data", type=Path, required=True, help="folder of motions with captions")
    parser.add_argument("--output", type=Path, required=True, help="folder for joined.png, overlaid.png, reversed.png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=6, help="clips of a sheet")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(options.seed)
    clips = draw_clips(options.data, generator)

    def draw() -> MotionClip:
        return clips[int(torch.randint(len(clips), (1,), generator=generator))]

    kinds: dict[str, Callable[[], MotionClip | str]] = {
        "joined": lambda: join_clips([draw(), draw()], generator),
        "overlaid": lambda: overlay_clips(draw(), draw(), generator),
        "reversed": lambda: reverse_clip(draw()),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, make in kinds.items():
        made: list[MotionClip] = []
        reasons: Counter[str] = Counter()
        for _ in range(TRIES):
            clip = make()
            if isinstance(clip, str):
                reasons[clip] += 1
            else:
                made.append(clip)
            if len(made) == options.rows:
                break
        print(f"{name}: {len(made)} made, not made: {dict(reasons.most_common())}")
        if made:
            write_sheet(made, options.output / f"{name}.png")


def draw_clips(folder: Path, generator: torch.Generator) -> list[MotionClip]:
    """Some clips of the training split, read in the order of the disk."""
    records, reader = list_clips(folder, ("train",)), ClipReader(folder)
    drawn = torch.randperm(len(records), generator=generator)[:CLIPS].sort().values
    return [reader(records[number]) for number in drawn.tolist()]


def write_sheet(clips: list[MotionClip], path: Path) -> None:
    """A row of pictures for each clip, its first caption above it."""
    from PIL import Image, ImageDraw

    rows = []
    for clip in clips:
        clip.motion.replace(caption="").save(path, columns=8, rows=1)
        with Image.open(path) as strip:
            row = Image.new("RGB", (strip.width, strip.height + 24), "white")
            row.paste(strip.convert("RGB"), (0, 24))
        caption = textwrap.shorten(clip.captions[0], 150)
        ImageDraw.Draw(row).text((8, 4), caption, fill="black", font_size=16)
        rows.append(row)
    page = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    page.resize((page.width * 2 // 3, page.height * 2 // 3)).save(path, optimize=True)


if __name__ == "__main__":
    main()
