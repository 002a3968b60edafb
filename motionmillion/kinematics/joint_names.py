"""Mapping of the joints of other hierarchies to those of SMPL22.

    mapping = map_joints(names, parents)      # {"pelvis": 0, "left_hip": 1, ...}

Limbs and head are found by name; pelvis, spine, neck and collars by their position in the tree: the pelvis is where
the legs meet the trunk, the chest is where the arms meet it, and the joints in between are the spine. So names and
number of spine joints do not matter. Known names: ours, SMPL (`L_Hip`), CMU's and MotionBuilder's (`LeftUpLeg`),
Mixamo (`mixamorig:LeftUpLeg`), CMU's ASF (`lfemur`), Bandai Namco (`UpperLeg_L`), LAFAN, Biovision (`LeftHip`,
`LeftKnee`), 3ds Max Biped (`Bip01 L Thigh`), DAZ (`lThigh`), Unreal (`thigh_l`), VRM and Unity (`leftUpperLeg`),
Rigify (`thigh.L`).
"""

import re
from collections.abc import Mapping, Sequence

from motionmillion.skeleton import SMPL22

_LIMBS = {
    # in order of preference; "foot" and "shoulder" mean different joints in different naming schemes, so less
    # ambiguous names are tried first
    "hip": ("hip", "upleg", "upperleg", "thigh", "femur"),
    "knee": ("knee", "leg", "lowerleg", "loleg", "shin", "calf", "tibia"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "toe0", "ball", "foot"),
    "shoulder": ("arm", "upperarm", "uparm", "shldr", "humerus", "shoulder"),
    "elbow": ("elbow", "forearm", "lowerarm", "loarm", "radius"),
    "wrist": ("wrist", "hand"),
}
_HEADS = ("head",)
_KNOWN = {word for words in _LIMBS.values() for word in words} | {"collar", "clavicle", "toebase"}
_END_SITES = {"head": "neck", "left_wrist": "left_elbow", "right_wrist": "right_elbow"}
_END_SITES |= {"left_foot": "left_ankle", "right_foot": "right_ankle"}
_OPTIONAL = ("spine1", "spine2", "spine3", "neck", "left_collar", "right_collar", "left_foot", "right_foot")

_PREFIX = re.compile(r"^(mixamorig\d*[ _\-.]?|(bip\d+|joint|def|valvebiped)[ _\-.]+)", re.IGNORECASE)
_SIDES = (
    re.compile(r"^(?P<side>left|right)[ _\-.]*(?P<base>.+)$", re.IGNORECASE),
    re.compile(r"^(?P<side>l|r)[ _\-.]+(?P<base>.+)$", re.IGNORECASE),
    re.compile(r"^(?P<base>.+?)[ _\-.]*(?P<side>left|right)$", re.IGNORECASE),
    re.compile(r"^(?P<base>.+)[ _\-.]+(?P<side>l|r)$", re.IGNORECASE),
    re.compile(r"^(?P<side>[lLrR])(?P<base>[A-Z].*)$"),
    re.compile(r"^(?P<base>.*[a-z])(?P<side>[LR])$"),
)


def map_joints(
    names: Sequence[str], parents: Sequence[int], mapping: Mapping[str, str] | None = None, path: str = "the file"
) -> dict[str, int]:
    """Index of the source joint of each SMPL22 joint that has one.

    Args:
        names: the source's joint names; End Sites are called `<parent> end`.
        parents: index of each joint's parent, -1 for the root.
        mapping: SMPL22 name -> source name, for joints that are not found or found incorrectly.
        path: the file's name for error messages.

    Raises:
        ValueError: if limbs or head cannot be found, listing them, or `mapping` names an unknown joint.
    """
    given = _given(names, mapping or {}, path)
    found = {**_by_name(names), **given}
    _by_end_site(names, parents, found)
    trunk = ("left_hip", "right_hip", "left_shoulder", "right_shoulder", "head")
    if all(joint in found for joint in trunk):
        # given names override whatever was found
        found = {**_by_place(parents, found), **given}
        _by_end_site(names, parents, found)
    missing = [name for name in SMPL22.names if name not in found and name not in _OPTIONAL]
    if missing:
        raise ValueError(
            f"{path}: names must map onto SMPL22, got no joint for {', '.join(missing)}; pass "
            f"mapping={{'{missing[0]}': '<name in the file>', ...}}; the file's joints are "
            f"{', '.join(name for name in names if not name.endswith(' end'))}"
        )
    _check_order(parents, found, names, path)
    return {name: found[name] for name in SMPL22.names if name in found}


def side_and_base(name: str) -> tuple[str, str]:
    """("left" | "right" | "", bare lower-case name) of a joint name in any naming scheme."""
    text = _PREFIX.sub("", name.split(":")[-1].strip())
    for pattern in _SIDES:
        match = pattern.match(text)
        if match:
            return {"l": "left", "r": "right"}[match["side"][0].lower()], _bare(match["base"])
    base = _bare(text)
    if base[:1] in ("l", "r") and base[1:] in _KNOWN:
        return {"l": "left", "r": "right"}[base[0]], base[1:]
    return "", base


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _given(names: Sequence[str], mapping: Mapping[str, str], path: str) -> dict[str, int]:
    for joint, name in mapping.items():
        if joint not in SMPL22.names:
            raise ValueError(f"mapping must have SMPL22 names as keys, got {joint!r}; they are {SMPL22.names}")
        if name not in names:
            raise ValueError(f"mapping must name joints of {path}, got {name!r} for {joint!r}; they are {list(names)}")
    return {joint: names.index(name) for joint, name in mapping.items()}


def _by_name(names: Sequence[str]) -> dict[str, int]:
    """Limbs and head by their names."""
    places: dict[tuple[str, str], int] = {}
    for joint, name in enumerate(names):
        if not name.endswith(" end"):
            places.setdefault(side_and_base(name), joint)
    found: dict[str, int] = {}
    for head in _HEADS:
        if ("", head) in places:
            found["head"] = places["", head]
    for side in ("left", "right"):
        for limb, words in _LIMBS.items():
            # the first known name that is not taken by another limb
            for word in words:
                joint = places.get((side, word))
                if joint is not None and joint not in found.values():
                    found[f"{side}_{limb}"] = joint
                    break
    return found


def _by_end_site(names: Sequence[str], parents: Sequence[int], found: dict[str, int]) -> None:
    """Use the End Site of a limb if its tip has no joint."""
    for joint, above in _END_SITES.items():
        if joint in found or above not in found:
            continue
        tips = [j for j, p in enumerate(parents) if p == found[above] and names[j].endswith(" end")]
        if tips:
            found[joint] = tips[0]


def _by_place(parents: Sequence[int], found: dict[str, int]) -> dict[str, int]:
    """`found` with pelvis, spine, neck and collars added by their position in the tree."""
    result = dict(found)
    head, hips = _ancestry(parents, found["head"]), [_ancestry(parents, found[f"{s}_hip"]) for s in ("left", "right")]
    arms = [_ancestry(parents, found[f"{s}_shoulder"]) for s in ("left", "right")]
    # the trunk is the part of the head's ancestors from where the legs branch off to where the arms do
    pelvis = _meeting(head, hips)
    chest = _meeting(head, arms)
    result["pelvis"] = pelvis
    spine = head[head.index(chest) : head.index(pelvis)][::-1] if pelvis in head[head.index(chest) :] else []
    if len(spine) == 1:
        result["spine1"] = spine[0]
    elif len(spine) == 2:
        result["spine1"], result["spine3"] = spine
    elif spine:
        result["spine1"], result["spine2"], result["spine3"] = spine[0], spine[len(spine) // 2], spine[-1]
    neck = head[1 : head.index(chest)]
    if neck:
        result["neck"] = neck[-1]
    for side, arm in zip(("left", "right"), arms, strict=True):
        collar = arm[1 : arm.index(chest)] if chest in arm else []
        if collar:
            result[f"{side}_collar"] = collar[0]
    return result


def _ancestry(parents: Sequence[int], joint: int) -> list[int]:
    """A joint, its parent, and so on up to the root."""
    chain = []
    while joint >= 0:
        chain.append(joint)
        joint = parents[joint]
    return chain


def _meeting(trunk: list[int], limbs: list[list[int]]) -> int:
    """The first joint of `trunk`, which is listed towards the root, that is an ancestor of all limbs."""
    return next(joint for joint in trunk if all(joint in limb for limb in limbs))


def _check_order(parents: Sequence[int], found: dict[str, int], names: Sequence[str], path: str) -> None:
    """Raise `ValueError` unless each mapped joint is a descendant of the joint that its SMPL22 parent is mapped to."""
    for joint, parent in zip(SMPL22.names[1:], SMPL22.parents[1:], strict=True):
        # nearest ancestor that is mapped
        while parent >= 0 and SMPL22.names[parent] not in found:
            parent = SMPL22.parents[parent]
        if joint not in found or parent < 0:
            continue
        above = found[SMPL22.names[parent]]
        if above not in _ancestry(parents, found[joint])[1:]:
            raise ValueError(
                f"{path}: names must map onto SMPL22, got {names[found[joint]]!r} for {joint}, which does not hang "
                f"below {names[above]!r} for {SMPL22.names[parent]}; pass the right names in mapping="
            )
