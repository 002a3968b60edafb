"""Captions by models: of pictures, and paraphrases of captions.

    watched = watch(eyes, pictures, seconds=4.0)                       # a few sentences of a vision-language model
    kept, refused = paraphrase(writer, watched[0], same, count=20)     # sentences, and how many were refused for what

Both take a `motionmillion.chat.model.ChatModel`. Replies are read line by line; numbers, bullets and quotes in front
are dropped, and so are lines that do not read like a caption.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from motionmillion.chat.model import ChatModel
from motionmillion.curation.captions.meaning import SameMeaning

WATCH = """The pictures are frames of a video of {seconds:.1f} seconds, in order. Describe the motion of {whom}: \
which limb, in which direction, how fast, how often, in which order. Left and right are the person's own. Say only \
what the pictures show; no clothes, no place, no mood that the body does not show. Write three sentences, one a \
line, each about the whole motion: a short one, a plain one, a detailed one. Begin each with "a person". Write \
nothing else."""

PARAPHRASE = """Write {count} paraphrases of the sentence below, one a line, as different people would word it: \
commands, plain sentences, short and long ones. Keep every action, its order, its side (left or right), its direction \
and its count; add nothing. Write nothing else.

The sentence: {caption}"""

_SHORTEST, _LONGEST = 2, 60
"""Words of a caption."""
_FRONT = re.compile(r"^\s*(?:[-*•]|\d+\s*[.):]|\(\d+\))?\s*")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)|```\w*", re.DOTALL | re.IGNORECASE)


def watch(chat: ChatModel, pictures: Sequence[Any], seconds: float, boxed: bool = False) -> list[str]:
    """What a vision-language model sees.

    Args:
        pictures: of Pillow, in order.
        boxed: whether the person is marked by a red box.

    Raises:
        EndpointError: if the server gives no answer.
    """
    whom = "the person in the red box" if boxed else "the person"
    return distinct(read_lines(chat.ask(WATCH.format(seconds=seconds, whom=whom), pictures)))


def paraphrase(
    chat: ChatModel, caption: str, same: SameMeaning, count: int = 20, rounds: int = 3
) -> tuple[list[str], Counter[str]]:
    """Sentences that mean the same as a caption, at most `count`, and why others were refused.

    Args:
        rounds: how often is asked, at most, for what is missing.

    Raises:
        EndpointError: if the server gives no answer.
    """
    kept: list[str] = []
    seen = [caption]
    refused: Counter[str] = Counter()
    for _ in range(rounds):
        if len(kept) >= count:
            break
        lines = read_lines(chat.ask(PARAPHRASE.format(count=count - len(kept), caption=caption)))
        fresh = distinct(lines, seen)
        refused["double"] += len(lines) - len(fresh)
        for line in fresh:
            fault = same.fault(caption, line)
            if fault:
                refused[fault] += 1
            else:
                kept.append(line)
        seen += fresh
    return kept[:count], +refused


def read_lines(reply: str) -> list[str]:
    """Captions in a reply: one a line, without numbers, bullets and quotes."""
    found = []
    for line in _THOUGHT.sub("", reply).splitlines():
        text = " ".join(_FRONT.sub("", line).strip().strip("\"'“”[]").split())
        if _SHORTEST <= len(text.split()) <= _LONGEST and not text.endswith(":"):
            found.append(text)
    return found


def distinct(texts: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """Texts without those that differ from one before, or a known one, by letters' case and marks only."""
    seen = {_plain(text) for text in known}
    found = []
    for text in texts:
        if _plain(text) not in seen:
            seen.add(_plain(text))
            found.append(text)
    return found


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
