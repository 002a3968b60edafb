"""A folder of motions -> a folder of token shards, by several processes, safe to interrupt.

    tokenize_folder("my_motions", "my_codes", "mini", workers=8)

1. List the clips, without their motions, and plan which shard each goes to; the plan does not depend on the workers.
2. Compare with what the output folder holds: whole shards of the same run are kept, another run is an error.
3. Workers encode pieces of shards; this process writes a shard as soon as its last piece is there.
4. tokens.json, written at the start, is marked complete.

Codes do not depend on workers, batches or interruptions (`motionmillion.data.shards.encoding`); only where a GPU
encodes can codes on the border between two differ from a CPU's. Unusual: processes are spawned, so a script that calls
this needs `if __name__ == "__main__":`.
"""

import contextlib
import hashlib
import math
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import motionmillion
from motionmillion.cli.jobs import load_tokenizer
from motionmillion.data.clips import SPLITS, ClipRecord, list_clips
from motionmillion.data.shards.encoding_pool import Piece, Results, encode_pieces, usable_cores
from motionmillion.data.shards.token_writer import ShardWriter, fingerprint, plan_shards
from motionmillion.data.shards.tokens import COLUMNS, FORMAT, HEADER, OPTIONAL, check_pyarrow, read_header
from motionmillion.io.files import PathError, check_writable
from motionmillion.pipeline.codes import find_tokenizer

_IDENTITY = ("motionmillion", "tokenizer", "splits", "shard_size", "source")
"""Entries of tokens.json that a run and its continuation must agree in."""


def tokenize_folder(
    source: str | Path,
    output: str | Path,
    model: str | Path = "mini",
    *,
    splits: Iterable[str] = SPLITS,
    workers: int | None = None,
    batch_size: int = 32,
    shard_size: int = 256,
    device: str = "cpu",
    overwrite: bool = False,
    skip_bad: bool = False,
) -> Path:
    """Write the codes of every clip of a folder as token shards; run it again after an interruption to go on.

    Args:
        source: a folder that `list_clips` reads.
        output: folder for the shards, see `motionmillion.data.shards.tokens`.
        model: bundled model, hub id, or folder of a pipeline or tokenizer.
        splits: clips of these only.
        workers: processes; None takes one a CPU core that may be used, and one on another device.
        batch_size: clips that go through the encoder together.
        shard_size: clips of a shard.
        overwrite: begin anew where `output` holds another run.
        skip_bad: leave out motions that cannot be read, and say so, rather than stop.

    Raises:
        ImportError: without pyarrow.
        ValueError: for options, motions, or an output folder that do not fit.
        ChildProcessError: if a worker ends suddenly. Shards that are whole are kept, whatever happens.
    """
    check_pyarrow()
    splits, source, output = tuple(dict.fromkeys(splits)), Path(source), Path(output)
    if workers is None:
        workers = usable_cores() if device == "cpu" else 1
    _check_options(splits, workers=workers, batch_size=batch_size, shard_size=shard_size)
    _check_output(output)
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        records = list_clips(source, splits)
        header = _make_header(records, model, splits, shard_size)
        _check_run(output, header, overwrite)
        writer = ShardWriter(output, header, plan_shards(records, source, shard_size), skip_bad, console.print)
        work = encode_pieces(writer.start(), source, find_tokenizer(model), device, batch_size, workers)
        _write_shards(writer, work, console)
    except KeyboardInterrupt:
        console.print("stopped; shards that are whole stay, and the same command goes on from there")
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
    config = load_tokenizer(model).config
    if not config.codebook_size:
        raise ValueError(f'model must have a codebook to make codes, got {str(model)!r} with quantizer "none"')
    folder = find_tokenizer(model)
    made_by = {
        "motionmillion": motionmillion.__version__,
        "tokenizer": {
            "codebook_size": config.codebook_size,
            "frames_per_token": config.frames_per_token,
            "features": config.features,
            "weights_sha256": _files_sha256(sorted(folder.glob("*.safetensors"))),
            "config_sha256": _files_sha256([folder / "config.json"]),
        },
        "splits": list(splits),
        "shard_size": shard_size,
        "source": {"clips": len(records), "sha256": fingerprint([vars(record) for record in records])},
    }
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
                f"{_difference(there.get(name), header[name])}; choose another output, or begin anew with --overwrite"
            )
    elif any(not path.name.startswith(".tokens-") for path in found):
        raise ValueError(f"output must be a new folder or of an earlier run, got {str(output)!r} with other files")


def _difference(there: Any, here: Any) -> str:
    """The first value that differs, of two that do."""
    if isinstance(there, dict) and isinstance(here, dict):
        name = next(name for name in here if there.get(name) != here[name])
        return f"{name} {_difference(there.get(name), here[name])}"
    return f"{str(there)[:12]} there, {str(here)[:12]} now"


def _files_sha256(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
