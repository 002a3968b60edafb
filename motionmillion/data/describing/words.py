"""Small grammar of the captions: inflection of verbs in brackets, counts, lists.

finite("[raise] the right hand and [wave]")        # "raises the right hand and waves"
command("[raise] the right hand and [wave]")       # "raise the right hand and wave"
"""

import re

_VERB = re.compile(r"\[(\w+)\]")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


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
