"""The page is one file, holds what it is given, and shows text as text; `tests/io/viewer` opens it in a browser."""

import json
import os
import re
from pathlib import Path

import pytest

from motionmillion.io.html import write_html
from motionmillion.io.page import POLICY
from motionmillion.motion import Motion


def payload(page: Path) -> dict:
    match = re.search(r'<script id="payload" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    assert match
    return json.loads(match[1])


def test_page_is_self_contained(motion: Motion, tmp_path: Path):
    page = write_html(motion, tmp_path / "wave.html")
    text = page.read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["wave.html"] and os.path.getsize(page) < 1_500_000
    assert "<title>a person walks</title>" in text
    assert f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' in text
    assert "default-src 'none'" in POLICY and "http" not in POLICY
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|\bsrc=|\bhref=|@import|url\(", markup)


def test_captions_are_text(motion: Motion, tmp_path: Path):
    evil = '</script><script>alert("x")</script><img src=x onerror=alert(1)>&<!--'
    page = write_html(motion, tmp_path / "wave.html", caption=evil, parts=[(0, 0.4, evil)])
    assert "<img" not in page.read_text()
    assert page.read_text().count("</script>") == 4  # motions, shared data, bundle, and the call
    shown = payload(page)["motions"][0]
    assert shown["caption"] == evil and shown["parts"] == [[0, 0.4, evil]]


def test_body_and_parts(motion: Motion, tmp_path: Path):
    parts = [[(0, 0.5, "walks")], [(0.2, 0.8, "walks, mirrored")]]
    data = payload(write_html([motion, motion.mirror()], tmp_path / "a.html", body="stick", parts=parts))
    assert data["body"] == "stick"
    assert [one["parts"] for one in data["motions"]] == [[[0, 0.5, "walks"]], [[0.2, 0.8, "walks, mirrored"]]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"motion": []}, "at least one motion"),
        ({"caption": ["a", "b"]}, "one text for each of 1 motions, got 2"),
        ({"body": "robot"}, "body must be one of"),
    ],
)
def test_wrong_arguments_leave_no_file(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_html(**{"motion": motion, "path": tmp_path / "wave.html", **options})
    assert os.listdir(tmp_path) == []


def test_parts_of_every_motion(motion: Motion, tmp_path: Path):
    with pytest.raises(ValueError, match="parts must have one list for each of 2 motions, got 1"):
        write_html([motion, motion], tmp_path / "wave.html", parts=[[(0, 1, "a")]])
    assert os.listdir(tmp_path) == []
