"""`motionmillion data build` over many machines, by Ray Data.

    pip install "motionmillion[train]" "ray[data]"
    python recipes/data/ray_build.py mm -o SHARED/sets/mm
    python recipes/data/ray_build.py mm -o SHARED/sets/mm --address auto --workers 128

Without `--address` Ray runs on this machine only. On two nodes: `ray start --head` on one, `ray start
--address=HEAD:6379` on the other, then this script with `--address auto` on either. Download and output must be seen
under the same paths by all. The files are those of the command, and so is resuming: run it again.
"""

import argparse
import pickle
from pathlib import Path
from typing import Any

import ray  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
import ray.data  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

from motionmillion.data.building.build import begin_build, build_set
from motionmillion.data.building.worker import make_builder
from motionmillion.data.layouts.base import BuildOptions


class Builder:
    """A worker."""

    def __init__(self, *arguments: Any) -> None:
        self.build = make_builder(*arguments)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        unit = pickle.loads(row["unit"])
        return {"name": unit.name, "clips": self.build(unit)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--layout")
    parser.add_argument("--captions")
    parser.add_argument("--lists")
    parser.add_argument("--source-name", help="name of the data to note")
    parser.add_argument("--licence")
    parser.add_argument("--address", help="of the cluster; this machine alone without it")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    ray.init(args.address) if args.address else ray.init(include_dashboard=False)
    options = BuildOptions(captions=args.captions, lists=args.lists, licence=args.licence, source=args.source_name)
    source, output = args.source.resolve(), args.output.resolve()
    begun = begin_build(source, output, args.layout, options)
    made = ray.data.from_items([{"unit": pickle.dumps(unit)} for unit in begun.units]).map(
        Builder, fn_constructor_args=begun.arguments, concurrency=args.workers
    )
    for row in made.iter_rows():
        print(f"{row['name']}: {row['clips']:,} clips", flush=True)
    build_set(source, output, args.layout, options, workers=1)  # every file is there: names, lists and the header


if __name__ == "__main__":
    main()
