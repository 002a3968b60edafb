"""Check the layers and the import circles of the package.

    python .ci/check_imports.py                # exits with 1 and says what is wrong, if anything

The layers are the contract in `[tool.importlinter]` of pyproject.toml. A circle is a set of modules that import one
another, at the top of a file, inside a function or for type checking only; the allowed ones are listed below.

Unusual: grimp, which reads the imports, does not follow the links motionmillion/{tokenizer,lm,eval}, and a checkout
may lack them. Both checks therefore run on a copy of the tree in a temporary folder, where folders replace the links.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import grimp
import networkx

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "motionmillion"
MAPPED = ("tokenizer", "lm", "eval")

ALLOWED = {
    (f"{PACKAGE}.io", f"{PACKAGE}.motion"): "for types only; io reads and writes motions, and Motion.save calls io",
    (f"{PACKAGE}.motion", f"{PACKAGE}.kinematics.targets"): "Motion.retarget calls it",
    (f"{PACKAGE}.motion", f"{PACKAGE}.kinematics.repair"): "Motion.repaired calls it",
    (f"{PACKAGE}.motion", f"{PACKAGE}.kinematics.cycles"): "Motion.cycle calls it",
    (f"{PACKAGE}.motion", f"{PACKAGE}.kinematics.loops"): "Motion.loop calls it",
    (f"{PACKAGE}.motion", f"{PACKAGE}.kinematics.roots"): "Motion.in_place calls it",
    (f"{PACKAGE}.motion", f"{PACKAGE}.kinematics.trimming"): "Motion.trim calls it",
}
"""Imports that may close a circle, importer first, each with its reason."""


def copy_tree(root: Path, to: Path) -> None:
    """Copy the Python files of the package below `to`, the linked folders in their places."""

    def passed_over(folder: str, names: list[str]) -> list[str]:
        linked = MAPPED if Path(folder) == root / PACKAGE else ()
        files = (name for name in names if not name.endswith(".py") and not Path(folder, name).is_dir())
        return [*files, *linked, "__pycache__"]

    shutil.copytree(root / PACKAGE, to / PACKAGE, ignore=passed_over)
    for folder in MAPPED:
        shutil.copytree(root / folder, to / PACKAGE / folder, ignore=passed_over)


def lint(root: Path, tree: Path) -> bool:
    """Whether the layers of `root`'s pyproject.toml hold in the copied tree; import-linter prints what breaks them."""
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", program, str(root / "pyproject.toml"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "120"}
    return subprocess.run(command, cwd=tree, env=environment).returncode == 0


def imports(tree: Path) -> networkx.DiGraph:
    """Every import inside the package, except names that an `__init__.py` hands on from its own folder for types."""
    sys.path.insert(0, str(tree))
    try:
        run, types = (
            grimp.build_graph(PACKAGE, exclude_type_checking_imports=without, cache_dir=None)
            for without in (True, False)
        )
    finally:
        sys.path.remove(str(tree))
    graph = networkx.DiGraph()
    for module in types.modules:
        for imported in types.find_modules_directly_imported_by(module):
            handed_on = imported.startswith(f"{module}.") and not run.direct_import_exists(
                importer=module, imported=imported
            )
            if not handed_on:
                graph.add_edge(module, imported)
    return graph


def circle_problems(graph: networkx.DiGraph) -> list[str]:
    """A line for each circle that is not allowed, and for each allowed import that no longer closes one."""
    found = []
    for importer, imported in ALLOWED:
        if not (graph.has_edge(importer, imported) and networkx.has_path(graph, imported, importer)):
            found.append(f"allowed, but not part of a circle: {importer} -> {imported}; remove the line from ALLOWED")
    graph.remove_edges_from(list(ALLOWED))
    for modules in networkx.strongly_connected_components(graph):
        inside = sorted(f"{a} -> {b}" for a, b in graph.subgraph(modules).edges if a != b)
        if inside:
            found.append("\n    ".join([f"circle of {len(modules)} modules:", *inside]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the source tree")
    root = parser.parse_args().root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        copy_tree(root, Path(folder))
        layered = lint(root, Path(folder))
        found = circle_problems(imports(Path(folder)))
    print("\n".join(found) if found else f"No import circles but {len(ALLOWED)} allowed by name.")
    return 0 if layered and not found else 1


if __name__ == "__main__":
    sys.exit(main())
