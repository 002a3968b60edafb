"""Captions of motion that is played backwards.

    reverse_caption("a person walks forward and then sits down", Changes.of(motion), load_opposites())
    # "a person stands up and then walks backward"

A caption is reversed word by word if all its verbs and directions are known, and otherwise dropped. Consecutive
actions swap their order. The motion decides whether a verb of change ("sits down") is reversed: if the body or limb
returns to where it was, the verb stays.

Unusual: sides of the body stay ("the left hand"), those of travel and turns are swapped: played backwards, a turn to
the left is one to the right.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from motionmillion.data.composition.bodies import postures
from motionmillion.data.composition.grammar import Phrase, base_form, gerunds, parse_caption, third_person, verbs
from motionmillion.data.composition.opposites import Opposites
from motionmillion.motion import Motion

BODY_CHANGE = 0.15
"""Minimum change of the head's height that counts as a change, metres."""
LIMB_CHANGE = 0.15
"""Likewise of hands or knees."""
_BODY_PARTS = frozenset(
    "arm arms hand hands leg legs foot feet knee knees elbow elbows shoulder shoulders wrist wrists hip hips ankle "
    "heel toe toes forearm thigh fist palm".split()
)
_ARMS = frozenset("arm arms hand hands elbow elbows forearm forearms wrist wrists fist fists".split())
_LEGS = frozenset("leg legs foot feet knee knees heel heels".split())
_UNKNOWN = frozenset(
    "onto into off over under underneath through toward towards away past across along upon out up down back again "
    "before after until as once when starting ending beginning finishing first finally next last suddenly abruptly "
    "return again around about inside outside behind at".split()
)
_STARTS = {
    "stand up": {"sitting"},
    "get up": {"lying"},
    "rise from a crouch": {"crouching", "sitting"},
    "rise from a squat": {"crouching", "sitting"},
}
"""Start postures for which the opposite is true, for verbs that are ambiguous."""


@dataclass(frozen=True)
class Changes:
    """Height differences between end and start of a motion, metres, and its first and last posture.

    Args:
        heights: for head, left_wrist, right_wrist, left_knee, right_knee: the change, and the excursion in between.
    """

    heights: Mapping[str, tuple[float, float]]
    start: str
    end: str

    @staticmethod
    def of(motion: Motion) -> "Changes":
        positions = motion.positions()
        names = ("head", "left_wrist", "right_wrist", "left_knee", "right_knee")
        heights = {}
        for name in names:
            path = positions[:, motion.skeleton.index(name), 1]
            middle = (path[0] + path[-1]) / 2
            heights[name] = (float(path[-1] - path[0]), float((path - middle).abs().amax()))
        named = postures(motion, positions)
        return Changes(heights, named[0], named[-1])


def reverse_caption(text: str, changes: Changes, opposites: Opposites) -> str:
    """The caption of the reversed motion; empty if it cannot be determined."""
    phrase = parse_caption(text)
    if phrase is None or phrase.kind == "noun" or phrase.opener:
        return ""
    actions, link = _split(phrase)
    clauses = [_Clause.parse(action, phrase, opposites) for action in actions]
    if not all(clauses):
        return ""
    known = [clause for clause in clauses if clause]
    if not _agree(known, changes):
        return ""
    if len(known) > 1 and re.search(r"\b(?:it|them)\b", phrase.rest):
        return ""  # a pronoun would come before the noun it refers to
    if " then" not in link and all(clause.verb in opposites.same for clause in known):
        known.reverse()  # simultaneous actions, or in any order
    turned = [clause.turned(changes, len(known) == 1) for clause in reversed(known)]
    if not all(turned):
        return ""
    joined = turned[0] if len(turned) == 1 else f"{', '.join(turned[:-1])}{link}{turned[-1]}"
    return " ".join(part for part in (phrase.subject, joined) if part)


def _split(phrase: Phrase) -> tuple[list[str], str]:
    """The actions of a caption, and the conjunction between the last two."""
    parts = re.split(r"(, and then |, then | and then |, and |, | and )", phrase.predicate)
    clauses, order = [parts[0]], " and "
    for link, part in zip(parts[1::2], parts[2::2], strict=True):
        words = [word for word in part.split() if not word.endswith("ly")]
        word = words[0].strip(",") if words else ""
        verbal = base_form(word) if phrase.kind == "sentence" else word if word in verbs() else None
        if "then" in link or verbal:
            clauses.append(part)
            order = " and then " if "then" in link else order
        else:
            clauses[-1] += link + part
    return clauses, order


@dataclass(frozen=True)
class _Clause:
    """One action: its verb with the particle, and the surrounding words.

    Args:
        verb: base form, with the particle if the word pair has one.
        before: an adverb before the verb.
        rest: words after the verb, without the particle.
        between: the object between verb and particle.
        said: the action as worded in the caption.
    """

    verb: str
    before: str
    rest: str
    between: str
    sentence: bool
    opposites: Opposites
    said: str

    @staticmethod
    def parse(text: str, phrase: Phrase, opposites: Opposites) -> "_Clause | None":
        words = text.replace(",", " ,").split()
        before = words.pop(0) if words and words[0].endswith("ly") else ""
        if not words:
            return None
        sentence = phrase.kind == "sentence"
        verb = base_form(words[0]) if sentence else words[0] if words[0] in verbs() else None
        if verb is None or verb in opposites.never:
            return None
        rest = words[1:]
        for name in sorted({*opposites.pairs, *opposites.synonyms}, key=lambda name: -len(name)):
            first, *particle = name.split()
            if first != verb or (name in opposites.synonyms and not particle and _transitive(name, rest)):
                continue
            where = _find(rest, particle)
            if where is None:
                continue
            meant = opposites.synonyms.get(name, name)
            if meant in opposites.pairs and opposites.pairs[meant][1] in ("body", "limbs", "things"):
                between, after = rest[:where], rest[where + len(particle) :]
                return _Clause(meant, before, " ".join(after), " ".join(between), sentence, opposites, text)
        return _Clause(verb, before, " ".join(rest), "", sentence, opposites, text)

    @property
    def sign(self) -> int:
        """-1 for a verb that ends with the body lower, 1 for higher, 0 for others."""
        pair = self.opposites.pairs.get(self.verb)
        return pair[2] if pair and pair[1] == "body" else 0

    def turned(self, changes: Changes, alone: bool) -> str:
        """The clause of the reversed motion, empty if it cannot be determined."""
        pair = self.opposites.pairs.get(self.verb)
        if pair and pair[1] in ("body", "limbs", "things"):
            return self._turned_change(pair, changes, alone)
        if self.verb in self.opposites.walk or self.verb in self.opposites.turn:
            return self._turned_travel()
        if self.verb not in self.opposites.same or not self._plain(f"{self.rest}"):
            return ""
        if re.search(r"\b(?:to|from)\b(?! the (?:left|right|sides?|music|rhythm|beat)\b)|\bforwards?\b", self.rest):
            return ""
        return "" if self._travels() and re.search(_DIRECTION, self.rest) else self.said

    def _travels(self) -> bool:
        """Whether a following -ing form moves the whole body: "dances, turning left"."""
        found = {gerunds().get(word) for word in re.findall(r"[a-z]+", self.rest)}
        return bool(found & (self.opposites.walk | self.opposites.turn))

    def _turned_change(self, pair: tuple[str, str, int], changes: Changes, alone: bool) -> str:
        opposite, kind, sign = pair
        if not self._plain(f"{self.between} {self.rest}", sides=True) or self._travels() or "while" in self.rest:
            return ""
        if kind == "limbs":
            limbs = self._limbs()
            if not limbs or not alone:
                return ""
            if _came_back([changes.heights[name] for name in limbs], LIMB_CHANGE):
                return self.said
            if not all(sign * changes.heights[name][0] > LIMB_CHANGE for name in limbs):
                return ""
        if kind == "body":
            if alone and _came_back([changes.heights["head"]], BODY_CHANGE):
                return self.said if "up" not in self.verb else ""
            if not alone and {self.verb, opposite} & set(_STARTS) and sign > 0:
                return ""
            if alone and changes.start not in _STARTS.get(self.verb, {changes.start}):
                return ""
            if alone and changes.end not in _STARTS.get(opposite, {changes.end}):
                return ""
        rest = _turned_place(self.rest, kind, sign)
        return "" if rest is None else self._write(opposite, rest, self.between)

    def _limbs(self) -> list[str]:
        words = set(re.findall(r"[a-z]+", f"{self.between} {self.rest}"))
        part = "wrist" if words & _ARMS else "knee" if words & _LEGS else ""
        if not part or words & _ARMS and words & _LEGS:
            return []
        sides = [side for side in ("left", "right") if side in words]
        return [f"{side}_{part}" for side in sides or ("left", "right")]

    def _turned_travel(self) -> str:
        text = self.rest
        for word, meant in self.opposites.synonyms.items():
            if meant in self.opposites.directions or meant in self.opposites.directions.values():
                text = re.sub(rf"\b{word}\b", meant, text)
        if not self._plain(re.sub(r"\b(?:around|about)\b", "", text) if self.verb in self.opposites.turn else text):
            return ""
        if re.search(r"\b(?:to|from)\b(?! the (?:left|right|sides?)\b)", text):
            return ""
        words = text.split()
        if self.verb in ("take", "move", "turn", "spin", "circle") and not self._whole_body(words):
            return ""
        swapped, found = [], False
        state = words.index("with") if "with" in words else len(words)  # "with the arms stretched forward"
        for number, word in enumerate(words):
            pair = self.opposites.pairs.get(word)
            if pair and number < state and pair[1] in ("directions", "sides"):
                if pair[1] == "sides" and any(w in _BODY_PARTS for w in words[number + 1 : number + 3]):
                    swapped.append(word)
                    continue
                if pair[1] == "sides" and words[number + 1 : number + 2] == ["side"]:
                    return ""
                found = found or pair[1] == "directions"
                swapped.append(pair[0])
            else:
                swapped.append(word)
        rest = " ".join(swapped)
        aside = re.search(r"\b(?:sideways|in place|on the spot|side to side|back and forth)\b", rest)
        if self.verb in self.opposites.walk and not found and not aside:
            if re.search(r"\b(?:left|right|straight)\b", rest.split(",")[0]):
                return ""
            adverb = re.match(r"(?:[a-z]+ly )*", rest + " ")
            cut = adverb.end() if adverb else 0
            rest = f"{rest[:cut].strip()} backward {rest[cut:].strip()}".strip()
        turns = re.search(r"\b(?:left|right|clockwise|counterclockwise|around)\b", rest)
        if self.verb not in self.opposites.walk and not (found or aside or turns):
            return ""
        return self._write(self.verb, rest, "")

    def _whole_body(self, words: list[str]) -> bool:
        """Whether "takes", "moves" or "turns" refers to steps or to the whole body."""
        if self.verb == "take":
            return bool({"step", "steps"} & set(words))
        parts = _BODY_PARTS | {"head", "torso", "waist", "trunk", "body", "chest", "upper", "face", "page", "wheel"}
        return not parts & set(words)

    def _plain(self, text: str, sides: bool = False) -> bool:
        """Whether a text can stay unchanged except for known directions."""
        words = re.findall(r"[a-z]+", re.sub(r"\b(?:side to side|back and forth|up and down)\b", "", text))
        known = self.opposites.same | self.opposites.walk | self.opposites.turn
        if any(word in verbs() for word in re.findall(r"\bto ([a-z]+)", text)):  # "bends down to tie a shoe"
            return False
        for word in words:
            if word in _UNKNOWN or (word in gerunds() and gerunds()[word] not in known):
                return False
            if sides and word in ("forward", "backward", "forwards", "backwards", "ahead"):
                return False
        return True

    def _write(self, verb: str, rest: str, between: str) -> str:
        first, *particle = verb.split()
        first = third_person(first) if self.sentence else first
        words = [self.before, first, between, *particle, rest] if between else [self.before, first, *particle, rest]
        return " ".join(word for word in words if word).replace(" ,", ",")


def _transitive(name: str, rest: list[str]) -> bool:
    """Whether a verb such as "lift" has an object that is not a body part, or "sit" has any object."""
    if name == "lift":
        return not any(word in _BODY_PARTS for word in rest)
    if name == "straighten":
        return bool(rest)
    return False


def _find(rest: list[str], particle: list[str]) -> int | None:
    """Position of a particle: right after the verb or after an object of up to four words; None if there is none."""
    if not particle:
        return 0
    for where in range(min(len(rest), 5)):
        if rest[where : where + len(particle)] == particle:
            return where
        if rest[where] in (",", "and", "to", "with", "from", "on", "in"):
            return None
    return None


def _came_back(heights: list[tuple[float, float]], least: float) -> bool:
    return all(abs(change) < least / 2 and between > least for change, between in heights)


_DIRECTION = r"\b(?:left|right|clockwise|counterclockwise|forward|backward|forwards|backwards)\b"
_FROM = re.compile(r"\bfrom (?=(?:a|an|the|his|her|both|shoulder|waist|head|chest)\b)")
_TO = re.compile(r"\b(?:on|onto|in|to|at) (?=(?:a|an|the|his|her|shoulder|waist|head|chest)\b)")


def _turned_place(rest: str, kind: str, sign: int) -> str | None:
    """ "on a chair" -> "from a chair", "to the head" -> "from the head", and back; None if uncertain."""
    if re.search(r"\b(?:from\b.*\bto|to\b.*\bfrom|out|high|low|deep|overhead|above)\b", rest):
        return None
    if kind == "body":
        if len(re.findall(r"\b(?:on|onto|in|to|at|from|with)\b", rest)) > 1 or "with" in rest.split():
            return None
        turned = _TO.sub("from ", rest) if sign < 0 else _FROM.sub("on ", rest)
        return turned if re.search(r"\b(?:on|in|to|at|from)\b", rest) is None or turned != rest else None
    if kind == "things":
        if re.search(r"\bfrom an? (?:crouch|squat|kneel|stoop|bend|lunge)", rest):
            return None
        return _FROM.sub("on ", rest) if "from " in rest else _TO.sub("from ", rest)
    if "from " in rest:
        return _FROM.sub("to ", rest) if _FROM.search(rest) else None
    return _TO.sub("from ", rest)


def _agree(clauses: list[_Clause], changes: Changes) -> bool:
    """Whether the change of the head's height agrees with the verbs."""
    expected = sum(clause.sign for clause in clauses)
    change, between = changes.heights["head"]
    if not any(clause.sign for clause in clauses):
        return True
    if len(clauses) == 1 and _came_back([(change, between)], BODY_CHANGE):
        return True
    if expected == 0:
        return abs(change) < BODY_CHANGE
    return abs(expected) == 1 and expected * change > BODY_CHANGE
