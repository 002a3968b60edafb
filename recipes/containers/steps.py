"""The steps of a Dockerfile of this folder without a daemon: install, start, health check, a motion, stop.

    python recipes/containers/steps.py                         # installs everything, as the image does
    python recipes/containers/steps.py --packages VENV         # quick: the package anew, its dependencies from there

It reads the file itself: its commands run in a temporary folder in place of /source and /venv, with its environment.
Unusual: it is no container. The user, the base image's own files and read-only file systems are not tried.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, such as ("RUN", "python -m venv /venv")."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1].strip()) for line in lines if line.strip()]


def found(steps: list[tuple[str, str]], name: str) -> list[str]:
    """Arguments of the instructions of a kind."""
    return [rest for kind, rest in steps if kind == name]


def copy_source(source: Path, ignore: str) -> None:
    """What a build gets to see: the names that its .dockerignore lets through."""
    for line in ignore.splitlines():
        if line.startswith("!"):
            given = ROOT / line[1:]
            skip = shutil.ignore_patterns("__pycache__", "node_modules")
            if given.is_dir():
                shutil.copytree(given, source / given.name, symlinks=True, ignore=skip)
            else:
                shutil.copy(given, source)


def install(steps: list[tuple[str, str]], work: Path, packages: Path | None) -> None:
    """Run the build's commands in the folder."""
    for command in (part.strip() for run in found(steps, "RUN") for part in run.split("&&")):
        if command.startswith("useradd"):
            continue
        command = command.replace("/venv", str(work / "venv")).replace("python -m", f"{sys.executable} -m")
        if packages and "pip install" in command:
            site = next((work / "venv" / "lib").iterdir()) / "site-packages"
            (site / "packages.pth").write_text(f"{next((packages / 'lib').iterdir()) / 'site-packages'}\n")
            command = f"{work / 'venv/bin/python'} -m pip install --quiet --no-deps --ignore-installed ."
        print("RUN", command, flush=True)
        subprocess.run(command, shell=True, cwd=work / "source", check=True)


def environment(steps: list[tuple[str, str]], work: Path) -> dict[str, str]:
    """The image's environment, with the folder's paths."""
    values = {"PATH": os.environ["PATH"]}
    for line in found(steps, "ENV"):
        for name, value in (word.split("=", 1) for word in shlex.split(line)):
            values[name] = value.replace("$PATH", values["PATH"]).replace("/venv", str(work / "venv"))
    (work / "tmp").mkdir()
    return {**values, "HOME": str(work / "tmp"), "TMPDIR": str(work / "tmp")}


def try_service(steps: list[tuple[str, str]], work: Path, port: int) -> dict[str, object]:
    """Start the service, wait for its health check, ask for a motion, and stop it."""
    values = environment(steps, work)
    command = [*json.loads(found(steps, "ENTRYPOINT")[0]), *json.loads(found(steps, "CMD")[0]), "--port", str(port)]
    command = [word.replace("0.0.0.0", "127.0.0.1") for word in command]
    command[0] = str(work / "venv" / "bin" / command[0])
    check = json.loads(re.findall(r"CMD (\[.*\])", found(steps, "HEALTHCHECK")[0])[0].replace(":8000", f":{port}"))
    check[0] = str(work / "venv" / "bin" / check[0])
    server = subprocess.Popen(command, cwd=work / "tmp", env=values, stderr=subprocess.DEVNULL)
    try:
        ready = False
        for _ in range(600):
            ready = subprocess.run(check, env=values, capture_output=True, check=False).returncode == 0
            if ready or server.poll() is not None:
                break
            time.sleep(0.5)
        body = json.dumps({"prompt": "a person waves", "seconds": 2}).encode()
        address, kind = f"http://127.0.0.1:{port}", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/motions", body, kind)) as answer:
            frames = json.load(answer)["motions"][0]["frames"]
        with urllib.request.urlopen(f"{address}/metrics") as answer:
            measured = b"motionmillion" in answer.read()
        server.send_signal(signal.SIGTERM)
        return {"healthy": ready, "frames": frames, "metrics": measured, "stopped": server.wait(60)}
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--dockerfile", default="cpu.Dockerfile")
    parser.add_argument("--packages", type=Path, help="virtual environment that has the dependencies")
    parser.add_argument("--port", type=int, default=8123)
    given = parser.parse_args()
    steps = instructions((FOLDER / given.dockerfile).read_text())
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "source").mkdir()
        copy_source(work / "source", (FOLDER / f"{given.dockerfile}.dockerignore").read_text())
        install(steps, work, given.packages)
        print(json.dumps(try_service(steps, work, given.port)))


if __name__ == "__main__":
    main()
