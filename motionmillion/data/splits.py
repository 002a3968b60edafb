"""Splits of a folder without lists: by a hash of the subject, or of the file where there are few subjects.

    split_of_subject("anna")                                   # "train", "val" or "test", the same in every folder
    chosen, rule = split_files({Path("a.bvh"): "a", ...}, {Path("a.bvh"): True, ...})

Unusual: a hash leaves splits of a small folder empty. Then the subjects of train with the highest hashes move to val
and test, so that every split has motions, with captions if any motion has some.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

SPLITS = ("train", "val", "test")

_FEW = 3
"""Subjects below which files are split instead: one for each split."""

_PAIRS = 20
"""Subjects from which on val and test get two at least, so that retrieval has something to confuse."""


def split_of_subject(subject: str) -> str:
    """A stable split for a subject: about 80 % train, 10 % val, 10 % test, by a hash of the name."""
    share = _share(subject)
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


def split_files(subjects: Mapping[Path, str], captioned: Mapping[Path, bool]) -> tuple[dict[Path, str], str]:
    """The split of every file, and the rule in words.

    Args:
        subjects: subject of every file.
        captioned: whether it has captions.
    """
    groups = {path: subject for path, subject in subjects.items()}
    by = "subject, the name of the folder"
    if len(set(groups.values())) < _FEW or all(len(path.parts) == 1 for path in groups):
        groups, by = {path: path.with_suffix("").as_posix() for path in subjects}, "take, the name of the file"
    counted = {groups[path] for path in groups if captioned[path]} or set(groups.values())
    chosen = {group: split_of_subject(group) for group in groups.values()}
    least = 2 if len(counted) >= _PAIRS else 1
    for split in ("val", "test"):
        while sum(chosen[group] == split for group in counted) < least:
            train = sorted((group for group in counted if chosen[group] == "train"), key=_share)
            if len(train) < 2:
                break
            chosen[train[-1]] = split
    return {path: chosen[group] for path, group in groups.items()}, f"by {by}, because there is no train.txt"


def _share(subject: str) -> float:
    return int(hashlib.sha256(subject.encode()).hexdigest()[:8], 16) / 2**32
