"""Comparisons: only like with like, tests on paired samples, marks and notes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motionmillion.eval.compare.comparison import compare, sample_values, unique_names
from motionmillion.eval.compare.files import compare_files
from motionmillion.eval.compare.pages import comparison_tables, write_comparison
from motionmillion.eval.report.protocol_facts import flat, protocol_differences, suite_identity
from motionmillion.eval.results import RESULTS, Estimate, ResultGroup

BETTER = {"align": [95, 30, 70, 85, 55, 50]}  # 5 10 10 15 5 10 above the fixture's


def test_differences_and_their_tests(make_results):
    comparison = compare([make_results("mini"), make_results("large", BETTER)])
    test = comparison.test("all", "align", "large")
    assert test is not None
    assert test.difference == pytest.approx(55 / 6) and test.count == 6 and test.better is True
    assert test.low < test.difference < test.high
    assert test.p == 2 / 64  # all six have one sign
    # align, jerk, slide_mm and speed are tested; only align differs, so Holm takes its p four times.
    assert len([t for t in comparison.tests if t.group == "all"]) == 4
    assert test.p_holm == pytest.approx(4 * 2 / 64) and not test.significant
    alike = comparison.test("all", "jerk", "large")
    assert alike is not None and (alike.p, alike.difference, alike.better) == (1.0, 0.0, None)
    sports = comparison.test("sports", "align", "large")
    assert sports is not None and sports.count == 3 and sports.p == 2 / 8
    assert comparison.test("all", "fid", "large") is None  # no values of samples
    assert comparison.test("others", "align", "large") is None  # a single pair


def test_marks(make_results, tmp_path: Path):
    first = make_results("mini")
    samples = [replace(first.samples[i % 6], id=f"{i}", category="sports") for i in range(60)]
    better = [
        replace(s, values={**s.values, "jerk": s.values["jerk"] - 0.1 - 0.01 * i}) for i, s in enumerate(samples)
    ]
    systems = []
    for name, own in (("mini", samples), ("large", better)):
        mean = float(np.mean([s.values["jerk"] for s in own]))
        group = ResultGroup("all", "all", 60, {"jerk": Estimate(mean, mean - 1, mean + 1, 60)})
        systems.append(replace(first, system=name, samples=own, groups=[group]))
    comparison = compare(systems)
    write_comparison(comparison, tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    assert re.search(r"\| large \| 60 \| 3\.1[01] \\\* \(2", text) and "| mini | 60 | 3.50 (2.50 to 4.50) |" in text
    assert "paired sign-flip permutation test, two-sided, 10,000 flips, seed 0" in text
    assert "all, jerk: large - mini = -0.395 (-0.4" in text and "60 pairs, p &lt; 0.001" in text
    assert '<td class="better" data-value="3.1' in (tmp_path / "comparison.html").read_text()
    data = json.loads((tmp_path / "comparison.json").read_text())
    assert data["against"] == "mini" and data["tests"][0]["significant"] is True
    assert data["figures"]["large"]["all"]["jerk"]["count"] == 60


def marked_pair(make_results, gap: float, digits: int):
    """Two systems of 40 samples whose jerk differs by `gap` in each; with so many digits in tables."""
    first = make_results("mini")
    samples = [replace(first.samples[0], id=f"{i}", category="", values={"jerk": 1.15}) for i in range(40)]
    measures = [replace(m, digits=digits) for m in first.measures if m.name == "jerk"]
    systems = []
    for name, value in (("mini", 1.15), ("large", 1.15 - gap)):
        own = [replace(sample, values={"jerk": value}) for sample in samples]
        group = ResultGroup("all", "all", 40, {"jerk": Estimate(value, value - 0.5, value + 0.5, 40)})
        systems.append(replace(first, system=name, samples=own, groups=[group], measures=measures))
    return systems


@pytest.mark.parametrize(
    ("gap", "digits", "cells"),
    [
        (0.1, 2, ("1.15 (0.65 to 1.65)", "1.05 \\* (0.55 to 1.55)")),
        (0.0004, 2, ("1.1500 (0.6500 to 1.6500)", "1.1496 \\* (0.6496 to 1.6496)")),
        (1e-9, 2, ("1.150000 (0.650000 to 1.650000)", "1.150000 \\* (0.650000 to 1.650000)")),
        (1e-9, 7, ("1.1500000 (0.6500000 to 1.6500000)", "1.1500000 \\* (0.6500000 to 1.6500000)")),
        (0.0, 2, ("1.15 (0.65 to 1.65)", "1.15 (0.65 to 1.65)")),  # no mark
    ],
)
def test_rounding_does_not_hide_a_marked_difference(make_results, gap: float, digits: int, cells: tuple):
    (table,) = comparison_tables(compare(marked_pair(make_results, gap, digits)))
    rows = table.markdown().splitlines()[2:]
    assert rows == [f"| mini | 40 | {cells[0]} |", f"| large | 40 | {cells[1]} |"]


def test_what_the_figures_of_a_comparison_are_made_of(make_results):
    first, second = make_results("mini"), make_results("large", BETTER)
    group = ResultGroup("sports", "category", 3, {"align": Estimate(50.0, None, None, 1)})
    tables = comparison_tables(compare([replace(first, groups=[first.groups[0], group]), second]))
    assert "| mini | 3 | 50.0 (n = 1) |" in next(t for t in tables if t.title == "sports").markdown()


def test_a_figure_made_of_other_values_is_not_tested(make_results):
    first, second = make_results("mini"), make_results("large", BETTER)
    groups = [replace(first.groups[0], values={"align": Estimate(50.0, None, None, 3)}), *first.groups[1:]]
    assert compare([replace(first, groups=groups), second]).test("all", "align", "large") is None


def test_samples_are_paired_by_id(make_results):
    first, second = make_results("mini"), make_results("large", BETTER)
    turned = replace(second, samples=list(reversed(second.samples)))
    tests = compare([first, turned]).tests
    assert [t.p for t in tests] == [t.p for t in compare([first, second]).tests]
    twice = replace(first, samples=[replace(s, id="x") for s in first.samples[:2]])
    assert sample_values(twice, "align") == {"x": 55.0}
    strangers = replace(second, samples=[replace(s, id=f"new{s.id}") for s in second.samples])
    assert compare([first, strangers]).notes == [
        "Nothing was tested: no measure has values for two samples of mini and another system."
    ]


def test_the_seed_decides(make_results):
    pair = [make_results("mini"), make_results("large", BETTER)]
    found = [compare(pair, resamples=7, seed=seed).tests for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_different_suites_are_refused(make_results):
    first = make_results("mini")
    cases = [
        ({"suite": "mbench"}, "name 'toy' of 'mini' and 'mbench' of 'other'"),
        ({"protocol": {**first.protocol, "suite": {"name": "toy", "version": "2"}}}, "version '1' .* and '2'"),
        ({"protocol": {"suite": {"version": "1", "sha256": "ef" * 32}}}, "sha256 'abab.* 'efef.*--limit or other"),
        ({"protocol": {}}, "version '1' of 'mini' and None of 'other'"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            compare([first, replace(first, system="other", **changes)])
    with pytest.raises(ValueError, match="one suite, got version '1'") as error:
        both = {"suite": {"version": "2", "sha256": "ef" * 32}}
        compare([first, replace(first, system="other", protocol=both)])
    assert "--limit" not in str(error.value)  # another version has other prompts in any case
    assert suite_identity(first) == {"name": "toy", "version": "1", "sha256": "ab" * 32}


def test_different_protocols_are_told(make_results):
    first = make_results("mini")
    protocol = {
        "evaluator": {"sha256": "ee" * 32},
        "lengths": "4 s",
        "seed": 7,
        "model": "large",
        "generation": {"k": 1},
    }
    second = make_results("large", {"align": [1, 2, 3]}, protocol)
    notes = protocol_differences([first, second])
    assert notes == [
        "Protocols differ in evaluator.sha256: cdcdcdcdcdcd for mini, eeeeeeeeeeee for large.",
        "Protocols differ in lengths: as it is for mini, 4 s for large.",
        "Numbers of samples differ: 6 for mini, 3 for large.",
    ]
    assert list(compare([first, second]).notes[:3]) == notes
    assert protocol_differences([first, make_results("same")]) == []
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}


def test_wrong_calls(make_results):
    first = make_results("mini")
    with pytest.raises(ValueError, match="at least two to compare, got 1"):
        compare([first])
    with pytest.raises(ValueError, match="flips must be at least 1, got 0"):
        compare([first, first], flips=0)
    assert unique_names([first, make_results("large"), first]) == ["mini (1)", "large", "mini (2)"]


def test_files(make_results, tmp_path: Path):
    make_results("mini")
    make_results("large", BETTER)
    paths = compare_files([tmp_path / "mini", tmp_path / "large" / RESULTS], tmp_path / "out")
    assert [path.name for path in paths] == ["comparison.json", "comparison.md", "comparison.html"]
    assert paths[1].read_text().startswith("# toy: mini, large\n")


def test_wrong_files(make_results, tmp_path: Path):
    make_results("mini")
    make_results("large")
    pair = [tmp_path / "mini", tmp_path / "large"]
    with pytest.raises(ValueError, match="different files, got '.*results.json' twice"):
        compare_files([pair[0], pair[0] / RESULTS], tmp_path / "out")
    with pytest.raises(ValueError, match="output must be a folder, got the file"):
        compare_files(pair, pair[0] / RESULTS)
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        compare_files(pair, tmp_path / "out", seed=-1)
    with pytest.raises(ValueError, match="existing file"):
        compare_files([*pair, tmp_path / "nothing"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_page_opens_in_a_browser(make_results, tmp_path: Path, browse):
    evil = "<img src=x onerror=alert(1)>"
    pair = [make_results("mini"), replace(make_results("large", BETTER), system=evil)]
    page = write_comparison(compare(pair), tmp_path)[2]
    assert not re.search(r"https?:|\bhref=|@import|<img", page.read_text())
    top = page.read_text().split("<main>")[0]
    assert "<details><summary>How each system was measured</summary><h3>mini</h3>" in top
    assert top.count("<li>evaluator sha256 cdcdcdcdcdcd</li>") == 2
    shown = browse(page, "--virtual-time-budget=300")
    assert not shown.console
    assert shown.dom.count("<svg") == 4  # three axes by group, FID over all samples
