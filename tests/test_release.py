"""What a release needs agrees: version, changelog, tag, citation, workflows, model card."""

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".ci"))
import check_release  # noqa: E402

CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 0.2.0\n\n## 0.1.0\n"


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_version_and_changelog_agree():
    version = check_release.version_of(read("motionmillion/__init__.py"))
    assert check_release.problems(version, read("CHANGELOG.md")) == []


@pytest.mark.parametrize(
    ("version", "tag", "changelog", "found"),
    [
        ("0.2.0", None, CHANGELOG, []),
        ("0.3.0", None, CHANGELOG, ["must have a section '## 0.3.0'"]),
        ("0.2.0", "v0.2.0", CHANGELOG, ["must begin with 0.2.0"]),
        ("0.2.0", "v0.2.0", CHANGELOG.replace("## Unreleased\n\n", ""), []),
        ("0.2.0", "v0.3.0", CHANGELOG.replace("## Unreleased\n\n", ""), ["tag must be v0.2.0"]),
        ("0.2.0", None, CHANGELOG + "## 0.1.0\n", ["every version once"]),
    ],
)
def test_disagreements_are_found(version, tag, changelog, found):
    problems = check_release.problems(version, changelog, tag)
    assert len(problems) == len(found)
    assert all(part in problem for part, problem in zip(found, problems, strict=True))


def test_a_package_without_a_version_is_an_error():
    with pytest.raises(ValueError, match="__version__"):
        check_release.version_of("version = 1\n")


def test_the_citation_file_is_valid():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == "Apache-2.0"
    for entry in (citation, *citation["references"]):
        assert entry["type"] in ("software", "article") and entry["authors"]


def test_workflows_test_every_version_that_is_promised():
    promised = re.findall(r"Python :: (3\.\d+)", read("pyproject.toml"))
    matrix = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert {name.split("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}


def test_only_the_job_that_publishes_may_prove_its_identity():
    release = yaml.safe_load(read(".github/workflows/release.yml"))
    assert release["permissions"] == {"contents": "read"}
    assert release["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "permissions" not in release["jobs"]["build"]


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_forms_and_workflows_are_yaml(path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["mini", "mini-dit"])
def test_bundled_models_have_cards_for_the_hub(name):
    card = read(f"motionmillion/bundled/{name}/README.md")
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert front
    said = yaml.safe_load(front[1])
    assert said["license"] == "apache-2.0" and said["library_name"] == "motionmillion" and said["language"] == "en"
    assert card[front.end() :].lstrip().startswith(f"# {name}: ")
