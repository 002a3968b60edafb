"""Clips played from their end to their start, with captions of the opposite.

    clip = reverse_clip(sit)                    # "a person sits down" becomes "a person stands up"
    opposites = load_opposites("mine.yaml")     # word pairs of one's own, laid out as in opposites.yaml

Not every motion looks right backwards: clips of jumps, blows, falls and the like are refused by their captions, and by
free fall, speed and acceleration. A caption is turned word by word where every verb and every direction in it is
known; all others are dropped. Actions in a row change places. Whether a verb of change ("sits down") is the right one
to turn is read off the motion: where body or limb comes back to where it was, the verb stays.

The body's own sides stay ("the left hand"), those of travel and turns are exchanged: played backwards, a turn to the
left is one to the right.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import torch
import yaml

from motionmillion.configuration import unknown_key_error
from motionmillion.data.clips import MotionClip
from motionmillion.data.composition.bodies import acceleration, falls_freely, joints, postures, smoothed
from motionmillion.data.composition.grammar import (
    Phrase,
    base_form,
    gerund,
    gerunds,
    parse_caption,
    third_person,
    verbs,
)
from motionmillion.data.composition.sequence import FEWEST_FRAMES, true_captions
from motionmillion.kinematics.joining import backwards
from motionmillion.motion import Motion

FASTEST = 2.2
"""Speed of the pelvis, m/s."""
HARDEST = 40.0
"""Acceleration of hands, feet and head, m/s^2."""
MOST_ASYMMETRIC = 2.5
"""Between hardest speeding up and hardest slowing down."""
BODY_CHANGE = 0.15
"""Height of the head, metres, that makes a change."""
LIMB_CHANGE = 0.15
_PAIRS = ("body", "limbs", "things", "directions", "sides")
_LISTS = ("walk", "turn", "same", "never")
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
"""Postures at the start of a clip that make the opposite true, for verbs that say too little."""


@dataclass(frozen=True)
class Opposites:
    """Word pairs and word lists, see `opposites.yaml`.

    Args:
        body, limbs, things, directions, sides: pairs of each kind.
        synonyms: words that stand for one of a pair.
        walk, turn, same, never: verbs in their base form.

    Raises:
        ValueError: for a word in two pairs, a word that is its own opposite, or a verb that both changes and does not.
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
        """For each word or verb its opposite, its kind, and -1 for the first of its pair, 1 for the second."""
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
    """Read word pairs; without a path those of the package.

    Raises:
        ValueError: if the file does not exist, is no such list, or contradicts itself; the message names the entry.
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
    return _read_opposites(resources.files(__package__).joinpath("opposites.yaml").read_text(encoding="utf-8"))


class _StrictLoader(yaml.SafeLoader):
    """Finds a word that stands twice in one list, of which YAML would keep the last."""

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


def reverse_clip(clip: MotionClip, opposites: Opposites | None = None) -> MotionClip | str:
    """The clip from its end to its start, or the reason why not.

    Args:
        opposites: those of the package unless given.
    """
    opposites = opposites or load_opposites()
    if clip.motion.num_frames < FEWEST_FRAMES:
        return "too few frames"
    captions = true_captions(clip)
    if not captions:
        return "no caption of its own"
    if any(opposites.never_pattern.search(text) for text in (*captions, clip.motion.caption)):
        return "caption names what cannot be reversed"
    reason = _irreversible(clip.motion)
    if reason:
        return reason
    changes = _Changes.of(clip.motion)
    turned = tuple(dict.fromkeys(filter(None, (reverse_caption(text, changes, opposites) for text in captions))))
    if not turned:
        return "no caption with a known opposite"
    if set(turned) <= set(captions):
        return "no caption changes"
    return clip.replace(
        name=f"{clip.name}_reversed",
        motion=backwards(clip.motion).replace(caption=turned[0]),
        captions=turned,
        own_captions=turned,
        whole=True,
    )


def _irreversible(motion: Motion) -> str:
    if falls_freely(motion):
        return "falls freely"
    fps = motion.fps
    speed = smoothed(motion.translation, fps).diff(dim=0).norm(dim=-1) * fps
    if float(speed.amax()) > FASTEST:
        return "moves too fast"
    ends = motion.positions()[:, joints(motion, ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "head"))]
    if float(acceleration(ends, fps).norm(dim=-1).amax()) > HARDEST:
        return "accelerates too hard"
    rates = smoothed(ends, fps).diff(dim=0).norm(dim=-1).diff(dim=0) * fps**2  # [T - 2, 5]
    rising, sinking = rates.amax(0).clamp(min=1.0), (-rates).amax(0).clamp(min=1.0)
    strong = torch.maximum(rising, sinking) > HARDEST / 4
    ratio = torch.maximum(rising / sinking, sinking / rising)
    if bool((strong & (ratio > MOST_ASYMMETRIC)).any()):
        return "speeds up and slows down differently"
    return ""


@dataclass(frozen=True)
class _Changes:
    """How heights differ between end and start of a motion, metres, and its first and last posture.

    Args:
        heights: of head, left_wrist, right_wrist, left_knee, right_knee: change, and how far it went in between.
    """

    heights: Mapping[str, tuple[float, float]]
    start: str
    end: str

    @staticmethod
    def of(motion: Motion) -> "_Changes":
        positions = motion.positions()
        names = ("head", "left_wrist", "right_wrist", "left_knee", "right_knee")
        heights = {}
        for name in names:
            path = positions[:, motion.skeleton.index(name), 1]
            middle = (path[0] + path[-1]) / 2
            heights[name] = (float(path[-1] - path[0]), float((path - middle).abs().amax()))
        named = postures(motion, positions)
        return _Changes(heights, named[0], named[-1])


def reverse_caption(text: str, changes: "_Changes", opposites: Opposites) -> str:
    """The caption of the reversed motion; empty where it is not known."""
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
        return ""  # what stood for it would come later
    if " then" not in link and all(clause.verb in opposites.same for clause in known):
        known.reverse()  # at one time, or in any order
    turned = [clause.turned(changes, len(known) == 1) for clause in reversed(known)]
    if not all(turned):
        return ""
    joined = turned[0] if len(turned) == 1 else f"{', '.join(turned[:-1])}{link}{turned[-1]}"
    return " ".join(part for part in (phrase.subject, joined) if part)


def _split(phrase: Phrase) -> tuple[list[str], str]:
    """The actions of a caption, and what links the last two."""
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
    """One action: its verb with the particle, and the words around.

    Args:
        verb: base form, with the particle where the pair has one.
        before: an adverb before the verb.
        rest: words after it, without the particle.
        between: the object that stood between verb and particle.
    """

    verb: str
    before: str
    rest: str
    between: str
    sentence: bool
    opposites: Opposites

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
                return _Clause(meant, before, " ".join(after), " ".join(between), sentence, opposites)
        return _Clause(verb, before, " ".join(rest), "", sentence, opposites)

    @property
    def sign(self) -> int:
        """-1 for a verb that ends with the body lower, 1 for higher, 0 for others."""
        pair = self.opposites.pairs.get(self.verb)
        return pair[2] if pair and pair[1] == "body" else 0

    def turned(self, changes: _Changes, alone: bool) -> str:
        """The clause of the reversed motion, empty where it is not known."""
        pair = self.opposites.pairs.get(self.verb)
        if pair and pair[1] in ("body", "limbs", "things"):
            return self._turned_change(pair, changes, alone)
        if self.verb in self.opposites.walk or self.verb in self.opposites.turn:
            return self._turned_travel()
        if self.verb not in self.opposites.same or not self._plain(f"{self.rest}"):
            return ""
        if re.search(r"\b(?:to|from)\b(?! the (?:left|right|sides?|music|rhythm|beat)\b)|\bforwards?\b", self.rest):
            return ""
        return self._write(self.verb, self.rest, "")

    def _turned_change(self, pair: tuple[str, str, int], changes: _Changes, alone: bool) -> str:
        opposite, kind, sign = pair
        if not self._plain(f"{self.between} {self.rest}", sides=True):
            return ""
        if kind == "limbs":
            limbs = self._limbs()
            if not limbs or not alone:
                return ""
            if _came_back([changes.heights[name] for name in limbs], LIMB_CHANGE):
                return self._write(self.verb, self.rest, self.between)
            if not all(sign * changes.heights[name][0] > LIMB_CHANGE for name in limbs):
                return ""
        if kind == "body":
            if alone and _came_back([changes.heights["head"]], BODY_CHANGE):
                return self._write(self.verb, self.rest, self.between) if "up" not in self.verb else ""
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
        """Whether "takes", "moves" or "turns" speaks of steps or of the whole body."""
        if self.verb == "take":
            return bool({"step", "steps"} & set(words))
        parts = _BODY_PARTS | {"head", "torso", "waist", "trunk", "body", "chest", "upper", "face", "page", "wheel"}
        return not parts & set(words)

    def _plain(self, text: str, sides: bool = False) -> bool:
        """Whether all of a text can stay, but for the directions that are known."""
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
    """Whether a verb such as "lift" has an object that is no part of the body, or "sit" one at all."""
    if name == "lift":
        return not any(word in _BODY_PARTS for word in rest)
    if name == "straighten":
        return bool(rest)
    return False


def _find(rest: list[str], particle: list[str]) -> int | None:
    """Where a particle stands: at once, or behind an object of up to four words; None where it does not."""
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


_FROM = re.compile(r"\bfrom (?=(?:a|an|the|his|her|both|shoulder|waist|head|chest)\b)")
_TO = re.compile(r"\b(?:on|onto|in|to|at) (?=(?:a|an|the|his|her|shoulder|waist|head|chest)\b)")


def _turned_place(rest: str, kind: str, sign: int) -> str | None:
    """ "on a chair" -> "from a chair", "to the head" -> "from the head", and the other way round."""
    if kind == "body" and re.search(r"\bwith\b|\b(?:on|in|from|to)\b.*\b(?:on|in|from|to)\b", rest):
        return None
    if re.search(r"\bfrom\b.*\bto\b|\bto\b.*\bfrom\b|\b(?:out|high|overhead|above)\b", rest):
        return None
    if kind == "things":
        rest = _FROM.sub("@ ", rest) if sign > 0 else _TO.sub("from ", rest)
        return rest.replace("@ ", "on ")
    if "from " in rest:
        return None if not _FROM.search(rest) else _FROM.sub("on " if kind == "body" else "to ", rest)
    return _TO.sub("from ", rest) if kind == "body" and sign < 0 or kind == "limbs" else rest


def _agree(clauses: list[_Clause], changes: _Changes) -> bool:
    """Whether the head ends as high as the verbs say."""
    expected = sum(clause.sign for clause in clauses)
    change, between = changes.heights["head"]
    if not any(clause.sign for clause in clauses):
        return True
    if len(clauses) == 1 and _came_back([(change, between)], BODY_CHANGE):
        return True
    if expected == 0:
        return abs(change) < BODY_CHANGE
    return abs(expected) == 1 and expected * change > BODY_CHANGE
