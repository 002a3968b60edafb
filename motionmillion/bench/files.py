"""Output of `motionmillion bench`: a progress line, a table, `report.md` and `results.json`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from motionmillion.io.files import write_text
from motionmillion.progress import doing


def show_and_write(run: Callable[[Callable[[str], None]], tuple[str, dict[str, Any]]], output: Path | None) -> str:
    """Call `run`, which reports progress and returns a table and JSON; returns the table, writes both to `output`."""
    with doing("building") as name:
        table, results = run(name)
    if output is not None:
        write_text(table + "\n", output / "report.md")
        write_text(json.dumps(results, indent=2) + "\n", output / "results.json")
    return table
