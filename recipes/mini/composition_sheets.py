"""One contact sheet for each way to make further training data from clips.

python recipes/mini/composition_sheets.py --data PATH/TO/cmu_text_motion --output docs/results/composition

Sheets: joined, overlaid, reversed, mirrored, settled (moments that come to rest) and described. A row is a clip that
was made, with its caption above it; rows of "described" are clips of the data with a sentence measured on them.
"""

import argparse
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from motionmillion.data.augment import mirror_clip
from motionmillion.data.clips import ClipReader, MotionClip, list_clips
from motionmillion.data.composition import join_clips, overlay_clips, reverse_clip
from motionmillion.data.composition.moments import cut_moment, find_moments
from motionmillion.data.composition.settling import find_stills
from motionmillion.data.describing import describe_motion

TRIES = 600
CLIPS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description="Contact sheets of composed clips.")
    parser.add_argument("--data", type=Path, required=True, help="folder of motions with captions")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2, help="clips of a sheet")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(options.seed)
    clips = draw_clips(options.data, generator)

    def draw() -> MotionClip:
        return clips[int(torch.randint(len(clips), (1,), generator=generator))]

    stills = [still for clip in clips for still in find_stills(clip.motion)]

    def moment() -> MotionClip | str:
        clip = draw()
        found = [window for window in find_moments(clip.motion, generator) if window.settles]
        return cut_moment(clip, found[0], generator, 1, stills) if found else "no action of its own"

    def mirrored() -> MotionClip | str:
        clip = draw()
        sided = [text for text in clip.captions if {"left", "right"} & set(text.split())]
        return mirror_clip(clip.replace(captions=tuple(sided[:1]))) if sided else "no side in its captions"

    def described() -> MotionClip | str:
        clip = draw()
        sentences = describe_motion(clip.motion, generator, 1)
        return clip.replace(captions=tuple(sentences)) if sentences else "nothing to say"

    kinds: dict[str, Callable[[], MotionClip | str]] = {
        "joined": lambda: join_clips([draw(), draw()], generator),
        "overlaid": lambda: overlay_clips(draw(), draw(), generator),
        "reversed": lambda: reverse_clip(draw()),
        "mirrored": mirrored,
        "settled": moment,
        "described": described,
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
        caption = textwrap.shorten(clip.captions[0], 230)
        ImageDraw.Draw(row).text((8, 4), caption, fill="black", font_size=16)
        rows.append(row)
    page = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    page = page.resize((page.width * 2 // 3, page.height * 2 // 3))
    page.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(path, optimize=True)


if __name__ == "__main__":
    main()
