"""Cache of judges' replies in a JSONL file: a header, then one reply per line.

    cache = ReplyCache("runs/mini/judge.jsonl", judge.describe())
    key = cache.key("match", ("a person waves",), motion)
    cache.replies.get(key)
    cache.add(key, "It waves. Answer: yes", id="017")

A key is a hash of everything that the reply depends on: the judge and its settings, the kind of question, the texts in
order, and the motion. Lines are only appended, each one synced to disk at once, so a run may be killed at any moment;
the next run removes an incomplete last line. If a key has several lines the newest counts. A damaged line is skipped
and left in place, so it costs one reply and not all. Unusual: positions are rounded to a millimetre, so that float32
noise between machines does not cause a new request.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionmillion.io.files import PathError, check_writable, write_text
from motionmillion.motion import Motion

_HEAD = {"format": "motionmillion judge cache", "version": 1}


class ReplyCache:
    """Replies by key; kept in memory only if `path` is None.

    Args:
        path: file to read and append to; created with the first reply.
        judge: what replies depend on besides the question, as JSON values.

    Raises:
        ValueError: for a file that is not a cache, or cannot be written.
    """

    def __init__(self, path: str | Path | None, judge: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self._judge = json.dumps(judge, sort_keys=True)
        self.replies: dict[str, str] = {}
        if self.path is not None:
            check_writable(self.path)
            self._read(self.path)

    def key(self, kind: str, texts: Sequence[str], motion: Motion) -> str:
        """The key (a hash) of a question's reply."""
        positions = (motion.positions().detach().cpu().double() * 1000).round().int().numpy()  # [T, J, 3] millimetres
        parts = [self._judge, kind, list(texts), motion.fps, list(positions.shape)]
        digest = hashlib.sha256(json.dumps(parts).encode())
        digest.update(positions.astype("<i4").tobytes())
        return digest.hexdigest()

    def add(self, key: str, reply: str, **notes: Any) -> None:
        """Store a reply; `notes` are for human readers of the file."""
        self.replies[key] = reply
        if self.path is None:
            return
        if not self.path.exists():
            write_text(json.dumps(_HEAD) + "\n", self.path)
        line = json.dumps({"key": key, **notes, "reply": reply}) + "\n"
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode())
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise PathError(f"cache must be a file that can be read, got {str(path)!r}: {error.strerror}") from None
        whole = data[: data.rfind(b"\n") + 1]
        head, *lines = [_entry(line) for line in whole.split(b"\n")]
        if head != _HEAD:
            raise ValueError(
                f"cache must be a file of replies that a judge gave, got {str(path)!r}; remove it or name another"
            )
        entries = [line for line in lines[:-1] if isinstance(line.get("key"), str)]  # no entry after the last newline
        entries = [line for line in entries if isinstance(line.get("reply"), str)]
        self.replies = {entry["key"]: entry["reply"] for entry in entries}
        damaged = len(lines) - 1 - len(entries)
        if damaged:
            lost = f"{damaged} of {len(lines) - 1} replies in {str(path)!r} cannot be read"
            warnings.warn(f"{lost}; their questions are asked again", stacklevel=3)
        if len(whole) < len(data):  # killed while the last line was written
            with path.open("r+b") as file:
                file.truncate(len(whole))


def _entry(line: bytes) -> dict[str, Any]:
    """Content of a line; empty if it cannot be read."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
