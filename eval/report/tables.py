"""Tables of estimates: Markdown, and what pages draw as tables that can be sorted (parts.html).

    table = group_table("By category", results.groups, results.measures)
    table.markdown()

A cell holds its text, a detail below it (an interval) and its sort key. Without an interval the detail gives the
reason, and if a value is not over all samples of its group, their number. Unusual: every text is escaped on output, so
prompts and names of any kind are harmless; `-` marks a missing value.
"""

import html
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup, Results

REFERENCE = "reference"
"""Kind of a group outside the system's samples, such as real motion."""
MISSING = "-"
MOST = 9  # headline values
WIDEST = 8  # measures in one table; with more there is one table per axis
NO_INTERVAL = (
    'Values without an interval: of one sample (n = 1), all from one recording ("one take"), or not repeated '
    '("one draw").'
)
COUNTS = "If a value is not over all samples of its group, n is their number."

_ARROWS = {"higher": ("↑", "higher is better"), "lower": ("↓", "lower is better")}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the detail after or below it, its sort key, a CSS class."""

    text: str
    detail: str = ""
    value: float | None = None
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A title, column heads and rows; the first cell of a row is its name."""

    title: str
    heads: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """GitHub's Markdown, without the title."""
        lines = [[_markdown_cell(cell) for cell in cells] for cells in (self.heads, *self.rows)]
        rows = ["| " + " | ".join(cells) + " |" for cells in lines]
        return "\n".join([rows[0], "|---" * len(self.heads) + "|", *rows[1:]])


def group_table(
    title: str, groups: Sequence[ResultGroup], measures: Sequence[Measure], sampled: Collection[str] = ()
) -> Table:
    """One row per group, one column per measure; for `sampled` see `estimate_cell`."""
    heads = [Cell("group"), Cell("samples"), *map(label_cell, measures)]
    rows = [
        [
            Cell(group.name, style="all" if group.name == EVERYTHING else ""),
            Cell(str(group.count), value=group.count),
            *(estimate_cell(measure, group, sampled) for measure in measures),
        ]
        for group in groups
    ]
    return Table(title, heads, rows)


def measure_sets(measures: Sequence[Measure]) -> list[tuple[str, list[Measure]]]:
    """Measures by table: all, without a title, or those of each axis if there are many."""
    if len(measures) <= WIDEST:
        return [("", list(measures))]
    axes = dict.fromkeys(measure.axis for measure in measures)
    return [(axis or "other measures", [m for m in measures if m.axis == axis]) for axis in axes]


def label_cell(measure: Measure) -> Cell:
    """A measure's label with an arrow for the better direction."""
    arrow, words = _ARROWS.get(measure.better, ("", ""))
    return Cell(f"{measure.label} {arrow}".strip(), words)


def estimate_cell(measure: Measure, group: ResultGroup, sampled: Collection[str] = ()) -> Cell:
    """A group's value with its interval or why there is none, and its number of samples if not all.

    Args:
        sampled: names of measures with values for single samples, see `sample_measures`. Others are computed from
            repeats, whose number is not one of samples.
    """
    estimate = group.values.get(measure.name)
    if estimate is None or not is_number(estimate.mean):
        return Cell(MISSING)
    return Cell(number(measure, estimate.mean), estimate_detail(measure, group, sampled), estimate.mean)


def estimate_detail(measure: Measure, group: ResultGroup, sampled: Collection[str] = ()) -> str:
    """`0.490 to 0.534`, `0.490 to 0.534, n = 100`, `one take` or `n = 1`, see `estimate_cell`."""
    estimate = group.values[measure.name]
    alone = estimate.count == 1
    count = f"n = {estimate.count}" if measure.name in sampled and (alone or estimate.count != group.count) else ""
    bounds = interval(measure, estimate)
    if not bounds:
        bounds = ("" if count else "one draw") if alone else "one take"
    return ", ".join(filter(None, (bounds, count)))


def sample_measures(results: Results) -> set[str]:
    """Names of the measures with values for single samples."""
    return {name for sample in results.samples for name in sample.values}


def interval(measure: Measure, estimate: Estimate) -> str:
    """`0.490 to 0.534`, or empty without an interval."""
    if not is_number(estimate.low) or not is_number(estimate.high):
        return ""
    return f"{number(measure, estimate.low)} to {number(measure, estimate.high)}"


def number(measure: Measure, value: Any) -> str:
    """A value with the measure's number of digits."""
    return f"{value:,.{measure.digits}f}" if is_number(value) else MISSING


def is_number(value: Any) -> bool:
    """Whether there is a value: JSON has None for non-finite ones."""
    return isinstance(value, int | float) and math.isfinite(value)


def headline(
    measures: Sequence[Measure], values: Mapping[str, Estimate], groups: Sequence[ResultGroup] = ()
) -> list[Measure]:
    """The headline measures: all with a better direction, or one per axis (`first_of_axes`) if too many."""
    known = [m for m in measures if m.better != "neither" and m.name in values and is_number(values[m.name].mean)]
    return known if len(known) <= MOST else first_of_axes(known, groups)


def merged_measures(results: Sequence[Results]) -> list[Measure]:
    """The measures of several results, each once, in order of first occurrence."""
    found: dict[str, Measure] = {}
    for measure in (measure for one in results for measure in one.measures):
        found.setdefault(measure.name, measure)
    return list(found.values())


def first_of_axes(measures: Sequence[Measure], groups: Sequence[ResultGroup] = ()) -> list[Measure]:
    """One measure per axis: the first that most categories have too, or else the first one.

    Args:
        groups: kinds "all" and "reference" do not count.
    """
    parts = [group for group in groups if group.kind not in (EVERYTHING, REFERENCE)]
    held = Counter(name for group in parts for name, estimate in group.values.items() if is_number(estimate.mean))
    first: dict[str, Measure] = {}
    for measure in (*(m for m in measures if 2 * held[m.name] > len(parts)), *measures):
        first.setdefault(measure.axis, measure)
    return [measure for measure in measures if measure is first[measure.axis]]


def markdown_text(text: str) -> str:
    """Text escaped for Markdown."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*|\[\]#~])", r"\\\1", escaped)


def p_text(p: float) -> str:
    """`p = 0.031`, or `p < 0.001`."""
    return f"p {p_number(p)}" if p < 0.001 else f"p = {p_number(p)}"


def p_number(p: float) -> str:
    """`0.031`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _markdown_cell(cell: Cell) -> str:
    detail = f" ({markdown_text(cell.detail)})" if cell.detail and cell.value is not None else ""
    return markdown_text(cell.text) + detail
