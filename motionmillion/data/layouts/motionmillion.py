"""MotionMillion as it lies on the hub (`InternRobotics/MotionMillion`): archives of 272 features, texts and lists.

    motion_272rpr/MotionGV/folder0.tar.gz       members folder0/000001.npy, without the name of the folder above
    motion_272rpr/PhantomDance.tar.gz           members PhantomDance/x.npy, with it
    texts.tar.gz                                texts/MotionGV/folder0/000001.txt, one caption a line
    split.tar.gz                                split/version1/t2m_60_300/{train,val,test,all}.txt, one id a line
    mean_std/                                   statistics, not used here

Unpacked folders are read, too, also under the names of the published code (`motion_data/vector_272`). The id of a clip
is that of the lists, such as `MotionGV/folder0/000001`; motions that the chosen list does not name are left out.
Sources are the folders of the first level, mirrored copies (`Mirror_MotionGV`, `M000001`) belong to the take of the
original. Unusual: the published lists put some mirrored copies into another split than the original; `data verify`
counts them.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from motionmillion.data.folder_files import parse_captions
from motionmillion.data.layouts.archives import Member, is_archive, read_texts
from motionmillion.data.layouts.base import Draft, Facts, Layout, decoded, files_below, spans_of
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.splits import SPLITS
from motionmillion.motion import Motion

_MOTIONS = ("motion_272rpr", "motion_data/vector_272", "vector_272", "motion_data")
_LISTS = "t2m_60_300"


class MotionMillion(Layout):
    """See the module's docstring."""

    name = "motionmillion"
    facts = Facts(
        "MotionMillion",
        "CC BY-NC-SA 4.0",
        "https://huggingface.co/datasets/InternRobotics/MotionMillion",
        {"motions in t2m_60_300/all.txt": 876_766, "motion arrays": 1_729_132},
    )

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return (source / "motion_272rpr").is_dir() or (source / "motion_data" / "vector_272").is_dir()

    def is_motion(self, name: str) -> bool:
        """An array, loose in the folder of motions or anywhere in an archive."""
        return name.lower().endswith(".npy") and PurePosixPath(name).name.lower() not in ("mean.npy", "std.npy")

    def has_motions(self, archive: str) -> bool:
        return archive.startswith(tuple(f"{folder}/" for folder in _MOTIONS))

    def prepare(self, index: IndexWriter) -> Iterator[Fault]:
        lists, folders = 0, set()
        for name, data in self._files(lambda name: name.endswith(".txt") and "split/" in f"/{name}", "split"):
            split, folder = PurePosixPath(name).stem, PurePosixPath(name).parent.name
            if isinstance(data, Fault):
                yield data
                continue
            folders |= {folder} if split in SPLITS else set()
            if split in SPLITS and folder == (self.options.lists or _LISTS):
                lists += 1
                yield from self._read_list(index, name, data, split)
        if not lists and self.options.lists:
            raise ValueError(f"lists must be one of {sorted(folders) or 'none'}, got {self.options.lists!r}")
        if not lists:
            yield Fault("no split lists", self.options.lists or _LISTS, "splits are made by a hash of the take")
        for name, data in self._files(lambda name: name.endswith(".txt") and "texts/" in f"/{name}", "texts"):
            text = data if isinstance(data, Fault) else decoded(data, name)
            if isinstance(text, Fault):
                yield text
            elif not index.add("text", _after(name, "texts/"), text):
                yield Fault("duplicate id", name, "a second text file")

    def _files(self, wanted, kind: str) -> Iterator[tuple[str, bytes | Fault]]:
        """Small files of the folder and of the archives whose name begins with `kind`."""
        archives = files_below(
            self.source, lambda name: is_archive(name) and PurePosixPath(name).name.startswith(kind)
        )
        for archive in archives:
            for found in read_texts(archive, wanted):
                yield (found.name, found) if isinstance(found, Fault) else found
        for path in files_below(self.source, wanted):
            yield path.relative_to(self.source).as_posix(), path.read_bytes()

    def _read_list(self, index: IndexWriter, name: str, data: bytes, split: str) -> Iterator[Fault]:
        text = decoded(data, name)
        if isinstance(text, Fault):
            yield text
            return
        for line in filter(None, map(str.strip, text.splitlines())):
            key = line.replace("\\", "/").removeprefix("./").removesuffix(".npy")
            if not index.add("split", key, split) and index.get("split", key) != split:
                yield Fault("in two lists", key, f"{index.get('split', key)} and {split}; the first one counts")

    def drafts(self, member: Member, index: Index | None) -> Iterator[Draft | Fault]:
        key = self._key(member, index) if index else None
        if key is None or index is None:
            yield Fault("in no list", member.name)
            return
        text, split = index.get("text", key), index.get("split", key)
        source = f"MotionMillion/{key.split('/')[0]}" if "/" in key else "MotionMillion"
        take = take_of(key)
        draft = Draft(key, Motion.load(member.path), id=key, split=split, source=source, take=take, subject=take)
        if text is None:
            yield draft
            return
        yield from spans_of(draft.replace(origin="published"), tuple(parse_captions(text, member.name)))

    def _key(self, member: Member, index: Index) -> str | None:
        """The id of a member in the lists; without lists, in the texts, or else the most likely one."""
        keys = _ids(member)
        kind = "split" if self._has_lists(index) else "text"
        found = next((key for key in keys if index.get(kind, key) is not None), None)
        return found if found is not None or kind == "split" else keys[0]

    def _has_lists(self, index: Index) -> bool:
        if not hasattr(self, "_listed"):
            self._listed = index.has("split")
        return self._listed

    def sources(self) -> dict:
        return {"*": {"licence": self.facts.licence, "url": self.facts.url}}


def take_of(key: str) -> str:
    """The recording of a clip: mirrored copies belong to that of the original."""
    parts = key.split("/")
    parts[0] = parts[0].removeprefix("Mirror_")
    parts[-1] = re.sub(r"^M(?=\d)", "", parts[-1])
    return "/".join(parts)


def _ids(member: Member) -> list[str]:
    """Ids that a member may have in the lists, the most likely first."""
    inner = member.inner.removeprefix("./").removesuffix(".npy")
    above = PurePosixPath(member.name.rpartition("!")[0]).parent if "!" in member.name else PurePosixPath()
    below = "/".join(above.parts[1:])  # of the folder of motions
    plain = next((_after(inner, f"{folder}/") for folder in _MOTIONS if f"{folder}/" in f"/{inner}"), inner)
    found = [plain, f"{below}/{plain}" if below else plain]
    parts = found[-1].split("/")
    # some archives repeat the name of their folder
    found.append("/".join(part for part, before in zip(parts, ["", *parts], strict=False) if part != before))
    return list(dict.fromkeys([*found[1:], found[0]]))


def _after(name: str, marker: str) -> str:
    inner = f"/{name}".partition(f"/{marker}")[2] or name
    return str(PurePosixPath(inner).with_suffix("")) if inner.endswith((".txt", ".npy")) else inner
