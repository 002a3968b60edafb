"""Two systems by measures and by votes: wins by hand, the rating page in a browser, votes that are counted right."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from motionmillion.eval.compare.files import count_votes_files, side_by_side_files
from motionmillion.eval.compare.rating import write_rating_page
from motionmillion.eval.compare.side_by_side import AXES, Tally, side_by_side
from motionmillion.eval.compare.votes import read_votes
from motionmillion.io.page import player_scripts
from motionmillion.io.viewer.payload import scene
from motionmillion.motion import Motion

# The fixture's own are 90 20 60 70 50 40 and 3 1 2 6 5 4.
OTHER = {"align": [80, 25, 60, 60, 51, 30], "jerk": [4, 2, 3, 7, 6, 5]}


@pytest.fixture
def pair(make_results):
    return make_results("mini"), make_results("large", OTHER)


def test_wins_by_measures(pair):
    table = side_by_side(*pair, margins={"align": 2.0, "jerk": 0.0, "slide_mm": 0.0})
    assert table.axes == ["text alignment", "smoothness", "plausibility"]
    winners = [o.winner for o in table.outcomes if o.axis == "text alignment"]
    assert winners == ["first", "second", "tie", "first", "tie", "first"]
    assert table.tally("text alignment") == Tally(3, 2, 1) and Tally(3, 2, 1).p == 2 * 5 / 16
    assert table.tally("smoothness") == Tally(6, 0, 0)  # lower is better
    assert table.tally("smoothness").p == 2 / 64
    assert table.tally("plausibility") == Tally(0, 6, 0)  # the same values
    assert table.tally("text alignment", "dance") == Tally(1, 0, 1)
    lines = table.markdown().splitlines()
    assert "| all | 3 / 2 / 1 | 0.625 | 6 / 0 / 0 | 0.031 | 0 / 6 / 0 | 1.000 |" in lines
    assert "| dance | 1 / 0 / 1 | 1.000 | 2 / 0 / 0 | 0.500 | 0 / 2 / 0 | 1.000 |" in lines
    assert "- text alignment: alignment (%), higher is better, values tie up to 2 apart." in lines
    data = table.as_dict()
    assert data["totals"]["all"]["smoothness"] == {"wins": 6, "ties": 0, "losses": 0, "p": 0.03125}
    assert data["axes"]["text alignment"] == {"measure": "align", "tie_margin": 2.0, "prompts": 6}


def test_sides_mirror(pair):
    there, back = side_by_side(*pair), side_by_side(*pair[::-1])
    for axis in there.axes:
        one, other = there.tally(axis), back.tally(axis)
        assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)


def test_the_margin_is_a_share_of_the_spread_within_a_system(pair):
    # Both systems' jerks are six whole numbers in a row: variance 35 / 12.
    margin = side_by_side(*pair).facts["axes"]["smoothness"]["tie_margin"]
    assert margin == pytest.approx(0.1 * (35 / 12) ** 0.5)


def test_another_measure_can_judge(make_results):
    first = make_results("mini", {"rank": [1, 1, 1, 1, 1, 1]})
    second = make_results("large", {"rank": [2, 1, 1, 1, 1, 1]})
    table = side_by_side(first, second, {"text alignment": "rank"}, {"rank": 0})
    assert table.axes == ["text alignment"] and table.tally("text alignment") == Tally(1, 5, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": {"smoothness": "fid"}}, "got 'fid' for 'smoothness'; there are align, jerk, slide_mm"),
        ({"measures": {"smoothness": "speed"}}, "better side, got 'speed'"),
        ({"margins": {"fid": 1}}, "measures that are used, got 'fid'"),
        ({"margins": {"align": -1}}, "margin of 'align' must be a number of at least 0, got -1"),
        ({"margins": {"align": float("nan")}}, "margin of 'align' must be"),
    ],
)
def test_wrong_options(pair, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        side_by_side(*pair, **options)


def test_results_without_a_common_axis(pair):
    strangers = replace(pair[1], samples=[replace(s, id=f"new{s.id}") for s in pair[1].samples])
    with pytest.raises(ValueError, match="share an axis whose samples have values, got none for 'mini' and 'large'"):
        side_by_side(pair[0], strangers)
    with pytest.raises(ValueError, match="one suite"):
        side_by_side(pair[0], replace(pair[1], suite="mbench"))


def rating(pair, folder: Path, **options) -> Path:
    return write_rating_page(*pair, folder / "rate", (folder / "mini", folder / "large"), **options)


def facts(page: Path) -> dict:
    match = re.search(r'id="facts">(.*?)</script>', page.read_text(), re.DOTALL)
    assert match
    return json.loads(match[1])


def test_the_page_is_shuffled_blind_and_whole(pair, tmp_path: Path):
    page = rating(pair, tmp_path)
    text, data = page.read_text(), facts(page)
    assert not re.search(
        r"https?:|\bsrc=|\bhref=(?!\")|\bimport\b|@import|fetch\(|XMLHttp|WebSocket",
        text.replace(player_scripts(), ""),
    )
    assert [p["id"] for p in data["prompts"]] != [f"00{i}" for i in range(6)]
    assert sorted(p["id"] for p in data["prompts"]) == [f"00{i}" for i in range(6)]
    assert sorted(p["left"] for p in data["prompts"]) == ["first"] * 3 + ["second"] * 3
    assert data["suite_sha256"] == "ab" * 32 and [axis["name"] for axis in data["axes"]] == list(AXES)
    visible = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "mini" not in visible and "large" not in visible
    assert facts(rating(pair, tmp_path)) == data
    assert facts(rating(pair, tmp_path, seed=1))["prompts"] != data["prompts"]
    assert facts(rating(pair, tmp_path, seed=1))["page"] != data["page"]


def test_sides_hold_the_motions_that_they_say(make_results, tmp_path: Path):
    pair = make_results("mini"), make_results("large", fps=15.0)
    page = rating(pair, tmp_path)
    for place, prompt in enumerate(facts(page)["prompts"]):
        match = re.search(rf'id="motion-{place}">(.*?)</script>', page.read_text())
        assert match
        rates = {"first": 30.0, "second": 15.0}
        left, right = json.loads(match[1])["motions"]
        assert left["fps"] == rates[prompt["left"]] and {left["fps"], right["fps"]} == {30.0, 15.0}
        shown = Motion.load(tmp_path / "mini" / "motions" / f"{prompt['id']}.npz")
        assert (left if left["fps"] == 30 else right)["rotations"] == scene([shown], [""])["motions"][0]["rotations"]


def test_fewer_prompts_are_drawn_evenly(pair, tmp_path: Path):
    drawn = facts(rating(pair, tmp_path, prompts=3))["prompts"]
    assert sorted(p["category"] for p in drawn) == ["dance", "others", "sports"]
    assert len(facts(rating(pair, tmp_path, prompts=99))["prompts"]) == 6


def test_pages_that_cannot_be(pair, tmp_path: Path):
    with pytest.raises(ValueError, match="prompts must be at least 1, got 0"):
        rating(pair, tmp_path, prompts=0)
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        rating(pair, tmp_path, seed=-1)
    bare = replace(pair[1], samples=[replace(s, motion="") for s in pair[1].samples])
    with pytest.raises(ValueError, match="share prompts with motions, got none for 'mini' and 'large'"):
        rating((pair[0], bare), tmp_path)
    (tmp_path / "large" / "motions" / "000.npz").unlink()
    with pytest.raises(ValueError, match="existing file"):
        rating(pair, tmp_path)
    assert not (tmp_path / "rate").exists()


DRIVE = """
const press = (key) => dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const fields = document.querySelectorAll("#questions fieldset");
const click = (row, side) => fields[row].querySelectorAll("button")[side].click();
const pressed = () => [...document.querySelectorAll('#questions [aria-pressed="true"]')].map((e) => e.textContent);
const frame = () => Number(document.getElementById("frame").textContent);
const tell = (name, value) => { sessionStorage[name] = JSON.stringify(value); };
const drive = (turns) => {
  if (!sessionStorage.count && !frame() && turns) { setTimeout(() => drive(turns - 1), 100); return; }
  if (!sessionStorage.count) {                       // the first time: five votes, with mouse and keys
    const text = document.body.innerText;
    tell("blind", !text.includes("mini") && !text.includes("large"));
    tell("frame", frame());
    document.getElementById("export").click();       // no name yet
    tell("message", document.getElementById("message").textContent);
    click(0, 0); click(1, 1); click(2, 2);           // left, tie, right
    tell("first", pressed());
    press("n"); press("ArrowRight"); press("3"); press("ArrowLeft");
    press(" ");
    tell("second", pressed());
    tell("count", document.getElementById("count").textContent);
    const rater = document.getElementById("rater");
    rater.value = "Anna B."; rater.dispatchEvent(new Event("input"));
    location.reload();
    return;
  }
  const out = { kept: pressed(), rater: document.getElementById("rater").value };
  press("p");
  out.back = pressed();
  click(0, 2);                                       // she changes her mind: right
  document.getElementById("export").click();
  out.saved = document.getElementById("message").textContent;
  const told = ["blind", "frame", "message", "first", "second", "count"];
  for (const name of told) out[name] = JSON.parse(sessionStorage[name]);
  const pre = document.createElement("pre");
  pre.id = "probe"; pre.textContent = JSON.stringify(out);
  setTimeout(() => document.body.append(pre), 1000);
};
setTimeout(() => drive(30), 1500);
"""


def test_raters_vote_in_a_browser(pair, tmp_path: Path, browse):
    page = rating(pair, tmp_path)
    page.write_text(page.read_text().replace("</body>", f"<script>{DRIVE}</script></body>"))
    shown = browse(page, "--virtual-time-budget=8000", size="1000,900")
    assert not shown.console
    match = re.search(r'<pre id="probe">(.*?)</pre>', shown.dom)
    assert match
    out = json.loads(match[1])
    left, tie, right = "Left is better", "Tie", "Right is better"
    assert out["blind"] is True and out["frame"] > 0
    assert out["message"] == "Please write your name first."
    assert out["first"] == [left, tie, right] and out["second"] == [right, left]
    assert out["count"] == "prompt 2 of 6 · 1 rated"
    assert out["kept"] == [right, left] and out["rater"] == "Anna B."  # after the reload, at the same prompt
    assert out["back"] == [left, tie, right]
    assert out["saved"] == "Saved votes-anna-b.json with 5 votes."
    data = json.loads((tmp_path / "votes-anna-b.json").read_text())
    one, two = facts(page)["prompts"][:2]
    other = {"first": "second", "second": "first"}
    votes = [(v["prompt"], v["axis"], v["vote"]) for v in data["votes"]]
    assert votes == [
        (one["id"], "text alignment", other[one["left"]]),
        (one["id"], "smoothness", "tie"),
        (one["id"], "plausibility", other[one["left"]]),
        (two["id"], "text alignment", other[two["left"]]),
        (two["id"], "plausibility", two["left"]),
    ]
    assert data["systems"] == {"first": "mini", "second": "large"} and data["suite_sha256"] == "ab" * 32
    assert all(v["seconds"] >= 0 and re.match(r"\d{4}-\d\d-\d\dT", v["time"]) for v in data["votes"])
    table = read_votes([tmp_path / "votes-anna-b.json"])
    assert len(table.outcomes) == 5 and table.facts["raters"] == {"Anna B.": 5}


def ballot(path: Path, name: str, given: dict[str, str], **changes) -> Path:
    """Votes on text alignment by prompt: "1" for the first system, "2" for the second, "=" for a tie."""
    words = {"1": "first", "2": "second", "=": "tie"}
    entries = [
        {"prompt": prompt, "category": "sports", "axis": "text alignment", "vote": words[vote]}
        for prompt, vote in given.items()
    ]
    data = {"kind": "motionmillion side-by-side votes", "format": 1, "suite": "toy", "suite_sha256": "ab"}
    data |= {"systems": {"first": "mini", "second": "large"}, "rater": name, "votes": entries, **changes}
    path.write_text(json.dumps(data))
    return path


def test_votes_are_counted(tmp_path: Path):
    paths = [
        ballot(tmp_path / "a.json", "Anna", {"1": "1", "2": "1", "3": "=", "4": "2"}),
        ballot(tmp_path / "b.json", "Ben", {"1": "1", "2": "2", "3": "=", "4": "2"}),
        ballot(tmp_path / "c.json", "Cleo|", {"1": "1", "2": "1"}),
    ]
    table = read_votes(paths)
    assert [o.winner for o in table.outcomes] == ["first", "first", "tie", "second"]
    assert (table.outcomes[1].first_votes, table.outcomes[1].second_votes, table.outcomes[2].ties) == (2, 1, 2)
    assert table.tally("text alignment") == Tally(2, 1, 1) and table.tally("text alignment").p == 1.0
    # Pairs of votes: 3 equal of 3, 1 of 3, 1 of 1, 1 of 1.
    assert table.facts["agreement"]["all"]["equal_votes"] == pytest.approx(6 / 8)
    # Ten votes: 5 first, 3 second, 2 ties; unequal ordered pairs: prompt 2 has 9 - 5 = 4, weighing 1 / 2.
    assert table.facts["agreement"]["all"]["krippendorff_alpha"] == pytest.approx(1 - 9 * 2 / (100 - 25 - 9 - 4))
    text = table.markdown()
    assert r"Votes of 3 raters: Anna 4, Ben 4, Cleo\| 2." in text
    assert "- Agreement, all: 75.0 % equal votes, Krippendorff's alpha 0.710." in text
    even = [ballot(tmp_path / "d.json", "D", {"1": "1"}), ballot(tmp_path / "e.json", "E", {"1": "2"})]
    assert read_votes(even).outcomes[0].winner == "tie"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suite_sha256": "cd"}, "one suite and one pair of systems, got suite_sha256 'ab'"),
        ({"systems": {"first": "large", "second": "mini"}}, "one pair of systems"),
        ({"rater": "Anna"}, "one file per rater, got 'Anna' in"),
        ({"kind": "other"}, "JSON file that the rating page wrote"),
        ({"format": 2}, "JSON file that the rating page wrote"),
        ({"rater": ""}, "JSON file that the rating page wrote"),
        ({"suite": 3}, "JSON file that the rating page wrote"),
        ({"systems": {"first": "mini"}}, "JSON file that the rating page wrote"),
        ({"systems": {"first": "mini", "second": 2}}, "JSON file that the rating page wrote"),
        ({"votes": {}}, "JSON file that the rating page wrote"),
        ({"votes": [3]}, "JSON file that the rating page wrote"),
        ({"votes": [{"prompt": "1", "category": "", "axis": "smoothness", "vote": "left"}]}, "got 'left' for"),
        ({"votes": [{"prompt": "1", "category": "", "axis": "beauty", "vote": "tie"}]}, "'beauty' of prompt '1'"),
        ({"votes": [{"prompt": "1", "category": "", "axis": "smoothness", "vote": "tie"}] * 2}, "for each prompt"),
        ({"votes": [{"prompt": "1", "category": "", "axis": "smoothness", "vote": ["tie"]}]}, r"got \['tie'\]"),
    ],
)
def test_votes_that_cannot_be_counted(tmp_path: Path, changes: dict, message: str):
    first = ballot(tmp_path / "a.json", "Anna", {"1": "1"})
    other = ballot(tmp_path / "b.json", "Ben", {"1": "1"}, **changes)
    with pytest.raises(ValueError, match=message):
        read_votes([first, other])


def test_no_votes(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one rater's file, got none"):
        read_votes([])
    with pytest.raises(ValueError, match="at least one vote, got none in 1 files"):
        read_votes([ballot(tmp_path / "a.json", "Anna", {})])
    (tmp_path / "b.json").write_text("[" * 100000)
    for text in ("[" * 100000, "[]", "no JSON", "null"):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(ValueError, match="JSON file that the rating page wrote"):
            read_votes([tmp_path / "b.json"])
    with pytest.raises(ValueError, match="existing file"):
        read_votes([tmp_path / "c.json"])


def test_files(pair, tmp_path: Path):
    paths = side_by_side_files(tmp_path / "mini", tmp_path / "large", tmp_path / "out", seed=3, prompts=2)
    assert [path.name for path in paths] == ["side_by_side.json", "side_by_side.md", "rating.html"]
    assert facts(paths[2])["seed"] == 3 and len(facts(paths[2])["prompts"]) == 2
    paths = count_votes_files([ballot(tmp_path / "a.json", "Anna", {"1": "1"})], tmp_path / "votes")
    assert [path.name for path in paths] == ["votes.json", "votes.md"]
    assert json.loads(paths[0].read_text())["totals"]["sports"]["text alignment"]["wins"] == 1
    with pytest.raises(ValueError, match="output must be a folder, got the file"):
        count_votes_files([tmp_path / "a.json"], tmp_path / "a.json")
