"""100STYLE: one actor who walks, runs and idles in a hundred styles, as BVH files at 60 frames a second.

    Aeroplane/Aeroplane_BR.bvh       style and way of moving
    Frame_Cuts.csv                   STYLE_NAME, BR_START, BR_STOP, ...: frames without the T-poses at either end
    Dataset_List.csv                 styles with a description

Captions are made from both lists, such as "a person runs backwards in the style aeroplane". A folder `100STYLE` around
them is passed over.

Source: Mason et al., Real-Time Style Modelling of Human Locomotion (2022).
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from motionmillion.data.layouts.archives import Member
from motionmillion.data.layouts.base import Draft, Facts, Layout, files_below
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.io.files import read_text
from motionmillion.motion import Motion

_WAYS = {
    "BR": "runs backwards",
    "BW": "walks backwards",
    "FR": "runs forwards",
    "FW": "walks forwards",
    "ID": "stands idle",
    "SR": "runs sideways",
    "SW": "walks sideways",
    "TR": "changes between standing, walking and running",
}


class Style100(Layout):
    """See the module's docstring."""

    name = "100style"
    facts = Facts("100STYLE", "CC BY 4.0", "https://www.ianxmason.com/100style/", {"styles": 100, "motions": 810})
    suffixes = (".bvh",)

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return any(source.glob("Frame_Cuts.csv")) or any(source.glob("*/Frame_Cuts.csv"))

    def prepare(self, index: IndexWriter) -> Iterator[Fault]:
        names = ("frame_cuts.csv", "dataset_list.csv")
        for path in files_below(self.source, lambda name: PurePosixPath(name).name.lower() in names):
            try:
                rows = list(csv.reader(read_text(path, path.name).splitlines()))
            except ValueError as error:
                yield Fault("not UTF-8", path.name, str(error))
                continue
            if path.name.lower() == names[0]:
                yield from _cuts(rows, index)
            elif rows:
                for row in rows[1:]:
                    words = [cell.strip() for cell in row if len(cell.split()) > 1]
                    if row and words:
                        index.add("style", row[0].strip(), max(words, key=len))

    def drafts(self, member: Member, index: Index | None) -> Iterator[Draft | Fault]:
        name = PurePosixPath(member.inner).stem
        style, _, code = name.rpartition("_")
        motion = Motion.load(member.path)
        cut = index.get("cut", name) if index else None
        if cut is not None:
            start, stop = (int(frame) for frame in cut.split())
            motion = motion.slice(start, stop)
        way = _WAYS.get(code, _WAYS.get(code.rstrip("0123456789"), "moves"))
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", style).lower()
        texts = [f"a person {way} in the style {words}"]
        if index and (told := index.get("style", style)):
            texts.append(f"a person {way}, {told[0].lower()}{told[1:]}")
        yield Draft(name, motion, tuple(texts), "rule", subject=style, category=way.split()[0], take=name, id=name)


def _cuts(rows: list[list[str]], index: IndexWriter) -> Iterator[Fault]:
    """Frames of every motion that are not the T-pose, from the rows of Frame_Cuts.csv."""
    head = [cell.strip() for cell in rows[0]] if rows else []
    for row in rows[1:]:
        cells = dict(zip(head, map(str.strip, row), strict=False))
        style = row[0].strip() if row else ""
        for name in head:
            code = name.removesuffix("_START")
            start, stop = cells.get(name, ""), cells.get(f"{code}_STOP", "")
            if code != name and start and stop and "N" not in (start + stop).upper():
                try:
                    index.add("cut", f"{style}_{code}", f"{int(float(start))} {int(float(stop))}")
                except ValueError:
                    yield Fault("bad list", f"{style}_{code}", f"frames {start!r} to {stop!r}")
