"""Every page escapes what it is given: names, prompts, categories, notes and facts stay text."""

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest

from motionmillion.eval.compare.comparison import compare
from motionmillion.eval.compare.pages import write_comparison
from motionmillion.eval.compare.rating import write_rating_page
from motionmillion.eval.report.page import data_script, render
from motionmillion.eval.report.report import write_report
from motionmillion.eval.report.tables import Cell, Table
from motionmillion.eval.results import Results
from motionmillion.eval.suites.tokenizer.page import tokenizer_page

EVIL = """"><img src=x onerror='alert(1)'></script><!-- {{ 7 * 7 }} & </title></style>"""


class Parts(HTMLParser):
    """Tags, attributes and text of a page, the text without that of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.words, self._inside = [], [], "", ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        self.words += "" if self._inside in ("script", "style") else data


@pytest.fixture
def results(make_results) -> Callable[[str], Results]:
    """Results of a system whose suite, categories, prompts, measures, notes and protocol are all dangerous."""

    def make(system: str) -> Results:
        plain = make_results(system)
        samples = [replace(sample, prompt=f"{sample.id} {EVIL}", category=EVIL) for sample in plain.samples]
        groups = [plain.groups[0], *(replace(group, name=f"{group.name} {EVIL}") for group in plain.groups[1:])]
        measures = [replace(measure, label=f"{measure.label} {EVIL}", axis=EVIL) for measure in plain.measures]
        protocol = {**plain.protocol, "lengths": EVIL}
        own = {"system": f"{system} {EVIL}", "suite": EVIL, "notes": [EVIL], "protocol": protocol}
        return replace(plain, samples=samples, groups=groups, measures=measures, **own)

    return make


def pages(results: Callable[[str], Results], folder: Path) -> dict[str, Path]:
    one, two = results("one"), results("two")
    table = Table(EVIL, [Cell(EVIL, EVIL)] * 2, [[Cell(EVIL, style="all"), Cell(EVIL, EVIL, 1.0)]])
    tokenizer = folder / "tokenizer.html"
    tokenizer.write_text(tokenizer_page(EVIL, [EVIL], [table], EVIL, [EVIL], {EVIL: EVIL}, {EVIL: Path(__file__)}))
    return {
        "report": write_report(one, folder / "one")[1],
        "comparison": write_comparison(compare([one, two]), folder / "out")[2],
        "rating": write_rating_page(one, two, folder / "out", (folder / "one", folder / "two")),
        "tokenizer": tokenizer,
    }


def test_nothing_that_a_page_is_given_becomes_html(results, tmp_path: Path):
    shown = {"report": 20, "comparison": 20, "rating": 1, "tokenizer": 10}  # at least as many times
    for name, path in pages(results, tmp_path).items():
        text = path.read_text(encoding="utf-8")
        parts = Parts(text)
        assert parts.tags.count("img") == (name == "tokenizer"), name  # its own plot
        assert not any(attribute.startswith("on") for attribute, _ in parts.attributes), name
        assert parts.words.count(EVIL) >= shown[name], name
        assert text.count("<style>") == 1 and text.endswith("</body>\n</html>\n"), name
        data = {"report": 1 + 6 + 2, "rating": 1 + 6 + 2}.get(name, 0)  # facts or rankings, six motions, the player
        assert parts.tags.count("script") == 1 + data, name


def test_pages_are_filled_completely_or_not_at_all():
    with pytest.raises(jinja2.UndefinedError, match="'title' is undefined"):
        render("suites/tokenizer/page.html")


def test_data_cannot_close_its_script():
    assert str(data_script("x", ["</script>", "&"])) == (
        '<script type="application/json" id="x">["\\u003c/script\\u003e","\\u0026"]</script>'
    )
