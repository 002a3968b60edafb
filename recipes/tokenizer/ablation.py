"""Train every variant of an ablation, seed by seed.

    python recipes/tokenizer/ablation.py --data FOLDER [FOLDER ...] --groups front_end --seeds 0 1 2

One run after the other, in the order of `ablation.yaml`; each writes `<output>/<group>/<variant>/<seed>/final` and
`run.json`. Finished runs are skipped, so an interrupted ablation resumes. To use several processes start the command
several times: a run belongs to the process that holds its lock. `ablation_table.py` makes the tables.

Unusual: the augmented clips are the same for all runs and seeds; seeds determine initial weights and batches.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from motionmillion import features as representations
from motionmillion.io.files import write_text
from motionmillion.provenance import describe_machine
from motionmillion.training.recipe import Recipe, load_yaml, merge
from motionmillion.training.tokenizer import TokenizerData, load_tokenizer_data, train_tokenizer

CONFIG = Path(__file__).with_name("ablation.yaml")


def runs(config: dict, groups: list[str], seeds: list[int], output: Path, data: list[str]) -> list[Recipe]:
    """The recipe of every run, seed by seed within a variant.

    Raises:
        ValueError: if a group is not in the file.
    """
    recipes = []
    for group in groups:
        if group not in config["groups"]:
            raise ValueError(f"groups must be among {list(config['groups'])}, got {group!r}")
        for variant, changes in config["groups"][group].items():
            for seed in seeds:
                content = merge(merge(config["common"], changes), {"data": {"folder": data}})
                recipes.append(Recipe(output=str(output / group / variant / str(seed)), seed=seed, **content))
    return recipes


def train(recipe: Recipe, data: TokenizerData) -> None:
    """Train one run, unless it is finished or another process holds its lock."""
    folder = Path(recipe.output)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            if (folder / "run.json").exists():
                return
            start = time.monotonic()
            figures = train_tokenizer(recipe, data=data)
            record = {
                "seconds": time.monotonic() - start,
                "machine": describe_machine("cuda" if torch.cuda.is_available() else "cpu"),
                "recipe": {"seed": recipe.seed, "model": recipe.model, "training": recipe.training},
                "validation": figures,
            }
            write_text(json.dumps(record, indent=2) + "\n", folder / "run.json")
    except Timeout:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Train every variant of an ablation.")
    parser.add_argument("--data", nargs="+", required=True, help="folders of motions")
    parser.add_argument("--groups", nargs="+", help="groups of the config file; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--config", default=str(CONFIG), help="file of variants")
    parser.add_argument("--output", default="runs/tokenizer/ablation", help="folder of the runs")
    options = parser.parse_args()
    try:
        config = load_yaml(options.config)
        groups = options.groups or list(config["groups"])
        recipes = runs(config, groups, options.seeds, Path(options.output), options.data)
        shared = load_tokenizer_data(recipes[0], representations.get(recipes[0].model.get("features", "rot272")))
    except ValueError as error:
        sys.exit(f"ablation: {error}")
    for recipe in recipes:
        train(recipe, shared)


if __name__ == "__main__":
    main()
