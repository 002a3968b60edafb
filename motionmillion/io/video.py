"""Rendering of motions: `.mp4` videos and `.png` contact sheets.

    write_mp4(motion, "wave.mp4", size=(720, 720))
    write_png(motion, "wave.png", columns=6, rows=2)
    for picture in draw_frames(motion.resample(5), size=(384, 384)):      # the same images without a file
        picture.show()

Needs Pillow, and imageio-ffmpeg for video: `pip install "motionmillion[demo]"`.
Unusual: no window and no GPU; the camera follows the body over a floor of 1 m squares at a constant height, so that
jumps are visible. The mannequin's left side has warm colours, its right side cool ones.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.actors import make_actor
from motionmillion.io.files import atomic_path
from motionmillion.io.render import Camera, draw_scene, optional_package
from motionmillion.motion import Motion
from motionmillion.progress import tracked

_INK, _FAINT, _PAPER = (40, 43, 54), (120, 124, 138), (255, 255, 255)
_MAX_SIDE = 4096
_MAX_CELLS = 240
_WORKERS = 8


def write_mp4(
    motion: Motion,
    path: str | Path,
    size: tuple[int, int] = (720, 720),
    fps: float | None = None,
    caption: str | None = None,
    azimuth: float = 35.0,
    body: str = "auto",
) -> Path:
    """Write a video (H.264).

    Args:
        size: width and height in pixels, even numbers from 64 to 4096.
        fps: frames per second of the video; None takes the motion's, at most 30.
        caption: text at the bottom; None takes the motion's own.
        azimuth: degrees between the initial facing direction and the direction to the camera.
        body: "human", "man", "woman", "mannequin", or "auto" for the human where the skeleton has SMPL22's joints.

    Raises:
        ValueError: for an invalid size or frame rate, or a folder that cannot be written.
        ImportError: if Pillow or imageio-ffmpeg is missing.
    """
    if any(side != int(side) or side % 2 or not 64 <= side <= _MAX_SIDE for side in size) or len(size) != 2:
        raise ValueError(f"size must be two even numbers from 64 to {_MAX_SIDE}, got {size!r}")
    # fail early if a package is missing
    ffmpeg, _ = optional_package("imageio_ffmpeg"), optional_package("PIL.Image")
    motion = motion.resample(min(motion.fps, 30.0) if fps is None else fps)
    size, caption = (int(size[0]), int(size[1])), motion.caption if caption is None else caption
    with atomic_path(path) as temporary:
        options = ["-preset", "medium", "-movflags", "+faststart", "-metadata", f"title={caption}"]
        writer = ffmpeg.write_frames(
            str(temporary), size, fps=motion.fps, quality=8, macro_block_size=2, output_params=options
        )
        writer.send(None)
        try:
            for image in draw_frames(motion, size, caption, azimuth, body):
                writer.send(np.ascontiguousarray(image).tobytes())
        finally:
            writer.close()
    return Path(path)


def draw_frames(
    motion: Motion,
    size: tuple[int, int] = (720, 720),
    caption: str = "",
    azimuth: float = 35.0,
    body: str = "auto",
) -> Iterator[Any]:
    """Yield every frame of a motion as a Pillow image with its time stamp; arguments as in `write_mp4`.

    Raises:
        ImportError: if Pillow is missing.
    """
    actor = make_actor(motion, body)
    centres = _smooth(actor.points[:, 0], motion.fps)
    camera = Camera.around(motion, actor.points, centres, size, azimuth)

    def drawn(frame: int) -> Any:
        image = draw_scene(actor, frame, camera.at(centres[frame]))
        _label(image, caption, f"{frame / motion.fps:.2f} s")
        return image

    # NumPy and Pillow draw outside Python's lock
    workers, waiting = min(os.cpu_count() or 1, _WORKERS), deque()
    with ThreadPoolExecutor(workers) as pool:
        for frame in tracked(range(motion.num_frames), "drawing", "frames"):
            waiting.append(pool.submit(drawn, frame))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def write_png(
    motion: Motion,
    path: str | Path,
    columns: int = 6,
    rows: int | None = None,
    cell: tuple[int, int] = (240, 300),
    caption: str | None = None,
    azimuth: float = 35.0,
    body: str = "auto",
) -> Path:
    """Write a contact sheet: poses evenly spaced over the motion, first and last included, row by row.

    Args:
        columns: poses side by side.
        rows: rows of poses; None takes one for a motion below 3 s, else two.
        cell: width and height of one pose in pixels.
        caption: text at the top; None takes the motion's own.
        azimuth: degrees between the initial facing direction and the direction to the camera.
        body: "human", "man", "woman", "mannequin", or "auto" for the human where the skeleton has SMPL22's joints.

    Raises:
        ValueError: for an invalid layout or a folder that cannot be written.
        ImportError: if Pillow is missing.
    """
    caption = motion.caption if caption is None else caption
    sheet = draw_sheet(motion, columns, rows, cell, caption, azimuth, body)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
    return Path(path)


def draw_sheet(
    motion: Motion,
    columns: int = 6,
    rows: int | None = None,
    cell: tuple[int, int] = (240, 300),
    caption: str = "",
    azimuth: float = 35.0,
    body: str = "auto",
) -> Any:
    """A contact sheet as a Pillow image; arguments and errors as in `write_png`."""
    rows = (1 if motion.seconds < 3 else 2) if rows is None else rows
    if columns < 1 or rows < 1 or columns * rows > _MAX_CELLS:
        raise ValueError(f"columns and rows must give 1 to {_MAX_CELLS} poses, got {columns!r} x {rows!r}")
    if len(cell) != 2 or any(side != int(side) or not 32 <= side <= _MAX_SIDE for side in cell):
        raise ValueError(f"cell must be two whole numbers from 32 to {_MAX_SIDE}, got {cell!r}")
    pil, drawing = optional_package("PIL.Image"), optional_package("PIL.ImageDraw")
    width, height = int(cell[0]), int(cell[1])
    actor = make_actor(motion, body)
    points = actor.points
    # a short motion has fewer frames than cells
    frames = np.unique(np.linspace(0, motion.num_frames - 1, columns * rows).round().astype(int))
    rows = -(-len(frames) // columns)
    centres = (points.min(1) + points.max(1)) / 2
    camera = Camera.around(motion, points[frames], centres[frames], (width, height), azimuth)
    gap, small, large = max(2, width // 60), max(10, width // 17), max(13, width // 12)
    lines = _wrap(caption, large, columns * (width + gap) - 2 * gap, 2)
    header = gap + len(lines) * round(large * 1.45) + (gap if lines else 0)
    sheet = pil.new("RGB", (columns * (width + gap) + gap, header + rows * (height + gap)), _PAPER)
    draw = drawing.Draw(sheet)
    for index, line in enumerate(lines):
        draw.text((2 * gap, gap + index * round(large * 1.45)), line, fill=_INK, font=_font(large))
    for index, frame in enumerate(frames):
        picture = draw_scene(actor, int(frame), camera.at(centres[frame]))
        x, y = gap + index % columns * (width + gap), header + index // columns * (height + gap)
        sheet.paste(picture, (x, y))
        stamp = f"{frame / motion.fps:.2f} s"
        draw.text((x + 3 * gap, y + height - small - 3 * gap), stamp, fill=_FAINT, font=_font(small))
    return sheet


def _label(image: Any, caption: str, stamp: str) -> None:
    """Caption at the bottom and time at the top right of a video frame."""
    draw = optional_package("PIL.ImageDraw").Draw(image)
    width, height = image.size
    text = max(12, height // 28)
    font = _font(text)
    margin = text
    draw.text((width - margin - draw.textlength(stamp, font=font), margin), stamp, fill=_FAINT, font=font)
    lines = _wrap(caption, text, width - 2 * margin, 2)
    for index, line in enumerate(lines):
        y = height - margin - round(text * 1.35) * (len(lines) - index)
        draw.text(((width - draw.textlength(line, font=font)) / 2, y), line, fill=_INK, font=font)


def _wrap(text: str, size: int, width: float, most: int) -> list[str]:
    """Wrap `text` to at most `most` lines of `width` pixels, shortened with an ellipsis."""
    font = _font(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        # greedy line breaking
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_shorten(line, font, width) for line in lines]


def _shorten(line: str, font: Any, width: float) -> str:
    if font.getlength(line) <= width:
        return line
    line = line[: int(width)]  # no letter is narrower than a pixel
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line + "..."


def _font(size: int) -> Any:
    return optional_package("PIL.ImageFont").load_default(size)


def _smooth(path: np.ndarray, fps: float) -> np.ndarray:
    """Smooth a path `[T, 3]` over about half a second, so that the camera does not sway with each step."""
    reach = max(1, round(fps / 4))
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros((1, 3)), padded]), axis=0)
    return (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
