"""A comparison as files: JSON, Markdown and one HTML page. See `motionmillion.eval.compare.comparison`."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from motionmillion.eval.compare.comparison import Comparison
from motionmillion.eval.report.charts import legend
from motionmillion.eval.report.page import render
from motionmillion.eval.report.protocol_facts import protocol_line
from motionmillion.eval.report.report import ARROWS, INTERVALS, chart_panels
from motionmillion.eval.report.tables import (
    COUNTS,
    NO_INTERVAL,
    Cell,
    Table,
    estimate_cell,
    label_cell,
    markdown_text,
    measure_sets,
    number,
    sample_measures,
)
from motionmillion.eval.results import Measure, ResultGroup
from motionmillion.io.files import write_text

JSON, MARKDOWN, PAGE = "comparison.json", "comparison.md", "comparison.html"
MOST_DIGITS = 6  # after the decimal point, if fewer would hide a marked difference


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write `comparison.json`, `comparison.md` and `comparison.html` and return their paths."""
    folder = Path(folder)
    figures = json.dumps(comparison.as_dict(), indent=1, ensure_ascii=False) + "\n"
    return [
        write_text(figures, folder / JSON),
        write_text(_markdown(comparison), folder / MARKDOWN),
        write_text(_page(comparison), folder / PAGE),
    ]


def comparison_tables(comparison: Comparison) -> list[Table]:
    """A table per group (and per axis if there are many measures) with one row per system."""
    tables = []
    for group in comparison.groups():
        for title, measures in measure_sets(comparison.measures):
            known = [m for m in measures if any(m.name in g.values for g in _members(comparison, group.name))]
            if known:
                tables.append(_table(comparison, f"{group.name}{title and f': {title}'}", group.name, known))
    return tables


def _table(comparison: Comparison, title: str, group: str, measures: Sequence[Measure]) -> Table:
    rows = []
    shown = [_told_apart(comparison, group, measure) for measure in measures]
    for name, results in comparison.systems.items():
        own = next((g for g in results.groups if g.name == group), None)
        if own is not None:
            sampled = sample_measures(results)
            cells = [_cell(comparison, own, measure, name, sampled) for measure in shown]
            rows.append([Cell(name), Cell(str(own.count), value=own.count), *cells])
    return Table(title, [Cell("system"), Cell("samples"), *map(label_cell, measures)], rows)


def _told_apart(comparison: Comparison, group: str, measure: Measure) -> Measure:
    """The measure with enough digits, up to `MOST_DIGITS`, to distinguish marked values from the first system's."""
    marked = {t.system for t in comparison.tests if (t.group, t.measure) == (group, measure.name) and t.significant}
    figures = {
        name: own.values[measure.name].mean
        for name, results in comparison.systems.items()
        for own in results.groups
        if own.name == group and measure.name in own.values
    }
    base = figures.get(next(iter(comparison.systems)))
    for digits in range(measure.digits, MOST_DIGITS):
        finer = replace(measure, digits=digits)
        if all(number(finer, figures.get(name)) != number(finer, base) for name in marked):
            return finer
    return replace(measure, digits=max(measure.digits, MOST_DIGITS))


def _cell(comparison: Comparison, group: ResultGroup, measure: Measure, system: str, sampled: Collection[str]) -> Cell:
    cell = estimate_cell(measure, group, sampled)
    test = comparison.test(group.name, measure.name, system)
    if test is None or not test.significant or cell.value is None:
        return cell
    style = {True: "better", False: "worse", None: ""}[test.better]
    return Cell(f"{cell.text} *", cell.detail, cell.value, style)


def _members(comparison: Comparison, name: str) -> list[ResultGroup]:
    return [group for results in comparison.systems.values() for group in results.groups if group.name == name]


def _markdown(comparison: Comparison) -> str:
    lines = [f"# {markdown_text(comparison.suite)}: {markdown_text(', '.join(comparison.systems))}"]
    for name, results in comparison.systems.items():
        facts = "; ".join([f"{len(results.samples)} samples", *protocol_line(results.protocol)])
        lines += ["", f"**{markdown_text(name)}**: {markdown_text(facts)}."]
    for table in comparison_tables(comparison):
        lines += ["", f"## {markdown_text(table.title.capitalize())}", "", table.markdown()]
    lines += ["", ARROWS, ""]
    lines += [f"- {markdown_text(note)}" for note in comparison.notes]
    return "\n".join(lines) + "\n"


def _page(comparison: Comparison) -> str:
    names = list(comparison.systems)
    return render(
        f"compare/{PAGE}",
        title=f"{comparison.suite}: {', '.join(names)}",
        suite=comparison.suite,
        systems=names,
        facts=[f"{name}: {len(results.samples)} samples" for name, results in comparison.systems.items()],
        measured={name: protocol_line(results.protocol, 12) for name, results in comparison.systems.items()},
        charts=chart_panels(comparison.systems),
        charts_lead=INTERVALS,
        keys=legend(names),
        tables_lead=f"{NO_INTERVAL} {COUNTS}",
        tables=comparison_tables(comparison),
        notes=comparison.notes,
        protocols={name: dict(results.protocol) for name, results in comparison.systems.items()},
    )
