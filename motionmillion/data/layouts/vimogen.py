"""ViMoGen-228K as it lies on the hub (`wruisi/ViMoGen-228K`): one list and a file a motion, of three sources.

    ViMoGen-228K.json                                a list of id, subset, split, motion_text_annot, video_text_annot,
                                                     motion_path, perhaps video_path
    optical_mocap_data.json, in_the_wild_video_data.json, synthetic_video_data.json      the same by source
    motions/....pt                                   276 features [T, 276], 20 frames a second; of videos a dictionary
                                                     with motion, extrinsic [T, 9] and intrinsic [3, 3]

Texts are of two kinds, `motion` and `video`. As in the published training, of motions that were estimated from videos
only the rotations are trusted where a text is the condition, and a text is the condition of 40 % of the visits to
optical and in-the-wild clips, 80 % of those to HumanML3D's and to synthetic ones. Unusual: the list is read as a
whole, which takes about two gigabytes once.

Source: ViMoGen (arXiv 2510.26794).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.data.layouts.archives import Member
from motionmillion.data.layouts.base import Draft, Facts, Layout
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.splits import SPLITS
from motionmillion.io.features import motion_of_features
from motionmillion.io.pickles import load_checkpoint

_LISTS = {
    "optical_mocap_data.json": "optical",
    "in_the_wild_video_data.json": "in-the-wild",
    "synthetic_video_data.json": "synthetic",
    "ViMoGen-228K.json": "",
}
_TRUSTED = ("rotations",)
_RECORDED = ("humanml3d", "optical")
_VIDEO = ("mogen_db", "vigen", "wild", "synthetic", "video")
_KINDS = {"motion_text_annot": "motion", "video_text_annot": "video"}


class ViMoGen(Layout):
    """See the module's docstring."""

    name = "vimogen"
    facts = Facts(
        "ViMoGen-228K",
        "Apache-2.0 on the hub; the terms of each of the collected data sets hold besides",
        "https://huggingface.co/datasets/wruisi/ViMoGen-228K",
        {"motions": 228_236, "hours": 369.4, "optical": 171_542, "in-the-wild": 41_971, "synthetic": 14_723},
    )
    suffixes = (".pt",)

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return any((source / name).is_file() for name in _LISTS)

    def prepare(self, index: IndexWriter) -> Iterator[Fault]:
        for name, source in _LISTS.items():
            path = self.source / name
            if not path.is_file():
                continue
            try:
                entries = json.loads(path.read_text(encoding="utf-8-sig"))
                for entry in entries:
                    kept = {key: entry.get(key) for key in ("id", "subset", "split", "video_path", *_KINDS)}
                    key = str(entry["motion_path"]).replace("\\", "/").removeprefix("./")
                    new = index.add("text", key, json.dumps({**kept, "source": source}))
                    if not new and source:
                        yield Fault("duplicate id", key, f"a second time in {name}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield Fault("bad captions", name, f"must be a list of ViMoGen's entries ({error!r})")

    def drafts(self, member: Member, index: Index | None) -> Iterator[Draft | Fault]:
        found = index.get("text", member.inner) if index else None
        if found is None:
            yield Fault("in no list", member.name)
            return
        entry = json.loads(found)
        value = load_checkpoint(member.path)
        array = value.get("motion") if isinstance(value, dict) else value
        if not isinstance(array, np.ndarray):
            raise ValueError(f"motion must be an array or a dictionary with motion, got {type(array).__name__}")
        source = entry["source"] or _source(member.inner, entry)
        if source == "optical" and "humanml" in f"{member.inner} {entry.get('subset') or ''}".lower():
            source = "humanml3d"
        texts = [(text, kind) for key, kind in _KINDS.items() for text in _texts(entry.get(key))]
        yield Draft(
            name=str(entry.get("id") or member.inner.removesuffix(".pt")),
            motion=motion_of_features(array, member.name, "rot276")[0],
            texts=tuple(text for text, _ in texts),
            origins=tuple(kind for _, kind in texts),
            id=member.inner,
            split=entry.get("split") if entry.get("split") in SPLITS else None,
            category=str(entry.get("subset") or ""),
            take=member.inner.removesuffix(".pt"),
            subject=str(entry.get("id") or member.inner),
            source=f"ViMoGen/{source}",
            trusted=None if source in _RECORDED else _TRUSTED,
        )

    def sources(self) -> dict[str, Any]:
        common = {"licence": self.facts.licence, "url": self.facts.url}
        mocap, film = {**common, "kind": "mocap"}, {**common, "trusted_text": list(_TRUSTED)}
        wild = {"kind": "video", "made_by": "an estimate from videos of the web", "text_share": 0.4}
        made = {"kind": "synthetic", "made_by": "an estimate from generated videos", "text_share": 0.8}
        return {
            "ViMoGen/humanml3d": {**mocap, "text_share": 0.8},
            "ViMoGen/optical": {**mocap, "text_share": 0.4},
            "ViMoGen/in-the-wild": {**film, **wild},
            "ViMoGen/synthetic": {**film, **made},
        }


def _source(path: str, entry: dict[str, Any]) -> str:
    words = f"{path} {entry.get('subset') or ''}".lower()
    if "synth" in words or "vigen" in words:
        return "synthetic"
    return "in-the-wild" if entry.get("video_path") or any(word in words for word in _VIDEO) else "optical"


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value] if value else []
    return list(dict.fromkeys(filter(None, (" ".join(str(text).split()) for text in values))))
