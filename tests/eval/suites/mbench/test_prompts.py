"""MBench's files: read as they are, checked against each other; the small ones here have the same form."""

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from motionmillion.eval.suites import get_suite
from motionmillion.eval.suites.mbench.prompts import (
    EVAL_INFO,
    FINAL,
    MBENCH_CATEGORIES,
    MBENCH_DIMENSIONS,
    dimension_prompts,
    mbench_suite,
)

OFFICIAL = Path(__file__).resolve().parents[5] / "shared" / "upstream"
needs_official = pytest.mark.skipif(
    not (OFFICIAL / FINAL).exists(), reason="needs MBench's own files in ../shared/upstream"
)
TEXTS = ("a person hops", "a person kneels", "stacking crates", "tiptoeing past")


def entries() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A prompt for each category and a row for each dimension."""
    final = [
        {"global_id": 5 * i, "id": 0, "dimension": category, "motion_duration": 4 + i, "prompt": TEXTS[i]}
        for i, category in enumerate(MBENCH_CATEGORIES)
    ]
    by_category = {entry["dimension"]: entry for entry in final}
    rows = []
    for dimension, category in MBENCH_DIMENSIONS.items():
        entry = by_category[category]
        row = {"prompt": entry["prompt"], "dimension": dimension, "id": entry["global_id"], "category": category}
        rows.append({**row, "motion_duration": 20 * entry["motion_duration"]})
        if dimension == "Motion_Condition_Consistency":
            rows[-1]["auxiliary_info"] = ["mixing paint", "stacking crates", "mixing paint", "flying a kite"]
    return final, rows


def write(folder: Path, final: Any, rows: Any) -> Path:
    (folder / FINAL).write_text(json.dumps(final))
    (folder / EVAL_INFO).write_text(json.dumps(rows))
    return folder


def test_small_files_are_read_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="not the published file"):
        suite = get_suite("mbench", write(tmp_path, *entries()))
    assert [prompt.id for prompt in suite.prompts] == ["000", "005", "010", "015"]
    assert tuple(prompt.text for prompt in suite.prompts) == TEXTS
    assert [prompt.seconds for prompt in suite.prompts] == [4, 5, 6, 7]
    assert suite.categories == list(MBENCH_CATEGORIES) and "not the published files" in suite.source
    assert suite.prompts[2].distractors == ("mixing paint", "flying a kite")  # neither itself nor one twice
    assert not any(prompt.distractors for prompt in suite.prompts if prompt.id != "010")
    assert dimension_prompts(suite)["Body_Penetration"] == ["005"]
    assert dimension_prompts(suite.only(["000"]))["Body_Penetration"] == []


@needs_official
def test_official_files():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suite = mbench_suite(OFFICIAL)
    assert [prompt.id for prompt in suite.prompts] == [f"{number:03d}" for number in range(450)]
    assert list(Counter(prompt.category for prompt in suite.prompts).values()) == [150, 100, 100, 100]
    assert {name: len(ids) for name, ids in dimension_prompts(suite).items()} == {
        name: 150 if category == "Motion_Quality" else 100 for name, category in MBENCH_DIMENSIONS.items()
    }
    assert suite.sha256 == "a49ed5c561fc580850fbee0485e1d506913b9eec22ed5cec3cfd6130cfd40d24"
    eight = [prompt.id for prompt in suite.prompts if len(prompt.distractors) == 8]
    assert eight == ["256", "299", "316", "322", "325"]
    assert sum(len(prompt.distractors) == 9 for prompt in suite.prompts) == 95
    assert {prompt.category for prompt in suite.prompts if prompt.distractors} == {"Motion_Condition_Consistency"}


@pytest.mark.parametrize("name", [FINAL, EVAL_INFO])
def test_missing_files_say_where_to_get_them(tmp_path, name):
    write(tmp_path, *entries())
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"--prompts PATH .*got no {name} in .*github.com/MotrixLab/ViMoGen"):
        mbench_suite(tmp_path)


@pytest.mark.parametrize("content", ["[", "{}", "[]", "\udcff"])
def test_damaged_files_say_where_to_get_them(tmp_path, content):
    write(tmp_path, *entries())
    (tmp_path / EVAL_INFO).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=f"{EVAL_INFO} is no list in JSON; download them again from github.com"):
        mbench_suite(tmp_path)


@pytest.mark.filterwarnings("ignore:.*not the published file")
@pytest.mark.parametrize(
    ("which", "index", "change", "message"),
    [
        (0, 0, {"global_id": None}, "id must be a whole number, got None"),
        (0, 0, {"global_id": 5}, "ids must be unique"),
        (0, 0, {"prompt": ""}, "must say what the person does"),
        (0, 0, {"prompt": 1}, "must be a text"),
        (0, 0, {"dimension": "Speed"}, "unknown dimension 'Speed'"),
        (0, 0, {"motion_duration": 3}, "prompt 000 of mbench_eval_info.json has another length"),
        (0, 0, {"dimension": "Pose_Quality"}, "other prompts for Jitter_Degree"),
        (1, 0, {"id": 7}, "prompt 007 of mbench_eval_info.json has another length .* or is not in it"),
        (1, 0, {"motion_duration": "long"}, "unsupported operand"),
        (1, 0, {"dimension": "Dynamic_Degree"}, "other prompts for Jitter_Degree"),
        (1, 7, {"auxiliary_info": "mixing paint"}, "no list of wrong answers"),
        (1, 7, {"auxiliary_info": [""]}, "must say what the person does"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, which, index, change, message):
    both = entries()
    both[which][index].update(change)
    with pytest.raises(ValueError, match=f"--prompts PATH .*{message}.*download them again from github.com"):
        mbench_suite(write(tmp_path, *both))


def test_a_lost_key_is_named(tmp_path):
    final, rows = entries()
    del rows[7]["auxiliary_info"]
    with pytest.raises(ValueError, match="an entry lacks 'auxiliary_info'"):
        mbench_suite(write(tmp_path, final, rows))
    with pytest.raises(ValueError, match="download them again"):
        mbench_suite(write(tmp_path, ["a person hops"], rows[:1]))
