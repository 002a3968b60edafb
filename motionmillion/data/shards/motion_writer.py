"""Finishing a data set on disk: its header, and what `datasets` needs to open the folder.

    folder = ResumableFolder(Path("my_set"), FILES, made_by, sources={}, files=[], clips=0, shards=0)
    folder.check(overwrite=False)
    ...                                              # write_motions(...) for each file
    finish_set(folder, ["motions-a-00000.arrow"], {"CMU": {"licence": "free"}}, faults)

The header lists every file with its number of clips and SHA-256, hours and clips by source and split, and the faults
by kind; `faults.jsonl` names each of them. Until the header says that the set is complete, nothing reads it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from motionmillion.data.shards.motions import FILES, map_motions
from motionmillion.data.shards.pool import run_tasks
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.io.files import atomic_path, write_text
from motionmillion.progress import progress_bar
from motionmillion.provenance import files_hash, fingerprint

FAULTS = "faults.jsonl"
_FILES = 16
"""Fewest files that a process is started for."""
SOURCE_KEYS = ("licence", "url", "weight", "text_share", "trusted_text", "trusted_reference", "kind", "made_by")
"""What a header may say of a source, besides its counts."""

SOURCE_KINDS = ("mocap", "video", "synthetic")
"""Where the motion of a source comes from: recorded, estimated from videos, or generated."""


class Fault(NamedTuple):
    """Something that is wrong with the source of a data set; `name` is what it concerns."""

    kind: str
    name: str
    reason: str = ""


class FileFacts(NamedTuple):
    """What the header says of a file: its SHA-256, and clips, seconds and texts by source and split."""

    sha256: str
    clips: int
    counts: dict[tuple[str, str], tuple[int, float, int]]


def finish_set(
    folder: ResumableFolder,
    files: Sequence[str],
    sources: Mapping[str, Mapping[str, Any]],
    faults: Iterable[Fault] = (),
    workers: int = 1,
    **facts: Any,
) -> dict[str, Any]:
    """Write the header of a data set and mark it complete.

    Args:
        files: names of the files, in the order of their clips.
        sources: what is known of each source, with the keys `SOURCE_KEYS`; "*" for those that are not named.
        faults: what was wrong.
        facts: further entries of the header.

    Returns:
        the header.
    """
    found: dict[str, FileFacts] = {}
    with progress_bar(len(files), "hashing", "files") as bar:
        few = max(len(files) // _FILES, 1)  # starting a process takes seconds
        for name, own in run_tasks(files, _make_facts, (str(folder.folder),), min(workers, few)):
            found[name] = own
            bar.update()
    listed = [{"file": name, "clips": found[name].clips, "sha256": found[name].sha256} for name in files]
    kinds = _write_faults(folder.folder / FAULTS, faults)
    facts |= {"files": listed, "shards": len(listed), "clips": sum(entry["clips"] for entry in listed)}
    facts |= {"content": fingerprint([entry["sha256"] for entry in listed]), "faults": kinds}
    facts |= _totals(found.values(), sources)
    _for_datasets(folder.folder, files, facts["content"])
    folder.finish(**facts)
    return FILES.read_header(folder.folder)


def _totals(found: Iterable[FileFacts], sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Clips, hours and texts by source and split."""
    splits: Counter[str] = Counter()
    own: dict[str, dict[str, Any]] = {}
    seconds, texts = 0.0, 0
    for counts in (each.counts for each in found):
        for (source, split), (clips, length, told) in counts.items():
            splits[split] += clips
            seconds, texts = seconds + length, texts + told
            entry = own.setdefault(
                source, {**sources.get(source, sources.get("*", {})), "clips": 0, "hours": 0.0, "texts": 0}
            )
            entry["clips"] += clips
            entry["hours"] += length / 3600
            entry["texts"] += told
    for entry in own.values():
        entry["hours"] = round(entry["hours"], 6)
    return {"splits": dict(splits), "hours": round(seconds / 3600, 6), "texts": texts, "sources": own}


def _make_facts(folder: str) -> Any:
    return lambda name: _facts(Path(folder) / name)


def _facts(path: Path) -> FileFacts:
    table = map_motions(path)
    counts: dict[tuple[str, str], tuple[int, float, int]] = {}
    seconds = table["frames"].to_numpy() / table["fps"].to_numpy()
    lengths = np.diff(table["texts"].combine_chunks().offsets.to_numpy()) if table.num_rows else np.zeros(0, int)
    keys = zip(table["source"].to_pylist(), table["split"].to_pylist(), strict=True)
    for key, length, told in zip(keys, seconds.tolist(), lengths.tolist(), strict=True):
        clips, total, texts = counts.get(key, (0, 0.0, 0))
        counts[key] = (clips + 1, total + length, texts + told)
    return FileFacts(files_hash([path]), table.num_rows, counts)


def _write_faults(path: Path, faults: Iterable[Fault]) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for fault in faults:
            kinds[fault.kind] += 1
            file.write(json.dumps(fault._asdict(), ensure_ascii=False) + "\n")
    return dict(kinds.most_common())


def _for_datasets(folder: Path, files: Sequence[str], content: str) -> None:
    """The files that `datasets.load_from_disk` looks for."""
    state = {
        "_data_files": [{"filename": name} for name in files],
        "_fingerprint": content[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    write_text(json.dumps(state, indent=1) + "\n", folder / "state.json")
    write_text("{}\n", folder / "dataset_info.json")
