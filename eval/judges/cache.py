"""What judges said before, in a JSONL file: a head, then one reply a line.

    cache = ReplyCache("runs/mini/judge.jsonl", judge.describe())
    key = cache.key("match", ("a person waves",), motion)
    cache.replies.get(key)
    cache.add(key, "It waves. Answer: yes", id="017")

A key is a hash of everything that the reply depends on: the judge and its settings, the kind of question, the texts
in their order, and the motion. Lines are only ever added, each at once and down to the disk, so a run may be killed at
any moment; a last line that was cut off is removed by the next run. Of a key that has several lines the newest counts.
A line that is damaged is left where it is and skipped, so that it costs one reply and not all. Unusual: positions are
rounded to a millimetre, so that the noise of float32 between machines does not buy a reply again.
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
    """Replies by their keys; kept in memory alone where `path` is None.

    Args:
        path: file to read and to add to; made with the first reply.
        judge: what the replies depend on besides the question, JSON values.

    Raises:
        ValueError: for a file that is no such cache, or that cannot be written.
    """

    def __init__(self, path: str | Path | None, judge: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self._judge = json.dumps(judge, sort_keys=True)
        self.replies: dict[str, str] = {}
        if self.path is not None:
            check_writable(self.path)
            self._read(self.path)

    def key(self, kind: str, texts: Sequence[str], motion: Motion) -> str:
        """The hash by which the reply to a question is found."""
        positions = (motion.positions().detach().cpu().double() * 1000).round().int().numpy()  # [T, J, 3] millimetres
        parts = [self._judge, kind, list(texts), motion.fps, list(positions.shape)]
        digest = hashlib.sha256(json.dumps(parts).encode())
        digest.update(positions.astype("<i4").tobytes())
        return digest.hexdigest()

    def add(self, key: str, reply: str, **notes: Any) -> None:
        """Keep a reply; `notes` are for people who read the file."""
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
        entries = [line for line in lines[:-1] if isinstance(line.get("key"), str)]  # behind the last end is nothing
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
    """What a line holds; nothing if it cannot be read."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
