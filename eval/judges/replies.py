"""The wording of questions to a judge, and the parsing of its replies.

    text = instruction("choice", ("clapping", "checking watch"), note="The picture shows ...")
    read_choice("It looks at its wrist. Answer: checking watch", ("clapping", "checking watch"))      # 1
    read_match("Both hands meet. **Answer:** Yes.")                                                   # True

A choice is first parsed as in MBench, where the text after the colon must equal one of the options. Then matching is
more tolerant: case, quotes and Markdown are ignored, and the option's number or letter, or the only option that
occurs, is accepted. Unusual: an ambiguous reply is unclear and raises, because a guess would count as a verdict.
"""

import hashlib
import re
from collections.abc import Sequence

from motionmillion.text.prompts import plain

CHOICE = """Which one of these descriptions does the movement show best?
{options}
Look at the whole movement, from its beginning to its end: which limbs move, where to, how fast and how often. \
Say in one or two sentences what the body does. Then end with one line of this form, with the description word for \
word as it stands above:
Answer: <description>"""

MATCH = """Does the movement show this: "{text}"?
Look at the whole movement, from its beginning to its end: which limbs move, where to, how fast and how often. It \
matches if somebody who saw it could describe it so; it does not if what is described is missing, or only begun. \
Say in one or two sentences what the body does. Then end with one line of this form:
Answer: <yes or no>"""

FIGURE = """{note} They are in order and show the movement of one person, drawn as a plain figure without a face or \
clothes on a floor of tiles, each one metre wide. The figure's own left arm and leg are orange, its right arm and leg \
are blue; the faint purple line on the floor is its path. Objects that the person may handle, and other people, are \
not drawn: imagine them.

"""

INSTRUCTIONS_HASH = hashlib.sha256((FIGURE + CHOICE + MATCH).encode()).hexdigest()[:12]
"""Version of the wording above, for the protocol."""

_MARK = re.compile(r"\banswer\W{0,6}?[:\uff1a]", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL | re.IGNORECASE)
_DENIED = r"\b(?:not|no|never|neither|nor|cannot|[a-z]+n t) (?:\w+ ){0,2}"


class UnclearReplyError(ValueError):
    """A reply from which no answer can be read; one line."""


def instruction(kind: str, texts: Sequence[str], note: str) -> str:
    """The instruction to a vision-language model, next to the pictures.

    Args:
        kind: "choice" or "match".
        texts: the options in order, or the one text.
        note: a sentence about the pictures.
    """
    figure = FIGURE.format(note=note)
    if kind == "match":
        return figure + MATCH.format(text=texts[0])
    return figure + CHOICE.format(options="\n".join(f"{place}. {text}" for place, text in enumerate(texts, 1)))


def read_choice(reply: str, options: Sequence[str]) -> int:
    """Index of the option that a reply names.

    Raises:
        UnclearReplyError: if it names none or several.
    """
    words = [plain(option) for option in options]
    answer, marked = _answer(reply)
    last = answer if marked else answer.rpartition(":")[2]
    if plain(last) in words:
        return words.index(plain(last))
    place, rest = _numbered(last, len(options))
    if place is not None and (not rest or rest == words[place]):
        return place
    found = _occurring(plain(answer), words)
    if len(found) != 1 or (place is not None and found != [place]):
        raise _unclear(reply, "one of the options")
    return found[0]


def read_match(reply: str) -> bool:
    """Whether a reply says yes.

    Raises:
        UnclearReplyError: if it says neither yes nor no, or both.
    """
    answer, marked = _answer(reply)
    words = plain(answer).split()
    said = {"yes", "no"} & set(words)
    # after "Answer:" either word counts anywhere; elsewhere, as "no" is common, only at the very end
    sure = words[:1] in (["yes"], ["no"]) or (marked and "not" not in words) or _last_line(answer) in ("yes", "no")
    if len(said) != 1 or not sure:
        raise _unclear(reply, "yes or no")
    return said == {"yes"}


def _last_line(text: str) -> str:
    return plain((text.strip().splitlines() or [""])[-1])


def _answer(reply: str) -> tuple[str, bool]:
    """The line after the last "Answer:" and True; without one, the whole reply except thoughts, and False."""
    reply = _THOUGHT.sub("", reply).rpartition("</think>")[2]  # some chat templates open the thought tag themselves
    marks = list(_MARK.finditer(reply))
    if not marks:
        return reply, False
    lines = [line for line in reply[marks[-1].end() :].splitlines() if plain(line)]
    return (lines[0] if lines else ""), True


def _numbered(answer: str, count: int) -> tuple[int | None, str]:
    """Index meant by "3", "(c)", "Option 3." or "3) waving", and the words after it."""
    found = re.match(
        r"\W*(?:(?:option|number|description)\s*\W?)?\s*(\d+|[a-z])(?:\s*[\"'*_]*\s*$|\s*[.)(:\]*-]+\s*(.*))",
        answer.strip(),
        re.IGNORECASE | re.DOTALL,
    )
    if found is None:
        return None, ""
    sign = found.group(1).lower()
    place = int(sign) - 1 if sign.isdigit() else ord(sign) - ord("a")
    return (place, plain(found.group(2) or "")) if 0 <= place < count else (None, "")


def _occurring(text: str, options: Sequence[str]) -> list[int]:
    """Indices of options that occur in `text`, are not negated there, and are not part of a longer one that occurs."""
    found = []
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        pattern = rf"\b{re.escape(options[place])}\b"
        if re.search(pattern, text):
            if not re.search(_DENIED + pattern, text):
                found.append(place)
            text = re.sub(pattern, "|", text)
    return found


def _unclear(reply: str, wanted: str) -> UnclearReplyError:
    shown = " ".join(reply.split())
    return UnclearReplyError(f"unclear reply: it must name {wanted} after 'Answer:', got {shown[-120:]!r}")
