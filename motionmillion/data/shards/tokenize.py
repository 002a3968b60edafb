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

import torch

import motionmillion
from motionmillion.data.check import check_listing
from motionmillion.data.clips import SPLITS, ClipRecord, list_clips
from motionmillion.data.shards.encoding_pool import Piece, Results, encode_pieces, usable_cores
from motionmillion.data.shards.motion_table import MotionTable, is_table
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.data.shards.token_writer import ShardWriter, plan_shards
from motionmillion.data.shards.tokens import COLUMNS, FILES, HEADER, OPTIONAL, check_pyarrow
from motionmillion.io.files import PathError, check_writable
from motionmillion.io.outputs import check_output_folder
from motionmillion.progress import progress_bar, say, say_lines
from motionmillion.provenance import files_hash, fingerprint
from motionmillion.tokenizer import MotionTokenizer


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
        skip_bad: skip motions that cannot be read, and names in lists that match none, with a message, instead of
            failing.

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
    check_output_folder(output, [source])
    try:
        # 1. list and plan; the numbers are those of the module's docstring
        lines = check_listing([source], {}, captioned=False, skip_bad=skip_bad)
        records = list_clips(source, splits, skip_bad)
        if not any(record.captions for record in records):
            lines.append("no clip has a caption, so a language model cannot be trained on these codes")
        folder = _make_folder(output, records, source, model, splits, shard_size)
        # 2. compare with earlier output
        folder.check(overwrite)
        say_lines(lines)
        writer = ShardWriter(folder, plan_shards(records, source, shard_size), skip_bad)
        # 3. encode and write; 4. is `writer.finish`
        work = encode_pieces(writer.start(), source, model, device, batch_size, workers)
        _write_shards(writer, work)
    except KeyboardInterrupt:
        say("stopped; complete shards are kept, and the same command resumes from there")
        raise
    return output


def _write_shards(writer: ShardWriter, work: Generator[tuple[Piece, Results], None, None]) -> None:
    total = sum(len(shard.records) for shard in writer.plan)
    with progress_bar(total, "tokenizing", "clips", writer.clips_done) as bar, contextlib.closing(work):
        for piece, results in work:
            writer.take(piece, results)
            bar.update(len(results))
    writer.finish()


def _make_folder(
    output: Path,
    records: Sequence[ClipRecord],
    source: Path,
    model: str | Path,
    splits: tuple[str, ...],
    shard_size: int,
) -> ResumableFolder:
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
        "source": {"clips": len(records), "sha256": fingerprint([record.facts() for record in records])},
    }
    facts = {"columns": [*COLUMNS, *OPTIONAL], "shards": math.ceil(len(records) / shard_size)}
    sources = MotionTable(source).header["sources"] if is_table(source) else {}
    return ResumableFolder(output, FILES, made_by, **facts, sources=sources)


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
