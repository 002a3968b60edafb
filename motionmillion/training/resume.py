"""Finds the complete checkpoints of a run, and checks that they can be resumed.

    check_output(recipe, resume)                      # before anything is loaded
    note_recipe(recipe)                               # after all checks
    mark_whole(folder, processes=2, split="zero3", sums=sums)   # after every process has written its part
    folder = newest_whole(recipe.output, processes=2, split="zero3")
    intact = damaged(folder) is None

A checkpoint is a folder that several processes write to, and a process can be killed at any time. So the last file
written to it is `complete.json`, the list of its files with their sizes and checksums; a folder without it, or with a
file of another size, is skipped and removed. Checksums find what sizes do not: a byte that a disk or a copy has
changed. Processes share the work, each with every n-th file.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from motionmillion.io.files import is_disk_full, write_text
from motionmillion.progress import say
from motionmillion.training.recipe import Recipe

FORMAT = 2
RECIPE = "recipe.json"
"""Of runs; those before 2 decay the weights of embeddings, which their optimizer's state depends on."""

_LITTLE = 1 << 20
"""Bytes of free space below which a failure to write is put down to the full disk."""

CHECKPOINTS = "checkpoint-*"
MARKER, AVERAGE_FILE = "complete.json", "ema.pt"
DAMAGED = "damaged.json"
"""The mark of a checkpoint in which a changed file was found."""


def check_output(recipe: Recipe, resume: bool, parts: str = CHECKPOINTS) -> None:
    """Check that the output folder is new or holds the run to resume.

    Args:
        parts: pattern of the folders that a run of this kind leaves.

    Raises:
        ValueError: if the folder holds checkpoints of another recipe, or any without `resume`.
    """
    file, there = Path(recipe.output) / RECIPE, any(Path(recipe.output).glob(parts))
    finished = (Path(recipe.output) / "final").exists()
    if (there or finished) and not resume:
        found = f"{parts.rstrip('-_*')}s" if there else "a trained model"
        raise ValueError(
            f"output must be a new folder, got {recipe.output!r} with {found}; use --resume or another one"
        )
    own = _own(recipe)
    if there and file.exists():
        noted = json.loads(file.read_text(encoding="utf-8"))
        differing = [name for name in own if noted.get(name) != json.loads(json.dumps(own[name]))]
        if differing:
            raise ValueError(
                f"{differing[0]} must be that of the run to resume, got {own[differing[0]]} in place of "
                f"{noted.get(differing[0])}; choose another output"
            )


def note_recipe(recipe: Recipe, parts: str = CHECKPOINTS) -> None:
    """Write what a run must have in common with its resumption into the output folder, unless it is there."""
    file = Path(recipe.output) / RECIPE
    if not (any(Path(recipe.output).glob(parts)) and file.exists()) and os.environ.get("RANK", "0") == "0":
        write_text(json.dumps({"format": FORMAT, **_own(recipe)}, indent=2) + "\n", file)


def _own(recipe: Recipe) -> dict[str, Any]:
    return {"seed": recipe.seed, "data": recipe.data, "model": recipe.model}


def format_of(output: str | Path) -> int:
    """Format of the run in a folder; that of new runs if there is none."""
    file = Path(output) / "recipe.json"
    return json.loads(file.read_text(encoding="utf-8")).get("format", 1) if file.is_file() else FORMAT


def checkpoints(output: str | Path) -> list[Path]:
    """Checkpoint folders of a run, the newest first."""
    return sorted(Path(output).glob(CHECKPOINTS), key=_step, reverse=True)


def mark_whole(folder: Path, processes: int, split: str, sums: Mapping[str, str]) -> None:
    """Mark a checkpoint as complete; call it when every process has written its part.

    Args:
        split: how weights and optimizer state are sharded over the processes: "" for not at all, "zero2", "fsdp".
        sums: the `checksums` of all files.
    """
    mark = {"processes": processes, "split": split, "files": _sizes(folder), "xxh3_64": dict(sums)}
    write_text(json.dumps(mark, indent=1) + "\n", folder / MARKER)


def newest_whole(output: str | Path, processes: int, split: str, first_save: float = 0) -> Path | None:
    """The newest complete checkpoint; None if there are none, or the run was killed inside its first save.

    Args:
        processes: number of processes, for the message; it may differ from that of the checkpoint.
        split: how weights are to be sharded, as for `mark_whole`.
        first_save: step by which the first checkpoint is written; starting again costs no more than so many steps.

    Raises:
        ValueError: if there are checkpoints but none is complete, other than an unfinished first one, or it was split
            in another way.
    """
    found = checkpoints(output)
    whole = [(folder, mark) for folder in found if (mark := read_mark(folder)) is not None]
    if found and not whole and not all(_unfinished(folder) and _step(folder) <= first_save for folder in found):
        raise ValueError(
            f"checkpoints must be whole to resume, got none in {str(output)!r} with {MARKER} and all files it names; "
            "choose another output"
        )
    if not whole:
        return None
    folder, mark = whole[0]
    written = (mark["processes"], mark["split"])
    if split != mark["split"]:
        raise ValueError(
            f"checkpoint must be resumed as it was written, by {_words(*written)}, got {_words(processes, split)} for "
            f"{str(folder)!r}; or convert it and name it as data.start_from of a new run"
        )
    return folder


def newest_intact(output: str, args: Any) -> Path | None:
    """The newest complete checkpoint, the same on every process, after those with changed files have been set aside.

    Args:
        args: of the training; their processes and split count.

    Raises:
        ValueError: as `newest_whole`, and if only some of the processes find one.
    """
    while True:
        found = gather_object([newest_whole(output, args.world_size, args.split, args.save_every)])
        newest = min(found, key=lambda path: -1 if path is None else _step(path))
        if newest is None:
            if any(found):
                raise ValueError(
                    f"output must be a folder that all machines share, got {output!r}, which some see empty"
                )
            if args.should_save and (unfinished := checkpoints(output)):
                say(f"{unfinished[0].name}, the first one, was not finished; the run starts from the beginning")
            return None
        changed = [name for name in gather_object([damaged(newest, args.process_index, args.world_size)]) if name]
        if not changed:
            return newest
        if args.should_save:
            say(f"{changed[0]} of {newest.name} is damaged (its checksum has changed); an earlier checkpoint is taken")
            (newest / MARKER).replace(newest / DAMAGED)
        gather_object([None])  # nobody looks again before the mark is gone


def read_mark(folder: Path) -> dict[str, Any] | None:
    """The content that `mark_whole` wrote, if every file still exists with its recorded size; else None."""
    try:
        mark = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in mark["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return mark if whole else None


def checksums(folder: Path, process: int = 0, processes: int = 1) -> dict[str, str]:
    """The checksum of each file of a checkpoint that is this process's to read."""
    return {name: _checksum(folder / name) for name in list(_sizes(folder))[process::processes]}


def damaged(folder: Path, process: int = 0, processes: int = 1) -> str | None:
    """The first file of a complete checkpoint, among those of this process, whose content has changed; None for none.

    Checkpoints of earlier versions have no checksums and are taken as they are.
    """
    noted = (read_mark(folder) or {}).get("xxh3_64", {})
    return next((name for name in sorted(noted)[process::processes] if _checksum(folder / name) != noted[name]), None)


def _checksum(path: Path) -> str:
    import xxhash

    state = xxhash.xxh3_64()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            state.update(chunk)
    return state.hexdigest()


def unmark(folder: Path) -> None:
    """Count a checkpoint as unfinished from now on."""
    for name in (MARKER, DAMAGED):
        (folder / name).unlink(missing_ok=True)


def _unfinished(folder: Path) -> bool:
    """Whether a process was killed while it wrote a checkpoint."""
    return not any((folder / name).exists() for name in (MARKER, DAMAGED))


@contextlib.contextmanager
def naming_full_disk(folder: Path, output: Path | None = None) -> Iterator[None]:
    """Writes a checkpoint in the context; if the disk is full, what was written is removed, and the error says so.

    Args:
        folder: of the checkpoint.
        output: folder of the run, if the checkpoint is written elsewhere first.

    Raises:
        OSError: with what to do, in place of what the writers raise.
    """
    try:
        yield
    except Exception as error:  # torch, safetensors and DeepSpeed each raise another one
        if not _is_full(error, folder):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        whole = next((other for other in checkpoints(output or folder.parent) if read_mark(other) is not None), None)
        left = f"{whole.name} is whole, and --resume goes on from there" if whole else "there is no earlier one"
        raise OSError(
            f"checkpoint must fit on the disk, got no space left for {str(folder)!r}; {left}; free some space"
        ) from error


def _is_full(error: BaseException, folder: Path) -> bool:
    """Whether writing failed for lack of space."""
    if is_disk_full(error):
        return True
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return "No space left" in str(error) or shutil.disk_usage(there).free < _LITTLE


def remove_newer(folder: Path | None, output: str | Path) -> None:
    """Remove what a killed run wrote after its newest complete checkpoint; if there is none, what is unfinished."""
    for other in checkpoints(output):
        if _unfinished(other) if folder is None else _step(other) > _step(folder):
            shutil.rmtree(other)


def remove_older(output: str | Path, newest: int | None, best: int | None, every: int) -> None:
    """Remove all checkpoints but the newest ones, the best one, and those of every so many steps.

    Args:
        newest: number of the newest checkpoints to keep; None or 0 keeps all.
        best: step of the best checkpoint, if there is one.
        every: steps between the checkpoints that are always kept; 0 for none.
    """
    for other in checkpoints(output)[newest or None :]:
        step = _step(other)
        if newest and step != best and not (every and step % every == 0):
            shutil.rmtree(other)


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _step(folder: Path) -> int:
    number = folder.name.rsplit("-", 1)[1]
    return int(number) if number.isdigit() else -1


def _words(processes: int, split: str) -> str:
    return f"{processes} process{'es' if processes > 1 else ''} {f'under {split}' if split else 'without DeepSpeed'}"
