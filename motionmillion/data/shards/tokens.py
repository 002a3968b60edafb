"""Token shards: the codes of a data set as a folder of Parquet files and one tokens.json.

    for clip in load_token_shards("my_codes", ("train",), codebook_size=1000):
        print(clip.name, clip.codes, clip.captions)

`datasets.load_dataset("parquet", data_files="my_codes/*.parquet")` reads the same rows. `motionmillion tokenize`
writes such folders (`motionmillion.data.shards.tokenize`).

| column | type | content |
|---|---|---|
| name, split, subject, category | string | as in `MotionClip` |
| captions, own_captions | list of string | as in `MotionClip` |
| whole | bool | False for a window cut out of a longer take |
| frames | int32 | at the frame rate of the tokenizer's features |
| codes | list of int32 | `ceil(frames / frames_per_token)` of them |
| sources, ends, dataset | list of string, bool, string | as in `MotionClip`; older folders lack the last ones |

`tokens.json` describes how the codes were made, and has the `sources` of a data set on disk with their mixing weights.
Its `run` is a fingerprint of tokenizer, source and options; every shard also stores it in its metadata (key
"motionmillion"), with the numbers of clips and codes and what was left out, so that shards of different runs are never
mixed. Unusual: pyarrow is not needed to import this module, only to use it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from motionmillion.data.clips import SPLITS
from motionmillion.data.shards.resumable import ShardFiles
from motionmillion.io.files import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("name", "split", "subject", "category", "captions", "own_captions", "whole", "frames", "codes")
OPTIONAL = ("sources", "ends", "dataset")
"""Columns that were added to the format one after another, so that older folders have the first ones or none."""
HEADER = "tokens.json"
FORMAT = 1
FILES = ShardFiles(HEADER, "codes-{:05d}-of-{:05d}.parquet", FORMAT, "tokenize", ("tokenizer", "source"))

_KEY = b"motionmillion"
_REMEDY = "run the same motionmillion tokenize again, it makes what is missing"


@dataclass(frozen=True)
class TokenClip:
    """One clip as codes `[N]`, int64; the other fields are those of `MotionClip`, `frames` its length."""

    name: str
    codes: Tensor
    frames: int
    captions: tuple[str, ...] = ()
    split: str = "train"
    subject: str = ""
    category: str = ""
    whole: bool = True
    own_captions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ends: bool = True
    dataset: str = ""


def check_pyarrow() -> None:
    """Raise `ImportError` with the remedy if pyarrow is not installed; call it before long work."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        message = 'pyarrow must be installed for token shards; run: pip install "motionmillion[train]"'
        raise ImportError(message) from error


def shard_name(shard: int, shards: int) -> str:
    """File name of a shard, counted from 0."""
    return FILES.shard_name(shard, shards)


def write_shard(rows: Sequence[dict[str, Any]], path: str | Path, note: dict[str, Any]) -> None:
    """Write rows with the keys `COLUMNS`, and `OPTIONAL` if they have them, as a shard, atomically.

    Args:
        note: metadata that `read_note` returns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, words = pa.string(), pa.list_(pa.string())
    types = dict(captions=words, own_captions=words, whole=pa.bool_(), frames=pa.int32(), codes=pa.list_(pa.int32()))
    types |= dict(sources=words, ends=pa.bool_())
    names = (*COLUMNS, *(name for name in OPTIONAL if rows and name in rows[0]))
    schema = pa.schema([(name, types.get(name, texts)) for name in names], metadata={_KEY: json.dumps(note)})
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary, compression="zstd")


def read_note(path: str | Path) -> dict[str, Any]:
    """The `note` given to `write_shard`, checked against the shard's footer.

    Raises:
        ValueError: if the file is missing, truncated or not a shard.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        note = json.loads((footer.metadata or {})[_KEY])
        names = tuple(footer.schema.to_arrow_schema().names)
        known = {(*COLUMNS, *OPTIONAL[:count]) for count in range(len(OPTIONAL) + 1)}
        if names not in known or footer.num_rows != note["clips"]:
            raise KeyError("clips")
    except FileNotFoundError:
        raise ValueError(f"shard must exist, got no {str(path)!r}; {_REMEDY}") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"shard must be whole, got a damaged {str(path)!r}; {_REMEDY}") from None
    return note


def write_header(header: dict[str, Any], folder: str | Path) -> None:
    """Write tokens.json; whole or not at all."""
    FILES.write_header(header, folder)


def read_header(folder: str | Path) -> dict[str, Any]:
    """The content of tokens.json.

    Raises:
        ValueError: if there is none, or it is damaged or of another format.
    """
    return FILES.read_header(folder)


def load_token_shards(
    folder: str | Path, splits: Iterable[str] = SPLITS, codebook_size: int | None = None
) -> Iterator[TokenClip]:
    """The clips of `splits` in a folder of token shards, in order, with one shard in memory at a time.

    Args:
        codebook_size: required codebook size; None accepts any.

    Raises:
        ImportError: without pyarrow.
        ValueError: immediately, for a folder that is unfinished or made for another codebook, and for shards that are
            missing, damaged or from another run; while reading, for damage inside a shard.
    """
    check_pyarrow()
    splits = tuple(splits)
    header, paths = _checked_shards(folder, splits, codebook_size)
    tokenizer = header["tokenizer"]
    return _clips(paths, splits, tokenizer.get("codebook_size"), tokenizer.get("frames_per_token", 1))


def read_token_tables(folders: Sequence[str | Path], split: str, codebook_size: int | None = None) -> "pa.Table":
    """The clips of `split` that have captions, of all `folders`, as one Arrow table.

    It has the columns `COLUMNS` and `OPTIONAL`; what a folder lacks of the latter is unknown, and all clips end.

    Raises:
        ImportError: without pyarrow.
        ValueError: for folders that `load_token_shards` rejects, and for codes out of range.
    """
    check_pyarrow()
    import pyarrow as pa

    tables = list(token_tables(folders, split, codebook_size))
    return pa.concat_tables(tables) if tables else pa.Table.from_pylist([], pa.schema([(COLUMNS[0], pa.string())]))


def token_tables(folders: Sequence[str | Path], split: str, codebook_size: int | None) -> Iterator["pa.Table"]:
    """The parts of `read_token_tables`, one for each shard that has such clips."""
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.parquet as pq

    pc: Any = pyarrow.compute  # its functions are generated on import, so type checkers do not know them
    for folder in folders:
        header, paths = _checked_shards(folder, (split,), codebook_size)
        size = header["tokenizer"].get("codebook_size")
        for path in paths:
            try:
                table = _with_optional(pq.read_table(path))
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from None
            wanted = pc.and_(pc.equal(table["split"], split), pc.greater(pc.list_value_length(table["captions"]), 0))
            table = table.filter(wanted).replace_schema_metadata(None)
            codes = pc.list_flatten(table["codes"])
            if len(codes) and not (pc.min(codes).as_py() >= 0 and pc.max(codes).as_py() < size):
                raise ValueError(f"codes must be in 0..{size - 1}, got others in {str(path)!r}; tokenize again")
            if table.num_rows:
                yield table.combine_chunks()


def _with_optional(table: "pa.Table") -> "pa.Table":
    """A shard with the columns that older shards lack filled in."""
    import pyarrow as pa

    unknown = {"sources": ([], pa.list_(pa.string())), "ends": (True, pa.bool_()), "dataset": ("", pa.string())}
    for name in OPTIONAL:
        if name not in table.column_names:
            value, kind = unknown[name]
            table = table.append_column(name, pa.array([value] * table.num_rows, kind))
    return table.select([*COLUMNS, *OPTIONAL])


def _checked_shards(
    folder: str | Path, splits: tuple[str, ...], codebook_size: int | None
) -> tuple[dict[str, Any], list[Path]]:
    """Header and shards of a folder, checked to be complete."""
    folder = Path(folder)
    wrong = [split for split in splits if split not in SPLITS]
    if wrong or not splits:
        raise ValueError(f"splits must be among {SPLITS}, got {splits}")
    header = read_header(folder)
    size = header["tokenizer"].get("codebook_size")
    if codebook_size is not None and size != codebook_size:
        raise ValueError(
            f"codebook_size must be that of the tokenizer of {str(folder)!r}, {size!r}, got {codebook_size!r}; "
            "tokenize the motions with the other tokenizer"
        )
    if not header["complete"]:
        raise ValueError(f"folder must be finished, got an interrupted one, {str(folder)!r}; {_REMEDY}")
    paths = [folder / shard_name(shard, header["shards"]) for shard in range(header["shards"])]
    for path in paths:
        if read_note(path).get("run") != header["run"]:
            raise ValueError(f"shard must be of the run of its {HEADER}, got {str(path)!r} of another; {_REMEDY}")
    return header, paths


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [""])[0]
    return ValueError(f"shard must be whole, got a damaged {str(path)!r} ({reason}); {_REMEDY}")


def _clips(paths: Sequence[Path], splits: tuple[str, ...], size: int, hop: int) -> Iterator[TokenClip]:
    """Yield the clips of `splits` shard by shard; codes are checked against frames and codebook."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                rows = file.read().to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from None
        for row in rows:
            if row["split"] not in splits:
                continue
            codes = torch.tensor(row.pop("codes"), dtype=torch.int64)
            fits = len(codes) == -(-row["frames"] // hop) and bool(((codes >= 0) & (codes < size)).all())
            if not fits:
                raise ValueError(
                    f"codes must be {-(-row['frames'] // hop)} numbers in 0..{size - 1}, got others for clip "
                    f"{row['name']!r} in {str(path)!r}; tokenize again with --overwrite"
                )
            texts = {name: tuple(row.pop(name, ())) for name in ("captions", "own_captions", "sources")}
            yield TokenClip(codes=codes, **texts, **row)
