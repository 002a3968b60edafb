"""Whether two sentences mean the same motion.

    same = SameMeaning()
    same.fault("a person waves twice with the left hand", "someone waves the left hand two times")     # ""
    same.fault("a person waves with the left hand", "a person waves with the right hand")              # "sides"

Sides in their order, counts, and directions must be equal, and the embeddings of the sentences must be near each
other. The words come first, because embeddings hardly tell left from right. Unusual: in doubt a sentence is refused,
such as one that names a side a second time after another; that costs a sentence, and never a wrong caption.
"""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from motionmillion.data.mirror_words import sides

NEAR = 0.5
"""Greatest distance, 1 - cosine, of embeddings of MiniLM; see `recipes/curation/meanings.py`."""

_NUMBERS = {
    **{word: number for number, word in enumerate("two three four five six seven eight nine ten".split(), 2)},
    "once": 1,
    "twice": 2,
    "thrice": 3,
    "couple": 2,
    "dozen": 12,
}
_COUNT = re.compile(
    rf"\b(?:(\d+)|({'|'.join(_NUMBERS)})|(single|one) (?:time|step|jump|turn|spin|kick|punch)s?)\b", re.I
)
_BOTH = re.compile(r"\bboth\b|\btwo (?=(?:hands|arms|legs|feet|knees|fists|elbows)\b)", re.I)
_DIRECTIONS = {
    "forward": r"forwards?|ahead|onwards?",
    "backward": r"backwards?|rearwards?|(?:steps?|walks?|moves?|jumps?|hops?|runs?|leans?) back(?! (?:up|down|and))",
    "up": r"upwards?|overhead|above the head|over the head",
    "down": r"downwards?",
    "sideways": r"sideways|to the side|sidesteps?|laterally",
    "clockwise": r"clockwise",
    "counterclockwise": r"(?:counter|anti)-?clockwise",
    "circle": r"circles?|circular(?:ly)?",
    "place": r"in place|on the spot",
}
_DIRECTION = {name: re.compile(rf"(?<![\w-])(?:{pattern})\b", re.I) for name, pattern in _DIRECTIONS.items()}


def counts(text: str) -> list[int]:
    """Numbers in a text, sorted: 2 for "twice"; "both" and "two hands" are none."""
    found = []
    for digits, word, _ in _COUNT.findall(_BOTH.sub("", text)):
        found.append(int(digits) if digits else _NUMBERS[word.lower()] if word else 1)
    return sorted(found)


def directions(text: str) -> set[str]:
    """Directions that a text names."""
    return {name for name, pattern in _DIRECTION.items() if pattern.search(text)}


class SameMeaning:
    """Checks paraphrases against their original.

    Args:
        embed: texts -> embeddings `[N, C]`; None takes MiniLM of the bundled model.
        near: greatest distance of embeddings, 1 - cosine.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Tensor] | None = None, near: float = NEAR) -> None:
        self.embed, self.near = embed or minilm(), near

    def fault(self, original: str, text: str) -> str:
        """What differs: "sides", "counts", "directions" or "meaning"; "" if nothing does."""
        for name, read in (("sides", sides), ("counts", counts), ("directions", directions)):
            if read(original) != read(text):
                return name
        own, other = torch.nn.functional.normalize(self.embed([original, text]), dim=-1)
        return "" if 1 - float(own @ other) <= self.near else "meaning"


def minilm() -> Callable[[Sequence[str]], Tensor]:
    """Embeddings of sentences by MiniLM, loaded once."""
    from motionmillion.text.encoder import TextEncoder

    encoder = TextEncoder(sentence=True)
    return lambda texts: encoder(list(texts))[0][:, 0]
