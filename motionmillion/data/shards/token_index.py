"""The clips of token shards in one Arrow file, which the processes of a machine map into memory and share.

    write_index(["my_codes"], "train", 64000, "runs/lm/index/train.arrow")       # on one process
    table = open_index("runs/lm/index/train.arrow")                              # on all of them

Shards are compressed, so every process that reads them holds all clips, 6 kB each, in memory of its own. The index is
not compressed: its pages come from the disk when they are needed, and are in memory once for all processes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motionmillion.data.shards.tokens import check_pyarrow, read_header, token_tables
from motionmillion.io.files import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = b"shards"


def write_index(folders: Sequence[str | Path], split: str, codebook_size: int | None, path: str | Path) -> None:
    """Write the clips of a split that have captions, with one shard in memory at a time, unless they are there.

    Args:
        codebook_size: required codebook size; None accepts any.

    Raises:
        ImportError: without pyarrow.
        ValueError: as of `read_token_tables`, and for a split without clips.
    """
    check_pyarrow()
    import pyarrow as pa

    origin = json.dumps([split, [[str(folder), read_header(folder)["run"]] for folder in folders]]).encode()
    if Path(path).is_file() and open_index(path).schema.metadata == {_KEY: origin}:
        return
    tables = token_tables(folders, split, codebook_size)
    first = next(tables, None)
    if first is None:
        raise ValueError(f"tokens must hold clips with captions in the split {split!r}, got none in {list(folders)}")
    schema = first.schema.with_metadata({_KEY: origin})
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema) as out:
        for table in (first, *tables):
            out.write_table(table.replace_schema_metadata(schema.metadata))


def open_index(path: str | Path) -> "pa.Table":
    """The clips of an index, as of `read_token_tables`, mapped into memory."""
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
