"""Mixed against causal attention over the text, and word states against one sentence vector.

    python recipes/claims/attention.py --data PATH/TO/cmu_text_motion --tokenizer runs/mini/tokenizer/final

| arm | what the model reads |
|---|---|
| mixed, words | states of all words, which all see each other |
| causal, words | the same, each sees only those before it |
| sentence | their mean alone, one position |
| mixed, words and sentence | the mean, then the words: what recipes of this library do (`data.sentence`) |

The text encoder itself sees in both directions, so its states already hold what follows a word. The published model
reads those of Flan-T5 XL, which are richer than MiniLM's.
"""

import language
from cells import run_cells, table
from material import Material, parser

from motionmillion.progress import shown

ARMS = {
    "mixed, words": ("mixed", "words"),
    "causal, words": ("causal", "words"),
    "sentence": ("mixed", "sentence"),
    "mixed, words and sentence": ("mixed", "words and sentence"),
}
COLUMNS = {"loss": "loss on val", "accuracy": "accuracy", "r3": "R@3", "fid": "FID"}


def main() -> None:
    options = parser(__doc__ or "").parse_args()
    material = Material.of(options)
    judge = material.judge(options.judged)
    dataset = material.training()

    def make(arm: str, seed: int) -> dict[str, float]:
        attention, part = ARMS[arm]
        training = {"max_steps": options.steps}
        recipe = language.content(options.set, model={"attention": attention}, training=training)
        lm, figures = language.train(material, dataset, recipe, seed, part)
        return figures | language.judged(lm, material, judge, seed, part)

    arms = {arm: lambda seed, arm=arm: make(arm, seed) for arm in ARMS}
    settings = {**material.settings, "steps": options.steps, "judged": options.judged, "set": options.set}
    with shown():
        results = run_cells(options.output / "attention", settings, arms, range(options.seeds))
    print(table(results, COLUMNS, baseline="mixed, words"))
    for name, value in language.ceiling(judge).items():
        print(f"{name} of the clips' own codes: {value:.3f}")


if __name__ == "__main__":
    main()
