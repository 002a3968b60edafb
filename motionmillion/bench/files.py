"""Output of `motionmillion bench`: a progress line, a table, `report.md` and `results.json`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from motionmillion.io.files import write_text


def show_and_write(run: Callable[[Callable[[str], None]], tuple[str, dict[str, Any]]], output: Path | None) -> str:
    """Call `run`, which reports progress and returns a table and JSON; returns the table, writes both to `output`."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("building", total=None)
        table, results = run(lambda line: bar.update(task, description=line))
    if output is not None:
        write_text(table + "\n", output / "report.md")
        write_text(json.dumps(results, indent=2) + "\n", output / "results.json")
    return table
