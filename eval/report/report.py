"""A report of one system: Markdown, and a self-contained HTML page that plays its motions.

    paths = write_report(Results.load("runs/mini"), "runs/mini")       # report.md, report.html

The page has the headline values with their intervals, bars by category, distributions compared with real motion, a
gallery of the best and the worst motions, sortable tables, the notes and the whole protocol.
Unusual: the only input is `Results` and the motion files that it names. The template is report.html; charts are inline
SVG (`motionmillion.eval.report.charts`), motions are drawn by player.js.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from motionmillion.eval.report.charts import Panel, bar_chart, check_histogram, histogram_chart, overlap, panel
from motionmillion.eval.report.gallery import gallery, rank
from motionmillion.eval.report.page import data_script, render
from motionmillion.eval.report.protocol_facts import protocol_line
from motionmillion.eval.report.tables import (
    COUNTS,
    NO_INTERVAL,
    REFERENCE,
    Cell,
    Table,
    estimate_cell,
    estimate_detail,
    first_of_axes,
    group_table,
    headline,
    interval,
    is_number,
    label_cell,
    markdown_text,
    measure_sets,
    merged_measures,
    number,
    sample_measures,
)
from motionmillion.eval.results import EVERYTHING, Measure, ResultGroup, Results
from motionmillion.io.files import write_text

MARKDOWN, PAGE = "report.md", "report.html"
INTERVALS = "Lines are 95 % intervals."
ARROWS = f"Arrows show the better direction; values in parentheses are 95 % intervals. {NO_INTERVAL} {COUNTS}"


def write_report(
    results: Results,
    folder: str | Path,
    motions: str | Path | None = None,
    measures: Sequence[str] | None = None,
    count: int = 6,
) -> list[Path]:
    """Write `report.md` and `report.html` into a folder and return their paths.

    Args:
        motions: folder that motion paths are relative to; None: `folder`.
        measures: measures that can order the gallery; None: one for each axis.
        count: motions at either end of the gallery.

    Raises:
        ValueError: for a measure that cannot order the gallery, an invalid histogram, or a folder that cannot be
        written.
    """
    folder = Path(folder)
    rankings = rank(results, measures, count)
    data, scripts, notes = gallery(results, Path(motions) if motions is not None else folder, rankings)
    notes = [*results.notes, *notes]
    page = render(
        f"report/{PAGE}",
        title=f"{results.system}: {results.suite}",
        suite=results.suite,
        system=results.system,
        facts=[f"{len(results.samples)} samples", *protocol_line(results.protocol, 12)],
        cards=_cards(results),
        charts=chart_panels({results.system: results}),
        charts_title=f"By {' and '.join(_kinds(results))}",
        charts_lead=INTERVALS,
        distributions=_distributions(results),
        tables_lead=f"{NO_INTERVAL} {COUNTS}",
        tables=_tables(results),
        notes=notes,
        protocol=results.protocol,
        gallery=data_script("data", data),
        motions=scripts,
    )
    return [write_text(markdown(results, notes), folder / MARKDOWN), write_text(page, folder / PAGE)]


def markdown(results: Results, notes: Sequence[str] | None = None) -> str:
    """The report as Markdown: protocol, headline values, tables and notes."""
    lines = [f"# {markdown_text(results.system)}: {markdown_text(results.suite)}", ""]
    lines += [
        markdown_text("; ".join([f"{len(results.samples)} samples", *protocol_line(results.protocol)])) + ".",
        "",
    ]
    sampled = sample_measures(results)
    for measure in headline(results.measures, results.overall.values, results.groups):
        cell = estimate_cell(measure, results.overall, sampled)
        lines.append(f"- {markdown_text(label_cell(measure).text)}: **{cell.text}** ({cell.detail})")
    for table in _tables(results):
        lines += ["", f"## {markdown_text(table.title.capitalize())}", "", table.markdown()]
    told = [f"- {markdown_text(note)}" for note in (results.notes if notes is None else notes)]
    lines += ["", ARROWS, *(["", *told] if told else [])]
    return "\n".join(lines) + "\n"


def summary(results: Results) -> str:
    """All values over all samples, next to those of a reference, as a Markdown table."""
    base, sampled = _base(results), sample_measures(results)
    heads = [Cell("measure"), *(Cell(f"{group.name} ({group.count})") for group in base)]
    rows = [
        [Cell(label_cell(measure).text), *(estimate_cell(measure, group, sampled) for group in base)]
        for measure in results.measures
        if measure.name in results.overall.values
    ]
    return Table("summary", heads, rows).markdown()


def chart_panels(systems: Mapping[str, Results]) -> list[Panel]:
    """Bars for one measure of each axis (`first_of_axes`) with group values, one bar per group and system.

    With several systems, measures without values for groups are drawn too, over all samples.
    """
    groups = [group for results in systems.values() for group in results.groups]
    names = list(dict.fromkeys(group.name for group in groups))
    measures = [m for m in merged_measures(list(systems.values())) if m.better != "neither"]
    parts = [group for group in groups if group.kind not in (EVERYTHING, REFERENCE)]
    chosen = first_of_axes([m for m in measures if len({g.name for g in parts if m.name in g.values}) > 1], groups)
    shown = [(measure, names) for measure in chosen]
    if len(systems) > 1:
        axes = {measure.axis for measure in chosen}
        shown += [(measure, [EVERYTHING]) for measure in measures if measure.axis not in axes]
    panels = []
    for measure, own in shown:
        series = {
            name: {group.name: group.values[measure.name] for group in results.groups if measure.name in group.values}
            for name, results in systems.items()
        }
        panels.append(panel(measure, bar_chart(measure, own, series), measure.axis))
    return [own for own in panels if own.chart]


def _base(results: Results) -> list[ResultGroup]:
    """All samples, and references such as real motion."""
    return [results.overall, *(group for group in results.groups[1:] if group.kind == REFERENCE)]


def _kinds(results: Results) -> list[str]:
    """Kinds of groups of samples, such as "category"."""
    return list(dict.fromkeys(group.kind for group in results.groups[1:] if group.kind != REFERENCE))


def _tables(results: Results) -> list[Table]:
    """Groups of each kind, with one table per axis if there are many measures.

    Measures of all samples together, such as R-precision, have their own tables.
    """
    tables, base, sampled = [], _base(results), sample_measures(results)
    kinds = {kind: [group for group in results.groups[1:] if group.kind == kind] for kind in _kinds(results)}
    in_parts = {name for groups in kinds.values() for group in groups for name in group.values}
    in_all = {name for group in base for name in group.values} - in_parts
    sets = [("all samples", base, in_all)]
    sets += [(f"by {kind}", [*base, *own], {name for g in own for name in g.values}) for kind, own in kinds.items()]
    for word, groups, names in sets:
        for title, measures in measure_sets(results.measures):
            known = [measure for measure in measures if measure.name in names]
            if known:
                tables.append(group_table(f"{word}{title and f': {title}'}", groups, known, sampled))
    return tables


@dataclass(frozen=True)
class _Card:
    """A headline value."""

    title: str
    value: str
    interval: str
    label: str


def _cards(results: Results) -> list[_Card]:
    shown = headline(results.measures, results.overall.values, results.groups)
    sampled = sample_measures(results)
    return [_card(measure, results.overall, sampled) for measure in shown]


def _card(measure: Measure, group: ResultGroup, sampled: Collection[str]) -> _Card:
    estimate, head = group.values[measure.name], label_cell(measure)
    words = "95 % interval " if interval(measure, estimate) else "no interval: "
    return _Card(
        title=measure.axis or measure.label,
        value=number(measure, estimate.mean),
        interval=words + estimate_detail(measure, group, sampled),
        label=head.text if measure.axis else head.detail,
    )


def _distributions(results: Results) -> list[Panel]:
    panels, known = [], {measure.name: measure for measure in results.measures}
    for name, histogram in results.histograms.items():
        measure = known.get(name) or Measure(name, name.replace("_", " "))
        values = [s.values[name] for s in results.samples if is_number(s.values.get(name))]
        if values:
            chart = histogram_chart(measure, histogram, values, results.system)
            edges, reference = check_histogram(measure, histogram)
            panels.append(panel(measure, chart, f"{100 * overlap(edges, reference, values):.0f} % overlap"))
    return panels
