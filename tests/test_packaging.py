"""The package as others get it: one import namespace, lazy imports, and a wheel that holds all of it and no more."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import motionmillion

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("tokenizer", "lm", "eval")
REQUIRED = ("motionmillion/py.typed", "motionmillion/io/viewer/viewer.js")


def run(*arguments: str | Path, cwd: Path = ROOT, path: Path = ROOT) -> str:
    """Standard output of this Python with arguments; a failure shows what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def copy_sources(folder: Path, links: bool) -> Path:
    """The sources in `folder`; without links they are small text files, as git writes them on some systems."""
    skip = shutil.ignore_patterns("__pycache__")
    for name in MAPPED:
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    skip_links = shutil.ignore_patterns("__pycache__", "node_modules", *MAPPED)
    shutil.copytree(ROOT / "motionmillion", folder / "motionmillion", ignore=skip_links)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for name in MAPPED:
        link = folder / "motionmillion" / name
        if links:
            link.symlink_to(f"../{name}", target_is_directory=True)
        else:
            link.write_text(f"../{name}")
    return folder


def build(source: Path, target: Path, kind: str = "wheel") -> Path:
    """Build a wheel, or the wheel of an editable install, with the installed setuptools."""
    target.mkdir()
    run("-c", f"from setuptools import build_meta; build_meta.build_{kind}({str(target)!r})", cwd=source, path=source)
    return next(target.glob("*.whl"))


def test_importing_the_package_stays_light():
    loaded = run("-c", "import sys, motionmillion; print(*sorted(sys.modules))").split()
    assert "motionmillion" in loaded
    assert not {"torch", "transformers", "numpy", "roma"} & set(loaded)


@pytest.mark.slow  # fifteen seconds; continuous integration does the same with the modules of the wheel
def test_every_module_imports_under_one_namespace():
    assert "modules imported" in run(ROOT / ".ci" / "import_all.py", ROOT)


@pytest.mark.parametrize("name", MAPPED)
def test_links_are_relative(name):
    link = ROOT / "motionmillion" / name
    if not link.is_symlink() and not link.is_file():
        pytest.skip("not a checkout: a source distribution has no links")
    target = os.readlink(link) if link.is_symlink() else link.read_text()
    assert target == f"../{name}"


@pytest.mark.parametrize("links", [True, False], ids=["links", "no_links"])
def test_wheel_holds_every_module_and_nothing_else(tmp_path, links):
    (tmp_path / "source").mkdir()
    source = copy_sources(tmp_path / "source", links)
    wheel = build(source, tmp_path / "wheel")
    run(ROOT / ".ci" / "check_wheel.py", wheel, "--root", source, "--require", *REQUIRED)
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert f"\nVersion: {motionmillion.__version__}\n" in archive.read(metadata).decode()
        entry_points = metadata.replace("METADATA", "entry_points.txt")
        assert "motionmillion = motionmillion.cli:main" in archive.read(entry_points).decode()


def test_wheel_check_fires(tmp_path):
    (tmp_path / "source").mkdir()
    source = copy_sources(tmp_path / "source", links=True)
    wheel = build(source, tmp_path / "wheel")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tests/test_x.py", "")
    (source / "eval" / "forgotten.bin").write_bytes(b"x")
    command = [
        sys.executable,
        ROOT / ".ci" / "check_wheel.py",
        wheel,
        "--root",
        source,
        "--require",
        "motionmillion/no.html",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "missing: motionmillion/eval/forgotten.bin",
        "too much: tests/test_x.py",
        "required, missing: motionmillion/no.html",
    ]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no_links"])
def test_editable_install_imports_the_checkout(tmp_path, links):
    (tmp_path / "source").mkdir()
    source = copy_sources(tmp_path / "source", links)
    site = tmp_path / "site"
    with zipfile.ZipFile(build(source, tmp_path / "wheel", kind="editable")) as archive:
        archive.extractall(site)
    find = "import importlib.util; print(importlib.util.find_spec('motionmillion.tokenizer').origin)"
    code = f"import site; site.addsitedir({str(site)!r}); {find}"
    home = Path(run("-S", "-P", "-c", code, cwd=tmp_path, path=tmp_path))  # without what else is installed
    assert home.resolve() == (source / "tokenizer" / "__init__.py").resolve()
    beside = f"import sys; sys.path.insert(0, {str(source)!r}); {code}"  # as pytest does in the checkout
    assert Path(run("-S", "-P", "-c", beside, cwd=source, path=tmp_path)).resolve() == home.resolve()


def test_installed_metadata_gives_the_version():
    try:
        version = importlib.metadata.version("motionmillion")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("motionmillion runs from a checkout that is not installed")
    assert version == motionmillion.__version__


def test_large_file_guard_fires(tmp_path):
    big, small = tmp_path / "big.bin", tmp_path / "small.bin"
    with big.open("wb") as file:
        file.truncate(60_000_001)
    small.write_bytes(b"x")
    command = [sys.executable, ROOT / ".ci" / "check_sizes.py", small, big]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert result.returncode == 1 and "big.bin" in result.stdout and "small.bin" not in result.stdout
    assert subprocess.run([*command[:2], small], timeout=200).returncode == 0


@pytest.mark.parametrize("word, count", [("pytest", 1), ("two", 2), ("absent", 0)])
def test_readme_command_is_unique(tmp_path, word, count):
    readme = tmp_path / "README.md"
    readme.write_text("Run pytest.\n```bash\npython -m pytest\n```\n```bash\ntwo a\n```\n```bash\ntwo b\n```\n")
    command = [sys.executable, ROOT / ".ci" / "readme_command.py", readme, word]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    if count == 1:
        assert result.stdout.strip() == "python -m pytest"
    else:
        assert result.returncode != 0 and f"got {count} blocks with {word!r}" in result.stderr


@pytest.mark.parametrize(
    "added, complaint",
    [
        ({}, None),
        ({"tokenizer/climbs.py": "import motionmillion.pipeline.folder\n"}, "motionmillion.tokenizer.climbs"),
        ({"tokenizer/one.py": "import motionmillion.tokenizer.two\n"}, None),
        (
            {
                "lm/one.py": "import motionmillion.lm.two\n",
                "lm/two.py": "import typing\n\nif typing.TYPE_CHECKING:\n    import motionmillion.lm.one\n",
            },
            "motionmillion.lm.two -> motionmillion.lm.one",
        ),
    ],
    ids=["as it is", "climbs", "sideways", "circle of types"],
)
def test_layers_and_circles(tmp_path, added, complaint):
    pytest.importorskip("importlinter", reason="import-linter is part of the extra dev")
    source = copy_sources(tmp_path, links=False)
    for name, text in {"tokenizer/two.py": "", **added}.items():
        (source / name).write_text(text)
    command = [sys.executable, ROOT / ".ci" / "check_imports.py", "--root", source]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert (result.returncode == 0) == (complaint is None), result.stdout + result.stderr
    assert complaint is None or complaint in result.stdout
