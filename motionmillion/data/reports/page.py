"""The audit as a page: numbers, histograms, findings, near duplicates, and players of the worst clips.

    write_audit("my_set", "audit.html", limit=2000)

Works for every folder that holds clips; motions are read once. The players are a page of the viewer for each kind of
finding, in the folder `audit_files` beside the page.

Near duplicates are clips whose joints, seen from the pelvis and turned alike, are less than `NEAR` apart in the mean
over eight moments of the clip. They are looked for among at most `_COMPARED` clips.
"""

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from motionmillion.data.audit import KINDS, audit_clip
from motionmillion.data.clips import SPLITS, ClipReader, list_clips
from motionmillion.data.quality import QUALITY, quality_of
from motionmillion.data.records import ClipRecord, MotionClip
from motionmillion.data.reports.overview import Overview, made_by
from motionmillion.data.shards.motion_table import MotionTable, is_table
from motionmillion.io.files import write_text
from motionmillion.io.html import write_html
from motionmillion.motion import Motion, heading, rotation_y
from motionmillion.progress import tracked

NEAR = 0.02
"""Metres, mean distance of joints of near duplicates."""
_COMPARED = 5000
_MOMENTS = 8
_PLAYED = 4
_BINS = 30
_STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ddd}"
    "svg{background:#f6f6f6}figure{display:inline-block;margin:.5rem}figcaption{font-size:13px;max-width:20rem}"
    "iframe{width:100%;height:26rem;border:1px solid #ccc}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}svg{background:#262626}td,th{border-color:#444}}"
)


class Audited(NamedTuple):
    """A clip in the audit."""

    record: ClipRecord
    kinds: tuple[str, ...]
    quality: dict[str, float]


def write_audit(
    folder: str | Path, page: str | Path, splits: Sequence[str] = SPLITS, limit: int | None = None
) -> Overview:
    """Audit the clips of a folder and write the page; returns its numbers.

    Args:
        limit: maximum number of clips, evenly spread over the folder.

    Raises:
        ValueError: if the folder does not exist or lists no motion.
    """
    records, read, overview = list_clips(folder, splits), ClipReader(folder), Overview()
    records = records if limit is None else records[:: max(math.ceil(len(records) / limit), 1)]
    overview.made = made_by(MotionTable(folder).header) if is_table(folder) else {}
    audited: list[Audited] = []
    unreadable: list[tuple[str, str]] = []
    poses: list[np.ndarray] = []
    for record in tracked(records, "auditing", "clips"):
        try:
            clip = read(record)
            kinds = tuple(dict.fromkeys(finding.kind for finding in audit_clip(clip.motion)))
            audited.append(Audited(record, kinds, quality_of(clip.motion)))
        except (ValueError, OSError) as error:
            unreadable.append((record.name, " ".join(str(error).split())))
            continue
        _count(overview, clip, audited[-1], record.dataset or Path(folder).resolve().name)
        if len(poses) < _COMPARED:
            poses.append(_moments(clip.motion))
    near = near_duplicates(np.array(poses)) if poses else []
    pairs = [(audited[a].record.name, audited[b].record.name, gap) for a, b, gap in near]
    players = _players(Path(page), read, audited)
    write_text(_page(str(Path(folder).name), overview, unreadable, pairs, players), page)
    return overview


def _count(overview: Overview, clip: MotionClip, audited: Audited, source: str) -> None:
    overview.seconds.append(clip.motion.seconds)
    overview.splits[clip.split] += 1
    overview.sources[source] += 1
    overview.add_texts(clip.captions, clip.sources or ("",) * len(clip.captions))
    overview.flags.update(audited.kinds)
    for name, values in overview.quality.items():
        values.append(audited.quality[name])


def _moments(motion: Motion) -> np.ndarray:
    """Joints at eight moments, seen from the pelvis and turned to face +z, `[8 * 22 * 3]`."""
    frames = np.linspace(0, motion.num_frames - 1, _MOMENTS).round().astype(int).tolist()
    positions = motion.positions()[frames]
    turn = rotation_y(-heading(motion.rotations[frames, 0]))
    return ((positions - positions[:, :1]) @ turn.mT).numpy().ravel()


def near_duplicates(poses: np.ndarray, most: int = 200) -> list[tuple[int, int, float]]:
    """Pairs of rows of `[N, 8 * 22 * 3]` whose joints are less than `NEAR` apart, the nearest first."""
    found = []
    joints = poses.reshape(len(poses), -1, 3)
    rough = joints.reshape(len(poses), _MOMENTS, -1, 3)[:, :, [4, 5, 18, 19, 20, 21]].reshape(len(poses), -1)
    squares = (rough**2).sum(1)
    reach = 6 * _MOMENTS * (4 * NEAR) ** 2
    for row in range(len(poses) - 1):
        gaps = squares[row] + squares[row + 1 :] - 2 * rough[row + 1 :] @ rough[row]
        for other in (np.flatnonzero(gaps < reach) + row + 1).tolist():
            gap = float(np.linalg.norm(joints[row] - joints[other], axis=-1).mean())
            if gap < NEAR:
                found.append((row, other, gap))
    return sorted(found, key=lambda pair: pair[2])[:most]


def _players(page: Path, read: ClipReader, audited: Sequence[Audited]) -> list[tuple[str, str]]:
    """Pages of the worst clips by kind of finding and by number, with their titles."""
    worst: dict[str, list[Audited]] = {}
    for kind in KINDS:
        own = [each for each in audited if kind in each.kinds]
        if own:
            worst[kind] = own[:_PLAYED]
    for name in ("jerk", "sliding"):
        ordered = sorted(audited, key=lambda each: each.quality[name], reverse=True)
        worst[f"most {name}"] = ordered[:_PLAYED]
    made = []
    for title, own in worst.items():
        if not own:
            continue
        file = page.with_name(f"{page.stem}_files") / f"{title.replace(' ', '-')}.html"
        captions = [f"{each.record.name}: {each.record.captions[0] if each.record.captions else ''}" for each in own]
        write_html([read(each.record).motion for each in own], file, captions, title=title)
        made.append((title, f"{file.parent.name}/{file.name}"))
    return made


def _page(
    name: str,
    overview: Overview,
    unreadable: Sequence[tuple[str, str]],
    pairs: Sequence[tuple[str, str, float]],
    players: Sequence[tuple[str, str]],
) -> str:
    shown = [("seconds", "length, s", overview.seconds), ("captions", "captions of a clip", overview.captions)]
    shown += [(key, meaning, overview.quality[key]) for key, meaning in QUALITY.items()]
    figures = "".join(_histogram(title, meaning, values) for title, meaning, values in shown if len(values))
    verbs = "".join(f"<tr><td>{html.escape(v)}<td>{n:,}" for v, n in overview.verbs.most_common(60))
    flags = "".join(f"<tr><td>{html.escape(kind)}<td>{n:,}" for kind, n in overview.flags.most_common())
    near = "".join(f"<tr><td>{html.escape(a)}<td>{html.escape(b)}<td>{1000 * gap:.1f} mm" for a, b, gap in pairs)
    bad = "".join(f"<tr><td>{html.escape(a)}<td>{html.escape(b)}" for a, b in unreadable[:200])
    frames = "".join(
        f'<h3>{html.escape(title)}</h3><iframe loading="lazy" title="{html.escape(title)}" src="{html.escape(file)}">'
        "</iframe>"
        for title, file in players
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Audit of {html.escape(name)}</title>'
        f"<style>{_STYLE}</style><h1>Audit of {html.escape(name)}</h1><pre>{html.escape(overview.text())}</pre>"
        f"<h2>Distributions</h2>{figures}<h2>Findings</h2><table>{flags}</table>"
        f"<h2>Verbs, by number of clips</h2><table>{verbs}</table>"
        f"<h2>Near duplicates</h2><p>{len(pairs)} pairs less than {1000 * NEAR:g} mm apart.</p><table>{near}</table>"
        f"<h2>Unreadable</h2><p>{len(unreadable)} clips.</p><table>{bad}</table><h2>Worst clips</h2>{frames}</html>\n"
    )


def _histogram(title: str, meaning: str, values: Sequence[float]) -> str:
    array = np.asarray(values, float)
    top = float(np.quantile(array, 0.995))
    low = float(array.min())
    counts, edges = np.histogram(array.clip(max=top), bins=_BINS, range=(low, top if top > low else low + 1))
    heights = (100 * counts / max(counts.max(), 1)).tolist()
    bars = "".join(
        f'<rect x="{10 * i}" y="{100 - tall:.1f}" width="9" height="{tall:.1f}" fill="#4a7db5">'
        f"<title>{edges[i]:.3g} to {edges[i + 1]:.3g}: {counts[i]}</title></rect>"
        for i, tall in enumerate(heights)
    )
    return (
        f'<figure><svg viewBox="0 0 {10 * _BINS} 100" width="300" height="100">{bars}</svg><figcaption><b>'
        f"{html.escape(title)}</b>, {html.escape(meaning)}: {low:.3g} to {array.max():.3g}, median "
        f"{np.median(array):.3g}</figcaption></figure>"
    )
