"""How well the distance of embeddings tells paraphrases from other sentences: the table behind `meaning.NEAR`.

    python recipes/curation/meanings.py --data PATH/TO/cmu_text_motion --pairs 1000

Pairs that mean the same are a clip's description and a paraphrase that a language model wrote of it; pairs that do not
are the description and a paraphrase of another description, drawn with a seed. Also shown: how many pairs that mean
the same are refused because of sides, counts and directions, and how many of these with left and right exchanged pass
the distance, and pass all checks.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch

from motionmillion.curation.captions.meaning import counts, directions, minilm
from motionmillion.data.clips import list_clips
from motionmillion.data.mirror_words import mirror_caption, sides

LIMITS = (0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7)


def pairs_of(data: Path, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Descriptions of clips, each once, with a paraphrase."""
    draw, found = random.Random(seed), {}
    for record in list_clips(data, ("train", "val", "test")):
        told = list(zip(record.captions, record.sources, strict=True))
        titles = [text for text, source in told if source == "cmu_index"]
        others = [text for text, source in told if source == "paraphrase"]
        if titles and others and titles[0] not in found:
            found[titles[0]] = draw.choice(others)
    pairs = list(found.items())
    draw.shuffle(pairs)
    return pairs[:count]


def same_words(a: str, b: str) -> bool:
    return all(read(a) == read(b) for read in (sides, counts, directions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=1000)
    args = parser.parse_args()
    pairs = pairs_of(args.data, args.pairs)
    embed = minilm()

    def vectors(texts: list[str]) -> torch.Tensor:
        parts = [embed(texts[start : start + 64]) for start in range(0, len(texts), 64)]
        return torch.nn.functional.normalize(torch.cat(parts), dim=-1)

    titles, others = (vectors([pair[side] for pair in pairs]) for side in (0, 1))
    own = (1 - (titles * others).sum(-1)).numpy()
    foreign = (1 - (titles * others.roll(1, 0)).sum(-1)).numpy()
    words = np.array([same_words(*pair) for pair in pairs])
    sided = [text for _, text in pairs if mirror_caption(text) != text]
    mirrored = [mirror_caption(text) for text in sided]
    flipped = (1 - (vectors(sided) * vectors(mirrored)).sum(-1)).numpy()
    passing = np.array([same_words(a, b) for a, b in zip(sided, mirrored, strict=True)])
    print(f"{len(pairs)} pairs, {len(sided)} with a side; words agree in {words.mean():.1%} of the pairs\n")
    print("| distance at most | same meaning kept | other meaning kept | sides exchanged kept | with all checks |")
    print("|---|---|---|---|---|")
    for limit in LIMITS:
        kept = [each <= limit for each in (own, foreign, flipped)]
        row = [*kept, kept[2] & passing]
        print(f"| {limit:g} | " + " | ".join(f"{each.mean():.1%}" for each in row) + " |")


if __name__ == "__main__":
    main()
