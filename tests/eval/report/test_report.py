"""The report: figures as they are, best and worst as they should be, text as text, and motions that play."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionmillion.eval.report.charts import bar_chart, histogram_chart, overlap, sample_shares
from motionmillion.eval.report.gallery import rank
from motionmillion.eval.report.protocol_facts import protocol_line
from motionmillion.eval.report.report import markdown, summary, write_report
from motionmillion.eval.report.tables import MISSING, first_of_axes, group_table, headline, markdown_text, number
from motionmillion.eval.results import Estimate, Measure, ResultGroup
from motionmillion.io.page import POLICY, player_scripts

EXTERNAL = r"https?:|\bsrc=|\bhref=|\bimport\b|@import|fetch\(|XMLHttp|WebSocket|url\((?!data)"
"""What would load something; the bundle of the player has namespaces and loaders, and the page's policy stops them."""


class Texts(HTMLParser):
    """The text of a page outside of scripts and styles, and the tags that are in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags, self._inside = "", [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        self.words += "" if self._inside else data


def probe(page: Path, script: str) -> Path:
    """A copy of a page that runs `script`; what it puts into `window.out` stands in `<pre id="probe">` at the end."""
    show = (
        "addEventListener('out', () => { const pre = document.createElement('pre'); pre.id = 'probe'; "
        "pre.textContent = JSON.stringify(window.out); document.body.append(pre); });"
    )
    copy = page.with_name(f"probe-{page.name}")
    copy.write_text(page.read_text().replace("</body>", f"<script>{show}\n{script}</script></body>"))
    return copy


def probed(shown) -> Any:
    assert not shown.console
    match = re.search(r'<pre id="probe">(.*?)</pre>', shown.dom, re.DOTALL)
    assert match
    return json.loads(html.unescape(match[1]))


@pytest.fixture
def page(make_results, tmp_path: Path) -> Path:
    results = make_results("mini", fps=0.5)  # 24 s each
    known = [{n: e for n, e in g.values.items() if n != "speed" or g.name == "others"} for g in results.groups]
    groups = [replace(group, values=values) for group, values in zip(results.groups, known, strict=True)]
    paths = write_report(replace(results, groups=groups), tmp_path / "mini", count=2)
    assert [path.name for path in paths] == ["report.md", "report.html"]
    return paths[1]


def test_markdown_has_protocol_figures_and_notes(make_results, tmp_path: Path):
    write_report(make_results("mini"), tmp_path / "mini")
    text = (tmp_path / "mini" / "report.md").read_text()
    facts = "suite name toy; suite version 1; suite sha256 abababababab; lengths as it is"
    assert f"6 samples; {facts}; evaluator sha256 cdcdcdcdcdcd; seed 0." in text
    assert "- alignment (%) ↑: **55.0** (54.5 to 55.5)" in text
    assert "- FID ↓: **0.250** (0.200 to 0.300)" in text
    row = "| sports | 3 | 63.3 (62.8 to 63.8) | 3.00 (2.50 to 3.50) | 3.3 (2.8 to 3.8) | 1.00 (0.50 to 1.50) |"
    assert row in text.split("## By category\n")[1]
    assert "| all | 6 | 0.250 (0.200 to 0.300) |" in text.split("## By category\n")[0]  # no category has FID
    assert "- Chance is 50." in text


def test_many_measures_get_a_table_for_each_axis(make_results):
    more = [Measure(f"m{i}", f"measure {i}", "higher", "extra") for i in range(6)]
    results = make_results("mini")
    group = replace(results.groups[0], values={**results.groups[0].values, **{m.name: Estimate(1.0) for m in more}})
    wide = replace(results, measures=[*results.measures, *more], groups=[group, *results.groups[1:]])
    text = markdown(wide)
    assert "## By category: text alignment" in text and "## All samples: extra" in text
    assert [m.name for m in headline(wide.measures, group.values)] == ["align", "jerk", "slide_mm", "fid", "m0"]


def test_a_reference_stands_in_every_table_and_in_the_summary(make_results):
    results = make_results("mini")
    real = ResultGroup("real motion", "reference", 9, {"align": Estimate(99.0, None, None, 9)})
    results = replace(results, groups=[results.groups[0], real, *results.groups[1:]])
    assert "| real motion | 9 | 99.0 (one take) | - | - | - |" in markdown(results)
    assert "| real motion | 9 | - |" in markdown(results)  # beside the FID
    assert "## By reference" not in markdown(results)
    lines = summary(results).splitlines()
    assert lines[0] == "| measure | all (6) | real motion (9) |"
    assert lines[2] == "| alignment (%) ↑ | 55.0 (54.5 to 55.5) | 99.0 (one take) |"


def test_headline_and_bars_take_a_measure_that_categories_have(make_results, tmp_path: Path):
    precision = Measure("r_precision", "R-precision", "higher", "text alignment")
    many = [Measure(f"m{i}", f"m{i}", "higher", f"axis {i}") for i in range(6)]
    results = make_results("mini")
    values = {"r_precision": Estimate(0.5, 0.4, 0.6, 20), **{m.name: Estimate(1.0) for m in many}}
    group = replace(results.groups[0], values={**values, **results.groups[0].values})
    measures = [precision, *results.measures, *many]
    results = replace(results, measures=measures, groups=[group, *results.groups[1:]])
    shown = [m.name for m in headline(measures, group.values, results.groups)]
    assert shown == ["align", "jerk", "slide_mm", "fid", *(m.name for m in many)]  # nothing but `all` has FID and m0
    assert headline(measures, group.values)[0] is precision  # without groups the first
    rare = [*results.groups[1:3], *(ResultGroup(f"empty {i}", "category", 1, {}) for i in range(2))]
    assert first_of_axes([precision, results.measures[1]], rare)[0] is precision  # half of the groups are not most
    text = markdown(results)
    assert "- R-precision" not in text and "| all | 6 | 0.500 (0.400 to 0.600) |" in text
    page = write_report(results, tmp_path / "mini")[1].read_text()
    assert "Bar chart of alignment (%)" in page and "Bar chart of R-precision" not in page


def test_what_a_figure_without_interval_is_made_of(make_results):
    results = make_results("mini")
    values = {
        "align": Estimate(50.0, None, None, 3),
        "jerk": Estimate(1.0, None, None, 1),
        "slide_mm": Estimate(2.0, 1.0, 3.0, 2),
        "fid": Estimate(0.25),
    }
    groups = [replace(results.groups[0], values=values), ResultGroup("sports", "category", 3, values)]
    text = markdown(replace(results, groups=groups))
    fid = "0.250 (one draw)"  # no value of samples, so its count says nothing of them
    assert f"| sports | 3 | 50.0 (one take) | 1.00 (n = 1) | 2.0 (1.0 to 3.0, n = 2) | {fid} |" in text
    assert f"| all | 6 | 50.0 (one take, n = 3) | 1.00 (n = 1) | 2.0 (1.0 to 3.0, n = 2) | {fid} |" in text
    assert "- alignment (%) ↑: **50.0** (one take, n = 3)" in text
    assert 'all from one recording ("one take")' in text
    assert "| sliding (mm) ↓ | 2.0 (1.0 to 3.0, n = 2) |" in summary(replace(results, groups=groups))


def test_why_a_card_has_no_interval(make_results, tmp_path: Path):
    results = make_results("mini")
    group = replace(results.groups[0], values={"align": Estimate(50.0, None, None, 3), "jerk": Estimate(1.0, 0, 2, 5)})
    _, page = write_report(replace(results, groups=[group]), tmp_path / "mini")
    text = page.read_text()
    assert "<span>no interval: one take, n = 3</span>" in text
    assert "<span>95 % interval 0.00 to 2.00, n = 5</span>" in text
    assert "<small>one take, n = 3</small>" in text and "n is their number" in text


PROTOCOL = {
    **{f"extra {i}": "x" for i in range(30)},
    "long": "y" * 61,
    "empty": {},
    "suite": {"name": "toy", "version": "1", "sha256": "ab" * 32},
    "evaluator": {"name": "mini", "sha256": "cd" * 32},
    "physics": {"fps": 20, "axes": "corrected"},
    "judge": {"judge": "endpoint", "model": "seer", "address": "http://host/" + "z" * 80, "request": {"top_k": 1}},
    "generation": {"model": "mini", "seed": 7, "seconds": None, "sampling": {}, "num_samples": 2},
    "lengths": "as in the suite",
    "seed": 3,
}


@pytest.mark.parametrize("most", [3, 24])
def test_the_important_facts_come_first_and_are_never_cut(most: int):
    told = protocol_line(PROTOCOL, most)
    address = f"judge address http://host/{'z' * 45}..."
    suite = ["suite name toy", "suite version 1", "suite sha256 abababababab", "generation model mini"]
    judge = ["lengths as in the suite", "judge endpoint", "judge model seer", address]
    rest = ["evaluator name mini", "evaluator sha256 cdcdcdcdcdcd", "physics axes corrected", "seed 3"]
    own = [
        "generation seed 7",
        "generation seconds default",
        "generation num samples 2",
        "generation sampling default",
    ]
    first = [*suite, *judge, *rest, *own]
    assert told[: len(first)] == first
    assert len(told) == max(most, len(first)) + 1
    left = 30 + 1 + 2 - (len(told) - 1 - len(first))  # the extras, what is too long, two more
    assert told[-1] == f"and {left} more in results.json"
    drawn = {"generation": {"model": "mini", "sampling": {"temperature": 0.8}}, "seed": 0}
    assert protocol_line(drawn) == ["generation model mini", "seed 0", "generation sampling temperature 0.8"]


def test_the_page_says_who_judged(make_results, tmp_path: Path):
    _, page = write_report(make_results("mini", protocol=PROTOCOL), tmp_path / "mini")
    text = page.read_text()
    for fact in ("judge endpoint", "judge model seer", "generation seed 7", "lengths as in the suite"):
        assert f"<li>{fact}</li>" in text and fact in (tmp_path / "mini" / "report.md").read_text()
    assert re.search(r"<li>and \d+ more in results.json</li>", text)


def test_page_is_self_contained_and_text_stays_text(page: Path):
    text = page.read_text(encoding="utf-8")
    assert not re.search(EXTERNAL, text.replace(player_scripts(), ""))
    assert f'content="{html.escape(POLICY, quote=True)}"'.replace("&#x27;", "&#39;") in text
    parsed = Texts(text)
    assert "alert" not in parsed.words
    assert parsed.tags.count("script") == 10  # data, six motions, what players share, the player, the program
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert data["samples"]["1"]["prompt"].startswith("</script><script>alert")
    assert '"sha256": "abababababab' in parsed.words  # the whole protocol


def test_names_and_notes_stay_text(make_results, tmp_path: Path):
    evil = "<img src=x onerror=alert(1)>$x & |"
    results = replace(make_results("mini"), system=evil, suite=evil, notes=[evil])
    _, page = write_report(results, tmp_path / "mini")
    parsed = Texts(page.read_text())
    assert "img" not in parsed.tags and parsed.words.count(evil) >= 3
    assert r"# &lt;img src=x onerror=alert(1)&gt;$x &amp; \|" in (tmp_path / "mini" / "report.md").read_text()
    assert markdown_text("a|b\n*c* `d` [e](f) <g> \\") == r"a\|b \*c\* \`d\` \[e\](f) &lt;g&gt; \\"


def test_best_and_worst(make_results):
    rankings = rank(make_results("mini"), count=2)
    assert [ranking.measure.name for ranking in rankings] == ["align", "jerk", "slide_mm"]
    assert (rankings[0].best, rankings[0].worst) == ([0, 3], [1, 5])  # higher is better
    assert (rankings[1].best, rankings[1].worst) == ([1, 2], [3, 4])  # lower is better
    few = rank(make_results("mini"), ["slide_mm"], count=6)
    assert (few[0].best, few[0].worst) == ([0, 1, 2], [5, 4, 3])  # no sample in both


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"measures": ["nothing"]}, "got 'nothing'; there are align, jerk, slide_mm"),
        ({"measures": ["speed"]}, "better side, got 'speed'"),
        ({"measures": ["fid"]}, "of samples with motions .*, got 'fid'"),
    ],
)
def test_a_gallery_that_cannot_be(make_results, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_report(make_results("mini"), tmp_path / "mini", **options)


def test_missing_motions_are_told(make_results, tmp_path: Path):
    results = make_results("mini")
    (tmp_path / "mini" / "motions" / "000.npz").unlink()
    (tmp_path / "mini" / "motions" / "001.npz").write_text("no motion")
    _, page = write_report(results, tmp_path / "mini")
    assert "could not be read: motions/000.npz, motions/001.npz." in page.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])  # type: ignore[index]
    assert sorted(data["samples"]) == ["2", "3", "4", "5"]


def test_a_report_without_motions_has_no_gallery(make_results, tmp_path: Path):
    results = make_results("mini")
    bare = replace(results, samples=[replace(sample, motion="") for sample in results.samples])
    _, page = write_report(bare, tmp_path / "elsewhere")
    assert '"rankings":[]' in page.read_text()


def test_motions_may_lie_elsewhere(make_results, tmp_path: Path):
    _, page = write_report(make_results("mini"), tmp_path / "elsewhere", motions=tmp_path / "mini")
    assert 'id="motion-0"' in page.read_text()


def test_figures_that_are_not_there():
    measure = Measure("a", "a", "higher")
    none = Estimate(None, None, None)  # type: ignore[arg-type]  # as JSON keeps NaN
    table = group_table("t", [ResultGroup("all", "all", 2, {"a": none})], [measure])
    assert table.markdown().endswith("| all | 2 | - |")
    assert number(measure, float("nan")) == MISSING
    assert bar_chart(measure, ["all"], {"mini": {"all": none}}) == ""


def test_bars_are_as_long_as_their_figures():
    measure = Measure("a", "a", "lower", digits=1)
    values = {"all": Estimate(2.0), "x": Estimate(-1.0, -2.0, 0.0)}
    svg = bar_chart(measure, ["all", "x", "unknown"], {"mini": values})
    lengths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=0.2)
    assert "unknown" not in svg and "x, mini: -1.0 (-2.0 to 0.0)" in svg


def test_distributions():
    edges, reference = np.array([0.0, 2, 4, 6]), np.array([0.5, 0.25, 0.25])
    values = [1.0, 2.0, 5.0, 99.0]  # the last one counts in the last bin
    assert sample_shares(edges, values).tolist() == [0.25, 0.25, 0.5]
    assert overlap(edges, reference, values) == pytest.approx(0.75)
    assert overlap(edges, np.array([1.0, 0, 0]), [5.0]) == 0
    svg = histogram_chart(Measure("a", "a"), {"edges": [0, 2, 4, 6], "reference": [0.5, 0.25, 0.25]}, values, "mini")
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', svg)]
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.2)
    assert "75 % overlap" in svg


@pytest.mark.parametrize(
    ("histogram", "message"),
    [
        ({"edges": [0, 1], "reference": [0.5, 0.5]}, "one edge more than shares, got 2 and 2"),
        ({"edges": [], "reference": []}, "one edge more than shares, got 0 and 0"),
        ({"edges": [0, 1, 1], "reference": [0.5, 0.5]}, "rising edges"),
        ({"edges": [0, 1, 2], "reference": [0.5, -0.5]}, "shares of at least 0"),
    ],
)
def test_histograms_that_are_none(make_results, tmp_path: Path, histogram: dict, message: str):
    results = make_results("mini", histograms={"jerk": histogram})
    with pytest.raises(ValueError, match=message):
        write_report(results, tmp_path / "mini")


def test_a_distribution_without_a_measure_is_drawn_by_its_name(make_results, tmp_path: Path):
    results = make_results("mini", {"foot_contact": [0, 1, 2, 3, 4, 5]})
    results = replace(results, histograms={"foot_contact": {"edges": [0, 3, 6], "reference": [0.5, 0.5]}})
    _, page = write_report(results, tmp_path / "mini")
    assert "<b>foot contact</b> <span>100 % overlap</span>" in page.read_text()


WATCH = """
const look = () => ({
  frames: [...document.querySelectorAll(".motion .frame")].map((e) => Number(e.textContent)),
  pictures: [...document.querySelectorAll(".motion canvas")].map((c) => c.toDataURL()),
});
const same = (a, b) => a.map((value, index) => value === b[index]);
setTimeout(() => {
  const early = look();
  setTimeout(() => {
    const late = look();
    document.getElementById("all").click();
    setTimeout(() => {
      const canvas = document.querySelector(".motion canvas"), scrub = document.querySelector(".motion input");
      const still = look();
      setTimeout(() => {
        const stood = look();
        canvas.dispatchEvent(new PointerEvent("pointermove", { buttons: 1, movementX: 80 }));
        setTimeout(() => {
          const turned = look();
          scrub.value = 11; scrub.dispatchEvent(new Event("input"));
          setTimeout(() => {
            window.out = {
              early: early.frames, late: late.frames, moved: same(early.pictures, late.pictures),
              stood: same(still.pictures, stood.pictures), turned: same(stood.pictures, turned.pictures)[0],
              scrubbed: look().frames[0], label: document.getElementById("all").textContent,
              prompt: document.querySelector(".motion p").textContent,
            };
            dispatchEvent(new Event("out"));
          }, 300);
        }, 300);
      }, 3000);
    }, 300);
  }, 8000);
}, 1000);
"""


def test_motions_play_in_a_browser(page: Path, browse):
    shown = browse(probe(page, WATCH), "--virtual-time-budget=20000", size="900,3000")
    out = probed(shown)
    assert len(out["early"]) == 4
    assert all(a < b <= 11 for a, b in zip(out["early"], out["late"], strict=True))
    assert not any(out["moved"])  # no picture is as it was
    assert all(out["stood"])  # after "pause all" none changes
    assert out["turned"] is False and out["scrubbed"] == 11
    assert out["label"] == "Play all" and out["prompt"] == "a person does thing 0"


SORT = """
const table = document.querySelectorAll(".wide table")[1];
const column = (n) => [...table.tBodies[0].rows].map((r) => r.cells[n].textContent);
const press = (n) => table.tHead.rows[0].cells[n].querySelector("button").click();
const out = {};
press(2); out.down = column(0); press(2); out.up = column(0); press(5); out.missing = column(0);
document.getElementById("measure").value = 1;
document.getElementById("measure").dispatchEvent(new Event("change"));
out.best = [...document.querySelectorAll("#best p b")].map((e) => e.textContent);
out.worst = [...document.querySelectorAll("#worst p b")].map((e) => e.textContent);
out.evil = document.querySelector("#best p").textContent;
window.out = out;
dispatchEvent(new Event("out"));
"""


def test_tables_sort_and_the_gallery_can_be_chosen(page: Path, browse):
    out = probed(browse(probe(page, SORT), "--virtual-time-budget=500"))
    assert out["down"] == ["sports", "all", "others", "dance"] and out["up"] == out["down"][::-1]
    assert out["missing"][0] == "others"  # what has no figure comes last
    assert (out["best"], out["worst"]) == (["1.00", "2.00"], ["6.00", "5.00"])
    assert out["evil"].startswith("</script><script>alert")


def test_only_players_in_view_move(page: Path, browse):
    script = """setTimeout(() => {
      window.out = [...document.querySelectorAll(".motion .frame")].map((e) => Number(e.textContent));
      dispatchEvent(new Event("out"));
    }, 6000);"""
    out = probed(browse(probe(page, script), "--virtual-time-budget=8000", size="900,300"))
    assert out == [0, 0, 0, 0]
