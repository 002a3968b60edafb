"""The viewer is one file without network, shows text as text, and moves in a real browser."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io.html import write_html
from motionmillion.motion import Motion


def payload(page: Path) -> dict:
    match = re.search(r'<script id="payload" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    assert match
    return json.loads(match[1])


def test_page_is_self_contained(motion: Motion, tmp_path: Path):
    text = write_html(motion, tmp_path / "wave.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|\bsrc=|\bhref=|\bimport\b|@import|fetch\(|XMLHttp|WebSocket", text)
    assert "<title>a person walks</title>" in text
    assert os.listdir(tmp_path) == ["wave.html"]


def test_positions_survive(motion: Motion, tmp_path: Path):
    import base64

    data = payload(write_html(motion, tmp_path / "wave.html"))["motions"][0]
    root = np.frombuffer(base64.b64decode(data["root"]), "<f4").reshape(24, 3)
    near = np.frombuffer(base64.b64decode(data["points"]), "<i2").reshape(24, -1, 3) * data["unit"]
    positions = motion.positions().numpy()
    np.testing.assert_allclose((root[:, None] + near)[:, :22], positions, atol=1e-4)
    assert (data["frames"], data["fps"], data["caption"]) == (24, 30.0, "a person walks")


def test_captions_are_text(motion: Motion, tmp_path: Path):
    evil = '</script><script>alert("x")</script><img src=x onerror=alert(1)>&<!--'
    page = write_html(motion, tmp_path / "wave.html", caption=evil)
    assert "<img" not in page.read_text()
    assert page.read_text().count("</script>") == 2
    assert payload(page)["motions"][0]["caption"] == evil


@pytest.mark.parametrize(
    ("options", "message"),
    [({"motion": []}, "at least one motion"), ({"caption": ["a", "b"]}, "one text for each of 1 motions, got 2")],
)
def test_wrong_arguments_leave_no_file(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_html(**{"motion": motion, "path": tmp_path / "wave.html", **options})
    assert os.listdir(tmp_path) == []


def test_a_body_of_impossible_size_leaves_no_file(motion: Motion, tmp_path: Path):
    from motionmillion.skeleton import Skeleton

    giant = Skeleton(names=("root", "tip"), parents=(-1, 0), offsets=((0.0, 0.0, 0.0), (0.0, 9.0, 0.0)))
    with pytest.raises(ValueError, match="within 3 m of its root, got 9.0 m"):
        write_html(Motion(torch.eye(3).repeat(2, 2, 1, 1), torch.zeros(2, 3), skeleton=giant), tmp_path / "wave.html")
    assert os.listdir(tmp_path) == []


def test_a_browser_plays_it(motion: Motion, tmp_path: Path, browse):
    caption = "a <b>person</b> & a \"dog\" 'walk'"
    slow = motion.replace(fps=0.5)  # 48 s, so that the clock does not come round
    page = write_html([slow, slow.mirror()], tmp_path / "wave.html", caption=[caption, "mirror"])
    frames = []
    for budget in (50, 6000):
        shown = browse(page, f"--virtual-time-budget={budget}")
        assert not shown.console
        dom = shown.dom
        match = re.search(r'<b id="frame">(\d+)</b>', dom)
        assert match
        frames.append(int(match[1]))
    assert 0 <= frames[0] < frames[1] <= 23
    assert "a &lt;b&gt;person&lt;/b&gt; &amp; a \"dog\" 'walk'" in dom


def test_a_screenshot_shows_a_figure(motion: Motion, tmp_path: Path, browse):
    image = pytest.importorskip("PIL.Image")
    page = write_html(motion, tmp_path / "wave.html")
    shot = tmp_path / "shot.png"
    browse(page, "--virtual-time-budget=400", look=f"--screenshot={shot}")
    pixels = np.asarray(image.open(shot).convert("RGB")).astype(int)[60:500]
    warm = (pixels[..., 0] - pixels[..., 2] > 60).sum()  # the body's left
    cool = (pixels[..., 2] - pixels[..., 0] > 60).sum()  # the body's right
    assert warm > 1000 and cool > 1000


CONTROLS = """
const id = (name) => document.getElementById(name), frame = () => Number(id("frame").textContent);
const picture = () => id("scene").toDataURL();
const wait = () => new Promise((resolve) => setTimeout(resolve, 1500));
const press = (key) => dispatchEvent(new KeyboardEvent("keydown", { key }));
const point = (type, more) => id("scene").dispatchEvent(new PointerEvent(type, more));
(async () => {
  await wait();
  press(" "); await wait();
  const out = { icon: id("play").innerHTML.includes("M7 4l13"), frames: [frame()] }, home = picture();
  await wait(); out.paused = picture() === home;
  press("ArrowRight"); await wait(); out.frames.push(frame());
  press("ArrowLeft"); await wait(); out.frames.push(frame());
  id("scrub").value = 20; id("scrub").dispatchEvent(new Event("input")); await wait(); out.frames.push(frame());
  const still = picture();
  point("pointermove", { buttons: 1, movementX: 90 }); await wait(); out.turned = picture() !== still;
  id("scene").dispatchEvent(new MouseEvent("dblclick")); await wait(); out.reset = picture() === still;
  id("scene").dispatchEvent(new WheelEvent("wheel", { deltaY: -400 })); await wait(); out.zoomed = picture() !== still;
  id("speed").value = "0.25"; id("speed").dispatchEvent(new Event("change"));
  id("play").click(); await wait(); out.plays = !id("play").innerHTML.includes("M7 4l13");
  document.title = JSON.stringify(out);
})();
"""


def test_controls_of_the_viewer(motion: Motion, tmp_path: Path, browse):
    page = write_html(motion, tmp_path / "wave.html")
    page.write_text(page.read_text().replace("</body>", f"<script>{CONTROLS}</script></body>"))
    shown = browse(page, "--virtual-time-budget=30000")
    assert not shown.console
    match = re.search(r"<title>({.*})</title>", shown.dom)
    assert match
    out = json.loads(match[1])
    start = out["frames"][0]
    assert out["frames"][1:] == [min(start + 1, 23), min(start + 1, 23) - 1, 20]
    names = ("icon", "paused", "turned", "reset", "zoomed", "plays")
    assert [name for name in names if not out[name]] == []
