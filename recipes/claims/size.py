"""Does validation loss fall with the size of the language model, as a power of compute? Four sizes, equal data.

    python recipes/claims/size.py --data PATH/TO/cmu_text_motion --tokenizer runs/mini/tokenizer/final

All sizes see the same batches in the same order, so training operations (as in `motionmillion train --dry-run`) differ
by size alone. The exponent b of loss = a * operations^-b is fitted by least squares on logarithms, once for each seed.
Motions are generated for captions of val: R@3 and FID.

Unusual: all sizes have one learning rate and number of steps, so this is a curve at equal data, not one of models each
trained with the best use of its compute, which is what scaling laws of language models are about.
"""

import statistics
from typing import Any

import language
import numpy as np
from cells import Results, run_cells, table, told
from material import Material, parser

from motionmillion.progress import shown

SIZES: dict[str, dict[str, Any]] = {
    "48 x 1": {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "depth_width": 32},
    "80 x 2": {"hidden_size": 80, "num_hidden_layers": 2, "num_attention_heads": 2, "depth_width": 64},
    "128 x 3": {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "depth_width": 96},
    "192 x 4": {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6, "depth_width": 128},
}
"""Width x layers."""

COLUMNS = {"parameters": "parameters", "operations": "training operations", "loss": "loss on val", "r3": "R@3"}
COLUMNS |= {"fid": "FID"}


def exponents(results: Results) -> list[float]:
    """The exponent of each seed that all sizes among the results have."""
    seeds = set.intersection(*(set(own) for own in results.values()))
    found = []
    for seed in sorted(seeds):
        points = [(own[seed]["operations"], own[seed]["loss"]) for own in results.values()]
        logs = np.log(np.array(points))
        found.append(-float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]))
    return found


def main() -> None:
    options = parser(__doc__ or "", steps=300).parse_args()
    material = Material.of(options)
    judge = material.judge(options.judged)
    dataset = material.training()

    def make(size: str, seed: int) -> dict[str, float]:
        model = {**SIZES[size], "intermediate_size": 3 * SIZES[size]["hidden_size"]}
        recipe = language.content(options.set, model=model, training={"max_steps": options.steps})
        lm, figures = language.train(material, dataset, recipe, seed)
        return figures | language.judged(lm, material, judge, seed)

    arms = {size: lambda seed, size=size: make(size, seed) for size in SIZES}
    settings = {**material.settings, "steps": options.steps, "judged": options.judged, "set": options.set}
    with shown():
        results = run_cells(options.output / "size", settings, arms, range(options.seeds))
    print(table(results, COLUMNS, digits={"parameters": 0, "operations": 0}))
    if len(results) > 2 and (found := exponents(results)):
        each = ", ".join(f"{exponent:.3f}" for exponent in found)
        print(f"\nexponent of operations over {len(results)} sizes: {told(found, 3)}; of one seed each: {each}")
        print(f"loss at twice the operations: {statistics.fmean(2**-b for b in found):.1%} of that before")
    for name, value in language.ceiling(judge).items():
        print(f"{name} of the clips' own codes: {value:.3f}")


if __name__ == "__main__":
    main()
