"""The bundle in every page: made from the sources beside it, small, with the licence of what is in it."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import motionmillion.io.viewer

FOLDER = Path(motionmillion.io.viewer.__file__).parent
BUNDLE = FOLDER / "viewer.js"


def sources_hash(folder: Path) -> str:
    """SHA-256 of all sources, as `build.mjs` writes it into the bundle."""
    names = ["build.mjs", "package-lock.json", *(f"src/{path.name}" for path in (folder / "src").iterdir())]
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(f"{name}\n{(folder / name).read_text(encoding='utf-8')}".encode())
    return total.hexdigest()


def test_the_bundle_is_made_from_these_sources():
    match = re.search(r"^sources sha256 ([0-9a-f]{64})$", BUNDLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert match and match[1] == sources_hash(FOLDER), "run npm ci && npm run build in motionmillion/io/viewer"


def test_another_source_has_another_hash(tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path / "viewer", ignore=shutil.ignore_patterns("node_modules"))
    with (tmp_path / "viewer" / "src" / "player.js").open("a") as file:
        file.write(" ")
    assert sources_hash(tmp_path / "viewer") != sources_hash(FOLDER)


def test_the_bundle_is_small_licensed_and_safe_inside_a_page():
    text = BUNDLE.read_text(encoding="utf-8")
    assert len(text.encode()) < 800_000
    assert "Permission is hereby granted" in text and "three.js authors" in text
    assert not re.search(r"</script|<script|<!--", text, re.IGNORECASE)


def test_packages_are_pinned_exactly():
    packages = re.findall(r'"(esbuild|three)": "([^"]+)"', (FOLDER / "package.json").read_text())
    assert len(packages) == 2 and all(re.fullmatch(r"\d+\.\d+\.\d+", version) for _, version in packages)


def test_building_again_changes_nothing(tmp_path: Path):
    if shutil.which("node") is None or not (FOLDER / "node_modules" / "esbuild").exists():
        pytest.skip("needs node, and npm ci in motionmillion/io/viewer")
    shutil.copytree(FOLDER, tmp_path / "viewer", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    (tmp_path / "viewer" / "node_modules").symlink_to(FOLDER / "node_modules")
    subprocess.run(["node", "build.mjs"], cwd=tmp_path / "viewer", check=True, capture_output=True, timeout=120)
    assert (tmp_path / "viewer" / "viewer.js").read_bytes() == BUNDLE.read_bytes()
