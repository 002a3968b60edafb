"""BONES-SEED (`bones-studio/seed` on the hub): 142,220 motions of everyday life, as BVH files of the SOMA skeleton.

    soma_uniform.tar.gz                      members soma_uniform/bvh/DATE/NAME.bvh, or the same unpacked
    metadata/seed_metadata_v004.csv          a row a motion: filename, category, content_natural_desc_1 to _4,
                                             content_technical_description, content_short_description and more

`soma_uniform` has one skeleton for all actors; `soma_proportional` and `g1` are left alone. Names that end in `_M` are
mirrored copies, which belong to the take of the original; subjects are actors, whom the end of a name gives
(`__A001`).
"""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from motionmillion.data.layouts.archives import Member, is_archive
from motionmillion.data.layouts.base import Draft, Facts, Layout, files_below
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.motion import Motion

_TEXTS = {
    **{f"content_natural_desc_{number}": "natural" for number in range(1, 5)},
    "content_short_description": "short",
    "content_short_description_2": "short",
    "content_technical_description": "technical",
}


class BonesSeed(Layout):
    """See the module's docstring."""

    name = "bones-seed"
    facts = Facts(
        "BONES-SEED",
        "BONES-SEED licence",
        "https://huggingface.co/datasets/bones-studio/seed",
        {"motions": 142_220, "motions without mirrored copies": 71_132, "hours": 288},
    )
    suffixes = (".bvh",)

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return any((source / name).exists() for name in ("soma_uniform", "soma_uniform.tar.gz", "soma_uniform.tar"))

    def is_motion(self, name: str) -> bool:
        return name.lower().endswith(".bvh") and not {"soma_proportional", "soma_shapes"} & set(name.split("/"))

    def has_motions(self, archive: str) -> bool:
        return is_archive(archive) and PurePosixPath(archive).name.startswith("soma_uniform")

    def prepare(self, index: IndexWriter) -> Iterator[Fault]:
        tables = list(files_below(self.source, lambda name: "metadata" in name and name.endswith(".csv")))
        if not tables:
            yield Fault("no captions", "metadata", "no table; motions have no texts")
        for path in tables:
            try:
                with path.open(encoding="utf-8-sig", newline="") as file:
                    for row in csv.DictReader(file):
                        key = (
                            row.get("filename") or PurePosixPath(row.get("move_soma_uniform_path") or "").stem
                        ).strip()
                        told = {name: row[name] for name in _TEXTS if row.get(name)}
                        value = {"texts": told, "category": row.get("category"), "actor": row.get("actor_uid")}
                        if not index.add("text", PurePosixPath(key).stem, json.dumps(value)):
                            yield Fault("duplicate id", key, path.name)
            except (UnicodeDecodeError, csv.Error) as error:
                yield Fault("bad captions", path.name, str(error))

    def drafts(self, member: Member, index: Index | None) -> Iterator[Draft | Fault]:
        name = PurePosixPath(member.inner).stem
        entry = json.loads((index.get("text", name) if index else None) or '{"texts": {}}')
        texts = {" ".join(text.split()): _TEXTS[key] for key, text in reversed(entry["texts"].items())}
        take = re.sub(r"_M$", "", name)
        actor = entry.get("actor") or take.rpartition("__")[2]
        yield Draft(
            name=name,
            motion=Motion.load(member.path),
            texts=tuple(reversed(texts)),
            origins=tuple(reversed(texts.values())),
            subject=str(actor),
            category=str(entry.get("category") or ""),
            take=take,
            id=name,
        )
