"""AMASS as it is downloaded, with the labels of BABEL.

    CMU.tar.bz2, KIT.tar.bz2, ...           members CMU/01/01_01_poses.npz, or the same unpacked
    babel_v1.0_release/{train,val,test}.json  labels by sequence and by segment; anywhere below, or --captions FOLDER

SMPL-H, SMPL+H G, SMPL-X N and SMPL-X G files are read (`_poses.npz`, `_stageii.npz`); `shape.npz` and `_stagei.npz`
are no motions. A sequence whose labels have times becomes a clip of its own for each segment, besides the whole
sequence with its sequence labels; transitions are left out. Splits are BABEL's, else those that are usual for AMASS by
data set. Takes are sequences, subjects are folders.

Source: Mahmood et al., AMASS (2019); Punnakkal et al., BABEL (2021).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from motionmillion.data.clips import cut_span
from motionmillion.data.layouts.archives import Member
from motionmillion.data.layouts.base import Draft, Facts, Layout, files_below
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.splits import SPLITS
from motionmillion.motion import Motion

_SPLITS = {
    **dict.fromkeys(("humaneva", "mpi_hdm05", "hdm05", "sfu", "mpi_mosh", "mosh"), "val"),
    **dict.fromkeys(("transitions_mocap", "transitions", "ssm_synced", "ssm"), "test"),
}
"""The usual splits of AMASS by data set; all others are for training."""
_BABEL = ("train", "val", "test", "extra_train", "extra_val")


class Amass(Layout):
    """See the module's docstring."""

    name = "amass"
    facts = Facts(
        "AMASS",
        "AMASS licence, research only; BABEL likewise",
        "https://amass.is.tue.mpg.de",
        {"motions": 11_265, "hours": 40},
    )
    suffixes = ("_poses.npz", "_stageii.npz")

    @classmethod
    def recognises(cls, source: Path) -> bool:
        names = {path.name.lower() for path in source.glob("*")} | {path.name.lower() for path in source.glob("*/*")}
        known = {"cmu", "kit", "bmlrub", "accad", "eyes_japan_dataset", "bmlmovi", *_SPLITS}
        return bool({re.sub(r"\.tar(\.bz2|\.gz|\.xz)?$", "", name) for name in names} & known)

    def prepare(self, index: IndexWriter) -> Iterator[Fault]:
        folder = Path(self.options.captions) if self.options.captions else self.source
        found = [path for path in files_below(folder, lambda name: name.endswith(".json")) if path.stem in _BABEL]
        if not found:
            yield Fault("no split lists", str(folder.name), "no BABEL; splits are those usual for AMASS")
        for path in found:
            try:
                entries = json.loads(path.read_text(encoding="utf-8-sig")).values()
                for entry in entries:
                    key = key_of(entry["feat_p"])
                    split = path.stem.removeprefix("extra_")
                    if not index.add("split", key, split):
                        yield Fault("in two lists", key, path.name)
                    index.add("text", key, json.dumps([_labels(entry, "seq_ann"), _labels(entry, "frame_ann")]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield Fault("bad captions", path.name, f"must be a file of BABEL ({error!r})")

    def drafts(self, member: Member, index: Index | None) -> Iterator[Draft | Fault]:
        key = key_of(member.inner)
        parts = PurePosixPath(member.inner).parts[-3:]
        text = index.get("text", key) if index else None
        split = index.get("split", key) if index else None
        whole, segments = json.loads(text) if text else ([], [])
        motion = Motion.load(member.path)
        draft = Draft(
            name="/".join(parts).removesuffix(".npz"),
            motion=motion,
            texts=tuple(dict.fromkeys(label for label, _, _ in whole)),
            origin="babel sequence",
            id=key,
            split=split if split in SPLITS else _SPLITS.get(parts[0].lower(), "train"),
            subject="/".join(parts[:-1]),
            category=parts[0],
            take=key,
            source=f"AMASS/{parts[0]}",
        )
        yield draft
        for start, stop in dict.fromkeys((start, stop) for _, start, stop in segments):
            texts = tuple(dict.fromkeys(label for label, *span in segments if span == [start, stop]))
            name = f"{draft.name}_{start:g}-{stop:g}"
            try:
                part = cut_span(motion, (start, stop))
            except ValueError as error:
                yield Fault("bad captions", name, str(error))
                continue
            yield draft.replace(name=name, motion=part, texts=texts, origin="babel segment", whole=False, ends=False)

    def sources(self) -> dict[str, Any]:
        return {"*": {"licence": self.facts.licence, "url": self.facts.url}}


def key_of(name: str) -> str:
    """What BABEL's names of files and AMASS' have in common: data set, subject and sequence, in small letters."""
    parts = PurePosixPath(name.replace("\\", "/")).parts[-3:]
    stem = re.sub(r"_(poses|stageii)$", "", PurePosixPath(parts[-1]).stem)
    return "/".join((*parts[:-1], stem)).lower().replace(" ", "_")


def _labels(entry: dict[str, Any], kind: str) -> list[list[Any]]:
    """Labels of an entry of BABEL with their seconds, without transitions."""
    labels = (entry.get(kind) or {}).get("labels") or []
    found = []
    for label in labels:
        text = " ".join(str(label.get("raw_label") or label.get("proc_label") or "").split())
        if text and text.lower() != "transition":
            start, stop = float(label.get("start_t") or 0), float(label.get("end_t") or 0)
            if kind == "seq_ann" or stop > start:
                found.append([text, start, stop])
    return found
