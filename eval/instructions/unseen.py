"""Checks that prompts are unseen: not captions of a data set, ignoring case and punctuation.

check_unseen({"walk": ["take a stroll"]}, clips)
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from motionmillion.data.augment import mirror_caption
from motionmillion.data.clips import ClipRecord, MotionClip


def plain_words(text: str) -> str:
    """A sentence's words in lower case, without punctuation."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def check_different(prompts: Mapping[str, Sequence[str]], source: str) -> None:
    """Raise `ValueError` if two prompts are equal, ignoring case and punctuation; `source` is their file."""
    plain = [plain_words(text) for texts in prompts.values() for text in texts]
    twice = sorted({text for text in plain if plain.count(text) > 1})
    if twice:
        raise ValueError(f"prompts must differ, got {twice[0]!r} twice in {source!r}")


def check_unseen(prompts: Mapping[str, Sequence[str]], clips: Iterable[MotionClip | ClipRecord]) -> None:
    """Raise `ValueError` if a prompt is a caption of `clips` or its mirror image, ignoring case and punctuation."""
    seen = seen_prompts(prompts, clips)
    if seen:
        raise ValueError(f"prompts must not be captions of the data, got {seen}; word them differently")


def seen_prompts(prompts: Mapping[str, Sequence[str]], clips: Iterable[MotionClip | ClipRecord]) -> list[str]:
    """The prompts that are captions of `clips` or their mirror images, ignoring case and punctuation."""
    captions = {plain_words(form) for clip in clips for text in clip.captions for form in (text, mirror_caption(text))}
    return [text for texts in prompts.values() for text in texts if plain_words(text) in captions]
