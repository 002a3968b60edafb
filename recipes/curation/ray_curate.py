"""`motionmillion curate` over many machines, by Ray Data.

    pip install "motionmillion[curate]" "ray[data]"
    python recipes/curation/ray_curate.py VIDEOS/*.mp4 --out SHARED/curated --config curation.yaml
    python recipes/curation/ray_curate.py VIDEOS/*.mp4 --out SHARED/curated --address auto --workers 16 --gpus 1

Without `--address` Ray runs on this machine only. On two nodes: `ray start --head` on one, `ray start
--address=HEAD:6379` on the other, then this script with `--address auto` on either. Videos, results and models must
be seen under the same paths by all. Each worker keeps its models from video to video. The results are those of the
command, and so is resuming: run it again.
"""

import argparse
from pathlib import Path
from typing import Any

import ray  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
import ray.data  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

from motionmillion.curation.run import claim_folder, curate, make_curator, stage_options
from motionmillion.training.recipe import load_yaml


class Curator:
    """A worker."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        self.curator = make_curator(Path(folder), options)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"video": row["item"], "kept": len(self.curator(Path(row["item"]))[-1].kept)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--address", help="of the cluster; this machine alone without it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0, help="of each worker")
    args = parser.parse_args()
    ray.init(args.address) if args.address else ray.init(include_dashboard=False)
    given = load_yaml(args.config) if args.config else {}
    out, videos = args.out.resolve(), [path.resolve() for path in args.videos]
    claim_folder(out)
    made = ray.data.from_items([str(path) for path in videos]).map(
        Curator,
        fn_constructor_args=(str(out), stage_options(given)),
        concurrency=args.workers,
        num_gpus=args.gpus,
    )
    for row in made.iter_rows():
        print(f"{row['video']}: {row['kept']} clips")
    print(curate(videos, out, given).text())  # everything is there: counts, pages and the list of clips


if __name__ == "__main__":
    main()
