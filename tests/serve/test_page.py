"""The web page: its bundle, what it may load, and a motion made, played and asked for again in a browser."""

import hashlib
import queue
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import motionmillion

FOLDER = Path(motionmillion.__file__).parent / "serve" / "page"

DRIVER = """
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.violatedDirective));
console.error = (...told) => errors.push(told.join(" "));
const wait = async (met) => { while (!met()) await new Promise((next) => setTimeout(next, 20)); };
const told = () => document.getElementById("told").textContent;
(async () => {
  const seen = {};
  await wait(() => document.querySelector("#model option"));
  document.querySelector("#examples button").click();
  document.getElementById("seconds").value = "4";
  const made = window.motionPage.make();
  const growing = () => window.motionPage.takes.find((take) => take.player?.growing);
  await wait(growing);
  seen.growing = growing().player.frames;
  await fetch("/go"); // the batch waits for this
  await made;
  await wait(() => told().startsWith("Done"));
  seen.frames = window.motionPage.takes.map((take) => take.player.frames);
  seen.body = window.motionPage.takes[0].player.body;
  seen.fileName = (await window.motionPage.takes[1].fileOf("bvh")).name;
  document.getElementById("prompt").value = "...";
  await window.motionPage.make();
  seen.complaint = told();
  document.querySelector("input[value=timeline]").click();
  document.querySelector("#parts button").click();
  document.querySelector("#history button").click();
  await wait(() => told().startsWith("Done"));
  seen.again = window.motionPage.takes.map((take) => take.body.seed);
  seen.history = document.querySelectorAll("#history li").length;
  const fields = [...document.querySelectorAll("input, select, textarea, button, canvas")];
  const named = (one) => one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim();
  seen.nameless = fields.filter((one) => !named(one)).length;
  return { ...seen, errors };
})().catch(String).then((seen) => fetch("/seen", { method: "POST", body: JSON.stringify(seen) }));
"""


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


def test_motions_are_made_in_a_browser(server_of, tiny_pipeline, midway, tmp_path):
    httpx = pytest.importorskip("httpx", reason="the client of these tests")
    from starlette.responses import Response

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium, chromium-browser or google-chrome found")
    server, posted = server_of({"tiny": tiny_pipeline}), queue.Queue()
    app, page = server.config.app, httpx.get(f"{server.url}/")
    text = page.text.replace("</body>", '<script src="/driver.js"></script></body>')
    headers = {"Content-Security-Policy": page.headers["content-security-policy"]}

    async def take(request) -> Response:
        posted.put(await request.json())
        return Response(status_code=204)

    app.add_route("/driven", lambda request: Response(text, media_type="text/html", headers=headers))
    app.add_route("/driver.js", lambda request: Response(DRIVER, media_type="text/javascript"))
    app.add_route("/go", lambda request: Response(status_code=204 if midway.set() is None else 500))
    app.add_route("/seen", take, methods=["POST"])
    # the debugging port keeps the browser running
    command = [browser, "--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={tmp_path}/profile"]
    command += ["--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=900,700"]
    command += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
    with subprocess.Popen(
        [*command, f"{server.url}/driven"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        try:
            seen = posted.get(timeout=120)
        finally:
            run.terminate()
    assert isinstance(seen, dict), seen
    assert seen["frames"] == [120, 120] and 0 < seen["growing"] < 120 and seen["body"] == "human"
    assert seen["fileName"] == "a-person-waves.bvh" and seen["complaint"].startswith("Say what the person does")
    assert seen["again"] == [0, 1] and seen["history"] == 1 and seen["nameless"] == 0 and not seen["errors"]
