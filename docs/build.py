"""Build the documentation site from the pages of the repository, without warnings and without network.

    pip install -c constraints.txt -e ".[docs]"
    python docs/build.py                 # writes build/docs/site/index.html
    python docs/build.py --serve         # shows it, and builds again when called again

The pages stay where they belong (docs/, recipes/, eval/, the models' folders): the navigation in docs/zensical.toml
names them by their path in the repository. This script copies them to build/docs/pages, rewrites the links between
them, writes a page of docstrings for each `api/MODULE.md` of the navigation, and calls zensical in its strict mode, in
which a link to a page or a heading that does not exist is an error. Warnings about docstrings, and anything that a
page would load from another host, are errors as well. Unusual: links to files that are no pages, such as recipes,
become links to copies of these files; links to folders without a page become plain text.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "docs" / "zensical.toml"

LINK = re.compile(r"(\]\()([^()\s]+)(\))")
FENCE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def navigation() -> list[str]:
    """Sources of all pages in the order of the navigation, relative to the repository."""

    def walk(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for part in entry.values() if isinstance(entry, dict) else entry:
                yield from walk(part)

    return list(walk(tomllib.loads(CONFIGURATION.read_text(encoding="utf-8"))["project"]["nav"]))


def site_path(source: str) -> str:
    """Path in the site of a page or file of the repository: `docs/python.md` is `python.md`, a README `index.md`."""
    path = PurePosixPath(source.removeprefix("docs/").removeprefix(".github/"))
    return str(path.with_name("index.md") if path.name == "README.md" else path)


def rewritten(text: str, source: str, pages: dict[str, str]) -> tuple[str, set[str]]:
    """Text of a page with the links of the site, and the files that it links to.

    Args:
        text: Markdown with links relative to `source`.
        source: path of the page in the repository.
        pages: path in the site of each page of the repository.

    Raises:
        ValueError: if a link leads nowhere.
    """
    files: set[str] = set()
    here = PurePosixPath(site_path(source)).parent

    def link(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        found = os.path.normpath(PurePosixPath(source).parent / target).replace(os.sep, "/")
        if found not in pages and (ROOT / found).is_dir():
            found = f"{found}/README.md"
        if found not in pages:
            if not (ROOT / found).is_file():
                if (ROOT / found).parent.is_dir() and found.endswith("/README.md"):
                    return "](#)"  # a folder without a page
                raise ValueError(f"links must lead somewhere, got {match[2]!r} in {source}")
            files.add(found)
        goal = os.path.relpath(pages.get(found, site_path(found)), here).replace(os.sep, "/")
        return f"]({goal}{'#' + anchor if anchor else ''})"

    parts = FENCE.split(text)  # prose and code in turn
    prose = [LINK.sub(link, part) if index % 2 == 0 else part for index, part in enumerate(parts)]
    return re.sub(r"\[([^\]]+)\]\(#\)", r"\1", "".join(prose)), files


def stage(folder: Path) -> Path:
    """Write pages, their files and the configuration into a folder; returns the configuration's path."""
    sources = navigation()
    pages = {source: site_path(source) for source in sources}
    shutil.rmtree(folder, ignore_errors=True)
    files: set[str] = set()
    for source, goal in pages.items():
        if source.startswith("api/"):
            module = PurePosixPath(source).stem
            text = f"# {module}\n\n::: {module}\n"
        else:
            text, linked = rewritten((ROOT / source).read_text(encoding="utf-8"), source, pages)
            files |= linked
        path = folder / "pages" / goal
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for file in sorted(files):
        path = folder / "pages" / site_path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, path)
    configuration = CONFIGURATION.read_text(encoding="utf-8").replace(
        'paths = ["."]', f'paths = ["{ROOT.as_posix()}"]'
    )
    for source, goal in pages.items():
        configuration = configuration.replace(f'"{source}"', f'"{goal}"')
    path = folder / "zensical.toml"
    path.write_text(configuration, encoding="utf-8")
    return path


def outside(folder: Path) -> list[str]:
    """Scripts, styles, pictures and frames of built pages that would be loaded from other hosts."""
    loaded = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"' >]+)""")
    found = []
    for page in sorted(folder.rglob("*.html")):
        name = page.relative_to(folder).as_posix()
        found += [f"{name}: {url}" for url in loaded.findall(page.read_text(encoding="utf-8"))]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "docs", help="folder to write, replaced")
    parser.add_argument("--serve", action="store_true", help="show the site on this machine")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "zensical", "--config-file", str(stage(arguments.output))]
    if arguments.serve:
        command.insert(3, "serve")
        return subprocess.run(command).returncode
    command[3:3] = ["build", "--clean", "--strict"]
    built = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
    print(re.sub(r"\x1b\[[0-9;]*m", "", built.stdout), end="")
    loaded = outside(arguments.output / "site")
    print("\n".join(loaded), end="\n" if loaded else "")
    if built.returncode or loaded or "griffe:" in built.stdout:
        print("the site was not built without warnings")
        return 1
    print(f"{len(navigation())} pages in {arguments.output / 'site' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
