"""Captions -> a folder of text features, safe to interrupt.

    encode_text(["my_codes", "more_captions.txt"], "my_texts", "google/flan-t5-xl", device="cuda")

1. Gather the distinct captions of all sources and sort them by length, so that batches have little padding.
2. Check the output folder: complete shards of the same run are kept, another run is an error.
3. Encode shard by shard; each is written atomically.
4. Write the index, and mark text.json complete.

Sources are folders of token shards, folders of motions with captions, and text files with one caption per line.
Features are computed in float32 and stored in `dtype`. Unusual: sentences that a recipe's `caption_rules` would add
are not included; put them into a text file.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from motionmillion.configuration import check_whole, find_dtype
from motionmillion.data.clips import list_clips
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.data.shards.texts import FILES, HEADER, INDEX, text_key
from motionmillion.data.shards.tokens import HEADER as TOKENS
from motionmillion.data.shards.tokens import check_pyarrow, load_token_shards
from motionmillion.io.files import PathError, atomic_path, check_writable, read_text
from motionmillion.io.outputs import check_output_folder
from motionmillion.progress import progress_bar, say
from motionmillion.provenance import file_stamps, fingerprint
from motionmillion.text.encoder import MINILM, TextEncoder, check_texts


def read_captions(source: str | Path) -> Iterator[str]:
    """The captions of a folder of token shards, a folder of motions, or a text file with one caption per line.

    Raises:
        ValueError: if it is none of these.
    """
    source = Path(source)
    if source.is_dir():
        clips = load_token_shards(source) if (source / TOKENS).exists() else list_clips(source)
        for clip in clips:
            yield from clip.captions
            yield from clip.own_captions
        return
    lines = read_text(source, "source").splitlines()
    yield from (line.strip() for line in lines if line.strip())


def encode_text(
    sources: Sequence[str | Path],
    output: str | Path,
    text_encoder: str = MINILM,
    *,
    sentence: bool = False,
    text_length: int = 150,
    dtype: str = "bfloat16",
    batch_size: int = 64,
    shard_size: int = 4096,
    device: str = "cpu",
    overwrite: bool = False,
) -> Path:
    """Write the features of every caption; call it again after an interruption to resume.

    Args:
        sources: see `read_captions`.
        output: folder for the shards, see `motionmillion.data.shards.texts`.
        text_encoder, sentence, text_length: see `motionmillion.text.encoder.TextEncoder`.
        dtype: stored dtype of the features: "float32", "bfloat16" or "float16".
        batch_size: captions per batch of the encoder.
        shard_size: captions per shard.
        overwrite: start over if `output` holds another run.

    Raises:
        ImportError: without pyarrow.
        ValueError: for invalid options or captions, and an output folder of another run.
    """
    check_pyarrow()
    find_dtype(dtype)  # raises for unknown names
    check_whole("batch_size", batch_size, 1)
    check_whole("shard_size", shard_size, 1)
    output = Path(output)
    if output.is_file():
        raise PathError(f"output must be a folder, got the file {str(output)!r}; name another")
    check_writable(output / HEADER)
    check_output_folder(output, sources)
    captions = dict.fromkeys(itertools.chain.from_iterable(map(read_captions, sources)))
    texts = sorted(captions, key=lambda text: (len(text), text))
    if not texts:
        raise ValueError(
            f"sources must hold at least one caption, got none in {', '.join(map(str, sources)) or 'none'}"
        )
    check_texts(texts)
    _check_keys(texts)
    encoder = TextEncoder(text_encoder, sentence, text_length, device)
    folder = _make_folder(output, encoder, texts, dtype, shard_size)
    folder.check(overwrite)
    _write_shards(folder, encoder, texts, batch_size)
    _finish(folder, texts)
    return output


def _check_keys(texts: Sequence[str]) -> None:
    seen: dict[int, str] = {}
    for text in texts:
        if seen.setdefault(text_key(text), text) != text:
            other = seen[text_key(text)]
            raise ValueError(f"captions must have different keys, got one for {other!r} and {text!r}; reword one")


def _make_folder(
    output: Path, encoder: TextEncoder, texts: Sequence[str], dtype: str, shard_size: int
) -> ResumableFolder:
    source = Path(encoder.name)
    files = sorted(source.glob("*.safetensors")) if source.is_dir() else []
    made_by = {
        "encoder": {
            "name": encoder.name,
            "sentence": encoder.sentence,
            "max_length": encoder.max_length,
            "dim": encoder.dim,
        },
        "dtype": dtype,
        "shard_size": shard_size,
        "captions": fingerprint(texts),
        "weights": fingerprint(file_stamps(files)),
    }
    return ResumableFolder(output, FILES, made_by, shards=-(-len(texts) // shard_size), texts=len(texts))


def _parts(folder: ResumableFolder, texts: Sequence[str]) -> list[Sequence[str]]:
    """The texts of each shard."""
    size = folder.header["shard_size"]
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def _write_shards(folder: ResumableFolder, encoder: TextEncoder, texts: Sequence[str], batch_size: int) -> None:
    parts = _parts(folder, texts)
    kept = folder.start(lambda path, shard: read_lengths(path, folder.run, len(parts[shard])))
    done = sum(len(parts[shard]) for shard in kept)
    with progress_bar(len(texts), "encoding", "texts", done) as bar:
        for shard, part in enumerate(parts):
            if shard not in kept:
                path = folder.path(shard)
                _write_shard(path, folder, encoder, part, batch_size, bar.update)
    if kept:
        say(f"{len(kept)} of {folder.shards} shards were whole and kept")


def _write_shard(
    path: Path, folder: ResumableFolder, encoder: TextEncoder, texts: Sequence[str], batch_size: int, advance: Any
) -> None:
    features, lengths = [], []
    for start in range(0, len(texts), batch_size):
        part = list(texts[start : start + batch_size])
        states, mask = encoder(part)
        features.append(states[mask].to(find_dtype(folder.header["dtype"])).cpu())  # rows of one text after another
        lengths.append(mask.sum(1).cpu())
        advance(len(part))
    tensors = {"features": torch.cat(features), "lengths": torch.cat(lengths).int()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"run": folder.run})


def read_lengths(path: Path, run: str, texts: int) -> torch.Tensor | None:
    """Lengths of the texts of a shard; None if it is missing, damaged, or from another run."""
    try:
        with safe_open(path, "pt") as file:
            lengths = file.get_tensor("lengths")
            rows = file.get_slice("features").get_shape()[0]
            whole = (file.metadata() or {}).get("run") == run and len(lengths) == texts and rows == int(lengths.sum())
    except (SafetensorError, OSError):
        return None
    return lengths if whole else None


def _finish(folder: ResumableFolder, texts: Sequence[str]) -> None:
    """Write the index, and mark the folder complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {name: [] for name in ("shard", "start", "length")}
    for shard, part in enumerate(_parts(folder, texts)):
        lengths = read_lengths(folder.path(shard), folder.run, len(part))
        if lengths is None:
            raise ValueError(
                f"shard {shard} must stay while its folder is written, got none in {str(folder.folder)!r}; run again"
            )
        columns["shard"] += [shard] * len(part)
        columns["start"] += (lengths.long().cumsum(0) - lengths).tolist()
        columns["length"] += lengths.tolist()
    types = dict(shard=pa.int32(), start=pa.int64(), length=pa.int32())
    arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
    keys = pa.array(map(text_key, texts), pa.int64())
    table = pa.table({"text": pa.array(texts, pa.string()), "key": keys, **arrays})
    with atomic_path(folder.folder / INDEX) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    folder.finish()
