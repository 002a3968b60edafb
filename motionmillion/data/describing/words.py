"""Small grammar of the captions: inflection of verbs in brackets, counts, lists.

finite("[raise] the right hand and [wave]")        # "raises the right hand and waves"
command("[raise] the right hand and [wave]")       # "raise the right hand and wave"
"""

import re

_VERB = re.compile(r"\[(\w+)\]")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_OTHER_NUMBERS = {"single": 1, "once": 1, "twice": 2, "thrice": 3, "couple": 2}
_COUNTED = re.compile(
    rf"\b(?:\d+(?:\.\d+)?|once|twice|thrice|{'|'.join(_NUMBERS[2:])}"
    r"|(?:one|single) (?:times?|steps?|metres?|meters?|jumps?|squats?))\b|\bcouple(?= of (?:times|steps)\b)",
    re.IGNORECASE,
)


def command(phrase: str) -> str:
    """The phrase in the imperative."""
    return _VERB.sub(r"\1", phrase)


def finite(phrase: str) -> str:
    """The phrase in the third person singular."""
    return _VERB.sub(lambda verb: _third_person(verb.group(1)), phrase)


def participle(phrase: str) -> str:
    """The phrase with its verbs in -ing."""
    return _VERB.sub(lambda verb: _ing(verb.group(1)), phrase)


def number(count: int) -> str:
    """A count in words, up to ten."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def times(count: int) -> str:
    """ "twice", "three times"; "once" for one."""
    return ("once", "twice")[count - 1] if count < 3 else f"{number(count)} times"


def numbers(text: str) -> list[float]:
    """Numbers in a text, in figures or in words: counts, distances, angles.

    "One" counts only before what is counted, and not in "one leg" or "one after the other".
    """
    return [_value(match.group(0).lower()) for match in _COUNTED.finditer(text)]


def _value(word: str) -> float:
    word = word.split()[0]
    return float(word) if word[0].isdigit() else _OTHER_NUMBERS.get(word) or _NUMBERS.index(word)


def join(phrases: list[str], word: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} {word} {phrases[-1]}"


def _third_person(verb: str) -> str:
    if verb == "keep" or not verb.endswith(("s", "sh", "ch", "x", "z", "o", "y")):
        return verb + "s"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("s" if verb.endswith("y") else "es")


def _ing(verb: str) -> str:
    if verb in ("lie",):
        return "lying"
    if verb in ("run", "jog", "hop", "sit", "get", "squat", "clap", "bob", "put", "step", "stop", "spin"):
        return verb + verb[-1] + "ing"
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb) + "ing"
