"""Suites: our own is balanced and frozen, the official files are read as they are, and every mistake is named."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.eval.suites import SUITES, get_suite
from motionmillion.eval.suites.motionmillion_eval import (
    CATEGORIES,
    LEVELS,
    motionmillion_eval,
    official_categories,
    official_suite,
)

ROOT = Path(__file__).resolve().parents[3]
OFFICIAL = ROOT.parent / "shared" / "upstream" / "motionmillion_eval_prompts.txt"
needs_official = pytest.mark.skipif(not OFFICIAL.exists(), reason="needs ../shared/upstream")
WAVE = Prompt("wave", "a person waves", "others")


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def test_our_suite_is_balanced_over_categories_and_levels():
    suite = motionmillion_eval()
    counts = Counter((prompt.category, prompt.level) for prompt in suite.prompts)
    assert suite.categories == list(CATEGORIES) and suite.levels == list(LEVELS)
    assert set(counts) == {(category, level) for category in CATEGORIES for level in LEVELS}
    assert set(counts.values()) == {6} and suite.source == "built in"


def test_our_prompts_are_unique_and_of_their_level():
    prompts = motionmillion_eval().prompts
    assert len({words(prompt.text) for prompt in prompts}) == len(prompts)
    for prompt in prompts:
        assert prompt.text == prompt.text.strip() and prompt.text[0].isupper()
        assert (prompt.level == "command") == (len(prompt.text.split()) <= 5 and not prompt.text.endswith("."))


def test_version_one_never_changes():
    """A change of prompts is a new version, with a new hash here."""
    suite = motionmillion_eval()
    assert (suite.name, suite.version) == ("motionmillion-eval", "1.0")
    assert suite.sha256 == "39c06ed456d28536daae53daeb40858dee6db564d9163ec7e043b4bb0518205a"


def test_our_file_is_as_save_writes_it(tmp_path):
    shipped = ROOT / "eval" / "suites" / "motionmillion_eval.json"
    assert motionmillion_eval().save(tmp_path / "suite.json").read_bytes() == shipped.read_bytes()


def test_official_lines_have_one_category_each():
    path = ROOT / "eval" / "suites" / "motionmillion_eval_official.json"
    lines = json.loads(path.read_text())["lines"]
    assert list(lines) == list(CATEGORIES)
    assert sorted(line for numbers in lines.values() for line in numbers) == list(range(1, 127))
    assert len(official_categories()) == 126
    assert [official_categories().count(name) for name in CATEGORIES] == [36, 16, 5, 7, 13, 2, 47]


@needs_official
def test_official_suite_reads_the_users_copy(tmp_path, recwarn):
    suite = official_suite(OFFICIAL)
    assert len(suite.prompts) == 126 and suite.source == OFFICIAL.name and not recwarn.list
    assert suite.prompts[0].id == "001" and suite.prompts[57].category == "non-human behaviour"
    texts = [prompt.text for prompt in suite.prompts]
    assert (texts[43], texts[45]) == (texts[95], texts[94])  # what its docstring says
    windows = tmp_path / "prompts.txt"
    windows.write_bytes(OFFICIAL.read_bytes().replace(b"\n", b"\r\n"))
    assert official_suite(windows).sha256 == suite.sha256 and not recwarn.list


@needs_official
def test_our_prompts_are_not_the_official_ones():
    official = {words(line) for line in OFFICIAL.read_text().splitlines()}
    assert not official & {words(prompt.text) for prompt in motionmillion_eval().prompts}


def test_another_file_of_the_same_length_is_read_with_a_warning(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"a person does thing {number}" for number in range(126)) + "\n\n")
    with pytest.warns(UserWarning, match="not the published file"):
        suite = official_suite(path)
    assert "not the published file" in suite.source and len(suite.prompts) == 126


def test_mistakes_in_the_official_file_are_named(tmp_path):
    with pytest.raises(ValueError, match="existing file"):
        official_suite(tmp_path / "nosuch.txt")
    short, binary = tmp_path / "short.txt", tmp_path / "binary.txt"
    short.write_text("a person waves\n")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="126 lines .*infer_batch_prompt.txt.*got 1 in"):
        official_suite(short)
    with pytest.raises(ValueError, match="UTF-8"):
        official_suite(binary)


def test_hash_follows_the_prompts():
    suite = motionmillion_eval()
    first, *rest = suite.prompts
    for changed in (
        Prompt(first.id, first.text + "!", first.category),
        Prompt(first.id, first.text, "sports"),
        Prompt(first.id, first.text, first.category, seconds=4),
        Prompt(first.id, first.text, first.category, distractors=("a person sits",)),
    ):
        assert Suite("x", "1", (changed, *rest)).sha256 != suite.sha256
    assert Suite("x", "1", (*rest, first)).sha256 != suite.sha256
    assert Prompt("a", "waves", "others", seconds=4) == Prompt("a", "waves", "others", seconds=4.0)


def test_suites_of_ones_own_survive_a_file(tmp_path):
    full = Prompt("sit-ü", "une personne s'assied", "daily life", 3, ("a person waves",), "sentence")
    suite = Suite("mine", "2", (WAVE, full))
    loaded = get_suite(str(suite.save(tmp_path / "mine.json")))
    assert loaded.prompts == suite.prompts and loaded.sha256 == suite.sha256
    assert (loaded.name, loaded.version, loaded.source) == ("mine", "2", "mine.json")
    assert loaded.levels == ["sentence"] and loaded.categories == ["others", "daily life"]
    assert loaded.only(["wave"]).prompts == (WAVE,)
    with pytest.raises(ValueError, match="ids must be of suite 'mine', got 'jump'"):
        loaded.only(["wave", "jump"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "a/b"}, "a valid file name, got 'a/b'"),
        ({"id": ""}, "a valid file name"),
        ({"id": ".hidden"}, "a valid file name"),
        ({"id": "tab\t"}, "a valid file name"),
        ({"id": 7}, "a valid file name"),
        ({"text": "..."}, "must say what the person does.*id 'wave'"),
        ({"text": 3}, "must be a text"),
        ({"distractors": ("",)}, "must say what the person does"),
        ({"category": " "}, "category must be a word"),
        ({"category": None}, "category must be a word"),
        ({"level": ""}, "level must be a word"),
        ({"seconds": 0}, "seconds must be a positive number, got 0"),
        ({"seconds": "4"}, "seconds must be a positive number"),
        ({"seconds": float("nan")}, "seconds must be a positive number"),
        ({"seconds": True}, "seconds must be a positive number"),
    ],
)
def test_mistakes_in_a_prompt_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Prompt(**{"id": "wave", "text": "a person waves", "category": "others", **fields})


def test_suites_need_prompts_with_different_ids():
    with pytest.raises(ValueError, match="at least one prompt"):
        Suite("x", "1", ())
    with pytest.raises(ValueError, match="unique, got 'wave' 2 times"):
        Suite("x", "1", (WAVE, Prompt("Wave", "a person waves", "others")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON object with name, version"),
        ("[]", "JSON object with name, version"),
        ('{"name": "x", "version": "1"}', "JSON object with name, version"),
        ('{"name": "x", "version": "1", "prompts": {}}', "list of prompts"),
        ('{"format": 9, "name": "x", "version": "1", "prompts": []}', "list of prompts"),
        ('{"name": "x", "version": "1", "prompts": []}', "at least one prompt"),
        (
            '{"name": "x", "version": "1", "prompts": ["a"]}',
            "category, got no id in prompt 1 of .*: 'a'",
        ),
        ('{"name": "x", "version": "1", "prompts": [{"id": "a", "text": "b"}]}', "must have id, text and category"),
        (
            '{"name": "x", "version": "1", "prompts": [{"id": "a", "text": "b", "category": "c", "leval": "d"}]}',
            "did you mean level",
        ),
        (
            '{"name": "x", "version": "1", "prompts": [{"id": "a", "text": "b", "category": "", "distractors": "d"}]}',
            "distractors must be a list of texts, got 'd'",
        ),
    ],
)
def test_mistakes_in_a_suite_file_are_named(tmp_path, content, message):
    path = tmp_path / "suite.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Suite.load(path)


def test_suites_by_name(tmp_path):
    assert get_suite("motionmillion-eval").sha256 == motionmillion_eval().sha256
    own = Suite("mine", "1", (WAVE,)).save(tmp_path / "own.json")
    assert get_suite("motionmillion-eval", own).name == "mine"
    with pytest.raises(ValueError, match="suite must be one of motionmillion-eval, .*mbench.*got 'mbenhc'"):
        get_suite("mbenhc")
    with pytest.raises(ValueError, match="left out if the suite is a file"):
        get_suite(str(own), own)
    with pytest.raises(ValueError, match="existing file"):
        get_suite("nosuch.json")
    for name in ("mbench", "motionmillion-eval-official"):
        with pytest.raises(ValueError, match=f"--prompts PATH must be given for the suite '{name}'.*github.com"):
            get_suite(name)
    assert set(SUITES) == {"motionmillion-eval", "motionmillion-eval-official", "mbench"}


@needs_official
def test_official_suite_by_both_names():
    suites = [get_suite(name, OFFICIAL) for name in ("motionmillion-eval", "motionmillion-eval-official")]
    assert suites[0] == suites[1] and suites[0].name == "motionmillion-eval-official"


def test_listing_suites_loads_nothing_heavy():
    code = (
        "import sys; from motionmillion.eval.suites import get_suite; get_suite('motionmillion-eval'); "
        "print(*{'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=200
    )
    assert done.stdout.strip() == ""
