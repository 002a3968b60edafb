"""A folder of shards that an interrupted run leaves in parts, and that an equal run completes.

    FILES = ShardFiles("tokens.json", "codes-{:05d}-of-{:05d}.parquet", 1, "tokenize", ("tokenizer", "source"))
    folder = ResumableFolder("my_codes", FILES, made_by, shards=3)
    folder.check(overwrite=False)            # an error where the folder holds anything but this run
    notes = folder.start(read)               # number -> what `read` says of it, of the shards that are whole
    ...                                      # make the others, each written whole, with `folder.header["run"]` in it
    folder.finish(clips=100)                 # mark the folder complete

The header is a JSON file that says what made the shards. Its `run` is a fingerprint of that; every shard carries it,
so that shards of different runs are never mixed. Unusual: nothing is kept about progress. A shard that is there and
whole is done.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from motionmillion.io.files import write_text
from motionmillion.provenance import fingerprint

Note = TypeVar("Note")


@dataclass(frozen=True)
class ShardFiles:
    """The files of one kind of folder.

    Args:
        header: name of the JSON file that says what the shards hold.
        shard: name of a shard, a format of its number and the number of shards.
        version: of the format.
        command: of motionmillion, that makes such folders.
        keys: what a header must have besides the run, whether it is complete, and the number of shards.
        others: further files of a finished run, such as an index.
    """

    header: str
    shard: str
    version: int
    command: str
    keys: tuple[str, ...]
    others: tuple[str, ...] = ()

    def shard_name(self, shard: int | str, shards: int | str) -> str:
        """File name of a shard, counted from 0."""
        return self.shard.format(shard, shards)

    def read_header(self, folder: str | Path) -> dict[str, Any]:
        """The content of the header.

        Raises:
            ValueError: if there is none, or it is damaged or of another version.
        """
        try:
            header = json.loads((Path(folder) / self.header).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(
                f"folder must hold a {self.header}, got none in {str(folder)!r}; make one with motionmillion "
                f"{self.command}"
            ) from None
        except (UnicodeDecodeError, json.JSONDecodeError):
            header = None
        whole = isinstance(header, dict) and {"run", "complete", "shards", *self.keys} <= set(header)
        if not isinstance(header, dict) or not whole or header.get("format") != self.version:
            found = header.get("format") if isinstance(header, dict) else None
            raise ValueError(
                f"{self.header} must be whole and of format {self.version}, got format {found!r} in {str(folder)!r}; "
                f"motionmillion {self.command} --overwrite makes it again"
            )
        return header

    def write_header(self, header: Mapping[str, Any], folder: str | Path) -> None:
        """Write the header; whole or not at all."""
        write_text(json.dumps(header, indent=2, ensure_ascii=False) + "\n", Path(folder) / self.header)

    def of_any_run(self, folder: Path) -> list[Path]:
        """Every shard, index and header in a folder, of whatever run."""
        shards = folder.glob(re.sub(r"\{.*?\}", "*", self.shard))
        return [*shards, *(path for name in (*self.others, self.header) if (path := folder / name).exists())]

    def leftovers(self, folder: Path) -> list[Path]:
        """Temporary files that were being written as a run was killed, see `motionmillion.io.files.atomic_path`."""
        names = (re.sub(r"-\{.*\}", "", self.shard), self.header, *self.others)
        patterns = {f".{Path(name).stem}-*{Path(name).suffix}" for name in names}
        return [path for pattern in patterns for path in folder.glob(pattern)]


class ResumableFolder:
    """A run that writes a folder of shards.

    Args:
        folder: may hold what an earlier attempt has left.
        files: which files it has.
        made_by: all that the shards depend on, as JSON values; an earlier attempt must have had the same.
        facts: further entries of the header, `shards` among them.
    """

    def __init__(self, folder: Path, files: ShardFiles, made_by: Mapping[str, Any], /, **facts: Any) -> None:
        self.folder, self.files, self.made_by = folder, files, made_by
        run = fingerprint({"format": files.version, **made_by})
        self.header = {"format": files.version, "run": run, "complete": False, **made_by, **facts}

    @property
    def run(self) -> str:
        """What every shard carries."""
        return self.header["run"]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return self.header["shards"]

    def path(self, shard: int) -> Path:
        """Path of a shard, counted from 0."""
        return self.folder / self.files.shard_name(shard, self.shards)

    def check(self, overwrite: bool) -> None:
        """Raise `ValueError` if the folder holds anything but this run; with `overwrite` remove another run's files.

        Other files are never touched.
        """
        name = repr(str(self.folder))
        if overwrite:
            for path in self.files.of_any_run(self.folder):
                path.unlink(missing_ok=True)
        elif (self.folder / self.files.header).exists():
            there = self.files.read_header(self.folder)
            differing = [key for key, value in self.made_by.items() if there.get(key) != value]
            if differing:
                key = differing[0]
                raise ValueError(
                    f"output must be new or of the same run, got {name} with a difference in {key}: "
                    f"{_difference(there.get(key), self.made_by[key])}; choose another output, or start over with "
                    "--overwrite"
                )
        elif self.folder.is_dir() and set(self.folder.iterdir()) - set(self.files.leftovers(self.folder)):
            raise ValueError(f"output must be a new folder or of an earlier run, got {name} with other files")

    def start(self, read: Callable[[Path, int], Note | None]) -> dict[int, Note]:
        """Find the shards that are whole, clear away leftovers, and mark the folder unfinished if there is work.

        Args:
            read: gives a note about a shard at a path that exists, None where it is damaged or not as planned.

        Returns:
            The notes of whole shards by number.
        """
        there = [number for number in range(self.shards) if self.path(number).exists()]
        notes = {number: note for number in there if (note := read(self.path(number), number)) is not None}
        for rest in self.files.leftovers(self.folder):
            rest.unlink(missing_ok=True)
        if len(notes) < self.shards:
            self.files.write_header(self.header, self.folder)
        return notes

    def finish(self, **totals: Any) -> None:
        """Mark the folder complete; `totals` are added to the header."""
        self.files.write_header({**self.header, "complete": True, **totals}, self.folder)


def _difference(there: Any, here: Any) -> str:
    """The first difference between two nested values."""
    if isinstance(there, dict) and isinstance(here, dict):
        name = next(name for name in {**here, **there} if there.get(name) != here.get(name))
        return f"{name} {_difference(there.get(name), here.get(name))}"
    return f"{str(there)[:40]} there, {str(here)[:40]} now"
