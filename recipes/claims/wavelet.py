"""The tokenizer's wavelet on 8.2 hours, with the lightest acceleration loss of the first ablation, in every row.

    python recipes/claims/wavelet.py --data PATH/TO/cmu_text_motion

Rows are the front ends of `recipes/tokenizer/ablation.yaml`, and those of its groups that had one seed in the first
table, each with `local_acceleration: 0.25`. Measured on whole clips of the split test, people who are not in the
training data.

`rearrange` has Haar's shapes and layers without its sums and differences, so it isolates the transform.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from cells import run_cells, table

from motionmillion import features as representations
from motionmillion.data.clips import load_clips
from motionmillion.eval.suites.tokenizer.report import tokenizer_report
from motionmillion.pipeline.folder import load_tokenizer
from motionmillion.progress import shown
from motionmillion.training.recipe import Recipe, load_yaml, merge
from motionmillion.training.tokenizer import TokenizerData, load_tokenizer_data, train_tokenizer

CONFIG = Path(__file__).parents[1] / "tokenizer" / "ablation.yaml"
LOSS = {"model": {"losses": {"local_acceleration": 0.25}}}
GROUPS = ("front_end", "longer_wavelets", "haar_settings", "codebook")
COLUMNS = {"mpjpe_mm": "MPJPE mm", "excess_acceleration_mm": "excess acceleration mm/frame²"}
COLUMNS |= {"acceleration_error_mm": "acceleration error mm/frame²", "usage": "code usage"}
DIGITS = {"mpjpe_mm": 1, "excess_acceleration_mm": 2, "acceleration_error_mm": 2}


def variants(groups: list[str]) -> dict[str, dict[str, Any]]:
    """Changes of `common` by variant.

    Raises:
        ValueError: if a group is not in the file.
    """
    config = load_yaml(CONFIG)
    unknown = sorted(set(groups) - set(config["groups"]))
    if unknown:
        raise ValueError(f"groups must be among {list(config['groups'])}, got {unknown[0]!r}")
    found = {name: own for group in groups for name, own in config["groups"][group].items()}
    return {name: merge(merge(config["common"], own), LOSS) for name, own in found.items()}


def train(content: dict[str, Any], seed: int, folder: Path, data: TokenizerData) -> Any:
    """The tokenizer of a cell; what an interrupted run of it has left is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    recipe = Recipe(output=str(folder), seed=seed, **content)
    recipe.training |= {"report_to": "none", "disable_tqdm": True, "final": "last"}
    train_tokenizer(recipe, data=data)
    return load_tokenizer(folder / "final")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), help="groups of ablation.yaml")
    parser.add_argument("--output", type=Path, default=Path("runs/claims"), help="folder of cells")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000, help="training steps of a cell")
    parser.add_argument("--width", type=int, default=128, help="of the networks")
    options = parser.parse_args()
    arms = variants(options.groups)
    first = next(iter(arms.values()))
    source = merge(first, {"data": {"folder": options.data}})
    data = load_tokenizer_data(Recipe(output="", **source), representations.get("rot272"))
    test = {"test": load_clips(options.data, ["test"])}

    def make(name: str, seed: int) -> dict[str, float]:
        sizes = {"data": {"folder": options.data}, "model": {"width": options.width}}
        content = merge(merge(arms[name], sizes), {"training": {"max_steps": options.steps}})
        folder = options.output / "wavelet" / "runs" / f"{name}-{seed}"
        tokenizer = train(content, seed, folder, data)
        with torch.no_grad():
            overall = tokenizer_report(tokenizer, test, resamples=1).overall
        return {**overall.mean, **(overall.codes or {})}

    makers = {name: lambda seed, name=name: make(name, seed) for name in arms}
    settings = {"steps": options.steps, "width": options.width}
    with shown():
        results = run_cells(options.output / "wavelet", settings, makers, range(options.seeds))
    print(table(results, COLUMNS, "haar" if "haar" in results else None, DIGITS))


if __name__ == "__main__":
    main()
