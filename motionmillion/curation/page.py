"""Pages that show what a stage kept and dropped, and why.

    write_page(folder, "2-people", [(path, verdict)], reasons)

A page has the numbers, and for clips of each reason, and some that were kept, three pictures of the video with the box
of the person. Pages of stages with motions have players of the worst and of some that were kept, in a folder beside.
Unusual: pictures are in the page itself; at most `_SHOWN` clips for each reason, spread over all videos.
"""

import base64
import html
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from motionmillion.curation.clips import Clip, Verdict
from motionmillion.curation.video import Video, VideoError
from motionmillion.io.files import write_text
from motionmillion.io.html import write_html
from motionmillion.io.render import optional_package
from motionmillion.motion import Motion

_SHOWN = 8
_HEIGHT = 120
_STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "figure{display:inline-block;margin:.4rem}figcaption{font-size:12px;max-width:24rem;overflow-wrap:anywhere}"
    "td,th{padding:.2rem .8rem;text-align:left}iframe{width:100%;height:26rem;border:1px solid #ccc}"
)

Group = list[tuple[Path, Clip, str]]
"""Videos with clips and what is said below them."""


def write_page(folder: Path, name: str, results: Sequence[tuple[Path, Verdict]], reasons: Counter[str]) -> Path:
    """Write `NAME.html` into the folder of a run.

    Args:
        results: the videos and what the stage kept and dropped of each.
        reasons: how many clips were dropped for which reason.
    """
    groups: dict[str, Group] = {"kept": []}
    for path, verdict in results:
        groups["kept"] += [(path, clip, _numbers(clip)) for clip in verdict.kept]
        for each in verdict.dropped:
            told = f"{each.reason}, {each.value:g}" if each.value else each.reason
            groups.setdefault(each.reason, []).append((path, each.clip, f"{told}; {_numbers(each.clip)}"))
    faults = [(path.name, verdict.fault) for path, verdict in results if verdict.fault]
    rows = "".join(f"<tr><td>{html.escape(reason)}<td>{count}" for reason, count in reasons.most_common())
    bad = "".join(f"<li>{html.escape(video)}: {html.escape(fault)}" for video, fault in faults)
    parts = "".join(_section(folder, name, title, group) for title, group in groups.items())
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        f"<h1>{name}</h1><p>{len(groups['kept'])} clips kept of {len(results)} videos; dropped:</p>"
        f"<table>{rows}</table><h2>Videos that cannot be read: {len(faults)}</h2><ul>{bad}</ul>{parts}</html>\n"
    )
    return write_text(page, folder / f"{name}.html")


def _section(folder: Path, name: str, title: str, group: Group) -> str:
    shown = group[:: max(1, -(-len(group) // _SHOWN))]
    figures = "".join(_figure(path, clip, told) for path, clip, told in shown)
    return f"<h2>{html.escape(title)}: {len(group)}</h2>{figures}{_player(folder, name, title, shown)}"


def _player(folder: Path, name: str, title: str, shown: Group) -> str:
    """A player of the motions, if there are any."""
    own = [(clip, told) for _, clip, told in shown if clip.motion]
    if not own:
        return ""
    plain = "".join(letter if letter.isalnum() else "-" for letter in title)
    file = folder / f"{name}_files" / f"{plain}.html"
    motions = [Motion.load(folder / clip.motion) for clip, _ in own]
    write_html(motions, file, [f"{clip.name}: {told}" for clip, told in own], title=title)
    return f'<iframe loading="lazy" title="{html.escape(title)}" src="{file.parent.name}/{file.name}"></iframe>'


def _numbers(clip: Clip) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in clip.measures.items())


def _figure(path: Path, clip: Clip, told: str) -> str:
    """The first, middle and last picture of a clip with the box."""
    frames = sorted({clip.start, (clip.start + clip.stop) // 2, max(clip.stop - 1, clip.start)})
    try:
        video = Video.open(path)
        strip = [_drawn(next(video.read(frame, frame + 1)), clip, frame) for frame in frames]
    except (VideoError, StopIteration):
        return f"<p>{html.escape(clip.name)}: no picture</p>"
    picture = optional_package("PIL.Image").fromarray(np.concatenate(strip, axis=1))
    picture = picture.resize((max(1, round(picture.width * _HEIGHT / picture.height)), _HEIGHT))
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=70)
    data = base64.b64encode(file.getvalue()).decode()
    caption = f"{html.escape(path.name)} {clip.start} to {clip.stop}, person {clip.person}. {html.escape(told)}"
    shown = f'<img alt="{html.escape(clip.name)}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _drawn(picture: np.ndarray, clip: Clip, frame: int) -> np.ndarray:
    """A picture with the box of the person in red."""
    if frame - clip.start >= len(clip.boxes):
        return picture
    image = optional_package("PIL.Image").fromarray(picture)
    left, top, right, bottom = clip.boxes[frame - clip.start][:4]
    width = max(1, picture.shape[0] // 100)
    optional_package("PIL.ImageDraw").Draw(image).rectangle((left, top, right, bottom), outline="red", width=width)
    return np.array(image)
