"""What the lists of a data set say of its clips, on disk: texts, splits and the like, by the clip's id.

    with IndexWriter("work/index.sqlite") as index:
        index.add("text", "000001", "a person walks")        # False if there is one already
    index = Index("work/index.sqlite")
    index.get("text", "000001")

The lists of large data sets, such as millions of text files, do not fit into memory; SQLite keeps them in one file,
that all workers read.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from motionmillion.io.files import atomic_path

_COMMIT = 100_000


class IndexWriter:
    """Writes an index; the file is there when the block ends without an error."""

    def __init__(self, path: str | Path) -> None:
        self._target = atomic_path(path)

    def __enter__(self) -> "IndexWriter":
        self._connection = sqlite3.connect(self._target.__enter__())
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(
            "CREATE TABLE entries (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self._added = 0
        return self

    def add(self, kind: str, key: str, value: str) -> bool:
        """Add an entry; returns False, and keeps the first one, if there is one of this kind and key."""
        done = self._connection.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?)", (kind, key, value)).rowcount
        self._added += 1
        if self._added % _COMMIT == 0:
            self._connection.commit()
        return done == 1

    def get(self, kind: str, key: str) -> str | None:
        """The value of an entry; None if there is none."""
        return _get(self._connection, kind, key)

    def __exit__(self, *error) -> None:
        self._connection.commit()
        self._connection.close()
        self._target.__exit__(*error)


class Index:
    """Reads an index; every process opens one of its own."""

    def __init__(self, path: str | Path) -> None:
        self._connection = sqlite3.connect(f"file:{Path(path).resolve()}?mode=ro&immutable=1", uri=True)

    def get(self, kind: str, key: str) -> str | None:
        """The value of an entry; None if there is none."""
        return _get(self._connection, kind, key)

    def has(self, kind: str) -> bool:
        """Whether there is any entry of a kind."""
        found = self._connection.execute("SELECT 1 FROM entries WHERE kind = ? LIMIT 1", (kind,))
        return found.fetchone() is not None

    def unmatched(self, kind: str, keys: Iterable[str]) -> Iterator[str]:
        """Keys of a kind that are not among `keys`, in order."""
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS built (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("DELETE FROM built")
        self._connection.executemany("INSERT OR IGNORE INTO built VALUES (?)", ((key,) for key in keys))
        found = self._connection.execute(
            "SELECT key FROM entries WHERE kind = ? AND key NOT IN (SELECT key FROM built) ORDER BY key", (kind,)
        )
        yield from (key for (key,) in found)


def _get(connection: sqlite3.Connection, kind: str, key: str) -> str | None:
    found = connection.execute("SELECT value FROM entries WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return None if found is None else found[0]
