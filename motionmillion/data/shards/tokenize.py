"""A folder of motions -> a folder of token shards, with several processes, safe to interrupt.

    tokenize_folder("my_motions", "my_codes", find_tokenizer("mini"), workers=8)

1. List the clips, without their motions, and assign each to a shard, independently of the number of workers.
2. Check the output folder: complete shards of the same run are kept, those of another run are an error.
3. Workers encode pieces of shards; this process writes a shard as soon as its last piece is done.
4. tokens.json, written at the start, is marked complete.

Codes do not depend on workers, batches or interruptions (`motionmillion.data.shards.encoding`); only between GPU and
CPU can codes at a quantization boundary differ. Unusual: processes are spawned, so a script that calls this needs `if
__name__ == "__main__":`.
"""

import contextlib
import math
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

import motionmillion
from motionmillion.data.clips import SPLITS, ClipRecord, list_clips
from motionmillion.data.shards.encoding_pool import Piece, Results, encode_pieces, usable_cores
from motionmillion.data.shards.token_writer import ShardWriter, fingerprint, plan_shards
from motionmillion.data.shards.tokens import COLUMNS, FORMAT, HEADER, OPTIONAL, check_pyarrow, read_header
from motionmillion.io.files import PathError, check_writable
from motionmillion.provenance import files_hash
from motionmillion.tokenizer import MotionTokenizer

_IDENTITY = ("motionmillion", "tokenizer", "splits", "shard_size", "source")
"""Entries of tokens.json that must be equal for a run to be resumed."""


def tokenize_folder(
    source: str | Path,
    output: str | Path,
    model: str | Path,
    *,
    splits: Iterable[str] = SPLITS,
    workers: int | None = None,
    batch_size: int = 32,
    shard_size: int = 256,
    device: str = "cpu",
    overwrite: bool = False,
    skip_bad: bool = False,
) -> Path:
    """Write the codes of every clip of a folder as token shards; call it again after an interruption to resume.

    Args:
        source: a folder that `list_clips` reads.
        output: folder for the shards, see `motionmillion.data.shards.tokens`.
        model: folder of a `MotionTokenizer`.
        splits: only clips of these.
        workers: processes; None uses one per available CPU core, or one on other devices.
        batch_size: clips encoded together.
        shard_size: clips per shard.
        overwrite: start over if `output` holds another run.
        skip_bad: skip motions that cannot be read, with a message, instead of failing.

    Raises:
        ImportError: without pyarrow.
        ValueError: for invalid options or motions, and an output folder of another run.
        ChildProcessError: if a worker dies. Complete shards are kept in any case.
    """
    check_pyarrow()
    splits, source, output = tuple(dict.fromkeys(splits)), Path(source), Path(output)
    if workers is None:
        workers = usable_cores() if device == "cpu" else 1
    _check_options(splits, workers=workers, batch_size=batch_size, shard_size=shard_size)
    _check_output(output)
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        # 1. list and plan; the numbers are those of the module's docstring
        records = list_clips(source, splits)
        header = _make_header(records, model, splits, shard_size)
        # 2. compare with earlier output
        _check_run(output, header, overwrite)
        writer = ShardWriter(output, header, plan_shards(records, source, shard_size), skip_bad, console.print)
        # 3. encode and write; 4. is `writer.finish`
        work = encode_pieces(writer.start(), source, model, device, batch_size, workers)
        _write_shards(writer, work, console)
    except KeyboardInterrupt:
        console.print("stopped; complete shards are kept, and the same command resumes from there")
        raise
    return output


def _write_shards(writer: ShardWriter, work: Generator[tuple[Piece, Results], None, None], console: Console) -> None:
    total = sum(len(shard.records) for shard in writer.plan)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with bar as progress, contextlib.closing(work):
        task = progress.add_task("tokenizing", total=total, completed=writer.clips_done)
        for piece, results in work:
            writer.take(piece, results)
            progress.advance(task, len(results))
    writer.finish()


def _make_header(
    records: Sequence[ClipRecord], model: str | Path, splits: tuple[str, ...], shard_size: int
) -> dict[str, Any]:
    config = MotionTokenizer.from_pretrained(model, dtype=torch.float32).config
    if not config.codebook_size:
        raise ValueError(f'model must have a codebook to make codes, got {str(model)!r} with quantizer "none"')
    folder = Path(model)
    made_by = {
        "motionmillion": motionmillion.__version__,
        "tokenizer": {
            "codebook_size": config.codebook_size,
            "frames_per_token": config.frames_per_token,
            "features": config.features,
            "weights_sha256": files_hash(sorted(folder.glob("*.safetensors"))),
            "config_sha256": files_hash([folder / "config.json"]),
        },
        "splits": list(splits),
        "shard_size": shard_size,
        "source": {"clips": len(records), "sha256": fingerprint([vars(record) for record in records])},
    }
    # identifies the run: equal inputs and options give an equal value
    run = fingerprint({"format": FORMAT, **made_by})
    shards = math.ceil(len(records) / shard_size)
    columns = [*COLUMNS, *OPTIONAL]
    return {"format": FORMAT, "run": run, "complete": False, **made_by, "columns": columns, "shards": shards}


def _check_options(splits: tuple[str, ...], **numbers: int) -> None:
    if not splits or not set(splits) <= set(SPLITS):
        raise ValueError(f"splits must be among {', '.join(SPLITS)}, got {', '.join(splits) or 'none'}")
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be at least 1, got {value!r}")


def _check_output(output: Path) -> None:
    if output.is_file() or (output.suffix in (".npy", ".parquet", ".json") and not output.exists()):
        raise PathError(f"output must be a folder where the source is one, got {str(output)!r}; name a folder")
    check_writable(output / HEADER)


def _check_run(output: Path, header: dict[str, Any], overwrite: bool) -> None:
    """Raise `ValueError` if `output` holds anything but this run; with `overwrite` remove another run's files."""
    found = list(output.iterdir()) if output.is_dir() else []
    if overwrite:
        for path in (*output.glob("codes-*-of-*.parquet"), output / HEADER):
            path.unlink(missing_ok=True)
    elif (output / HEADER).exists():
        there = read_header(output)
        differing = [name for name in _IDENTITY if there.get(name) != header[name]]
        if differing:
            name = differing[0]
            raise ValueError(
                f"output must be new or of the same run, got {str(output)!r} made with another {name}: "
                f"{_difference(there.get(name), header[name])}; choose another output, or start over with --overwrite"
            )
    elif any(not path.name.startswith(".tokens-") for path in found):
        raise ValueError(f"output must be a new folder or of an earlier run, got {str(output)!r} with other files")


def _difference(there: Any, here: Any) -> str:
    """The first difference between two nested values."""
    if isinstance(there, dict) and isinstance(here, dict):
        name = next(name for name in here if there.get(name) != here[name])
        return f"{name} {_difference(there.get(name), here[name])}"
    return f"{str(there)[:12]} there, {str(here)[:12]} now"
