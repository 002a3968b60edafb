"""Grammar of captions: parsing into phrases, verbs and their inflected forms.

    phrase = parse_caption("a person walks forward and stops")
    phrase.kind, phrase.subject, phrase.predicate           # "sentence", "a person", "walks forward and stops"
    gerund("sit")                                           # "sitting"

Three kinds are supported: sentences in the third person, commands, and noun phrases ("a slow walk"). A caption of
another kind, or with a verb that is not in `words.yaml`, is parsed to None: better unused than used wrongly.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import torch
import yaml

Kind = Literal["sentence", "command", "noun"]

_VOWELS = "aeiou"
_GENDERED = {"he": "m", "his": "m", "him": "m", "himself": "m", "man": "m", "guy": "m", "boy": "m"} | {
    "she": "f", "her": "f", "hers": "f", "herself": "f", "woman": "f", "lady": "f", "girl": "f"
}  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """A parsed caption.

    Args:
        kind: kind of phrase.
        subject: subject of a sentence, with its article; else empty.
        opener: words of a sentence before its subject, with the comma; else empty.
        adverb: a word ending in -ly before the verb.
        verb: the base form of the first verb; empty for a noun phrase.
        rest: the words after the first verb; all words of a noun phrase.
        generic: whether the subject is just a person, without further description.
    """

    kind: Kind
    subject: str
    opener: str
    adverb: str
    verb: str
    rest: str
    generic: bool = True

    @property
    def predicate(self) -> str:
        """The phrase without opener and subject, unchanged."""
        verb = third_person(self.verb) if self.kind == "sentence" else self.verb
        return _spaced(self.adverb, verb, self.rest)

    @property
    def text(self) -> str:
        """The whole phrase."""
        return _spaced(self.opener, self.subject, self.predicate)

    @property
    def as_gerund(self) -> str:
        """The predicate of a phrase with a single verb, with that verb in its -ing form."""
        return _spaced(self.adverb, gerund(self.verb), self.rest)

    @property
    def single(self) -> bool:
        """Whether there is only one verb, without a subordinate clause."""
        if re.search(r"[,;]|\b(?:then|while|as|before|after|until|when|where|who|which|that|but|or)\b", self.rest):
            return False
        words = re.findall(r"\band (?:[a-z]+ly )?([a-z]+)", self.rest)
        return not any(base_form(word) or word in verbs() or word in gerunds() for word in words)

    @property
    def genders(self) -> set[str]:
        """m, f or both, from gendered pronouns and nouns."""
        words = re.findall(r"[a-z]+", f"{self.subject} {self.opener} {self.rest}")
        return {_GENDERED[word] for word in words if word in _GENDERED}


def parse_caption(text: str) -> Phrase | None:
    """The caption as a phrase, without its final stop; None for one that no rule knows, or of several sentences."""
    text = " ".join(text.split()).rstrip(" .!")
    if not text or re.search(r"[.;:!?()\"/]|\blike\b.*\band\b", text):
        return None
    text = text[0].lower() + text[1:]
    return _parse_sentence(text) or _parse_command(text) or _parse_noun(text)


def _parse_sentence(text: str) -> Phrase | None:
    match = _subject_pattern().search(text)
    if match is None:
        return None
    opener, subject = (match["opener"] or "").strip(), match["subject"]
    if opener and not _is_opener(opener):
        return None
    verb = base_form(match["verb"])
    if verb is None:
        return None
    rest = text[match.end() :].strip()
    rest = match["comma"] + (" " if match["comma"] else "") + rest
    last = subject.split()[-1]
    words = subject.split()
    generic = last in lexicon()["generic"].split() and len(words) <= 2
    return Phrase("sentence", subject, opener, (match["adverb"] or "").strip(), verb, rest, generic)


def _is_opener(opener: str) -> bool:
    """Whether words before the subject belong to the sentence: they have no verb except gerunds and participles."""
    words = re.findall(r"[a-z]+", opener)
    first = words[0] if words else ""
    return bool(words) and (
        first
        in ("with", "from", "after", "in", "on", "while", "bent", "hunched", "crouched", "seated", "facing", "at")
        or first in gerunds()
    )


@functools.cache
def _subject_pattern() -> re.Pattern[str]:
    words = lexicon()
    nouns = "|".join((*words["generic"].split(), *words["persons"].split()))
    subject = rf"someone|somebody|he|she|(?:an?|the|one) (?:[a-z]+ ){{0,2}}?(?:{nouns})"
    return re.compile(
        rf"^(?P<opener>.*?, )?(?P<subject>{subject}) (?P<adverb>[a-z]+ly )?(?P<verb>[a-z]+)\b(?P<comma>,?)"
    )


def _parse_command(text: str) -> Phrase | None:
    match = re.match(r"(?P<adverb>[a-z]+ly )?(?P<verb>[a-z]+)(?P<comma>,?)(?P<rest> .*)?$", text)
    if match is None or match["verb"] not in verbs() or _LABEL.search(text):
        return None
    rest = match["comma"] + (match["rest"] or "")
    words = re.findall(r"[a-z]+", rest)
    if any(word in ("he", "she", "is", "are", "was", "person", "someone") for word in words):
        return None
    if words and words[0] not in _AFTER_COMMAND and not words[0].endswith("ly") and len(words) == 1:
        return None  # "walk cycle", "golf swing"
    return Phrase("command", "", "", (match["adverb"] or "").strip(), match["verb"], rest.strip())


_LABEL = re.compile(r"\b(?:loop|animation|cycle|idle|clip)$")
"""Names of animations, which are not captions."""
_AFTER_COMMAND = frozenset(
    "forward forwards backward backwards back left right up down around about over away out in sideways off on across "
    "still straight ahead aside again apart together under low high fast hands arms legs".split()
)


def _parse_noun(text: str) -> Phrase | None:
    actions = "|".join(lexicon()["actions"].split())
    words = re.findall(r"[a-z]+", text)
    if _LABEL.search(text):
        return None
    finite = any(word not in actions.split("|") and base_form(word) for word in words)
    if not finite and re.match(rf"(?:an?|the) (?:[a-z-]+ ){{0,3}}(?:{actions})\b", text):
        return Phrase("noun", "", "", "", "", text)
    if words and words[0] in gerunds() and not finite and len(words) <= 8 and "," not in text:
        return Phrase("noun", "", "", "", "", text)
    return None


@functools.cache
def lexicon() -> dict:
    """The content of `words.yaml`."""
    return yaml.safe_load(
        resources.files("motionmillion.data.composition").joinpath("words.yaml").read_text(encoding="utf-8")
    )


@functools.cache
def verbs() -> frozenset[str]:
    """Base forms of all known verbs."""
    return frozenset(lexicon()["verbs"].split())


@functools.cache
def gerunds() -> dict[str, str]:
    """Maps -ing forms to base forms."""
    return {gerund(verb): verb for verb in verbs()}


@functools.cache
def _third_persons() -> dict[str, str]:
    return {third_person(verb): verb for verb in verbs()}


def base_form(word: str) -> str | None:
    """The base form of a verb in the third person; None for any other word."""
    return _third_persons().get(word)


def third_person(verb: str) -> str:
    """ "carries" for "carry"."""
    known = lexicon()["third"].get(verb)
    if known:
        return known
    if verb.endswith("y") and verb[-2:-1] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")


def gerund(verb: str) -> str:
    """ "sitting" for "sit"."""
    known = lexicon()["gerunds"].get(verb)
    if known:
        return known
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    # a final consonant after a single vowel is doubled in monosyllabic verbs
    if re.fullmatch(r"(?:[^aeiou]|qu)*[aeiou][^aeiouwxy]", verb):
        return verb + verb[-1] + "ing"
    return verb + "ing"


def draw(options: Sequence, generator: torch.Generator) -> int:
    """An index into `options`, drawn uniformly."""
    return int(torch.randint(len(options), (1,), generator=generator))


def _spaced(*parts: str) -> str:
    return " ".join(part for part in parts if part).replace(" ,", ",")
