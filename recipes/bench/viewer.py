"""Frame times of a page with twenty motions in view, in headless Chromium.

    python recipes/bench/viewer.py
    python recipes/bench/viewer.py --body human --draw webgl --clips 20

Prints the median, the 95th percentile and the largest time between two frames of the page over five seconds, and how
often each motion is drawn anew in a second. Unusual: a machine without a graphics card draws with the processor
(SwiftShader); small pictures are then drawn without WebGL, unless `--draw webgl` asks for it.
"""

import argparse
import http.server
import json
import queue
import shutil
import subprocess
import tempfile
import threading

from motionmillion.data import synthesize
from motionmillion.io.page import page_part, player_scripts, script_json
from motionmillion.io.viewer.payload import BODIES, scene

ACTIONS = ("walk", "turn", "wave", "jump", "squat")
PAGE = """<!doctype html><meta charset="utf-8"><style>PALETTE body { margin: 8px; display: grid; gap: 6px;
grid-template-columns: repeat(5, 1fr); } canvas { width: 100%; aspect-ratio: 5 / 4; }</style>CANVASES
<script type="application/json" id="scenes">SCENES</script>SCRIPTS<script>
let drawn = 0;
const scenes = JSON.parse(document.getElementById("scenes").textContent), options = OPTIONS;
document.querySelectorAll("canvas").forEach((canvas, i) => new Player(canvas, scenes[i], { playing: true, fine: 0,
  ...options, onFrame: () => { drawn++; } }));
setTimeout(async () => {
  const times = [], before = drawn, began = performance.now();
  for (let last = began; last - began < 5000;) {
    const now = await new Promise((resolve) => requestAnimationFrame(() => resolve(performance.now())));
    times.push(now - last); last = now;
  }
  times.sort((a, b) => a - b);
  const at = (share) => Math.round(times[Math.min(times.length - 1, Math.floor(share * times.length))]);
  fetch("/", { method: "POST", body: JSON.stringify({ median_ms: at(0.5), p95_ms: at(0.95), largest_ms: at(1),
    draws_a_second: Math.round((drawn - before) / scenes.length / 0.5) / 10 }) });
}, 3000);
</script>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--body", choices=BODIES, default="mannequin")
    parser.add_argument("--draw", choices=("auto", "webgl", "flat"), default="auto")
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        parser.error("chromium or google-chrome must be installed")
    clips = [synthesize(ACTIONS[i % len(ACTIONS)], seed=i, seconds=4) for i in range(options.clips)]
    text = PAGE.replace("PALETTE", page_part("motionmillion.io.viewer", "player.css"))
    text = text.replace("CANVASES", "<canvas></canvas>" * len(clips))
    text = text.replace("SCENES", script_json([scene([clip], [""], body=options.body) for clip in clips]))
    text = text.replace("OPTIONS", json.dumps({"draw": options.draw})).replace("SCRIPTS", player_scripts())
    print(measured(browser, text))


def measured(browser: str, page: str) -> str:
    """What the page posts; it is served from this machine, because a headless browser does not wait for timers."""
    posted: queue.Queue[str] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode() if self.path == "/" else b"")

        def do_POST(self) -> None:
            posted.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    folder = tempfile.mkdtemp()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [browser, "--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={folder}/profile"]
        command += [
            "--disable-gpu",
            "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--window-size=1280,1000",
        ]
        command += ["--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/"]
        shown = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return posted.get(timeout=180)
        except queue.Empty:
            return "the page did not finish within three minutes"
        finally:
            shown.terminate()
            shown.wait(30)
            server.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
