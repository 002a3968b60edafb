"""A generated walk in Blender, opened from every format: what Blender measures, and one picture of all.

    python recipes/files/blender_pictures.py --output docs/blender.png

Needs the extras `demo` and `usd`, and Blender on the PATH or its package bpy. Files are opened as docs/python.md says.
Prints a table in Markdown; the files themselves are written to a temporary folder.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from motionmillion import Motion, MotionPipeline
from motionmillion.io.fbx import blender_command
from motionmillion.io.skinned.bodies import load_body

SCRIPT = Path(__file__).with_name("blender_open.py")
FORMATS = (".glb", ".fbx", ".usdc", ".bvh")


def expected(motion: Motion, suffix: str) -> dict[str, float]:
    """What Blender should measure: height of the joints, seconds, and the way of the pelvis, Blender's axes."""
    motion = motion if suffix == ".bvh" else load_body("human", motion.skeleton).dress(motion)
    points = motion.positions().numpy()
    way = points[-1, 0] - points[0, 0]
    height = float(np.ptp(points[0, :, 1]))
    return {"height": height, "seconds": motion.seconds, "x": float(way[0]), "y": float(-way[2])}


def main() -> None:
    parser = argparse.ArgumentParser(description="A generated walk in Blender, opened from every format.")
    parser.add_argument("--output", type=Path, required=True, help="picture to write, .png")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    walk = MotionPipeline.from_pretrained(options.model)("a person walks forward", seconds=4, seed=options.seed)[0]
    walk = walk.repaired()
    print(
        "| file | height in Blender (ours) | seconds | walked to x, y (ours) | speed (ours) |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            file = walk.save(Path(folder) / f"walk{suffix}")
            picture = Path(folder) / f"{suffix[1:]}.png"
            command = [*blender_command(SCRIPT), str(file), str(picture), repr(walk.fps)]
            read = {"encoding": "utf-8", "errors": "replace", "stdin": subprocess.DEVNULL}
            done = subprocess.run(command, capture_output=True, **read)
            lines = [line for line in done.stdout.splitlines() if line.startswith("measured ")]
            if done.returncode or not lines:
                raise SystemExit(f"Blender must open {file.name}, got: {(done.stderr or done.stdout).strip()[-400:]}")
            seen, ours = json.loads(lines[0].removeprefix("measured ")), expected(walk, suffix)
            x, y, _ = seen["way"]
            speed, own = np.hypot(x, y) / seen["seconds"], np.hypot(ours["x"], ours["y"]) / ours["seconds"]
            print(
                f"| `{suffix}` | {seen['height']:.3f} m ({ours['height']:.3f}) | {seen['seconds']:.2f} "
                f"({ours['seconds']:.2f}) | {x:+.2f}, {y:+.2f} m ({ours['x']:+.2f}, {ours['y']:+.2f}) | "
                f"{speed:.2f} m/s ({own:.2f}) |"
            )
        write_page([Path(folder) / f"{suffix[1:]}.png" for suffix in FORMATS], options.output)


def write_page(pictures: list[Path], output: Path) -> None:
    """Put pictures of one size side by side in two columns, with the formats written on them."""
    from PIL import Image, ImageDraw, ImageFont

    opened = [Image.open(picture).convert("RGB") for picture in pictures]
    width, height = opened[0].size
    page = Image.new("RGB", (2 * width + 4, -(-len(opened) // 2) * (height + 4) - 4), "white")
    draw = ImageDraw.Draw(page)
    for number, (picture, path) in enumerate(zip(opened, pictures, strict=True)):
        x, y = number % 2 * (width + 4), number // 2 * (height + 4)
        page.paste(picture, (x, y))
        draw.text((x + 12, y + 8), f".{path.stem}", fill=(30, 32, 40), font=ImageFont.load_default(20))
    page.quantize(256, dither=Image.Dither.NONE).save(output, optimize=True)


if __name__ == "__main__":
    main()
