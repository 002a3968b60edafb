"""What an evaluation found: measures, groups of samples, single samples, and the protocol that they were made by.

    results.save("runs/mini")                    # runs/mini/results.json
    results = Results.load("runs/mini")          # a folder or the file itself

Every suite gives this one form; reports and comparisons read nothing else. A figure is an `Estimate`: a mean, its 95 %
interval and the number of values it was made of.

Unusual: motions are named by paths relative to the folder of `results.json`, so that a folder can be moved.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from motionmillion.io.files import PathError, read_text, write_text

FORMAT = 1
RESULTS = "results.json"
EVERYTHING = "all"
"""Name of the group that holds every sample."""

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Estimate:
    """A figure that was measured.

    Args:
        mean: the figure.
        low, high: its 95 % interval; None where there is none, such as of a single value.
        count: values, repeats or samples that it was made of.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    count: int = 1


@dataclass(frozen=True)
class Measure:
    """What a figure means.

    Args:
        name: its key, the unit at the end where it has one: `foot_sliding_mm`.
        label: words and unit for tables: `foot sliding (mm per 1/20 s)`.
        better: which way is better; "neither" for what only tells how motions are, such as their speed.
        axis: what it belongs to, such as "text alignment", "smoothness" or "plausibility".
        digits: digits behind the point in tables.
    """

    name: str
    label: str
    better: Better = "neither"
    axis: str = ""
    digits: int = 3


@dataclass(frozen=True)
class ResultGroup:
    """The figures of some samples together.

    Args:
        name: of a category or dimension, or `EVERYTHING`.
        kind: "all", "category", "dimension" or "dataset".
        count: its samples.
        values: an estimate by the name of its measure; a measure that says nothing here is left out.
    """

    name: str
    kind: str
    count: int
    values: Mapping[str, Estimate]


@dataclass(frozen=True)
class SampleResult:
    """The figures of one motion.

    Args:
        id: of its prompt (a suite's `Prompt.id`, or a clip's name); two systems are paired by it.
        prompt: what it should show.
        category: of the prompt, "" where there is none.
        motion: its file, relative to the folder of the results, "" where none was kept.
        frames, fps: its length.
        values: a number by the name of its measure; a measure that says nothing here is left out.
    """

    id: str
    prompt: str
    category: str = ""
    motion: str = ""
    frames: int = 0
    fps: float = 30.0
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """One system's results in one suite.

    Args:
        suite: name of the suite.
        system: name of what was measured, such as a model.
        protocol: everything that one must know to get the same figures; JSON values.
        measures: in the order of tables.
        groups: the first one is `EVERYTHING`.
        samples: in the order of the suite.
        histograms: distributions to draw, by the name of a measure of the samples: `{"edges": [...], "reference":
            [...]}`, shares of the reference (real motion) between the edges.
        notes: sentences that belong beside the tables.
    """

    suite: str
    system: str
    protocol: Mapping[str, Any]
    measures: Sequence[Measure]
    groups: Sequence[ResultGroup]
    samples: Sequence[SampleResult]
    histograms: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def overall(self) -> ResultGroup:
        return self.groups[0]

    def measure(self, name: str) -> Measure:
        """The measure of that name; raises `ValueError` if there is none."""
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise ValueError(f"measure must be one of {', '.join(m.name for m in self.measures)}, got {name!r}")

    def save(self, folder: str | Path) -> Path:
        """Write `results.json` into a folder."""
        data = {"format": FORMAT, **asdict(self)}
        return write_text(json.dumps(_plain(data), indent=1, allow_nan=False) + "\n", Path(folder) / RESULTS)

    @staticmethod
    def load(path: str | Path) -> "Results":
        """Read a `results.json`, named itself or by its folder.

        Raises:
            ValueError: if there is none, or it is none of ours.
        """
        path = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
        data: Any = None
        try:
            data = json.loads(read_text(path, "results"))
            if data["format"] != FORMAT:
                raise KeyError("format")
            del data["format"]
            data["measures"] = [Measure(**entry) for entry in data["measures"]]
            data["groups"] = [_group(entry) for entry in data["groups"]]
            data["samples"] = [SampleResult(**entry) for entry in data["samples"]]
            return Results(**data)
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
            kind = _other_kind(data)
            raise ValueError(
                "results must be a results.json that `motionmillion evaluate` wrote, got "
                f"{str(path)!r}{kind and f', which is {kind}'}"
            ) from None


def check_results_folder(
    folder: str | Path,
    names: Sequence[str],
    suite: str,
    system: str,
    overwrite: bool = False,
    same: Mapping[str, Any] | None = None,
) -> None:
    """Raise `PathError` where results would replace files that are not earlier results of the same evaluation.

    Args:
        names: files that will be written into `folder` besides `results.json`.
        suite, system: what is evaluated; a repeated evaluation of the same suite and system may replace its files.
        overwrite: whether other files may be replaced.
        same: entries of the protocol that must be equal, too.
    """
    folder = Path(folder)
    there = [name for name in (RESULTS, *names) if os.path.lexists(folder / name)]
    if not there or overwrite:
        return
    problem = "which is not the result of an evaluation"
    with contextlib.suppress(ValueError, OSError):
        earlier = Results.load(folder)
        known = {**earlier.protocol, "suite": earlier.suite, "system": earlier.system}
        wanted = {"suite": suite, "system": system, **(same or {})}
        differing = [key for key, value in wanted.items() if known.get(key) != value]
        if not differing:
            return
        key = differing[0]
        problem = f"made with the {key} {known.get(key)!r} instead of {wanted[key]!r}"
    raise PathError(
        f"output must be new or of the same evaluation, got {str(folder / there[0])!r}, {problem}; choose another "
        "folder or add --overwrite"
    )


def _other_kind(data: Any) -> str:
    """What a JSON file of another command is, in words; "" if unknown."""
    if not isinstance(data, dict):
        return ""
    kinds = {"rows": "a table of motionmillion bench", "outcomes": "a table of motionmillion compare"}
    kinds |= {"votes": "a rater's file for compare votes", "systems": "a comparison of motionmillion compare"}
    if "format" in data and "protocol" in data:
        return f"of format {data['format']!r}, that of another version"
    return next((words for key, words in kinds.items() if key in data), "")


def _group(entry: dict[str, Any]) -> ResultGroup:
    values = {name: Estimate(**estimate) for name, estimate in entry.pop("values").items()}
    return ResultGroup(**entry, values=values)


def _plain(value: Any) -> Any:
    """`value` with numbers that JSON lacks as None."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
