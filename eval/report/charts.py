"""Charts as inline SVG that follow the page's colours: bars with intervals by group, and distributions.

    svg = bar_chart(measure, ["daily life", "sports"], {"mini": values_by_group})
    svg = histogram_chart(measure, {"edges": [0, 1, 2], "reference": [0.7, 0.3]}, [0.2, 1.4], "mini")

Unusual: bars of one measure share a scale that includes zero, so that lengths are comparable; every measure keeps its
own unit and scale. Colours are the custom properties `--s0`, `--s1`, ... of page.css.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from motionmillion.eval.report.tables import interval, is_number, label_cell, number
from motionmillion.eval.results import Estimate, Measure

COLORS = 6  # series with a colour of their own
_WIDTH, _LABELS, _NUMBERS = 400, 142, 62
_BAR, _GAP = 13, 11
_LETTERS = 20
_HEIGHT, _LEFT, _FOOT, _TOP = 180, 34, 24, 10


@dataclass(frozen=True)
class Panel:
    """A chart with its title and words beside the title."""

    title: str
    detail: str
    chart: Markup


def bar_chart(measure: Measure, groups: Sequence[str], series: Mapping[str, Mapping[str, Estimate]]) -> Markup:
    """One bar per group and series, with its interval as a line; empty without any.

    Args:
        groups: names from top to bottom; groups without a value in any series are skipped.
        series: system name -> group name -> estimate.
    """
    groups = [g for g in groups if any(_known(values.get(g)) for values in series.values())]
    shown = [values[g] for values in series.values() for g in groups if _known(values.get(g))]
    if not shown:
        return Markup("")
    ends = [0.0, *(end for e in shown for end in (e.mean, e.low, e.high) if end is not None and is_number(end))]
    low, high = min(ends), max(ends)
    scale = (_WIDTH - _LABELS - _NUMBERS) / ((high - low) or 1.0)

    def place(value: float) -> float:
        return _LABELS + (value - low) * scale

    step = _BAR * len(series) + _GAP
    parts = [
        f'<line class="axis" x1="{place(0):.1f}" x2="{place(0):.1f}" y1="0" y2="{step * len(groups) - _GAP / 2:.1f}"/>'
    ]
    for row, group in enumerate(groups):
        top = row * step + _GAP / 2
        label = group if len(group) <= _LETTERS else group[: _LETTERS - 1] + "…"
        parts.append(_text(label, _LABELS - 8, top + _BAR * len(series) / 2, "end", "name"))
        for index, (name, values) in enumerate(series.items()):
            estimate = values.get(group)
            if estimate is not None and _known(estimate):
                parts.append(_bar(measure, estimate, f"{group}, {name}", place, top + index * _BAR, index))
    words = "; ".join(f"{group}: {_words(measure, group, series)}" for group in groups)
    return _svg(_WIDTH, step * len(groups), f"Bar chart of {measure.label}. {words}", parts)


def histogram_chart(
    measure: Measure, histogram: Mapping[str, Sequence[float]], values: Sequence[float], system: str
) -> Markup:
    """Fractions of a system's samples as bars and of the reference as an outline, over the bins of the reference.

    Samples beyond the outermost edges count in the outermost bins. All bins are drawn with equal width.

    Raises:
        ValueError: for a histogram whose edges do not increase or do not fit its fractions.
    """
    edges, reference = check_histogram(measure, histogram)
    shares = sample_shares(edges, values)
    top = max(float(reference.max()), float(shares.max()), 1e-9)
    step = (_WIDTH - _LEFT - 8) / len(reference)
    tall = _HEIGHT - _FOOT - _TOP
    heights, outline = shares / top * tall, reference / top * tall
    base = _HEIGHT - _FOOT
    parts = []
    for share in _round_shares(top):
        y = base - share / top * tall
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(f"{100 * share:g} %", _LEFT - 5, y, "end", "tick"))
    for index, height in enumerate(heights):
        if height > 0:
            span = f"{number(measure, edges[index])} to {number(measure, edges[index + 1])}"
            title = f"{span}: {system} {100 * shares[index]:.1f} %, reference {100 * reference[index]:.1f} %"
            parts.append(
                f'<rect class="s0 share" x="{_LEFT + index * step + 0.5:.1f}" y="{base - height:.1f}" '
                f'width="{step - 1:.1f}" height="{height:.1f}"><title>{html.escape(title)}</title></rect>'
            )
    path = f"M{_LEFT} {base}"
    for index, height in enumerate(outline):
        path += f" V{base - height:.1f} H{_LEFT + (index + 1) * step:.1f}"
    parts.append(f'<path class="outline" d="{path} V{base}"/>')
    for index in _tick_indexes(len(edges)):
        anchor = "start" if index == 0 else "end" if index == len(edges) - 1 else "middle"
        parts.append(_text(f"{edges[index]:.3g}", _LEFT + index * step, base + 13, anchor, "tick"))
    label = (
        f"Distribution of {measure.label}: {len(values)} samples of {system} and the reference; "
        f"{100 * overlap(edges, reference, values):.0f} % overlap"
    )
    return _svg(_WIDTH, _HEIGHT, label, parts)


def check_histogram(measure: Measure, histogram: Mapping[str, Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Checked edges `[N + 1]` and fractions of the reference `[N]`."""
    edges = np.asarray(histogram.get("edges", ()), dtype=np.float64)
    reference = np.asarray(histogram.get("reference", ()), dtype=np.float64)
    if len(reference) < 1 or len(edges) != len(reference) + 1:
        raise ValueError(
            f"histogram of {measure.name!r} must have one edge more than shares, got {len(edges)} and {len(reference)}"
        )
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError(f"histogram of {measure.name!r} must have rising edges, got {edges.tolist()!r}")
    if not np.isfinite(reference).all() or (reference < 0).any():
        raise ValueError(f"histogram of {measure.name!r} must have shares of at least 0, got {reference.tolist()!r}")
    return edges, reference


def sample_shares(edges: np.ndarray, values: Sequence[float]) -> np.ndarray:
    """Fraction of the values in each bin `[N]`; values outside count in the outermost bins."""
    counts = np.histogram(np.clip(np.asarray(values, dtype=np.float64), edges[0], edges[-1]), edges)[0]
    return counts / max(len(values), 1)


def overlap(edges: np.ndarray, reference: np.ndarray, values: Sequence[float]) -> float:
    """Common area of both distributions: 1 if they are equal, 0 if they are disjoint."""
    return float(np.minimum(reference / max(reference.sum(), 1e-12), sample_shares(edges, values)).sum())


def legend(names: Sequence[str]) -> list[tuple[str, str]]:
    """Legend of the systems' colours: their CSS classes and names."""
    return [(f"s{index % COLORS}", name) for index, name in enumerate(names)]


def panel(measure: Measure, chart: Markup, detail: str = "") -> Panel:
    """A chart under its measure's name."""
    head = label_cell(measure)
    return Panel(head.text, "; ".join(filter(None, (head.detail, detail))), chart)


def _bar(
    measure: Measure, estimate: Estimate, name: str, place: Callable[[float], float], top: float, index: int
) -> str:
    start, end = sorted((place(0.0), place(estimate.mean)))
    middle = top + (_BAR - 2) / 2
    bounds = interval(measure, estimate)
    title = f"{name}: {number(measure, estimate.mean)}{f' ({bounds})' if bounds else ''}"
    line = ""
    if bounds and estimate.low is not None and estimate.high is not None:
        left, right = f"{place(estimate.low):.1f}", f"{place(estimate.high):.1f}"
        ends = f"M{left} {middle - 3:.1f}v6M{right} {middle - 3:.1f}v6"
        line = f'<path class="whisker" d="M{left} {middle:.1f}H{right}{ends}"/>'
    return (
        f'<g><title>{html.escape(title)}</title><rect class="s{index % COLORS}" rx="2" x="{start:.1f}" y="{top:.1f}" '
        f'width="{max(end - start, 1):.1f}" height="{_BAR - 2}"/>{line}'
        f"{_text(number(measure, estimate.mean), _WIDTH - 2, middle, 'end', 'value')}</g>"
    )


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> Markup:
    words = html.escape(label, quote=True)
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{words}">{"".join(parts)}</svg>')


def _text(text: str, x: float, y: float, anchor: str, style: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central"'
    return f'<text class="{style}" {place}>{html.escape(text)}</text>'


def _words(measure: Measure, group: str, series: Mapping[str, Mapping[str, Estimate]]) -> str:
    """The bars of a group as text."""
    known = {name: values[group] for name, values in series.items() if _known(values.get(group))}
    return ", ".join(f"{name} {number(measure, estimate.mean)}" for name, estimate in known.items())


def _known(estimate: Estimate | None) -> bool:
    return estimate is not None and is_number(estimate.mean)


def _tick_indexes(count: int, most: int = 6) -> list[int]:
    """Edges to label: evenly spread, including the first and the last."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, most)).tolist()})


def _round_shares(top: float) -> list[float]:
    """Two or three round fractions up to `top`."""
    step = next((s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if top / s <= 3.5), 0.5)
    return [step * k for k in range(1, int(top / step + 1e-9) + 1)]
