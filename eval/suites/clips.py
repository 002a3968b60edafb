"""A suite from captioned real motion, and distractors for any suite.

    suite = clips_suite("my_motions", split="test")      # one prompt per clip, lengths as recorded
    suite = balanced_distractors(suite)                  # nine wrong answers for each prompt

Unusual: choices depend on hashes of the seed and the names, so the order of prompts or clips does not matter.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from motionmillion.configuration import check_whole
from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.text.prompts import plain

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip

UNCATEGORISED = "uncategorised"
_UNFIT = re.compile(r'[%/\\:*?"<>|\x00-\x1f]|^[. ]|[. ]$')


def clips_suite(clips: "str | Path | Sequence[MotionClip]", split: str = "test", seed: int = 0) -> Suite:
    """One prompt for each captioned clip of a split: a caption, the clip's category and its length.

    For a window of a longer take, a caption of that window is preferred. Clips without captions are skipped.

    Args:
        clips: a folder that `motionmillion.data.load_clips` reads, or its clips.
        split: "train", "val" or "test".
        seed: seed of the choice among a clip's captions.

    Raises:
        ValueError: for an unknown split, a folder that cannot be read, or no captioned clip in the split.
    """
    from motionmillion.data.clips import SPLITS, load_clips  # torch

    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    source = Path(clips).name if isinstance(clips, str | Path) else "clips"
    if isinstance(clips, str | Path):
        clips = load_clips(clips, [split])
    chosen = [clip for clip in clips if clip.split == split and clip.captions]
    if not chosen:
        raise ValueError(f"clips must have captions, got none among those of the split {split!r}; add .txt files")
    prompts = [
        Prompt(clip_id(clip.name), _caption(clip, seed), clip.category or UNCATEGORISED, clip.motion.seconds)
        for clip in chosen
    ]
    return Suite(f"clips-{split}", f"seed-{seed}", tuple(prompts), source)


def clip_id(name: str) -> str:
    """A clip's name as a prompt's id: characters that are invalid in file names are percent-encoded.

    Different names give different ids: "walks/a" is "walks%2Fa", and a "%" is "%25".
    """
    return _UNFIT.sub(lambda letter: f"%{ord(letter[0]):02X}", name)


def balanced_distractors(suite: Suite, count: int = 9, seed: int = 0) -> Suite:
    """Add wrong answers to each prompt that has none: texts drawn evenly from all other categories.

    A text that also occurs in the prompt's own category is not a wrong answer, ignoring case and punctuation.

    Args:
        count: number of distractors per prompt.
        seed: seed of their choice.

    Raises:
        ValueError: if `count` is not a positive integer, or the other categories have too few texts.
    """
    check_whole("count", count, 1)
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for prompt in suite.prompts:
        texts[prompt.category].setdefault(plain(prompt.text), prompt.text)
    prompts = (p if p.distractors else replace(p, distractors=_draw(p, texts, count, seed)) for p in suite.prompts)
    return replace(suite, prompts=tuple(prompts))


def _draw(prompt: Prompt, texts: dict[str, dict[str, str]], count: int, seed: int) -> tuple[str, ...]:
    def shuffled(names: Sequence[str]) -> list[str]:
        return sorted(names, key=lambda name: _rank(seed, prompt.id, name))

    own = texts[prompt.category]
    others = shuffled([category for category in texts if category != prompt.category])
    columns = [[text for text in shuffled(list(texts[category])) if text not in own] for category in others]
    turns = (text for text in chain.from_iterable(zip_longest(*columns)) if text is not None)
    found = list(dict.fromkeys(turns))[:count]
    if len(found) < count:
        raise ValueError(
            f"count must be at most the number of texts of other categories, got {count} for {len(found)} beside "
            f"those of {prompt.category!r}; ask for fewer or add prompts of other categories"
        )
    words = {said: text for column in texts.values() for said, text in column.items()}
    return tuple(words[said] for said in found)


def _caption(clip: "MotionClip", seed: int) -> str:
    captions = clip.own_captions if clip.own_captions and not clip.whole else clip.captions
    return captions[_rank(seed, clip.name) % len(captions)]


def _rank(seed: int, *names: str) -> int:
    """A pseudo-random number, equal on every machine."""
    return int(sha256("\n".join((str(seed), *names)).encode()).hexdigest()[:16], 16)
