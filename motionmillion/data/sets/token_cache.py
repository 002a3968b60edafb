"""Cache folder for what is slow to compute before a training: codes of all versions of clips, features of captions.

    key = fingerprint(everything that decides the codes)
    sequences = cached_sequences("cache", key, lambda: make_sequences(clips, tokenizer, variants=8))
    bank = cached_texts("cache", sequences.captions(), encoder)

| file | content |
|---|---|
| codes-KEY.safetensors | concatenated codes or latents, and the captions and labels of every version as JSON |
| texts-KEY.safetensors | features in float16 of every caption ever requested, by encoder and settings |

Files are written atomically and contain a hash of their content; a damaged file is rebuilt, with a warning. The folder
may be deleted at any time. Unusual: the source code that makes versions and features is part of the keys, so changing
it invalidates the cache.
"""

import functools
import hashlib
import itertools
import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import motionmillion
from motionmillion.data.sets.sequences import Sequences, Version
from motionmillion.data.sets.texts import TextBank
from motionmillion.io.files import atomic_path
from motionmillion.provenance import file_stamps, tensors_hash
from motionmillion.provenance import fingerprint as plain_fingerprint
from motionmillion.text.encoder import TextEncoder

FORMAT = 1
_MAKERS = ("data", "features", "kinematics", "motion.py", "skeleton.py")
"""Modules of the package that determine versions and features."""


def fingerprint(content: Any) -> str:
    """SHA-256 of JSON-serialisable content, the library's version and the code that makes the data."""
    whole = [FORMAT, motionmillion.__version__, _code(), content]
    return plain_fingerprint(whole)


@functools.cache
def _code() -> str:
    package, digest = Path(__file__).parents[2], hashlib.sha256()
    for name in _MAKERS:
        part = package / name
        for path in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def cached_sequences(folder: str | Path, key: str, make: Callable[[], Sequences]) -> Sequences:
    """The sequences for a key: from the folder if cached, else from `make`, and then cached."""
    path = Path(folder) / f"codes-{key[:32]}.safetensors"
    found = _read(path, _unpack_sequences)
    if found is None:
        found = make()
        _write(path, *_pack_sequences(found))
    return found


def cached_texts(folder: str | Path, texts: Iterable[str], encoder: TextEncoder, batch: int = 64) -> TextBank:
    """Features of `texts` and of all cached texts; new texts are encoded and cached."""
    settings = dict(name=encoder.name, sentence=encoder.sentence, max_length=encoder.max_length, dim=encoder.dim)
    stamps = file_stamps(sorted(Path(encoder.name).glob("*.*")))
    key = plain_fingerprint([FORMAT, settings, stamps])
    path = Path(folder) / f"texts-{key[:32]}.safetensors"
    bank = _read(path, _unpack_texts)
    new = [text for text in dict.fromkeys(texts) if bank is None or text not in bank]
    if new:
        made = TextBank(new, encoder, batch, torch.float16)
        bank = made if bank is None else bank.joined(made)
        _write(path, {"features": bank.features}, [[text, *span] for text, span in bank.rows.items()])
    return bank if bank is not None else TextBank([], encoder)


def _read(path: Path, unpack: Callable[[dict[str, Tensor], Any], Any]) -> Any:
    """Content of a file; None if it does not exist, and None with a warning if it is damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors, noted = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        if noted.get("sha256") != tensors_hash(tensors):
            raise ValueError("its hash does not fit")
        said = json.loads(tensors.pop("json").numpy().tobytes())
        return unpack(tensors, said)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(f"cache must be whole, got a damaged {str(path)!r} ({reason}); it is made again", stacklevel=3)
        return None


def _write(path: Path, tensors: dict[str, Tensor], said: Any) -> None:
    content = json.dumps(said, ensure_ascii=False).encode()
    tensors = {**tensors, "json": torch.frombuffer(bytearray(content), dtype=torch.uint8)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sha256": tensors_hash(tensors)})


def _pack_sequences(sequences: Sequences) -> tuple[dict[str, Tensor], Any]:
    """Concatenated codes with lengths, and JSON in which each distinct text is stored once."""
    every = [codes for own in sequences.codes for codes in own]
    joined = torch.cat(every)
    tensors = {
        "codes": joined if joined.is_floating_point() else joined.int(),
        "lengths": torch.tensor([len(codes) for codes in every], dtype=torch.int32),
        "versions": torch.tensor([len(own) for own in sequences.codes], dtype=torch.int32),
    }
    words: dict[str, int] = {}

    def numbers(texts: tuple[str, ...]) -> list[int]:
        return [words.setdefault(text, len(words)) for text in texts]

    versions = [
        [numbers(v.captions), numbers(v.own_captions), numbers(v.sources), v.whole, v.ends]
        for own in sequences.versions
        for v in own
    ]
    said = {"versions": versions, "words": list(words), "groups": sequences.groups, "names": sequences.names}
    return tensors, said


def _unpack_sequences(tensors: dict[str, Tensor], said: Any) -> Sequences:
    """The inverse of `_pack_sequences`; raises `ValueError` if the parts do not match."""
    joined = tensors["codes"] if tensors["codes"].is_floating_point() else tensors["codes"].long()
    every, counts, words = joined.split(tensors["lengths"].tolist()), tensors["versions"].tolist(), said["words"]

    def texts(numbers: list[int]) -> tuple[str, ...]:
        return tuple(words[number] for number in numbers)

    versions = [
        Version(texts(captions), texts(own), texts(sources), whole, ends)
        for captions, own, sources, whole, ends in said["versions"]
    ]
    if not len(every) == len(versions) == sum(counts):
        raise ValueError("its parts do not fit")
    spans = [slice(end - count, end) for end, count in zip(itertools.accumulate(counts), counts, strict=True)]
    codes, own = [list(every[span]) for span in spans], [versions[span] for span in spans]
    return Sequences(codes, own, said["groups"], said["names"])


def _unpack_texts(tensors: dict[str, Tensor], said: Any) -> TextBank:
    bank = TextBank.of(tensors["features"], {text: (start, end) for text, start, end in said})
    if len(bank.features) != max((end for _, end in bank.rows.values()), default=0):
        raise ValueError("its parts do not fit")
    return bank
