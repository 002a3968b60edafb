"""What the names of joints say: the side, and which parts of the body a joint may be.

    labels = read_names(["mixamorig:LeftUpLeg", "mixamorig:LeftLeg", ...])
    labels[0].side, labels[0].parts          # "left", {"hip": 3.0}

A name is split into words at separators, capitals and digits; a prefix or suffix that all names share is dropped, and
any other prefix is skipped: the last words that are known count. Many words mean different joints in different
schemes (`Leg` is a thigh or a shin, `Shoulder` a collar or an upper arm, `Foot` an ankle or a toe), so a word gives a
score for each part, and `motionmillion.kinematics.joint_chains` chooses the most plausible chain.

Unusual: Japanese names of MikuMikuDance are known as well; `Twist`, `Roll`, `_CTRL`, `IK` and the like mark helpers.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_SCORES = {
    # part -> score -> words
    "hip": {
        3.0: "upleg upperleg uppleg legupper uleg thigh femur hipleg 足 太もも もも",
        2.0: "hip",
        1.0: "leg",
        0.3: "hipjoint buttock pelvis legroot leghip",
    },
    "knee": {3.0: "knee lowleg lowerleg loleg leglower lleg shin calf tibia shank ひざ 膝 すね", 1.2: "leg"},
    "ankle": {3.0: "ankle talus talocrural 足首", 2.0: "foot feet", 0.5: "heel"},
    "foot": {
        1.9: "foot feet",
        1.8: "toebase toe toes toesbase toe0 ball football forefoot metatarsal metatarsals つま先 爪先 足先",
        1.5: "bigtoe toetip",
    },
    "collar": {
        3.0: "collar clavicle clav clavicula collarbone innershoulder 肩",
        1.2: "shoulder",
        1.0: "scapula sternoclavicular shoulderblade",
    },
    "shoulder": {
        3.0: "upperarm uparm uarm armupper shldr humerus 腕 上腕",
        2.0: "arm",
        1.0: "shoulder",
        0.3: "shoulderjoint",
    },
    "elbow": {3.0: "elbow forearm lowerarm lowarm loarm larm farm armlower radius ulna ひじ 肘 前腕", 0.5: "arm"},
    "wrist": {3.0: "wrist 手首", 2.5: "hand 手", 0.5: "palm"},
    "head": {3.0: "head 頭 skull cranium", 1.0: "nose", 0.5: "face"},
    "neck": {3.0: "neck neckbase upperneck lowerneck cervical 首"},
    "pelvis": {3.0: "hips pelvis hip midhip spinebase センター 腰", 1.0: "root cog center lowertorso 下半身 グルーブ"},
    "spine": {3.0: "spine chest torso abdomen thorax waist back lowerback upperback spinemid 上半身 stomach belly"},
}
LEG, ARM = ("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist")
_TRUNK = ("head", "neck", "pelvis", "spine")

_HELPERS = set(
    "twist roll ctrl control ctl con ik fk pole target helper hlp corrective muscle dummy null nub end tip site pre "
    "post offset grp group zero aux virtual part share sharebone lookat mch jiggle fix effector proxy driver drv "
    "driven const constraint tweak space orient buffer twst twistbone rollbone proc bck fwd in out bulge top tail "
    "捩 ik親 キャンセル".split()
)
_OTHERS = set(
    "thumb finger fingers fingerbase pinky pinkie metacarpal carpal handtip eye eyes jaw brow eyebrow lip teeth "
    "tongue cheek nose ear hair face facial chin eyelid mouth hat helmet ponytail breast pec pectoral bust boob boobs "
    "skirt cape cloth wing prop weapon gun sword camera groin genital bag shield item socket 指 目 髪 胸 顎".split()
)
_FINGERS = set("index middle mid ring little meta".split())
_NEUTRAL = set("jnt joint jt bone bn bind skin def deform org bend m c b s j".split())
_SIDES = {"left": "left", "l": "left", "lf": "left", "lft": "left", "左": "left"}
_SIDES |= {"right": "right", "r": "right", "rt": "right", "rgt": "right", "rf": "right", "右": "right"}
_WORDS: dict[str, dict[str, float]] = {}
for _part, _levels in _SCORES.items():
    for _score, _listed in _levels.items():
        for _word in _listed.split():
            _WORDS.setdefault(_word, {})[_part] = _score
_LIMB_WORDS = {word for word, parts in _WORDS.items() if set(parts) & {*LEG, *ARM}}
_LONG_WORDS = sorted((word for word in _WORDS if len(word) > 3), key=len, reverse=True)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_PIECES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[\u3040-\u30ff\u3400-\u9fff]+")
_FEWEST_TO_STRIP = 5
_PARTLY = 0.8


@dataclass(frozen=True)
class Label:
    """What a joint's name says.

    Args:
        side: "left", "right" or "".
        parts: score of each part of the body that the joint may be.
        helper: how many words of the name mark a helper (twist, roll, control, end).
        other: the name is that of a finger, a part of the face, hair, clothes or a prop.
        base: the bare name without its side.
    """

    side: str
    parts: dict[str, float] = field(default_factory=dict)
    helper: int = 0
    other: bool = False
    base: str = ""

    def limb(self, parts: Sequence[str]) -> float:
        """The best score of the joint as one of `parts` of a side."""
        return max((self.parts.get(part, 0.0) for part in parts), default=0.0) if self.side else 0.0


def read_names(names: Sequence[str]) -> list[Label]:
    """The label of each joint; End Sites (`<parent> end`) are helpers without parts."""
    real = [name for name in names if not name.endswith(" end")]
    first, last = _shared(real)
    return [
        Label("", helper=1) if name.endswith(" end") else _label(_without(name.strip(), first, last)) for name in names
    ]


def side_and_base(name: str) -> tuple[str, str]:
    """("left" | "right" | "", bare lower-case name) of a joint name in any naming scheme."""
    label = _label(name)
    return label.side, label.base


def _shared(names: Sequence[str]) -> tuple[str, str]:
    """The prefix and the suffix that all names, or all but the first, share."""
    for group in (names, names[1:]):
        if len(group) >= _FEWEST_TO_STRIP:
            first = os.path.commonprefix(group)
            last = os.path.commonprefix([name[len(first) :][::-1] for name in group])[::-1]
            if not re.match(r"[A-Z][a-z]|[_.\-:| ]", last):
                last = ""  # not a word of its own
            if first or last:
                return first, last
    return "", ""


def _without(name: str, first: str, last: str) -> str:
    shorter = name.removeprefix(first)
    shorter = shorter.removesuffix(last) if last else shorter
    return shorter if _PIECES.search(shorter) else name


def _label(name: str) -> Label:
    name = re.split(r"[:|]", name)[-1] or name
    if _CJK.search(name):
        return _japanese(name)
    pieces = _PIECES.findall(name)
    words = [piece.lower() for piece in pieces]
    side, words = _side(pieces, words)
    spoken = [word for word in words if not word.isdigit()]
    helper = sum(word in _HELPERS for word in spoken)
    kept = [word for word in spoken if word not in _HELPERS]
    bare = [word for word in kept if word not in _NEUTRAL]
    for known in (kept, bare):
        parts, base = _longest(known)
        if parts:
            break
    else:
        # words behind the known ones make it less likely
        parts, base = _anywhere(bare)
        parts = {part: score * _PARTLY for part, score in parts.items()}
    other = any(word in _OTHERS or word.rstrip("s") in _OTHERS for word in spoken)
    other = other or (bool(side or "hand" in spoken) and any(word in _FINGERS for word in spoken))
    base = base or "".join(kept or words)
    return Label(side, {} if other else parts, helper, other, base)


def _longest(words: Sequence[str]) -> tuple[dict[str, float], str]:
    """Parts and spelling of the longest known run at the end of `words`."""
    for start in range(len(words)):
        joined = "".join(words[start:])
        if joined in _WORDS:
            return _WORDS[joined], joined
        if start == 0 and joined.endswith("s") and joined[:-1] in _LIMB_WORDS:
            return _WORDS[joined[:-1]], joined
    return {}, ""


def _anywhere(words: Sequence[str]) -> tuple[dict[str, float], str]:
    """Parts and spelling of the longest known run within `words`, or of a known word that ends a word."""
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            joined = "".join(words[start : start + length])
            if joined in _WORDS:
                return _WORDS[joined], joined
    for word in words:
        for known in _LONG_WORDS:
            if word.endswith(known):
                return _WORDS[known], known
    return {}, ""


def _side(pieces: Sequence[str], words: list[str]) -> tuple[str, list[str]]:
    """The side and the other words."""
    for known in (("left", "right"), tuple(_SIDES)):
        for place, word in enumerate(words):
            rest = words[:place] + words[place + 1 :]
            # L5 and L3 are vertebrae, LFArm is a left forearm
            glued = len(word) == 2 and "".join(words[place:])[1:] in _LIMB_WORDS
            if word in known and not glued and any(not other.isdigit() for other in rest):
                return _SIDES[word], rest
    for place, (piece, word) in enumerate(zip(pieces, words, strict=True)):
        for spelled in ("left", "right"):
            for tail in (word.removeprefix(spelled), word.removesuffix(spelled)):
                if tail != word and tail:
                    return spelled, [*words[:place], tail, *words[place + 1 :]]
        if word[0] in "lr" and len(word) > 1:
            # lfemur, LFArm, LUArm, RBigToe
            joined = "".join(word for word in words[place:] if not word.isdigit())[1:]
            if word[1:] in _LIMB_WORDS or word[1:] in _OTHERS or (piece[:2].isupper() and joined in _LIMB_WORDS):
                return _SIDES[word[0]], [*words[:place], word[1:], *words[place + 1 :]]
    return "", list(words)


def _japanese(name: str) -> Label:
    side = next((value for key, value in _SIDES.items() if key in name and _CJK.match(key)), "")
    bare = re.sub(r"[左右_.\s]", "", name)
    helper = bool(re.search(r"捩|IK|ＩＫ|親|キャンセル|D$|Ｄ$|EX$|ＥＸ$|先$", bare)) and "つま先" not in bare
    other = bool(re.search(r"指|目|髪|胸|顎|スカート", bare))
    spelled = re.sub(r"[\d０-９]+$", "", bare)
    parts = _WORDS.get(spelled, {})
    helper = helper or (not parts and not other)
    return Label(side, parts if not other else {}, int(helper), other, bare)
