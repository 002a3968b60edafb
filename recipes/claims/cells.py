"""Cells: a cell is one run with one seed, and its result a small JSON file; a script that is started again skips them.

    results = run_cells(Path("runs/claims/size"), settings, {"0.3m": make, "1m": other}, seeds=[0, 1, 2])
    print(table(results, {"loss": "validation loss"}, baseline="0.3m"))

Cells run seed by seed, so that an interrupted matrix compares all arms with the seeds it has. A cell belongs to the
process that holds its lock. Results of other settings are an error.

Unusual: an interval of two seeds is 12.7 standard errors wide; a table says how many seeds each row has.
"""

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from motionmillion.eval.statistics.repeats import half_width
from motionmillion.io.files import write_text
from motionmillion.progress import say
from motionmillion.provenance import describe_machine

Figures = dict[str, float]
Results = dict[str, dict[int, Figures]]
"""Figures by arm and seed."""


def run_cells(
    folder: Path,
    settings: Mapping[str, Any],
    arms: Mapping[str, Callable[[int], Figures]],
    seeds: Sequence[int],
) -> Results:
    """Run the cells that have no result yet; returns all results.

    Args:
        folder: of the results, `<arm>-<seed>.json`.
        settings: JSON values that must be those of earlier results.
        arms: by name, a function of the seed.

    Raises:
        ValueError: for results of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for arm, make in arms.items():
            path = _path(folder, arm, seed)
            try:
                with FileLock(path.with_suffix(".lock"), timeout=0):
                    if not path.exists():
                        _run(path, arm, seed, settings, make)
            except Timeout:
                say(f"{path.stem} is made by another process")
    return read_cells(folder, settings, arms)


def read_cells(folder: Path, settings: Mapping[str, Any], arms: Sequence[str] | Mapping[str, Any]) -> Results:
    """The results of a folder.

    Raises:
        ValueError: for results of other settings.
    """
    wanted, results = json.loads(json.dumps(settings)), {}
    for arm in arms:
        for path in sorted(folder.glob(f"{_file_name(arm)}-[0-9]*.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["settings"] != wanted:
                raise ValueError(
                    f"cells must be of the settings {wanted}, got {found['settings']} in {str(path)!r}; "
                    "choose another output"
                )
            results.setdefault(arm, {})[found["seed"]] = found["figures"]
    return results


def _run(path: Path, arm: str, seed: int, settings: Mapping[str, Any], make: Callable[[int], Figures]) -> None:
    start = time.process_time()
    figures = make(seed)
    record = {
        "arm": arm,
        "seed": seed,
        "figures": figures,
        "cpu_seconds": round(time.process_time() - start, 1),
        "settings": settings,
        "machine": describe_machine("cuda" if torch.cuda.is_available() else "cpu"),
    }
    write_text(json.dumps(record, indent=1) + "\n", path)
    say(f"{path.stem}: {', '.join(f'{name} {value:.4g}' for name, value in figures.items())}")


def _path(folder: Path, arm: str, seed: int) -> Path:
    return folder / f"{_file_name(arm)}-{seed}.json"


def _file_name(arm: str) -> str:
    return arm.replace(", ", "_").replace(" ", "_")


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half of the 95 % t interval over seeds; None for a single value."""
    return statistics.fmean(values), half_width(values)


def told(values: Sequence[float], digits: int, sign: str = "") -> str:
    """A mean with its interval."""
    mean, half = interval(values)
    text = f"{mean:{sign}.{digits}f}"
    return text if half is None or math.isnan(half) else f"{text} +- {half:.{digits}f}"


def differences(results: Results, arm: str, baseline: str, name: str) -> list[float]:
    """A figure of an arm minus that of the baseline with the same seed, for the seeds that both have."""
    own, other = results.get(arm, {}), results.get(baseline, {})
    return [own[seed][name] - other[seed][name] for seed in sorted(own) if seed in other]


def table(
    results: Results, columns: Mapping[str, str], baseline: str | None = None, digits: Mapping[str, int] | None = None
) -> str:
    """Markdown with a row for each arm; the columns of differences from the baseline are paired by seed.

    Columns that a cell lacks are left out.
    """
    every = [figures for own in results.values() for figures in own.values()]
    columns = {name: title for name, title in columns.items() if all(name in figures for figures in every)}
    places = {**dict.fromkeys(columns, 3), **(digits or {})}
    compared = [] if baseline is None else [f"{title}, less {baseline}" for title in columns.values()]
    lines = ["| " + " | ".join(["arm", "seeds", *columns.values(), *compared]) + " |"]
    lines.append("|---" * (2 + len(columns) + len(compared)) + "|")
    for arm, own in results.items():
        cells = [arm, str(len(own))]
        cells += [told([figures[name] for figures in own.values()], places[name]) for name in columns]
        for name in columns if baseline is not None else ():
            less = differences(results, arm, str(baseline), name) if arm != baseline else []
            cells.append(told(less, places[name], "+") if less else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
