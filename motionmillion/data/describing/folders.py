"""Captions for a whole folder of motions: `motionmillion data describe FOLDER`.

    summary = describe_folder("my_motions")                            # my_motions/x.txt for each x.bvh without one
    summary = describe_folder("my_set", "my_set/described.jsonl")      # a motion set: a new list of its clips

Existing captions are kept unless `append` or `overwrite` is set. Motions that cannot be read or measured are reported
and skipped. Files are written atomically, so a run can be interrupted and restarted.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from motionmillion.configuration import check_whole
from motionmillion.data.clips import SPLITS, ClipReader, ClipRecord, list_clips
from motionmillion.data.describing.wording import describe_motion
from motionmillion.data.shards.motion_table import is_table
from motionmillion.io.files import PathError, atomic_path, check_writable, read_text, write_text
from motionmillion.progress import progress_bar, say_lines

MEASURED = "measured"
"""The `source` of the generated captions in a motion set."""


@dataclass
class Summary:
    """Result of describing a folder.

    Args:
        described: clips that got captions.
        sentences: captions that were written.
        kept: clips whose captions were left as they were.
        silent: clips without any clear fact to describe.
        failed: clips that could not be read or measured, with the reason.
    """

    described: int = 0
    sentences: int = 0
    kept: int = 0
    silent: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.described} clips described with {self.sentences} sentences"]
        parts += [f"{self.kept} kept their captions"] if self.kept else []
        parts += [f"{self.silent} without anything clear to say"] if self.silent else []
        parts += [f"{len(self.failed)} could not be described"] if self.failed else []
        return ", ".join(parts)


@dataclass(frozen=True)
class DescribeOptions:
    """How a folder is described.

    Args:
        count: maximum number of sentences per clip, drawn at random; None for all.
        seed: seed of the draws, which for each clip are independent of the other clips in the folder.
        append: add to existing captions, without duplicates.
        overwrite: replace existing captions.

    Raises:
        ValueError: for a count below 1, or `append` and `overwrite` together.
    """

    count: int | None = None
    seed: int = 0
    append: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.count is not None:
            check_whole("count", self.count, 1)
        if self.append and self.overwrite:
            raise ValueError("append must come without overwrite, got both; choose one")

    def captions(self, name: str, reader: Callable[[], Any], before: Iterable[str]) -> list[str]:
        """All captions of a clip after describing its motion, which `reader` returns."""
        generator = None
        if self.count is not None:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        sentences = describe_motion(reader(), generator, self.count)
        return list(dict.fromkeys([*before, *sentences])) if self.append else sentences


def describe_folder(
    folder: str | Path, output: str | Path | None = None, options: DescribeOptions | None = None
) -> Summary:
    """Write captions for every motion of a folder.

    Args:
        folder: a motion set, or any folder of motion files.
        output: folder for the text files, by default `folder` itself; for a motion set a .jsonl file, or a folder for
            `clips.jsonl`, by default standard output.

    Raises:
        ValueError: if the folder contains no motion, or the output cannot be written or already exists.
    """
    folder, options = Path(folder), options or DescribeOptions()
    if is_table(folder):
        raise ValueError(
            f"folder must hold motion files or be a motion set, got the data set {str(folder)!r}; describe the "
            "motions before motionmillion data build"
        )
    records = list(list_clips(folder))
    summary = Summary()
    with progress_bar(len(records), "describing", "clips") as bar:
        is_set = (folder / "clips.jsonl").exists()
        steps = _describe_set if is_set else _describe_files
        for _ in steps(folder, None if output is None else Path(output), records, options, summary):
            bar.update()
    say_lines(f"not described: {name}: {reason}" for name, reason in summary.failed)
    return summary


def _describe_files(
    folder: Path, output: Path | None, records: list[ClipRecord], options: DescribeOptions, summary: Summary
) -> Iterator[None]:
    target = folder if output is None else output
    if target.is_file():
        raise PathError(f"output must be a folder, got the file {str(target)!r}; name another")
    check_writable(target / "x.txt")
    read = ClipReader(folder)
    for record in records:
        text = target / Path(record.file).with_suffix(".txt")
        before = _lines(text) if text.exists() else list(record.captions)
        if record.name in SPLITS:
            summary.failed.append((record.file, f"{record.name}.txt would be read as a list of a split; rename it"))
        elif (text.exists() or before) and not (options.append or options.overwrite):
            summary.kept += 1
        else:
            captions = _try(record, read, before, options, summary)
            if captions:
                write_text("\n".join(captions) + "\n", text)
        yield


def _describe_set(
    folder: Path, output: Path | None, records: list[ClipRecord], options: DescribeOptions, summary: Summary
) -> Iterator[None]:
    if output is not None and output.is_dir():
        output = output / "clips.jsonl"
    if output is not None:
        check_writable(output)
        if output.exists():
            raise PathError(f"output must be a new file, got {str(output)!r}; name another, or remove it")
    lines = read_text(folder / "clips.jsonl", "clips.jsonl").splitlines()
    entries = [json.loads(line) for line in lines if line.strip()]
    read = ClipReader(folder)

    def described() -> Iterator[str]:
        for entry, record in zip(entries, records, strict=True):
            if record.captions and not (options.append or options.overwrite):
                summary.kept += 1
            else:
                _add(entry, _try(record, read, record.captions, options, summary), options.append)
            yield json.dumps(entry, ensure_ascii=False)

    if output is None:
        for line in described():
            print(line, flush=sys.stdout.isatty())
            yield
        return
    with atomic_path(output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for line in described():
            file.write(line + "\n")
            yield


def _add(entry: dict[str, Any], captions: list[str] | None, append: bool) -> None:
    """Put captions into an entry of clips.jsonl; those that stay keep their source."""
    if not captions:
        return
    there = entry["captions"] if append else []
    known = {caption["text"] for caption in there}
    entry["captions"] = [*there, *({"text": text, "source": MEASURED} for text in captions if text not in known)]


def _try(
    record: ClipRecord, read: ClipReader, before: Iterable[str], options: DescribeOptions, summary: Summary
) -> list[str] | None:
    """Captions of a clip, counted; None where it has none or fails."""
    before = list(before)
    try:
        captions = options.captions(record.name, lambda: read(record).motion, before)
    except (ValueError, OSError) as error:
        summary.failed.append((record.name if record.take else record.file, " ".join(str(error).split())))
        return None
    added = len(captions) - (len(before) if options.append else 0)
    if added:
        summary.described += 1
        summary.sentences += added
    elif captions:
        summary.kept += 1
    else:
        summary.silent += 1
    return captions if added else None


def _lines(path: Path) -> list[str]:
    return [line for line in map(str.strip, read_text(path, "captions").splitlines()) if line]
