"""Files of a folder of motions: which are motions, their captions and their splits; no motion is read.

    found = find_files(Path("my_motions"))
    found.files[0].name, found.files[0].split, found.files[0].captions
    found.left_out                          # ["Mean.npy is no motion", ...]

| what | where |
|---|---|
| motions | every file with a suffix that `motionmillion.io` reads, apart from those of `_OTHERS` and hidden files |
| captions of `x.npz` | `x.txt` beside it, or in `texts` in place of its folder, as in HumanML3D; one per line |
| spans | lines of HumanML3D, `sentence#tags#from#to`: of these seconds, or of everything if both are 0 |
| splits | `train.txt`, `val.txt`, `test.txt`, also in `split/`, one name per line; else `motionmillion.data.splits` |

A name in a list is a path relative to the folder or a bare name, with or without its suffix. Unusual: a name that
matches no file, or several, is an error, and with a `train.txt` motions that no list names are left out.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from motionmillion.data.splits import SPLITS, split_files
from motionmillion.io import readable_suffixes
from motionmillion.io.files import read_text

_OTHERS = {"mean.npy", "std.npy", "shape.npz"}
"""Files that data sets put beside their motions: statistics of features, and AMASS's shape of a subject."""

_TEXTS = "texts"
_SPLITS = "split"
_NO_CAPTIONS = {*SPLITS, "all", "train_val", "readme", "license", "licence", "requirements"}
"""Stems of text files that hold no captions."""
_JOINTS, _FEATURES = "new_joints", "new_joint_vecs"
"""HumanML3D's folders, which hold the same clips twice."""


@dataclass(frozen=True)
class Caption:
    """A caption and the seconds that it describes; None: all."""

    text: str
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True)
class MotionFile:
    """A motion file of a folder.

    Args:
        path: relative to the folder.
        name: `path` without its suffix.
        subject: name of the file's folder, or of the file itself in the top folder.
    """

    path: str
    name: str
    subject: str
    split: str
    captions: tuple[Caption, ...] = ()


@dataclass
class FoundFiles:
    """The motion files of a folder.

    Args:
        left_out: one line for each kind of file that is left out, with a count.
        rule: how the splits were made, in words.
        faults: what is wrong with lists and captions, one line each.
    """

    files: list[MotionFile]
    left_out: list[str] = field(default_factory=list)
    rule: str = ""
    faults: list[str] = field(default_factory=list)


def find_files(folder: Path, skip_bad: bool = False) -> FoundFiles:
    """Find the motion files of a folder.

    Args:
        skip_bad: leave out what is wrong with lists and captions and go on, instead of failing.

    Raises:
        ValueError: for lists and captions that are not UTF-8, names in lists that match no file or several or are in
            two lists, and damaged lines of HumanML3D.
    """
    paths, left_out = _motion_paths(folder)
    faults: list[str] = []

    def fault(message: str) -> None:
        if not skip_bad:
            raise ValueError(message)
        faults.append(message)

    captions = {path: _captions_of(folder, path, fault) for path in paths}
    places = (folder, folder / _SPLITS)
    lists = {split: path for place in places for split in SPLITS if (path := place / f"{split}.txt").is_file()}
    subjects = {path: path.parent.as_posix() if len(path.parts) > 1 else path.stem for path in paths}
    if lists:
        chosen, unmatched = _listed(lists, paths, fault)
        left_out += unmatched
        rest = [path for path in paths if path not in chosen]
        rule = f"by {', '.join(path.name for path in lists.values())}"
        if rest and "train" in lists:
            left_out.append(f"{len(rest)} motions that no list names, such as {rest[0].as_posix()!r}")
        elif rest:
            chosen |= dict.fromkeys(rest, "train")
            rule += "; motions that they do not name are in train, because there is no train.txt"
    else:
        told = {path: bool(captions[path]) for path in paths}
        chosen, rule = split_files(subjects, told)
    files = [
        MotionFile(path.as_posix(), path.with_suffix("").as_posix(), subjects[path], chosen[path], captions[path])
        for path in paths
        if path in chosen
    ]
    return FoundFiles(files, left_out, rule, faults)


def _motion_paths(folder: Path) -> tuple[list[Path], list[str]]:
    """Motion files relative to the folder, in order, and what was left out, in words."""
    suffixes = readable_suffixes()
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    found = sorted(paths, key=lambda path: path.parts)  # paths of Windows would compare without case
    motions, others = [], Counter[str]()
    both = {_JOINTS, _FEATURES} <= {path.parts[0] for path in found}
    for path in found:
        if any(part.startswith(".") for part in path.parts):
            others["hidden files"] += 1
        elif path.name.lower() in _OTHERS:
            others[f"{path.name}, which is no motion"] += 1
        elif both and path.parts[0] == _JOINTS:
            others[f"files of {_JOINTS}, which hold the clips of {_FEATURES}"] += 1
        else:
            motions.append(path)
    return motions, [f"{count} {what}" for what, count in others.items()]


def _listed(
    lists: dict[str, Path], paths: list[Path], fault: Callable[[str], None]
) -> tuple[dict[Path, str], list[str]]:
    """The split of every listed file, and what was left out, in words; `fault` is called with what is wrong."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        whole = path.as_posix(), path.with_suffix("").as_posix()
        for name in dict.fromkeys((*whole, path.name, path.stem)):
            by_name[_key(name)].append(path)
    chosen: dict[Path, str] = {}
    left_out = []
    for split, file in lists.items():
        names = [name for name in map(str.strip, _text(file, "list of a split", fault).splitlines()) if name]
        unmatched = []
        for name in names:
            found = _matching(name.replace("\\", "/").removeprefix("./"), by_name)
            if not found:
                unmatched.append(name)
            elif len(found) > 1:
                fault(
                    f"{file.name} must name each motion so that one file matches, got {name!r} for "
                    f"{found[0].as_posix()!r} and {found[1].as_posix()!r}; name the folder, too"
                )
            elif chosen.setdefault(found[0], split) != split:
                fault(
                    f"{file.name} must name motions of no other list, got {name!r}, which {chosen[found[0]]}.txt "
                    f"names too, in {str(file.parent)!r}; remove it from one"
                )
        if unmatched:
            few = f"{len(unmatched)} of {len(names)} lines of {file.name} that match no motion file, such as "
            few += repr(unmatched[0])
            fault(
                f"{file.name} must name motion files of its folder, got {few} in {str(file.parent)!r}; correct the "
                "lines, or train with data.skip_bad=true"
            )
            left_out.append(few)
    return chosen, left_out


def _text(file: Path, what: str, fault: Callable[[str], None]) -> str:
    """The text of a file; "" if it is not UTF-8."""
    try:
        return read_text(file, what)
    except ValueError as error:
        fault(str(error))
        return ""


def _key(name: str) -> str:
    """A file name for comparisons: systems differ in how they compose and decode letters with accents."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _matching(name: str, by_name: dict[str, list[Path]]) -> list[Path]:
    """The files that a line of a list names: those of exactly this path, else those of this name."""
    key = _key(name)
    found = by_name.get(key, [])
    exact = [path for path in found if key in (_key(path.as_posix()), _key(path.with_suffix("").as_posix()))]
    return exact or found


def _text_places(path: Path) -> list[Path]:
    """Where the text of a motion file may be: beside it, or in the folder of texts."""
    below = Path(*path.parts[1:]) if len(path.parts) > 1 else path
    return [place.with_suffix(".txt") for place in (path, _TEXTS / below, _TEXTS / path)]


def texts_without_motion(folder: Path, files: Iterable[str]) -> list[str]:
    """Text files that are neither those of motion files nor lists, in order.

    Args:
        files: the motion files, relative to the folder.
    """
    known = {place for file in files for place in _text_places(Path(file))}
    texts = (path.relative_to(folder) for path in folder.rglob("*.txt"))
    rest = (path for path in texts if path not in known and path.parts[0] != _SPLITS and path.name[0] != ".")
    return sorted(path.as_posix() for path in rest if path.stem.lower() not in _NO_CAPTIONS)


def _captions_of(folder: Path, path: Path, fault: Callable[[str], None]) -> tuple[Caption, ...]:
    """Captions of a motion file; none of a bad text file."""
    for place in _text_places(path):
        if (folder / place).is_file():
            try:
                return tuple(read_captions(folder / place))
            except ValueError as error:
                fault(str(error))
                break
    return ()


def by_span(captions: Iterable[Caption]) -> dict[tuple[float, float] | None, tuple[str, ...]]:
    """Captions by the seconds that they describe; the whole motion, None, unless all of them have spans."""
    captions = tuple(captions)
    spans = dict.fromkeys(caption.seconds for caption in captions)
    if not spans or None in spans:
        spans = {None: None, **spans}
    return {span: tuple(caption.text for caption in captions if caption.seconds == span) for span in spans}


def read_captions(path: str | Path) -> Iterator[Caption]:
    """Captions of a text file, see `parse_captions`.

    Raises:
        ValueError: if it is missing or not UTF-8, or a line of HumanML3D has times that are no span.
    """
    yield from parse_captions(read_text(path, "captions"), path)


def parse_captions(text: str, path: str | Path) -> Iterator[Caption]:
    """Captions of a text, one per line, plain or in the form of HumanML3D.

    Args:
        path: where the text is from, for errors.

    Raises:
        ValueError: for a line of HumanML3D with times that are no span.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = line.rsplit("#", 3)
        times = [_seconds(part) for part in parts[2:]] if len(parts) == 4 else []
        if not times or None in times:
            yield Caption(line.strip())
            continue
        start, stop = (0.0 if time is None or math.isnan(time) else time for time in times)
        text = parts[0].strip()
        if not text or not (0 <= start < stop < math.inf or start == stop == 0):
            raise ValueError(
                f"captions must be lines of a sentence, or sentence#tags#from#to with times in order, got line "
                f"{number} of {str(path)!r}: {line.strip()[:80]!r}; correct it"
            )
        yield Caption(text, None if stop == 0 else (start, stop))


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
