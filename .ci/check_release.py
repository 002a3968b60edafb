"""Check that version, changelog and tag agree.

    python .ci/check_release.py                 # before every merge
    python .ci/check_release.py --tag v0.2.0    # before a release

The changelog has a section for the version of the package, or begins with "Unreleased". With a tag, the tag names the
version, and the first section is that of the version: nothing may be left under "Unreleased".
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def problems(version: str, changelog: str, tag: str | None = None) -> list[str]:
    """What does not agree; empty if everything does."""
    sections = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    found = []
    if version not in sections:
        found.append(f"CHANGELOG.md must have a section '## {version}', got {sections}")
    if len(sections) != len(set(sections)):
        found.append(f"CHANGELOG.md must name every version once, got {sections}")
    if tag is not None and tag != f"v{version}":
        found.append(f"tag must be v{version}, as motionmillion/__init__.py says, got {tag}")
    if tag is not None and sections[:1] != [version]:
        found.append(f"CHANGELOG.md must begin with {version}, got {sections[:1]}; rename the section")
    return found


def version_of(source: str) -> str:
    """The version in the source of `motionmillion/__init__.py`."""
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if match is None:
        raise ValueError("motionmillion/__init__.py must have a line __version__ = ..., got none")
    return match[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="the tag of the release")
    arguments = parser.parse_args()
    version = version_of((ROOT / "motionmillion" / "__init__.py").read_text(encoding="utf-8"))
    found = problems(version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), arguments.tag)
    print("\n".join(found) if found else f"version {version}: changelog and tag agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
