"""What is in a folder of motions, and whether it is enough: `motionmillion data check FOLDER`.

    lines = check_listing(["my_motions"], {"train": 1, "val": 1}, captioned=True)    # quick: reads no motion
    report = check_folder("my_motions")                                              # reads every motion
    print(report.text())

Every training starts with `check_listing`, so that a folder without captions or without clips of a split is an error
before anything slow happens.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from motionmillion.configuration import check_whole
from motionmillion.data.clips import SPLITS, ClipReader, ClipRecord, Listing, list_folder
from motionmillion.data.shards.motion_table import Counts, TableRecords
from motionmillion.io import read_tree, tree_suffixes
from motionmillion.kinematics.joint_names import find_joints
from motionmillion.motion import Motion
from motionmillion.progress import tracked
from motionmillion.skeleton import SMPL22

_UPRIGHT_METRES = 1.0
"""Height of a body, from its lowest to its highest joint, below which half of the clips are hardly standing."""

_HEADER_BYTES = 1 << 16


def check_listing(
    folders: Sequence[str | Path], needed: Mapping[str, int], captioned: bool, skip_bad: bool = False
) -> list[str]:
    """Describe the clips of folders in one line each, without reading a motion.

    Args:
        needed: least number of clips by split, over all folders.
        captioned: whether only clips with captions count.
        skip_bad: see `motionmillion.data.clips.load_clips`.

    Raises:
        ValueError: for a folder without motions or with damaged lists, and too few clips.
    """
    listings = {str(folder): list_folder(folder, skip_bad) for folder in folders}
    for name, listing in listings.items():
        if not listing.records:
            raise ValueError(f"folder must hold motions, got none in {name!r}{_left_out(listing)}")
    counts = [_counts(listing.records) for listing in listings.values()]
    counted = sum((count.captioned if captioned else count.clips for count in counts), Counter[str]())
    names = ", ".join(map(repr, listings))
    if not counted.total():
        first = next(iter(listings.values())).records[0]
        raise ValueError(_no_captions(first, sum(count.clips.total() for count in counts), names))
    for split, least in needed.items():
        found = counted[split]
        if found < least:
            kind = "clips with captions" if captioned else "clips"
            rule = "; ".join(dict.fromkeys(listing.rule for listing in listings.values()))
            raise ValueError(
                f"data must hold at least {least} {kind} of the split {split!r}, got {found} of {counted.total()} in "
                f"{names} (splits {rule}); add clips, or name some in {split}.txt"
            )
    return [f"{name}: {_summary(listing)}" for name, listing in listings.items()]


def _counts(records: Sequence[ClipRecord]) -> Counts:
    """Numbers of clips by split; of a data set without making its records."""
    if isinstance(records, TableRecords):
        return records.counts()
    told = Counter(record.split for record in records if record.captions)
    return Counts(Counter(record.split for record in records), told)


def _no_captions(first: ClipRecord, clips: int, names: str) -> str:
    file = Path(first.file)
    return (
        f"clips must have captions, got none for all {clips} clips of {names}; the captions of {str(file)!r} "
        f"are looked for in {str(file.with_suffix('.txt'))!r} and in the folder texts, and motionmillion data "
        "describe writes some"
    )


def _summary(listing: Listing) -> str:
    clips, captioned = _counts(listing.records)
    counts = ", ".join(f"{clips[split]} {split}" for split in SPLITS)
    rule = f" ({listing.rule})" if listing.rule else ""
    return f"{_clips(len(listing.records))}: {counts}{rule}; {captioned.total()} with captions{_left_out(listing)}"


def _left_out(listing: Listing) -> str:
    return f"; left out: {'; '.join(listing.left_out)}" if listing.left_out else ""


def _clips(count: int) -> str:
    return f"{count} clip" if count == 1 else f"{count} clips"


@dataclass
class FolderReport:
    """Result of `check_folder`.

    Args:
        listing: what was found without reading a motion.
        read: number of clips that were read.
        rates: clips by frame rate.
        seconds: length of each clip.
        heights: height of the body of each clip, median over its frames, in metres.
        rigs: files by kind of skeleton, in words.
        unreadable: reason by clip name.
    """

    folder: str
    listing: Listing
    read: int = 0
    rates: Counter[float] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    rigs: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What keeps the folder from being trained on, or looks wrong, one line each."""
        found = [*self.listing.faults]
        found += [f"{name} cannot be read: {reason}" for name, reason in self.unreadable.items()]
        records = self.listing.records
        captioned = _counts(records).captioned.total()
        if records and not captioned:
            found.append(_no_captions(records[0], len(records), repr(self.folder)))
        what = "clip with captions" if captioned else "clip"
        for split in self._empty_splits():
            if split != "test":
                found.append(f"no {what} is in the split {split}; name some in {split}.txt")
        if self.heights and median(self.heights) < _UPRIGHT_METRES:
            found.append(
                f"bodies are {median(self.heights):.2f} m high, so most clips lie down or the vertical axis is "
                "another; compare with motionmillion view --up z"
            )
        return found

    def _empty_splits(self) -> list[str]:
        """Splits without clips, or without clips that have captions if any has some."""
        counts = _counts(self.listing.records)
        counted = counts.captioned if counts.captioned.total() else counts.clips
        return [split for split in SPLITS if not counted[split]]

    def text(self) -> str:
        """The report, one fact a line."""
        lines = [f"clips        {_summary(self.listing)}"]
        if self.read:
            rates = ", ".join(f"{count} at {rate:g}" for rate, count in self.rates.most_common())
            lengths = f"{min(self.seconds):.1f} to {max(self.seconds):.1f} s, median {median(self.seconds):.1f} s"
            lines += [f"rig          {count} {rig}" for rig, count in self.rigs.most_common()]
            lines += [
                f"frame rates  {rates} frames per second",
                f"lengths      {lengths}, {sum(self.seconds) / 60:.1f} minutes in all",
                f"bodies       {median(self.heights):.2f} m from the lowest to the highest joint, y up",
            ]
        if self.unreadable:
            lines.append(f"unreadable   {_clips(len(self.unreadable))}, left out with data.skip_bad or --skip-bad")
        if "test" in self._empty_splits():
            lines.append("note         no clip is in the split test, which evaluation needs and training does not")
        return "\n".join([*lines, *(f"problem      {line}" for line in self.problems)])


def check_folder(folder: str | Path, limit: int | None = None) -> FolderReport:
    """Read the clips of a folder and note what is in it, also what is wrong with its lists, captions and clips.

    Args:
        limit: maximum number of clips to read, evenly spread over the folder.

    Raises:
        ValueError: if the folder does not exist or holds no motion.
    """
    if limit is not None:
        check_whole("limit", limit, 1)
    check_listing([folder], {}, captioned=False, skip_bad=True)
    report = FolderReport(str(folder), list_folder(folder, skip_bad=True))
    records, read = report.listing.records, ClipReader(folder)
    known: dict[tuple[str, ...], str] = {}  # rigs in words by the names of their joints
    records = records if limit is None else records[:: max(-(-len(records) // limit), 1)]
    for record in tracked(records, "reading", "clips"):
        try:
            motion = read(record).motion
        except (ValueError, OSError) as error:
            report.unreadable[record.name] = " ".join(str(error).split())
            continue
        report.read += 1
        report.rates[round(motion.fps, 3)] += 1
        report.seconds.append(motion.seconds)
        report.heights.append(_height(motion))
        path = Path(folder) / record.file
        names = _joint_names(path)
        if names not in known:
            known[names] = _rig(path, names)
        report.rigs[known[names]] += 1
    return report


def _height(motion: Motion) -> float:
    heights = motion.positions()[..., 1]  # [T, J]
    return float((heights.amax(-1) - heights.amin(-1)).median())


def _joint_names(path: Path) -> tuple[str, ...]:
    """What tells the skeletons of files apart: the names of a BVH file's joints, of others the suffix."""
    if path.suffix.lower() != ".bvh":
        return (path.suffix.lower(),)
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.read(_HEADER_BYTES).split("MOTION")[0]
    return tuple(re.findall(r"^\s*(?:ROOT|JOINT)\s+(.+?)\s*$", header, re.MULTILINE))


def _rig(path: Path, names: tuple[str, ...]) -> str:
    """A file's skeleton, and which joints of SMPL22 it has, in words."""
    suffix = path.suffix.lower()
    if suffix not in tree_suffixes():
        return suffix
    words = f"{suffix} with {len(names)} joints ({', '.join(names[:3])}, ...)" if suffix == ".bvh" else suffix
    tree = read_tree(path)
    found = find_joints(tree.names, tree.parents, {}, str(path), tree.rest_positions())
    missing = [name for name in SMPL22.names if name not in found]
    if not missing:
        return f"{words}, all joints of SMPL22 found"
    return f"{words}, no {' or '.join(missing)}; export --show-mapping lists the joints"
