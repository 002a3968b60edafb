"""Pairs of opposite words for motion that is played backwards, read from a file.

    opposites = load_opposites("mine.yaml")     # same format as the package's opposites.yaml

Contradictions, such as a word with two opposites, are errors that name the entry.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import yaml

from motionmillion.configuration import unknown_key_error
from motionmillion.data.composition.grammar import gerund, third_person

_PAIRS = ("body", "limbs", "things", "directions", "sides")
_LISTS = ("walk", "turn", "same", "never")


@dataclass(frozen=True)
class Opposites:
    """Word pairs and word lists, see `opposites.yaml`.

    Args:
        body, limbs, things, directions, sides: pairs of each kind.
        synonyms: words that are replaced by a word of a pair.
        walk, turn, same, never: verbs in their base form.

    Raises:
        ValueError: for a word in two pairs, a word that is its own opposite, or a verb listed in conflicting groups.
    """

    body: Mapping[str, str] = field(default_factory=dict)
    limbs: Mapping[str, str] = field(default_factory=dict)
    things: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    sides: Mapping[str, str] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    walk: frozenset[str] = frozenset()
    turn: frozenset[str] = frozenset()
    same: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for kind in _PAIRS:
            for pair in getattr(self, kind).items():
                for word, other in (pair, pair[::-1]):
                    if word == other:
                        raise ValueError(f"opposites must differ, got {word!r}: {other!r} in {kind}; remove it")
                    if word in seen:
                        raise ValueError(
                            f"opposites must be one to one, got {word!r} with {seen[word]!r} and {other!r}; remove one"
                        )
                    seen[word] = other
        for word in (*self.same, *self.never):
            if word in seen or (word in self.same and word in self.never):
                raise ValueError(f"opposites must hold a verb once, got {word!r} twice; remove one")

    @functools.cached_property
    def pairs(self) -> dict[str, tuple[str, str, int]]:
        """Maps each word or verb to its opposite, its kind, and -1 for the first of the pair, 1 for the second."""
        both = {}
        for kind in _PAIRS:
            for first, second in getattr(self, kind).items():
                both[first], both[second] = (second, kind, -1), (first, kind, 1)
        return both

    @functools.cached_property
    def never_pattern(self) -> re.Pattern[str]:
        if not self.never:
            return re.compile(r"(?!)")
        forms = {form for verb in self.never for form in (verb, third_person(verb), gerund(verb))}
        return re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, forms)))})\b", re.IGNORECASE)


def load_opposites(path: str | Path | None = None) -> Opposites:
    """Read word pairs, by default those of the package.

    Raises:
        ValueError: if the file does not exist, has another format, or contradicts itself; the message names the entry.
    """
    if path is None:
        return _packaged()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"opposites must be an existing YAML file, got {str(path)!r}") from None
    try:
        return _read_opposites(text)
    except ValueError as error:
        raise ValueError(f"{error} (in {str(path)!r})") from None


@functools.cache
def _packaged() -> Opposites:
    return _read_opposites(
        resources.files("motionmillion.data.composition").joinpath("opposites.yaml").read_text(encoding="utf-8")
    )


class _StrictLoader(yaml.SafeLoader):
    """Rejects duplicate keys, of which YAML would keep the last."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"opposites must hold each word once, got {key!r} twice; remove one")
        return super().construct_mapping(node, deep)


def _read_opposites(text: str) -> Opposites:
    try:
        content = yaml.load(text, _StrictLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(f"opposites must be valid YAML, got {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"opposites must be a YAML mapping, got {type(content).__name__}")
    known = {*_PAIRS, *_LISTS, "synonyms"}
    if set(content) - known:
        raise unknown_key_error("opposites", set(content) - known, known)
    given = {}
    for name, value in content.items():
        if name in _LISTS:
            if not isinstance(value, str):
                raise ValueError(f"{name} must be words in one line, got {value!r}")
            given[name] = frozenset(value.split())
        else:
            if not isinstance(value, dict) or not all(isinstance(w, str) for pair in value.items() for w in pair):
                raise ValueError(f"{name} must be pairs of words, got {value!r}; quote words such as 'on' and 'off'")
            given[name] = value
    return Opposites(**given)
