"""Check that a wheel holds exactly the tracked files of the four code folders.

    python .ci/check_wheel.py dist/motionmillion-0.1.0-py3-none-any.whl [--require motionmillion/py.typed ...]

Prints what is missing or too much, one a line, and exits with 1 if there is any. The folders tokenizer/, lm/ and eval/
stand inside motionmillion/ in the wheel. Outside of a git checkout the files of the folders themselves are compared.
"""

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("tokenizer", "lm", "eval")


def source_files(root: Path = ROOT) -> list[str]:
    """Paths of all code and data files below `root`, relative to it; links are left out."""
    folders = ("motionmillion", *MAPPED)
    links = {f"motionmillion/{folder}" for folder in MAPPED}
    git = subprocess.run(["git", "-C", str(root), "ls-files", "-z", *folders], capture_output=True, encoding="utf-8")
    if git.returncode == 0 and git.stdout:
        return [name for name in git.stdout.split("\0") if name and name not in links and (root / name).exists()]
    found = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    names = [path.relative_to(root).as_posix() for path in found]
    names = [name for name in names if not {"__pycache__", "node_modules"} & set(name.split("/"))]
    return [n for n in names if not any(n == k or n.startswith(f"{k}/") for k in links)]


def problems(wheel: Path, root: Path = ROOT, required: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with a wheel's contents; empty if nothing."""
    names = [f"motionmillion/{name}" if name.split("/")[0] in MAPPED else name for name in source_files(root)]
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
    inside = {name for name in held if not name.split("/")[0].endswith(".dist-info")}
    return [
        *(f"missing: {name}" for name in sorted(set(names) - inside)),
        *(f"too much: {name}" for name in sorted(inside - set(names))),
        *(f"required, missing: {name}" for name in required if name not in inside),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--root", type=Path, default=ROOT, help="the source tree")
    parser.add_argument("--require", nargs="*", default=(), help="names that the wheel must hold in any case")
    arguments = parser.parse_args()
    found = problems(arguments.wheel, arguments.root, tuple(arguments.require))
    print(
        "\n".join(found) if found else f"{arguments.wheel.name}: {len(source_files(arguments.root))} files, all right"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
