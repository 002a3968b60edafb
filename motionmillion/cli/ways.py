"""The option `--path` of `motionmillion generate`: points on the command line, or a JSON or CSV file of them.

read_path("0,0 1,2 2,2")          # x and z, metres
read_path("0,0,0 2,1,2 4,2,2")    # seconds, x and z
read_path("path.csv")             # one point per line; a first line of words is skipped
read_path("path.json")            # [[0, 0], [1, 2]]
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from motionmillion.io.files import existing_file, read_text

if TYPE_CHECKING:
    from motionmillion.kinematics.floor_paths import FloorPath

_SUFFIXES = (".json", ".csv", ".txt")


def read_path(text: str) -> "FloorPath":
    """The path that the option names.

    Raises:
        ValueError: for anything that is not points, and a file that is missing or damaged.
    """
    from motionmillion.kinematics.floor_paths import FloorPath

    if Path(text).suffix.lower() in _SUFFIXES:
        rows = _rows_of(existing_file(text))
    else:
        rows = [point.split(",") for point in text.replace(";", " ").split()]
    try:
        return FloorPath.of([[float(number) for number in row] for row in rows])
    except (TypeError, ValueError) as error:
        if str(error).startswith(("path", "times of path")):
            raise
        raise ValueError(
            f'path must look like "0,0 1,2 2,2" (x,z in metres) or "0,0,0 2,1,2" (seconds,x,z), got {text!r}'
        ) from None


def _rows_of(file: Path) -> list[list[str]]:
    text = read_text(file)
    if file.suffix.lower() == ".json":
        try:
            return list(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            raise ValueError(f"path must be a JSON list of points, got the file {str(file)!r}") from None
    rows = [line.replace(";", ",").split(",") for line in text.splitlines() if line.strip()]
    named = bool(rows) and any(not _is_number(word) for word in rows[0])
    return rows[1:] if named else rows


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
