"""One, five or twenty captions a clip: does a model understand wordings better that it has not read?

    python recipes/claims/captions.py --data PATH/TO/cmu_text_motion --tokenizer runs/mini/tokenizer/final

A tenth of all captions is held out of every arm. Of what is left each clip keeps one, five or twenty in a random order
that the seed draws, fewer where it has fewer. Each arm is trained for as many steps, on the same clips. These are few,
so that every one of them comes many times: a caption must be read again and again before it is known by heart.

| figure | captions |
|---|---|
| loss on unseen wordings | held out, of clips of train |
| loss on val | of clips that were not trained on, by people who were not |
| gap | loss on unseen wordings, less that on captions that were trained on, of the same clips |
"""

from collections.abc import Sequence

import language
from cells import run_cells, table
from material import Keep, Material, draw, first_captions, only_captions, parser

from motionmillion.data.sets.sequences import Version
from motionmillion.progress import shown

COUNTS = (1, 5, 20)
HELD_OUT = 0.1
AS_VAL = 456
"""Clips of train that seen and unseen captions are measured on; as many as val has."""

COLUMNS = {"unseen": "loss on unseen wordings", "gap": "gap", "loss": "loss on val", "r3": "R@3", "fid": "FID"}


def held_out(version: Version) -> Version:
    """Keeps the captions that are held out."""
    return only_captions(version, {text for text in version.captions if draw(text, -1) < HELD_OUT})


def read(version: Version) -> Version:
    """Keeps the others."""
    return only_captions(version, {text for text in version.captions if draw(text, -1) >= HELD_OUT})


def one_after_another(*steps: Keep) -> Keep:
    """Several changes in order."""

    def keep(version: Version) -> Version:
        for step in steps:
            version = step(version)
        return version

    return keep


def arms_of(counts: Sequence[int]) -> dict[str, int]:
    """Names of arms."""
    return {f"{count} caption{'s' * (count > 1)}": count for count in counts}


def spread(names: list[str], count: int) -> list[str]:
    """So many names, evenly spread; all for a count of 0."""
    return names[:: max(1, len(names) // count)][:count] if count else names


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--clips", type=int, default=400, help="training clips, evenly spread; 0 for all")
    options = made.parse_args()
    material = Material.of(options)
    judge = material.judge(options.judged)
    names = spread(sorted({clip.name.split("@")[0] for clip in material.clips("train")}), options.clips)
    some = spread(names, AS_VAL)

    def make(count: int, seed: int) -> dict[str, float]:
        chosen = one_after_another(read, first_captions(count, seed))
        dataset = material.training(chosen, set(names).__contains__)
        others = {
            "unseen_": material.training(held_out, set(some).__contains__),
            "seen_": material.training(chosen, set(some).__contains__),
        }
        recipe = language.content(options.set, training={"max_steps": options.steps})
        lm, figures = language.train(material, dataset, recipe, seed, others=others)
        figures["unseen"], figures["gap"] = figures["unseen_loss"], figures["unseen_loss"] - figures["seen_loss"]
        return figures | language.judged(lm, material, judge, seed)

    arms = {arm: lambda seed, count=count: make(count, seed) for arm, count in arms_of(COUNTS).items()}
    settings = {**material.settings, "clips": options.clips, "steps": options.steps}
    settings |= {"judged": options.judged, "set": options.set}
    with shown():
        results = run_cells(options.output / "captions", settings, arms, range(options.seeds))
    print(table(results, COLUMNS, baseline="1 caption"))


if __name__ == "__main__":
    main()
