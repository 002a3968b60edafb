"""Two systems, prompt by prompt: win, tie or loss on each axis, by measures or by human votes.

    table = side_by_side(Results.load("runs/mini"), Results.load("runs/large"))
    table.save("runs/mini_large")                # side_by_side.json, side_by_side.md
    write_rating_page(first, second, folder)     # motionmillion.eval.compare.rating: the page for human raters
    table = read_votes(["anna.json", "ben.json"])  # motionmillion.eval.compare.votes: the same table from their votes

Wins are those of the first system. Each axis is decided by its first measure with a better direction; values closer
than a margin tie. Totals have an exact two-sided sign test without ties. Unusual: the default margin is `TIE` standard
deviations of the values of one system (the root of the mean of both variances), because measures have different units;
the margins are in the notes and in the JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from motionmillion.eval.compare.comparison import sample_values, unique_names
from motionmillion.eval.report.protocol_facts import check_same_suite, protocol_differences
from motionmillion.eval.report.tables import Cell, Table, markdown_text, p_number, p_text
from motionmillion.eval.results import EVERYTHING, Measure, Results
from motionmillion.eval.statistics.significance import sign_test
from motionmillion.io.files import write_text

AXES = ("text alignment", "smoothness", "plausibility")
TIE = 0.1
SIDE_BY_SIDE = "side_by_side"
JSON, MARKDOWN = "side_by_side.json", "side_by_side.md"

Winner = Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Outcome:
    """The better system for one prompt and axis; `first_votes` to `ties` count human votes, zero for measures."""

    prompt: str
    category: str
    axis: str
    winner: Winner
    first_votes: int = 0
    second_votes: int = 0
    ties: int = 0


@dataclass(frozen=True)
class Tally:
    """Wins, ties and losses of the first system, in prompts."""

    wins: int
    ties: int
    losses: int

    @property
    def p(self) -> float:
        """Exact two-sided sign test of wins against losses."""
        return sign_test(self.wins, self.losses)


@dataclass(frozen=True)
class SideBySide:
    """Outcomes of two systems in one suite.

    Args:
        suite: its name.
        systems: names of the first and the second one.
        outcomes: one for each prompt and axis.
        notes: how they were determined.
        facts: values reported with the table, such as the agreement of raters; JSON values.
    """

    suite: str
    systems: tuple[str, str]
    outcomes: Sequence[Outcome]
    notes: Sequence[str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def axes(self) -> list[str]:
        return list(dict.fromkeys(outcome.axis for outcome in self.outcomes))

    @property
    def categories(self) -> list[str]:
        return list(dict.fromkeys(outcome.category for outcome in self.outcomes if outcome.category))

    def tally(self, axis: str, category: str | None = None) -> Tally:
        """Totals of an axis, of one category or of all."""
        found = [o.winner for o in self.outcomes if o.axis == axis and category in (None, o.category)]
        return Tally(found.count("first"), found.count("tie"), found.count("second"))

    def table(self) -> Table:
        """Win / tie / loss and p by category and axis."""
        heads = [Cell("group"), *(cell for axis in self.axes for cell in (Cell(axis), Cell("p")))]
        rows = []
        for category in (None, *self.categories):
            tallies = [self.tally(axis, category) for axis in self.axes]
            cells = [cell for tally in tallies for cell in (_counts(tally), Cell(p_number(tally.p), value=tally.p))]
            rows.append([Cell(category or EVERYTHING, style="" if category else "all"), *cells])
        return Table(f"{self.systems[0]} against {self.systems[1]}: win / tie / loss", heads, rows)

    def markdown(self) -> str:
        """Table and notes."""
        first, second = map(markdown_text, self.systems)
        lines = [f"# {markdown_text(self.suite)}: {first} against {second}", ""]
        lines += [f"Prompts that {first} wins / ties / loses, with the p-value of a two-sided sign test.", ""]
        lines += [self.table().markdown(), "", *(f"- {markdown_text(note)}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Totals and outcomes, ready for JSON."""
        totals = {
            category or EVERYTHING: {axis: self._total(axis, category) for axis in self.axes}
            for category in (None, *self.categories)
        }
        outcomes = [vars(outcome) for outcome in self.outcomes]
        parts = {"totals": totals, **self.facts, "notes": list(self.notes), "outcomes": outcomes}
        return {"suite": self.suite, "first": self.systems[0], "second": self.systems[1], **parts}

    def save(self, folder: str | Path, name: str = SIDE_BY_SIDE) -> list[Path]:
        """Write `side_by_side.json` and `side_by_side.md`, or files with another name."""
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n"
        folder = Path(folder)
        return [write_text(text, folder / f"{name}.json"), write_text(self.markdown(), folder / f"{name}.md")]

    def _total(self, axis: str, category: str | None) -> dict[str, Any]:
        tally = self.tally(axis, category)
        return {"wins": tally.wins, "ties": tally.ties, "losses": tally.losses, "p": tally.p}


def side_by_side(
    first: Results,
    second: Results,
    measures: Mapping[str, str] | None = None,
    margins: Mapping[str, float] | None = None,
) -> SideBySide:
    """Judge two systems prompt by prompt by the values of their samples.

    Args:
        measures: measure by axis; None: for each axis the first one that samples of both have.
        margins: differences up to which values tie, by measure and in its unit; the default is `TIE` standard
            deviations of a system's values.

    Raises:
        ValueError: for results of different suites, no measure of an axis that both have, an unknown measure or one
            without a better side, or a margin that is negative or of a measure that is not used.
    """
    check_same_suite([first, second])
    chosen = _axis_measures(first, second, measures)
    unused = sorted(set(margins or {}) - {measure.name for measure in chosen.values()})
    if unused:
        known = ", ".join(measure.name for measure in chosen.values())
        raise ValueError(f"margins must be of measures that are used, got {unused[0]!r}; there are {known}")
    names = unique_names([first, second])
    categories = {sample.id: sample.category for sample in first.samples}
    outcomes, notes, used = [], protocol_differences([first, second], names), {}
    for axis, measure in chosen.items():
        one, other = sample_values(first, measure.name), sample_values(second, measure.name)
        ids = [name for name in one if name in other]
        margin = _margin(measure, np.array([[values[i] for i in ids] for values in (one, other)]), margins or {})
        used[axis] = {"measure": measure.name, "tie_margin": margin, "prompts": len(ids)}
        sign = 1 if measure.better == "higher" else -1
        outcomes += [Outcome(i, categories[i], axis, _winner(sign * (one[i] - other[i]), margin)) for i in ids]
        notes.append(f"{axis}: {measure.label}, {measure.better} is better, values tie up to {margin:.4g} apart.")
    return SideBySide(first.suite, (names[0], names[1]), outcomes, [*notes, *_total_notes(outcomes)], {"axes": used})


def _axis_measures(first: Results, second: Results, measures: Mapping[str, str] | None) -> dict[str, Measure]:
    shared = {m.name: m for m in first.measures if sample_values(first, m.name).keys() & sample_values(second, m.name)}
    usable = {name: measure for name, measure in shared.items() if measure.better != "neither"}
    if measures is None:
        chosen = {measure.axis: measure for measure in reversed(usable.values()) if measure.axis}
        if not chosen:
            raise ValueError(
                f"results must share an axis whose samples have values, got none for {first.system!r} and "
                f"{second.system!r}; evaluate both with one suite, and the same prompts"
            )
        return dict(reversed(chosen.items()))
    for axis, name in measures.items():
        if name not in usable:
            raise ValueError(
                f"measures must be of samples of both systems and have a better side, got {name!r} for {axis!r}; "
                f"there are {', '.join(usable) or 'none'}"
            )
    return {axis: usable[name] for axis, name in measures.items()}


def _margin(measure: Measure, values: np.ndarray, margins: Mapping[str, float]) -> float:
    """The given margin, or a fraction of the standard deviation within a system; `values` is `[2, N]`."""
    if measure.name not in margins:
        return TIE * float(np.sqrt(values.var(axis=1).mean()))
    if not 0 <= margins[measure.name] < float("inf"):
        raise ValueError(f"margin of {measure.name!r} must be a number of at least 0, got {margins[measure.name]!r}")
    return float(margins[measure.name])


def _winner(lead: float, margin: float) -> Winner:
    return "tie" if abs(lead) <= margin else "first" if lead > 0 else "second"


def _counts(tally: Tally) -> Cell:
    decided = tally.wins + tally.losses
    return Cell(f"{tally.wins} / {tally.ties} / {tally.losses}", value=tally.wins / decided if decided else None)


def _total_notes(outcomes: Sequence[Outcome]) -> list[str]:
    axes = dict.fromkeys(outcome.axis for outcome in outcomes)
    tests = {axis: SideBySide("", ("", ""), outcomes, ()).tally(axis).p for axis in axes}
    return [f"Over all prompts: {', '.join(f'{axis} {p_text(p)}' for axis, p in tests.items())}; not corrected."]
