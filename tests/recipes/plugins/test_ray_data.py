"""Building and curating with Ray Data on this machine write what the commands write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.layouts.base import BuildOptions

pytest.importorskip("ray.data", reason='needs pip install "ray[data]"')

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = {
    "RAY_worker_niceness": "0",
    "RAY_agent_register_timeout_ms": "1800000",
    "RAY_worker_register_timeout_seconds": "1800",
}
"""On a computer that is busy with other tests, Ray would take what starts slowly for dead."""


def run(script: str, *arguments: object) -> str:
    """A script of the recipes, with a Ray of its own; what it prints."""
    names = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **PATIENCE}
    command = [sys.executable, str(ROOT / "recipes" / script), *map(str, arguments)]
    result = subprocess.run(command, env={**os.environ, **names}, capture_output=True, text=True, timeout=1700)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_data_set_is_built(tmp_path):
    source = tmp_path / "in"
    for number in range(6):
        path = source / f"s{number}" / "walk.npz"
        path.parent.mkdir(parents=True)
        synthesize("walk", number, seconds=2).save(path)
        path.with_suffix(".txt").write_text(f"walks {number}\n")
    out = run("data/ray_build.py", source, "-o", tmp_path / "ray", "--source-name", "mine", "--workers", 1)
    build_set(source, tmp_path / "plain", options=BuildOptions(source="mine"), workers=1)
    assert "6 clips" in out and content(tmp_path / "ray") == content(tmp_path / "plain")
    run("data/ray_build.py", source, "-o", tmp_path / "ray", "--source-name", "mine", "--workers", 1)  # nothing to do
    assert content(tmp_path / "ray") == content(tmp_path / "plain")


@pytest.mark.slow
def test_videos_are_curated(tmp_path):
    pytest.importorskip("scenedetect", reason='needs pip install "motionmillion[curate]"')
    from motionmillion.curation.run import curate

    sys.path.insert(0, str(ROOT / "recipes" / "curation"))
    try:
        import films  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.pop(0)
    folder = tmp_path / "films"
    videos = [
        films.write_film(films.make_film(films.make_shots(n, 2, 0.75), (64, 64)), folder, f"film{n}") for n in range(2)
    ]
    (folder / "broken.mp4").write_text("no video")
    short = {"shortest": 0.3}
    options = {
        "shots": short,
        "people": {"boxes": str(folder)},
        "confidence": {**short, "height": 0.1, "cut_off": 1.0},
        "transitions": short,
        "smpl": {"folder": str(folder)},
    }
    every, config = [*videos, folder / "broken.mp4"], tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(options))
    out = run(
        "curation/ray_curate.py",
        *every,
        "--out",
        tmp_path / "ray",
        "--config",
        tmp_path / "config.yaml",
        "--workers",
        1,
    )
    summary = curate(every, tmp_path / "plain", options)
    assert summary.text() in out and "3 videos, 1 of them cannot be read" in out
    assert summary.counts["quality"].kept and content(tmp_path / "ray").keys() == content(tmp_path / "plain").keys()
    for name in ("clips.jsonl", "summary.json"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
