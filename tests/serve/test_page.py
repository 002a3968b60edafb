"""The web page: its bundle, what it may load, and in a browser all that can be done with it."""

import hashlib
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motionmillion
from motionmillion.data import synthesize
from motionmillion.motion import Motion
from motionmillion.pipeline.dit.editing import GROUPS
from motionmillion.skeleton import SMPL22

FOLDER = Path(motionmillion.__file__).parent / "serve" / "page"
PATIENCE = 60_000
"""Milliseconds that a step in the browser may take, on a machine that is busy with other tests."""


def test_the_bundle_is_made_from_its_sources():
    total = hashlib.sha256()
    for path in sorted(
        ["build.mjs", "package-lock.json", *(f"src/{file.name}" for file in (FOLDER / "src").iterdir())]
    ):
        total.update(f"{path}\n".encode() + (FOLDER / path).read_bytes().replace(b"\r\n", b"\n"))
    head = (FOLDER / "page.js").read_text(encoding="utf-8")[:300]
    assert f"sources sha256 {total.hexdigest()} */" in head, "run npm ci && npm run build in motionmillion/serve/page"


def test_the_page_loads_nothing_from_other_hosts(client_of, tiny_pipeline):
    client = client_of({"tiny": tiny_pipeline}, keys=("secret",))
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded and all(re.fullmatch(r"page/[\w.]+|#takes|data:,", address) for address in loaded)
    for address in (one for one in loaded if one.startswith("page/")):
        part = client.get(f"/{address}")
        assert (
            part.status_code == 200
            and ("css" if address.endswith("css") else "javascript") in part.headers["content-type"]
        )
        again = client.get(f"/{address}", headers={"If-None-Match": part.headers["etag"]})
        assert again.status_code == 304 and not again.content
    assert client.get("/page/index.html").status_code == 404
    assert client.get("/page/..%2f..%2fsettings.py").status_code == 404


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="drives the browser; pip install playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium, chromium-browser or google-chrome found")
    software = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=["--no-sandbox", *software])
        yield opened
        opened.close()


@pytest.fixture
def page_of(browser, server_of) -> Iterator[Callable[..., Any]]:
    """Opens the page of a service; at the end nothing may have gone wrong in it, or been asked of other hosts.

    Motions stand still unless `reduced_motion` is "no-preference", because the processor draws them.
    """
    pages, faults = [], []

    def open_page(pipelines, **context) -> Any:
        url = server_of(pipelines).url
        context = {"viewport": {"width": 1000, "height": 800}, "reduced_motion": "reduce", **context}
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(PATIENCE)
        refused = "status of 422"  # browsers log it; the page tells of it
        page.on(
            "console",
            lambda told: faults.append(told.text) if told.type == "error" and refused not in told.text else None,
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        inside = (url, "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(inside) else faults.append(asked.url))
        page.goto(url)
        page.wait_for_selector("#model option", state="attached")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert not faults


def done(page, act: str = "Done") -> None:
    page.locator("#told", has_text=re.compile(f"^{act}")).wait_for()


def make(page, prompt: str = "a person waves", takes: int = 1, seconds: float = 1) -> None:
    page.fill("#prompt", prompt)
    page.fill("#samples", str(takes))
    page.fill("#seconds", str(seconds))
    page.click("#make")
    done(page)


def frames(page) -> list[int]:
    """Frames of the motions on the page."""
    return page.evaluate("motionPage.takes.map((take) => take.player.frames)")


def work(page, act: str, take: int = 0) -> None:
    """Open the form of a take."""
    page.locator(".take").nth(take).get_by_role("button", name="Work on it").click()
    page.select_option("#work-act", act)


def worked(page) -> None:
    page.evaluate("document.getElementById('told').textContent = ''")
    page.click("#work-go")
    done(page)


def downloaded(page, take: int, format: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(".take").nth(take).get_by_label("Download").select_option(format)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def textured(path: Path) -> Path:
    """A character, the mannequin, with a picture of two pixels on its mesh."""
    image, gltf = pytest.importorskip("PIL.Image"), pytest.importorskip("pygltflib")
    synthesize("walk", seed=1, seconds=2).save(path, body="mannequin")
    file, png = gltf.GLTF2().load(path), io.BytesIO()
    image.new("RGB", (2, 2), "red").save(png, "PNG")
    blob = file.binary_blob()
    blob += bytes(-len(blob) % 4)
    file.bufferViews.append(gltf.BufferView(buffer=0, byteOffset=len(blob), byteLength=len(png.getvalue())))
    file.set_binary_blob(blob + png.getvalue())
    file.buffers[0].byteLength = len(file.binary_blob())
    file.images = [gltf.Image(bufferView=len(file.bufferViews) - 1, mimeType="image/png")]
    file.textures = [gltf.Texture(source=0)]
    for material in file.materials:
        material.pbrMetallicRoughness.baseColorTexture = gltf.TextureInfo(index=0)
    file.save_binary(path)
    return path


def test_type_generate_play_download_reload(page_of, tiny_pipeline, midway, tmp_path):
    page = page_of({"tiny": tiny_pipeline}, reduced_motion="no-preference")
    page.click("#examples button")
    page.fill("#samples", "2")
    page.keyboard.press("Control+Enter")
    while not page.evaluate("motionPage.takes.some((take) => take.player?.growing)"):
        page.wait_for_timeout(20)
    assert (
        0 < max(page.evaluate("motionPage.takes.map((take) => take.player?.frames ?? 0)")) < 120
    )  # it plays meanwhile
    midway.set()
    done(page)
    assert frames(page) == [120, 120]

    picture = page.locator(".take canvas").first
    picture.focus()
    for key in ("Home", " ", "ArrowRight", "Shift+ArrowRight", "ArrowLeft"):  # plays, and stops at a step
        picture.press(key)
    assert page.locator(".take .number").first.text_content() == page.locator(".take [type=range]").first.input_value()
    assert page.evaluate("motionPage.takes[0].player.playing") is False
    assert page.evaluate("motionPage.takes[0].player.frame") >= 10

    for format in ("bvh", "npz", "glb", "html", "json"):
        path = downloaded(page, 1, format, tmp_path)
        assert path.name == f"a-person-waves.{format}" or format == "json"
        assert format in ("html", "json") or Motion.load(path).num_frames == 120

    page.locator(".take").nth(1).get_by_role("button", name="Keep").click()
    make(page, "a person jumps")
    assert page.locator(".take h3").all_text_contents() == [
        "a person waves",
        "a person jumps",
    ]  # the other one is gone
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    page.locator("#history button").nth(1).click()
    done(page)
    assert page.evaluate("motionPage.takes.map((take) => take.seed)") == [0, 1]
    page.fill("#prompt", "...")
    page.click("#make")
    assert page.inner_text("#told").startswith("Say what the person does")


def test_a_timeline_is_edited_by_dragging_and_by_keys(page_of, tiny_pipeline):
    page = page_of({"tiny": tiny_pipeline})
    page.check("input[value=timeline]")
    inputs = "[...row.querySelectorAll('input')].map((one) => one.value)"
    parts = f"[...document.querySelectorAll('#parts li')].map((row) => {inputs})"
    assert page.evaluate(parts) == [["a person walks forward", "3"], ["a person jumps", "2"]]
    track = page.locator("#track").bounding_box()
    edge = page.locator(".edge").first.bounding_box()

    def drag(x: float, to: float) -> None:
        page.mouse.move(x, track["y"] + 20)
        page.mouse.down()
        page.mouse.move((x + to) / 2, track["y"] + 20)
        page.mouse.move(to, track["y"] + 20)
        page.mouse.up()

    drag(edge["x"] + 7, edge["x"] + 7 - track["width"] / 5)  # two of ten seconds
    assert page.evaluate(parts)[0] == ["a person walks forward", "1"]
    block = page.locator(".block").nth(1).bounding_box()
    drag(block["x"] + 15, track["x"] + 5)
    assert [part[0] for part in page.evaluate(parts)] == ["a person jumps", "a person walks forward"]
    last = page.locator(".edge").nth(1)
    last.press("ArrowRight")
    last.press("ArrowRight")
    last.press("ArrowLeft")
    assert last.get_attribute("aria-valuenow") == "1.5" and page.inner_text("#total") == "2 parts, 3.5 seconds"
    page.get_by_role("button", name="Add a part").click()
    page.keyboard.type("a person sits")
    page.get_by_role("button", name="Move part 3 up").click()
    page.get_by_role("button", name="Remove part 3").click()
    assert page.evaluate(parts) == [["a person jumps", "2"], ["a person sits", "2"]]
    page.fill("#samples", "1")
    page.click("#make")
    done(page)
    assert frames(page) == [120]
    part = page.locator(".take .part")
    assert part.inner_text() == "a person jumps"
    page.evaluate("motionPage.takes[0].player.seek(70)")
    part.get_by_text("a person sits").wait_for()
    page.select_option("#speed", "0.25")
    page.select_option("#camera", "Top")
    page.get_by_role("button", name="Play all from the start").click()
    part.get_by_text("a person jumps").wait_for()
    state = page.evaluate("(({ playing, speed, view }) => [playing, speed, view.chosen])(motionPage.takes[0].player)")
    assert state == [True, 0.25, 4]
    page.get_by_role("button", name=re.compile("^Remove a person")).click()
    assert page.locator("#all").is_hidden()


def test_parts_of_a_timeline_are_moved_by_keys_and_told_to_screen_readers(page_of, tiny_pipeline):
    page = page_of({"tiny": tiny_pipeline})
    page.check("input[value=timeline]")
    page.get_by_role("button", name="Add a part").click()
    page.keyboard.type("a person sits")
    texts = page.get_by_role("list", name="Parts of the timeline").get_by_role("textbox")
    held = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(held) == "What the person does in part 3 of 3"

    def told(place: int, order: list[str]) -> None:
        assert [text.input_value() for text in texts.all()] == [f"a person {verb}" for verb in order]
        assert page.inner_text("#part-told") == f"a person sits: now part {place} of 3"

    page.keyboard.press("Alt+ArrowUp")  # the text keeps the focus
    told(2, ["walks forward", "sits", "jumps"])
    assert page.evaluate(held) == "What the person does in part 2 of 3"
    page.keyboard.press("Tab")
    assert page.evaluate(held) == "Seconds of part 2"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the button up, which can do no more then
    told(1, ["sits", "walks forward", "jumps"])
    assert page.get_by_role("button", name="Move part 1 up").is_disabled()
    assert page.evaluate(held) == "Move part 1 down"
    page.keyboard.press("Enter")
    told(2, ["walks forward", "sits", "jumps"])
    assert page.evaluate(held) == "Move part 2 down"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.inner_text("#part-told") == "a person sits: removed"
    assert page.evaluate(held) == "What the person does in part 2 of 2"
    edge = page.get_by_role("slider", name="Length of part 2, a person jumps")
    for key, seconds in (("PageUp", "4"), ("ArrowLeft", "3.5"), ("Home", "0.5"), ("End", "60")):
        edge.press(key)
        assert edge.get_attribute("aria-valuetext") == f"{seconds} seconds"
    page.get_by_role("button", name="Remove part 2").click()
    assert page.get_by_role("button", name="Remove part 1").is_disabled()  # a timeline has a part


def test_the_best_of_several_is_shown(page_of, tiny_pipeline, tmp_path):
    page = page_of({"tiny": tiny_pipeline})
    page.locator("summary").click()
    page.fill("#candidates", "3")
    with page.expect_request("**/v1/motions"):
        make(page, "a person jumps", seconds=2)
    best = tiny_pipeline("a person jumps", seconds=2, candidates=3)[0]
    found = Motion.load(downloaded(page, 0, "npz", tmp_path))
    assert np.allclose(found.translation, best.translation, atol=1e-5)
    page.fill("#candidates", "")
    page.locator("#history button").first.click()
    done(page)
    assert page.input_value("#candidates") == "3"
    page.check("input[value=timeline]")  # whose parts are made one after another
    page.click("#make")
    done(page)


def test_a_path_is_drawn(page_of, tiny_pipeline):
    page = page_of({"tiny": tiny_pipeline})
    page.fill("#prompt", "a person walks")
    page.fill("#samples", "1")
    page.check("input[value=path]")
    floor = page.locator("#floor")
    floor.scroll_into_view_if_needed()
    box = floor.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=20)
    page.mouse.up()
    floor.press("ArrowUp")
    assert re.fullmatch(r"\d\.\d metres, \d\.\d seconds", page.inner_text("#points"))
    page.click("#make")
    done(page)
    path, (count,) = page.evaluate("motionPage.takes[0].body.path"), frames(page)
    assert len(path) > 5 and path[-1][1] > 2 and count == pytest.approx(path[-1][1] / 1.3 * 30, abs=8)


def test_motions_are_opened_continued_joined_and_put_on_characters(page_of, tiny_pipeline, tmp_path):
    page = page_of({"tiny": tiny_pipeline})
    clip = synthesize("walk", seed=0, seconds=2).save(tmp_path / "walk.bvh")
    page.set_input_files("#open", clip)
    done(page)
    assert frames(page) == [60] and page.locator(".take h3").inner_text() == "walk.bvh"
    assert Motion.load(downloaded(page, 0, "npz", tmp_path)).num_frames == 60

    page.evaluate("motionPage.takes[0].player.step(-Infinity); motionPage.takes[0].player.step(29)")
    work(page, "continue")
    page.get_by_role("button", name="Up to the frame shown").first.click()
    assert page.input_value("#work-keep") == "30"
    page.fill("#work-prompt", "a person jumps")
    page.fill("#work-seconds", "1")
    worked(page)
    assert frames(page) == [60, pytest.approx(60, abs=4)]
    work(page, "join", 1)
    page.fill("#work-prompt", "a person turns")
    worked(page)
    assert frames(page)[2] > frames(page)[0] + frames(page)[1]
    assert Motion.load(downloaded(page, 2, "glb", tmp_path)).num_frames == frames(page)[2]

    work(page, "retarget", 1)
    page.click("#work-go")
    assert page.inner_text("#work-told") == "Choose the file of a character."
    page.set_input_files("#work-character", clip)
    worked(page)
    assert downloaded(page, 3, "bvh", tmp_path).read_text(encoding="utf-8").startswith("HIERARCHY")
    work(page, "edit", 1)
    assert "no model that changes frames or joints" in page.inner_text("#work-told")
    assert page.locator("#work-go").is_disabled()
    page.keyboard.press("Escape")
    assert page.locator("#work").is_hidden()


def test_a_character_is_shown_as_itself_and_files_are_remembered(page_of, tiny_pipeline, tmp_path):
    page = page_of({"tiny": tiny_pipeline})
    page.set_input_files("#open", synthesize("walk", seed=0, seconds=2).save(tmp_path / "walk.npz"))
    done(page)
    work(page, "retarget")
    page.set_input_files("#work-character", textured(tmp_path / "hero.glb"))
    worked(page)
    looks = """(frame) => { const { player } = motionPage.takes.at(-1); player.step(-Infinity); player.seek(frame);
        const [{ file, frames }] = player.motions, maps = [];
        file.object.traverse((part) => { if (part.isMesh) maps.push(part.material.map?.image.width ?? 0); });
        return [maps, frames, player.jointPositions(0, true)]; }"""
    maps, count, joints = page.evaluate(looks, 25)
    assert set(maps) == {2} and count == 60  # the picture on the meshes, two pixels wide
    saved = Motion.load(downloaded(page, 1, "glb", tmp_path))
    assert np.allclose(np.sort(joints, 0), np.sort(saved.positions()[25], 0), atol=2e-3)

    rows = page.locator("#history button")
    assert [rows.nth(row).locator("small").inner_text().split(",")[0] for row in range(rows.count())] == [
        "retargeted.glb",
        "walk.npz",
    ]
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    page.get_by_role("button", name="walk.npz, on hero.glb").click()
    done(page)
    again = page.evaluate(looks, 25)
    assert again[:2] == [maps, count] and np.allclose(again[2], joints, atol=1e-5)
    assert Motion.load(downloaded(page, 0, "npz", tmp_path)).num_frames == 60
    page.click("#forget")
    kept = """() => new Promise((tell) => { const open = indexedDB.open("motionmillion"); open.onsuccess = () => {
        const count = open.result.transaction("files").objectStore("files").count();
        count.onsuccess = () => { open.result.close(); tell(count.result); };
    }; })"""
    page.wait_for_function(f"async () => await ({kept})() === 0")
    assert page.locator("#history-box").is_hidden()


def test_frames_and_joints_are_changed_on_a_dit(page_of, tiny_dit_pipeline):
    page = page_of({"dit": tiny_dit_pipeline})
    make(page, seconds=2)
    work(page, "edit")
    boxes = page.locator("#work-joints input")
    assert [boxes.nth(index).get_attribute("value") for index in range(boxes.count())] == list(GROUPS)
    page.fill("#work-prompt", "a person claps")
    page.click("#work-go")
    assert "something has to stay" in page.inner_text("#work-told")
    page.fill("#work-first", "10")
    page.fill("#work-stop", "30")
    page.check("text=Left arm")
    worked(page)
    assert frames(page) == [40, 40]
    joints = """(frame) => motionPage.takes.map(({ player }) => {
        player.step(-Infinity); player.seek(frame); return player.jointPositions();
    })"""
    given, changed = np.array(page.evaluate(joints, 5))
    assert np.allclose(given, changed, atol=1e-3)  # before the frames that change
    given, changed = np.array(page.evaluate(joints, 20))
    arm = [SMPL22.names.index(name) for name in GROUPS["left_arm"]]
    assert np.abs(given - changed)[arm].max() > 0.01
    assert np.allclose(np.delete(given, arm, 0), np.delete(changed, arm, 0), atol=1e-3)


def test_a_file_that_is_no_motion_is_told(page_of, tiny_pipeline, tmp_path):
    page = page_of({"tiny": tiny_pipeline})
    (tmp_path / "fake.bvh").write_text("nothing", encoding="utf-8")
    page.set_input_files("#open", tmp_path / "fake.bvh")
    done(page, "motion.bvh")
    assert page.locator(".take small").inner_text() == page.inner_text("#told")


@pytest.mark.parametrize("theme, width", [("light", 1000), ("dark", 390)])
def test_axe_finds_no_serious_fault(page_of, tiny_pipeline, theme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    size = {"width": width, "height": 800}
    page = page_of({"tiny": tiny_pipeline}, color_scheme=theme, has_touch=width < 600, viewport=size)
    make(page)
    for kind, act in (("prompt", "continue"), ("timeline", "edit"), ("path", "retarget")):
        page.check(f"input[value={kind}]")
        work(page, act)
        found = axe.Axe().run(page).response["violations"]
        assert not [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing is cut off
