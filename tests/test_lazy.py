"""Packages hand names on: each is found, on first use only, and a name that is not there is an error."""

import importlib
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import motionmillion

ROOT = Path(__file__).resolve().parents[1]
WITH_MODULES = ("motionmillion", "motionmillion.eval")
PACKAGES = [module.name for module in pkgutil.walk_packages(motionmillion.__path__, "motionmillion.") if module.ispkg]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_of_a_package_is_there(name):
    package = importlib.import_module(name)
    names = list(getattr(package, "__all__", []))
    assert len(set(names)) == len(names)
    for each in names:
        found = getattr(package, each)
        assert not isinstance(found, types.ModuleType) or name in WITH_MODULES, f"{name}.{each} is a module"


def test_unknown_names_are_errors():
    import motionmillion.pipeline

    with pytest.raises(AttributeError, match="module 'motionmillion.pipeline' has no attribute 'nothing'"):
        motionmillion.pipeline.nothing  # noqa: B018


def test_one_file_of_a_package_does_not_load_the_others():
    code = "import sys, motionmillion.text.prompts; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=200
    ).stdout
    assert "motionmillion.text.prompts" in loaded.split()
    assert not {"torch", "transformers", "motionmillion.text.encoder"} & set(loaded.split())
