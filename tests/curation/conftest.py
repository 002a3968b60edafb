"""A film of five shots of our own motion, drawn once, with its boxes and its joints with noise."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

for package in ("av", "scenedetect"):
    pytest.importorskip(package, reason='needs pip install "motionmillion[curate]"')

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "curation"


def recipe(name: str) -> ModuleType:
    """A script of recipes/curation."""
    sys.path.insert(0, str(RECIPES))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(RECIPES))


class Filmed(NamedTuple):
    """A film on disk: its folder and video, and its truth."""

    folder: Path
    video: Path
    film: Any


@pytest.fixture(scope="session")
def films() -> ModuleType:
    return recipe("films")


@pytest.fixture(scope="session")
def filmed(films, tmp_path_factory) -> Filmed:
    """Five short shots: the second zooms, the third dissolves and has two people, the fourth a pillar."""
    folder = tmp_path_factory.mktemp("films")
    film = films.make_film(films.make_shots(1, seconds=0.75), (80, 80))
    return Filmed(folder, films.write_film(film, folder, "film", noise=0.005), film)


@pytest.fixture(scope="session")
def options(filmed) -> dict[str, dict[str, Any]]:
    """Options for that film: shots are short, boxes and joints are read."""
    short = {"shortest": 0.3}
    return {
        "shots": short,
        "people": {"boxes": str(filmed.folder)},
        "confidence": {**short, "height": 0.1, "cut_off": 1.0},
        "transitions": short,
        "smpl": {"folder": str(filmed.folder)},
    }
