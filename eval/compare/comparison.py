"""Comparison of several systems in one suite, with significance tests.

    comparison = compare([Results.load("runs/mini"), Results.load("runs/large")])
    write_comparison(comparison, "runs/compared")      # of .pages: comparison.json, .md and .html

Every system is tested against the first one, on the values of samples with equal ids: a sign-flip permutation test of
the paired differences (`motionmillion.eval.statistics.significance`), two-sided. A difference is marked with `*` where
its p-value is below 0.05 after Holm's correction over all tests of the same group, i.e. over its measures and systems.

Unusual: a value that is not a mean over samples, such as FID, has no test and therefore no mark; use its interval. The
values of an id that occurs more than once are averaged first.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from motionmillion.eval.report.protocol_facts import check_same_suite, protocol_differences
from motionmillion.eval.report.tables import is_number, merged_measures, p_text
from motionmillion.eval.results import EVERYTHING, Measure, ResultGroup, Results
from motionmillion.eval.statistics.bootstrap import bootstrap_intervals
from motionmillion.eval.statistics.significance import holm, sign_flip_test

LEVEL = 0.05
FLIPS = 10000


@dataclass(frozen=True)
class PairedTest:
    """One system against the first one, on one measure of one group.

    Args:
        group, measure, system: names.
        count: pairs of samples.
        difference: mean of the system's value minus the first one's.
        low, high: 95 % bootstrap interval of the difference.
        p, p_holm: p-value before and after the correction over the group's tests.
        better: whether the system is better; None if the measure has no better direction or the difference is zero.
    """

    group: str
    measure: str
    system: str
    count: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    better: bool | None

    @property
    def significant(self) -> bool:
        return self.p_holm < LEVEL


@dataclass(frozen=True)
class Comparison:
    """Results of several systems in one suite.

    Args:
        suite: its name.
        systems: results by unique system name; the others are tested against the first.
        tests: in the order of groups, measures and systems.
        notes: differences between the protocols, and how the tests were made.
        seed: seed of the permutations and intervals.
    """

    suite: str
    systems: dict[str, Results]
    tests: Sequence[PairedTest]
    notes: Sequence[str]
    seed: int

    @property
    def measures(self) -> list[Measure]:
        """Measures of all systems, in order of first occurrence."""
        return merged_measures(list(self.systems.values()))

    def groups(self) -> list[ResultGroup]:
        """The groups of all systems by name, each from the first system that has it."""
        found: dict[str, ResultGroup] = {}
        for results in self.systems.values():
            for group in results.groups:
                found.setdefault(group.name, group)
        return list(found.values())

    def test(self, group: str, measure: str, system: str) -> PairedTest | None:
        """The test of these names, None if there is none."""
        found = (t for t in self.tests if (t.group, t.measure, t.system) == (group, measure, system))
        return next(found, None)

    def as_dict(self) -> dict:
        """Estimates, tests and notes, ready for JSON."""
        figures = {
            name: {g.name: {m: asdict(e) for m, e in g.values.items()} for g in results.groups}
            for name, results in self.systems.items()
        }
        protocols = {name: dict(results.protocol) for name, results in self.systems.items()}
        tests = [{**asdict(test), "significant": test.significant} for test in self.tests]
        parts = {"figures": figures, "tests": tests, "notes": list(self.notes), "protocols": protocols}
        return {"suite": self.suite, "against": next(iter(self.systems)), "seed": self.seed, **parts}


def compare(results: Sequence[Results], flips: int = FLIPS, resamples: int = 2000, seed: int = 0) -> Comparison:
    """Compare several systems with the first one.

    Args:
        results: results of one suite; systems with equal names are numbered.
        flips: number of random sign flips of the permutation test.
        resamples: number of bootstrap resamples for the intervals of the differences.
        seed: seed of both; equal seeds give equal results.

    Raises:
        ValueError: for fewer than two results, results of different suites or versions, or counts below 1.
    """
    if len(results) < 2:
        raise ValueError(f"results must be at least two to compare, got {len(results)}; name another results.json")
    if flips < 1:
        raise ValueError(f"flips must be at least 1, got {flips!r}; {FLIPS} is usual")
    check_same_suite(results)
    systems = dict(zip(unique_names(results), results, strict=True))
    comparison = Comparison(results[0].suite, systems, (), (), seed)
    tests: list[PairedTest] = []
    for group in comparison.groups():
        tests += _group_tests(comparison, group, flips, resamples, seed)
    notes = [*protocol_differences(results, list(systems)), *_test_notes(list(systems), tests, flips, seed)]
    return replace(comparison, tests=tests, notes=notes)


def unique_names(results: Sequence[Results]) -> list[str]:
    """Names of the systems; duplicates are numbered."""
    counts, seen = Counter(one.system for one in results), Counter[str]()
    names = []
    for one in results:
        seen[one.system] += 1
        names.append(f"{one.system} ({seen[one.system]})" if counts[one.system] > 1 else one.system)
    return names


def sample_values(results: Results, measure: str, group: str = EVERYTHING) -> dict[str, float]:
    """Values of a measure by sample id, of one category or all; the mean for an id with several samples."""
    found: dict[str, list[float]] = defaultdict(list)
    for sample in results.samples:
        if group in (EVERYTHING, sample.category) and is_number(sample.values.get(measure)):
            found[sample.id].append(sample.values[measure])
    return {name: float(np.mean(values)) for name, values in found.items()}


def tested_values(results: Results, measure: str, group: str) -> dict[str, float]:
    """`sample_values`, or empty if the group's value is not their mean."""
    estimate = next((g.values.get(measure) for g in results.groups if g.name == group), None)
    members = [s for s in results.samples if group in (EVERYTHING, s.category) and is_number(s.values.get(measure))]
    return sample_values(results, measure, group) if estimate is not None and estimate.count == len(members) else {}


def _group_tests(
    comparison: Comparison, group: ResultGroup, flips: int, resamples: int, seed: int
) -> list[PairedTest]:
    (_, first), *others = comparison.systems.items()
    tests = []
    for measure in comparison.measures:
        base = tested_values(first, measure.name, group.name)
        for name, results in others:
            own = tested_values(results, measure.name, group.name)
            ids = [one for one in base if one in own]
            if len(ids) > 1:
                differences = np.array([own[one] - base[one] for one in ids])
                p = sign_flip_test(differences, flips, seed)
                bounds = bootstrap_intervals(differences[:, None], np.ones(len(ids)), ids, resamples, seed)
                low, high = (float(bound) for bound in (bounds[0] if bounds is not None else (np.nan, np.nan)))
                mean = float(differences.mean())
                better = (
                    None if measure.better == "neither" or mean == 0 else (mean > 0) == (measure.better == "higher")
                )
                tests.append(PairedTest(group.name, measure.name, name, len(ids), mean, low, high, p, p, better))
    adjusted = holm([test.p for test in tests])
    return [replace(test, p_holm=p) for test, p in zip(tests, adjusted, strict=True)]


def _test_notes(names: Sequence[str], tests: Sequence[PairedTest], flips: int, seed: int) -> list[str]:
    how = (
        f"* marks a difference from {names[0]} with p < {LEVEL} after Holm's correction over the tests of a group; "
        f"paired sign-flip permutation test, two-sided, {flips:,} flips, seed {seed}, on samples with equal ids."
    )
    marked = [test for test in tests if test.significant]
    if not tests:
        return [f"Nothing was tested: no measure has values for two samples of {names[0]} and another system."]
    if not marked:
        return [how, "No difference is marked."]
    told = [
        f"{t.group}, {t.measure}: {t.system} - {names[0]} = {t.difference:.4g} ({t.low:.4g} to {t.high:.4g}), "
        f"{t.count} pairs, {p_text(t.p_holm)}"
        for t in marked
    ]
    return [how, *told]
