"""The page in a real browser: it plays and follows its keys, files come and go, and nothing is asked of any host."""

import base64
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionmillion.io.html import write_html
from motionmillion.io.skinned.bodies import load_body
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

PICTURE = Path(__file__).with_name("picture.png")

TOOLS = """
const id = (name) => document.getElementById(name), viewer = window.motionViewer;
const wait = (time = 120) => new Promise((resolve) => setTimeout(resolve, time));
const press = (key, more) => dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
const choose = (name, value) => { id(name).value = value; id(name).dispatchEvent(new Event("change")); };
const draw = () => { viewer.player.redraw(); viewer.player.advance(); };
const picture = async () => { draw(); return id("scene").toDataURL(); };
const file = (name, text) => new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name);
const drop = async (...files) => {
  const dataTransfer = new DataTransfer();
  files.forEach((one) => dataTransfer.items.add(one));
  dispatchEvent(new DragEvent("dragover", { dataTransfer, cancelable: true }));
  const seen = !id("drop").hidden;
  dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
  return seen;
};
"""


OWN = re.compile(rb"(//|CONNECT )(clients\d*|update|accounts|optimizationguide-pa)\.google(apis)?\.com")
"""What the browser asks for itself, whatever page is open."""


@pytest.fixture
def drive(browse) -> Callable[..., Any]:
    """`drive(page, script, "--some-option")` gives what a script in a page returns; the console must stay empty."""

    def call(page: Path, script: str, *arguments: str, **options: Any) -> Any:
        tell = "const pre = document.createElement('pre'); pre.id = 'probe'; pre.textContent = JSON.stringify(out);"
        body = f"let out; try {{ out = await (async () => {{ {TOOLS} {script} }})(); }}"
        body += " catch (error) { out = { error: error.stack }; }"
        driven = page.with_name(f"driven-{page.name}")
        element = f"<script>(async () => {{ {body} {tell} document.body.append(pre); }})();</script></body>"
        driven.write_text(page.read_text().replace("</body>", element))
        shown = browse(driven, "--virtual-time-budget=20000", *arguments, **options)
        match = re.search(r'<pre id="probe">(.*?)</pre>', shown.dom, re.DOTALL)
        assert match, shown.console
        out = json.loads(re.sub("&(lt|gt|amp);", lambda m: {"lt": "<", "gt": ">", "amp": "&"}[m[1]], match[1]))
        assert not isinstance(out, dict) or "error" not in out, out
        assert not shown.console
        return out

    return call


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """An option that sends every request of a browser to a socket here, and what arrived there."""
    arrived: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                head = client.recv(200)
                if not OWN.search(head):
                    arrived.append(head)
                client.close()

        threading.Thread(target=listen, daemon=True).start()
        yield f"--proxy-server=127.0.0.1:{server.getsockname()[1]}", arrived


def test_keys_and_controls_on_a_small_dark_screen(motion: Motion, tmp_path: Path, drive, proxy):
    parts = [(0, 0.4, "first <b>part</b>"), (0.4, 0.8, "second part")]
    page = write_html(motion, tmp_path / "wave.html", caption="a <b>person</b> & a \"dog\" 'walk'", parts=parts)
    script = """
      const out = { width: innerWidth, still: !viewer.playing, frames: [], webgl: viewer.webgl, body: viewer.body };
      draw();
      out.caption = [...document.querySelectorAll(".caption > *")].map((e) => e.textContent);
      out.dark = getComputedStyle(document.body).backgroundColor;
      press("d"); out.light = getComputedStyle(document.body).backgroundColor; press("d");
      for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"]) {
        press(key); out.frames.push(viewer.frame);
      }
      press("ArrowRight", { shiftKey: true }); out.frames.push(viewer.frame);
      id("scrub").value = 20; id("scrub").dispatchEvent(new Event("input")); out.frames.push(viewer.frame);
      draw(); out.part = document.querySelector(".caption small").textContent;
      out.human = viewer.jointPositions(0, true); out.own = viewer.jointPositions();
      press("b"); out.mannequin = [viewer.body, viewer.jointPositions(0, true)];
      press("b"); out.stick = [viewer.body, viewer.jointPositions(0, true)];
      const views = [];
      for (const key of ["1", "2", "3", "4", "5"]) { press(key); views.push(await picture()); }
      press("1"); const home = await picture(); out.home = home === views[0]; out.views = new Set(views).size;
      id("scene").dispatchEvent(new PointerEvent("pointermove", { buttons: 1, movementX: 90 }));
      const turned = await picture(); out.turned = turned !== home;
      id("scene").dispatchEvent(new WheelEvent("wheel", { deltaY: -400 })); out.zoomed = await picture() !== turned;
      id("scene").dispatchEvent(new MouseEvent("dblclick")); out.reset = await picture() === home;
      press("t"); out.trail = await picture() !== home; press("c");
      out.marks = ["trail", "contacts"].map((name) => id(name).getAttribute("aria-pressed"));
      press("]"); out.speed = viewer.player.speed; press("l"); out.loop = viewer.player.loop;
      press("?"); out.help = id("keys").open; id("close").click(); out.closed = !id("keys").open;
      const boxes = ["tools", "scene", "bar"].map((name) => id(name).getBoundingClientRect());
      out.boxes = boxes.map((box) => [box.left, box.right, box.top, box.bottom]); out.height = innerHeight;
      out.unlabelled = [...document.querySelectorAll("button, select, input:not([hidden])")]
        .filter((e) => !e.getAttribute("aria-label") && !e.textContent.trim()).map((e) => e.id);
      press(" "); out.plays = viewer.playing && id("play").getAttribute("aria-label") === "Pause";
      press(" "); return out;
    """
    option, arrived = proxy
    out = drive(
        page,
        script,
        option,
        "--force-prefers-reduced-motion",
        "--blink-settings=preferredColorScheme=0",
        size="500,640",
    )
    assert out["still"] and out["webgl"] and out["body"] == "human"
    assert (
        out["caption"] == ["a <b>person</b> & a \"dog\" 'walk'", "first <b>part</b>"] and out["part"] == "second part"
    )
    assert out["dark"] == "rgb(21, 23, 28)" and out["light"] == "rgb(245, 245, 247)"
    assert out["frames"] == [1, 2, 1, 23, 0, 10, 20]
    own, dressed = motion.positions()[20], load_body("human", SMPL22).dress(motion).positions()[20]
    np.testing.assert_allclose(out["own"], own, atol=1e-3)
    np.testing.assert_allclose(out["human"], dressed, atol=1e-3)
    assert (out["mannequin"][0], out["stick"][0]) == ("mannequin", "stick")
    np.testing.assert_allclose(out["mannequin"][1], own, atol=1e-3)
    np.testing.assert_allclose(out["stick"][1], own, atol=1e-3)
    assert out["views"] == 5
    truths = ("home", "turned", "zoomed", "reset", "trail", "help", "closed", "plays")
    assert [name for name in truths if not out[name]] == []
    assert out["marks"] == ["false", "false"] and out["speed"] == 2 and out["loop"] is False
    assert out["width"] <= 640 and all(box[0] >= 0 and box[1] <= out["width"] for box in out["boxes"])
    tools, scene, bar = out["boxes"]
    assert tools[3] <= scene[2] + 1 and scene[3] <= bar[2] + 1 and bar[3] <= out["height"] + 1  # below each other
    assert out["unlabelled"] == []
    assert arrived == []


def test_the_socket_would_see_a_request(motion: Motion, tmp_path: Path, browse, proxy):
    page = tmp_path / "asks.html"
    page.write_text("<!doctype html><img src='http://example.invalid/x.png'>")
    browse(page, "--virtual-time-budget=2000", proxy[0])
    assert any(b"example.invalid" in head for head in proxy[1])


def test_it_plays_and_is_light(motion: Motion, tmp_path: Path, browse):
    slow = motion.replace(fps=0.5)  # 48 s, so that the clock does not come round
    page = write_html([slow, slow.mirror()], tmp_path / "wave.html", caption=["one", "mirror"], body="mannequin")
    shown = browse(page, "--virtual-time-budget=7000", size="500,400")
    assert not shown.console
    match = re.search(r'<b id="frame">(\d+)</b>', shown.dom)
    assert match and 1 <= int(match[1]) <= 23
    assert re.findall(r"<span>(one|mirror)</span>", shown.dom) == ["one", "mirror"]


def test_files_come_and_go(motion: Motion, tmp_path: Path, drive):
    pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')
    paths = [motion.save(tmp_path / name) for name in ("a.bvh", "b.npz", "ours.glb")]
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    page = write_html(motion, tmp_path / "wave.html", body="mannequin")
    script = f"""
      viewer.pause(); viewer.seek(0.5);
      const out = {{ seen: await drop(...{json.dumps(files)}.map(([name, text]) => file(name, text))) }};
      for (let left = 100; left && viewer.captions.length < 4; left--) await wait(50);
      out.captions = viewer.captions;
      viewer.seek(0.5);
      out.joints = viewer.captions.map((_, index) => viewer.jointPositions(index));
      out.names = viewer.captions.map((_, index) => viewer.player.motions[index].skeleton.names);
      out.drawn = viewer.captions.map((_, index) => viewer.jointPositions(index, true));
      viewer.body = "human"; out.file = viewer.jointPositions(viewer.captions.length - 1, true);
      out.notes = [];
      for (const name of ["bad.bvh", "bad.npz", "x.txt"]) {{
        await drop(file(name, btoa("no motion")));
        for (let left = 100; left && !id("note").textContent.startsWith(name); left--) await wait(50);
        out.notes.push(id("note").textContent);
      }}
      document.querySelector(".caption button").click(); out.left = viewer.captions.length;
      viewer.layout = "ghosts"; const ghosts = await picture();
      viewer.layout = "columns"; out.layouts = ghosts !== await picture();
      const bytes = new Uint8Array(await (await viewer.content("glb")).arrayBuffer());
      out.glb = btoa(Array.from(bytes, (code) => String.fromCharCode(code)).join(""));
      choose("save", "bvh"); await wait(1500);
      return out;
    """
    out = drive(page, script, "--force-prefers-reduced-motion", size="500,400")
    assert out["seen"] and out["captions"] == ["a person walks", "a.bvh", "a person walks", "ours.glb"]
    positions = motion.positions().numpy()[15]
    for names, joints, drawn in zip(out["names"][:3], out["joints"], out["drawn"], strict=False):
        assert names == list(SMPL22.names)
        np.testing.assert_allclose(joints, positions, atol=1e-3)
        np.testing.assert_allclose(drawn, positions, atol=1e-3)
    # the joints of our own GLB file are those of the human in it
    dressed = load_body("human", SMPL22).dress(motion).positions()[15].numpy()
    order = [out["names"][3].index(name) for name in SMPL22.names]
    for joints in (out["joints"][3], out["file"]):
        np.testing.assert_allclose(np.array(joints)[order], dressed, atol=1e-3)
    reasons = ("it is no BVH file", "it is no zip archive", "only BVH, GLB and NPZ files can be shown here")
    names = ("bad.bvh", "bad.npz", "x.txt")
    assert out["notes"] == [f"{name} could not be shown: {why}" for name, why in zip(names, reasons, strict=True)]
    assert out["left"] == 3 and out["layouts"]
    saved = Motion.load(tmp_path / "a-person-walks.bvh")
    assert saved.fps == pytest.approx(30) and saved.num_frames == 24
    np.testing.assert_allclose(saved.positions(), motion.positions(), atol=2e-3)
    (tmp_path / "page.glb").write_bytes(base64.b64decode(out["glb"]))
    glb, ours = (Motion.load(tmp_path / name) for name in ("page.glb", "ours.glb"))
    assert (glb.num_frames, glb.fps) == (24, 30)
    np.testing.assert_allclose(glb.positions(), ours.positions(), atol=2e-3)


def opened(url: str) -> np.ndarray:
    """Pixels `[H, W, 3]` of what a canvas gave as a data URL."""
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")).astype(int)


def test_without_webgl_a_mannequin_is_seen(motion: Motion, tmp_path: Path, drive):
    script = (
        "await wait(); return { note: id('note').hidden ? '' : id('note').textContent, picture: await picture() };"
    )
    page = write_html(motion, tmp_path / "wave.html", body="mannequin")
    out = drive(page, script, "--disable-3d-apis", "--force-prefers-reduced-motion", size="700,560")
    assert out["note"] == "This browser has no WebGL: a mannequin is drawn without it."
    pixels = opened(out["picture"])
    warm, cool = (np.sign(side) * (pixels[..., 0] - pixels[..., 2]) > 60 for side in (1, -1))
    assert warm.sum() > 500 and cool.sum() > 500  # the body's left and right


def test_small_pictures_share_one_context(motion: Motion, tmp_path: Path, drive):
    script = """
      const data = JSON.parse(id("payload").textContent), made = [], style = "position:fixed;left:0;top:0;width:200px";
      for (const draw of ["webgl", "webgl", "flat"]) {
        const canvas = Object.assign(document.createElement("canvas"), { style });
        document.body.append(canvas);
        made.push({ canvas, player: new Player(canvas, data, { fine: 0, draw, body: "mannequin" }) });
      }
      made[1].player.seek(12);
      made.forEach(({ player }) => player.advance());
      return made.map(({ canvas }) => canvas.toDataURL());
    """
    page = write_html(motion, tmp_path / "wave.html", body="stick")
    first, later, plain = (opened(url) for url in drive(page, script, "--force-prefers-reduced-motion"))
    for pixels in (first, later, plain):
        assert (np.abs(pixels[..., 0] - pixels[..., 2]) > 60).sum() > 100  # limbs in colour
    assert np.abs(first - later).max() > 50


SMALL = """
  viewer.pause(); viewer.seek(0.5);
  const small = async () => {
    draw();
    const copy = Object.assign(document.createElement("canvas"), { width: 96, height: 72 });
    const pen = copy.getContext("2d");
    pen.imageSmoothingQuality = "high"; pen.drawImage(id("scene"), 0, 0, 96, 72);
    return copy.toDataURL();
  };
  const human = await small(); viewer.seek(0.1); const other = await small(); viewer.body = "mannequin";
  return [human, other, await small()];
"""


def test_the_picture_is_as_it_was(motion: Motion, tmp_path: Path, drive):
    image = pytest.importorskip("PIL.Image")
    page = write_html(motion, tmp_path / "wave.html")
    urls = drive(
        page, SMALL, "--force-prefers-reduced-motion", "--blink-settings=preferredColorScheme=1", size="720,540"
    )
    human, other, mannequin = (opened(url) for url in urls)
    if not PICTURE.exists():  # delete the file to store a new one
        PICTURE.write_bytes(base64.b64decode(urls[0].split(",")[1]))
    stored = np.asarray(image.open(PICTURE).convert("RGB")).astype(int)
    differences = [float(np.abs(one - stored).mean()) for one in (human, other, mannequin)]
    assert differences[0] < 1.5 and min(differences[1:]) > 2.0, differences


def test_a_page_has_the_build_that_was_asked_for(turning_motion, tmp_path):
    pages = {}
    for body in ("human", "man", "woman", "stick"):
        text = write_html(turning_motion, tmp_path / f"{body}.html", body=body).read_text(encoding="utf-8")
        pages[body] = text.split('id="player-data">')[1].split("</script>")[0]
    assert len(set(pages.values())) == 3 and pages["stick"] == pages["human"]
