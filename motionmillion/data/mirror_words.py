"""Left and right in captions: which are sides, and the caption of a mirrored motion.

    mirror_caption("the right hand waves right away")       # "the left hand waves right away"
    sides("the right hand waves right away")                # ["right"]

Unusual: "right" and "left" that do not name a side stay: "a right angle", "right behind", "left over", "has left". In
ambiguous cases the preceding words decide: "turns right before stopping" is a turn, "the left over the right" are two
sides.
"""

import re

_WORDS = re.compile(
    r"\b(?:(?P<side>left|right)(?P<end>-?hand(?:ed|er|ers)?|wards?|most|y|ies)?"
    r"|(?P<turn>(?:counter|anti)-?clockwise|clockwise))\b",
    re.IGNORECASE,
)
_BODY = (
    r"arms?|hands?|legs?|foot|feet|knees?|elbows?|shoulders?|wrists?|hips?|ankles?|heels?|toes?|forearms?|thighs?|sides?|"
    r"fists?|palms?|ears?|eyes?|cheeks?|fingers?|thumbs?|one|lower|upper|forward|and|or"
)
_DETERMINED = re.compile(
    r"\b(?:the|his|her|its|their|your|my|to|far|further|and|or|(?:turn|veer|curve|spin|rotate|pivot|swerve|sidestep|bend|lean|"
    r"look|glance|face|twist|circle|shift|sway|bear|head|point|go|mov|turn|spinn|curv|rotat|pivot|swerv|circl|fac|lean|"
    r"glanc|twist|tip|tilt|reach|stretch)(?:s|es|ed|ing|ned|d)?(?: [a-z]+ly| around| it)?)[ -]$",
    re.IGNORECASE,
)
"""Words that show that the next word is a side: an article, "to", or a verb of turning."""
_ALWAYS_PLAIN_RIGHT = re.compile(
    r"[ -]angle|[ -]triangle|-click| on time| (?:time|moment|thing|order|size)s?\b", re.IGNORECASE
)
_PLAIN_RIGHT = re.compile(r" (?:away|now|after|before|in front|behind|next to|beside|there|here)\b", re.IGNORECASE)
_BEFORE_PLAIN_RIGHT = re.compile(r"\b(?:all|just|that's|that is|quite)[ ]$", re.IGNORECASE)
_PLAIN_LEFT = re.compile(
    r" (?:(?:over|behind)\b(?! (?:the|an?|his|her|their|its|right|left|one)\b)|alone\b|"
    r"(?:the|an?|his|her|their|its|this|that)\b(?! (?:bit|little|few|couple|quarter|half|time)))",
    re.IGNORECASE,
)
_BEFORE_PLAIN_LEFT = re.compile(
    r"\b(?:has|have|had|having|is|are|was|were|be|been|being|just|nothing|something|anything|time|none|gets?|"
    r"got|already|he|she|they|who|someone|somebody|person|man|woman)[ ]$",
    re.IGNORECASE,
)


def mirror_caption(text: str) -> str:
    """The caption of the mirrored motion: left and right swapped, capitalisation kept; see the module's docstring.

    "clockwise" and "counterclockwise", "right-handed", "leftward", "leftmost", "lefty" and similar words are swapped,
    too. Only whole words are swapped: "upright" stays.
    """
    return _WORDS.sub(_mirrored, text)


def sides(text: str, turns: bool = False) -> list[str]:
    """Left and right in the order in which they are named, without repetition.

    Args:
        turns: also "clockwise" and "counterclockwise".
    """
    mirrored = mirror_caption(text).lower().split()
    found: list[str] = []
    for word, other in zip(text.lower().split(), mirrored, strict=True):
        if word == other:
            continue
        if "clockwise" in word:
            side = "clockwise" if word.startswith("clock") else "counterclockwise"
        else:
            side = "left" if "left" in word else "right"
        if found[-1:] != [side] and (turns or "clockwise" not in side):
            found.append(side)
    return found


def _mirrored(match: re.Match[str]) -> str:
    word = match.group(0)
    if match["turn"]:
        other = "counterclockwise" if word.lower() == "clockwise" else "clockwise"
        return _like(word, other)
    side, end = match["side"], match["end"] or ""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if not end and (_is_plain_right if side.lower() == "right" else _is_plain_left)(before, after):
        return word
    return _like(side, "left" if side.lower() == "right" else "right") + end


def _is_plain_right(before: str, after: str) -> bool:
    """Whether "right" between these words is not a side."""
    if _ALWAYS_PLAIN_RIGHT.match(after) or _BEFORE_PLAIN_RIGHT.search(before) and not _side_follows(after):
        return True
    return bool(_PLAIN_RIGHT.match(after)) and not _DETERMINED.search(before)


def _is_plain_left(before: str, after: str) -> bool:
    """Whether "left" between these words is not a side, but a form of "leave"."""
    if _DETERMINED.search(before):
        return False
    return bool(_PLAIN_LEFT.match(after) or _BEFORE_PLAIN_LEFT.search(before) and not _side_follows(after))


def _side_follows(after: str) -> bool:
    return re.match(rf"(?:[ -](?:{_BODY})\b|[ -]?hand|/)", after, re.IGNORECASE) is not None


def _like(word: str, other: str) -> str:
    """`other` with the capitalisation of `word`."""
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
