"""Text features on disk: the text encoder's features of every caption, computed once.

    texts = TextShards("my_texts")                   # written by motionmillion data encode-text
    features = texts["a person waves"]               # [L, C], in the dtype of the folder

A folder holds

| file | content |
|---|---|
| text.json | the encoder, its settings, and whether the folder is complete |
| text-00000-of-00003.safetensors ... | `features` `[sum of L, C]`, captions concatenated; `lengths` of each |
| index.parquet | one row per caption: `text`, `key`, `shard`, `start`, `length` |

`TextShards` can replace `motionmillion.data.sets.texts.TextBank`. It memory-maps the shards and keeps only 24 bytes
per caption in memory; it can be sent to worker processes. `motionmillion.data.shards.text_writer` writes such folders.
Unusual: a caption is found by the first 8 bytes of its SHA-256; the writer makes sure that there are no collisions.

Shapes: L text length, C feature size.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from motionmillion.configuration import find_dtype
from motionmillion.data.shards.resumable import ShardFiles
from motionmillion.data.shards.tokens import check_pyarrow

HEADER = "text.json"
INDEX = "index.parquet"
FORMAT = 1
FILES = ShardFiles(
    HEADER, "text-{:05d}-of-{:05d}.safetensors", FORMAT, "data encode-text", ("encoder", "dtype"), (INDEX,)
)

_ENCODER = ("name", "sentence", "max_length", "dim")
_REMEDY = "run the same motionmillion data encode-text again, it makes what is missing"


def text_shard_name(shard: int, shards: int) -> str:
    """File name of a shard, counted from 0."""
    return FILES.shard_name(shard, shards)


def text_key(text: str) -> int:
    """Key of a caption in the index: the first 8 bytes of its SHA-256 as an int64."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "little", signed=True)


def read_text_header(folder: str | Path) -> dict[str, Any]:
    """The content of text.json.

    Raises:
        ValueError: if there is none, or it is damaged or of another format.
    """
    return FILES.read_header(folder)


class TextShards:
    """Features of captions in a folder, by caption.

    Attributes:
        name, sentence, max_length, dim: settings of the encoder, see `motionmillion.text.encoder.TextEncoder`.
        dtype: dtype of the features.

    Raises:
        ImportError: without pyarrow.
        ValueError: for a folder that is unfinished or damaged, or lacks a shard.
    """

    def __init__(self, folder: str | Path) -> None:
        check_pyarrow()
        self.folder = Path(folder)
        header = read_text_header(folder)
        if not header["complete"]:
            raise ValueError(f"folder must be finished, got an interrupted one, {str(folder)!r}; {_REMEDY}")
        self.settings: dict[str, Any] = {name: header["encoder"][name] for name in _ENCODER}
        self.name: str = self.settings["name"]
        self.sentence: bool = self.settings["sentence"]
        self.max_length: int = self.settings["max_length"]
        self.dim: int = self.settings["dim"]
        self.dtype: torch.dtype = find_dtype(header["dtype"])
        self._paths = [self.folder / text_shard_name(shard, header["shards"]) for shard in range(header["shards"])]
        for path in self._paths:
            if not path.exists():
                raise ValueError(f"shard must exist, got no {str(path)!r}; {_REMEDY}")
        self._run = header["run"]
        self._read_index()
        self._files: dict[int, Any] = {}

    def _read_index(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / INDEX
        try:
            table = pq.read_table(path, columns=["key", "shard", "start", "length"], memory_map=True)
        except (pa.ArrowException, OSError):
            raise ValueError(f"index must be whole, got a damaged or missing {str(path)!r}; {_REMEDY}") from None
        keys = table["key"].to_numpy()
        order = np.argsort(keys)
        self._keys = keys[order]
        self._shard, self._start, self._length = (
            table[name].to_numpy()[order] for name in ("shard", "start", "length")
        )

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and self._row(text) is not None

    def _row(self, text: str) -> int | None:
        key = text_key(text)
        row = int(np.searchsorted(self._keys, key))
        return row if row < len(self._keys) and self._keys[row] == key else None

    def __getitem__(self, text: str) -> Tensor:
        """Features `[L, C]` of a caption, a copy.

        Raises:
            ValueError: if the caption is not in the folder, or its shard is damaged.
        """
        row = self._row(text)
        if row is None:
            raise ValueError(
                f"caption must be among the {len(self):,} of {str(self.folder)!r}, got {text!r}; "
                "encode again with all sources of captions"
            )
        shard, start, length = int(self._shard[row]), int(self._start[row]), int(self._length[row])
        return self._open(shard).get_slice("features")[start : start + length]

    def missing(self, texts: Iterable[str]) -> list[str]:
        """The distinct texts that are missing, for a check before a training."""
        return [text for text in dict.fromkeys(texts) if text not in self]

    def check(self, captions: Iterable[str]) -> None:
        """Raise `ValueError` for captions without features, which a training would meet at some step."""
        if missing := self.missing(captions):
            raise ValueError(
                f"data.text_features must hold every caption, got none of {len(missing):,} in {str(self.folder)!r}, "
                f"such as {missing[0]!r}; encode again with all sources of captions"
            )

    def _open(self, shard: int) -> Any:
        if shard not in self._files:
            path = self._paths[shard]
            try:
                file = safe_open(path, "pt")
                run = (file.metadata() or {}).get("run")
            except (SafetensorError, OSError) as error:
                raise ValueError(f"shard must be whole, got a damaged {str(path)!r} ({error}); {_REMEDY}") from None
            if run != self._run:
                raise ValueError(f"shard must be of the run of its {HEADER}, got {str(path)!r} of another; {_REMEDY}")
            self._files[shard] = file
        return self._files[shard]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # every process opens its own files
