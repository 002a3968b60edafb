"""Mapping of the joints of other hierarchies to those of SMPL22.

    mapping = map_joints(names, parents, rest=rest)      # {"pelvis": 0, "left_hip": 1, ...}

Limbs are found as chains (`motionmillion.kinematics.joint_chains`), by names in any scheme where they are known
(`motionmillion.kinematics.joint_words`) and by structure where they are not. Pelvis, spine, neck and collars follow
from their position in the tree: the pelvis is where the legs meet the trunk, the chest is where the arms meet it, and
the joints in between are the spine. So names and number of spine joints do not matter. Known schemes: ours, SMPL, CMU
(BVH and ASF), MotionBuilder, Mixamo, Bandai Namco, LAFAN, SOMA, Biovision, 3ds Max Biped, DAZ and Poser, Reallusion,
Unreal, Unity, VRM, Roblox, Rigify, MakeHuman, Second Life, MikuMikuDance, Xsens, Axis Neuron, Rokoko, OptiTrack,
Vicon, iPi, Kinect, OpenPose; each behind any prefix.

Unusual: without a joint called head, the head is the tip of the chain above the shoulders, which may be an End Site.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from motionmillion.kinematics.joint_chains import SIDES, Tree, find_limbs
from motionmillion.kinematics.joint_words import side_and_base
from motionmillion.skeleton import SMPL22

__all__ = ["find_joints", "map_joints", "side_and_base"]

_OPTIONAL = ("spine1", "spine2", "spine3", "neck", "left_collar", "right_collar", "left_foot", "right_foot")
_NEAR = 0.05
_LIMBS = {
    limb: {f"{side}_{part}" for side in SIDES for part in parts}
    for limb, parts in (("legs", ("hip", "knee", "ankle")), ("arms", ("shoulder", "elbow", "wrist")))
}
"""The joints without which a body has no legs or no arms."""


def map_joints(
    names: Sequence[str],
    parents: Sequence[int],
    mapping: Mapping[str, str] | None = None,
    path: str = "the file",
    rest: np.ndarray | None = None,
) -> dict[str, int]:
    """Index of the source joint of each SMPL22 joint that has one.

    Args:
        names: the source's joint names; End Sites are called `<parent> end`.
        parents: index of each joint's parent, -1 for the root.
        mapping: SMPL22 name -> source name, for joints that are not found or found incorrectly.
        path: the file's name for error messages.
        rest: joint positions `[N, 3]` of the rest pose, in any unit; where names are unknown, the structure is only
            clear with them.

    Raises:
        ValueError: if limbs or head cannot be found, listing them, or `mapping` names an unknown joint.
    """
    found = find_joints(names, parents, mapping, path, rest)
    missing = [name for name in SMPL22.names if name not in found and name not in _OPTIONAL]
    # pelvis and head are looked for where limbs are found
    missing = [name for name in missing if name.split("_")[0] in SIDES] or missing
    if missing:
        without = [f"no {limb}" for limb, joints in _LIMBS.items() if not joints & found.keys()]
        lost = without[0] if len(without) == 1 else ""  # a body of which nothing is found may have both
        raise ValueError(
            f"{path}: names must map onto SMPL22, got {f'{lost}: ' if lost else ''}no joint for {', '.join(missing)}; "
            f"pass mapping={{'{missing[0]}': '<name in the file>', ...}}, or --mapping {missing[0]}=NAME on the "
            f"command line{', if it has them' if lost else ''}; the file's joints are {_listed(names)}"
        )
    _check_order(parents, found, names, path)
    return found


def find_joints(
    names: Sequence[str],
    parents: Sequence[int],
    mapping: Mapping[str, str] | None = None,
    path: str = "the file",
    rest: np.ndarray | None = None,
) -> dict[str, int]:
    """Like `map_joints`, but joints that are not found are left out.

    Raises:
        ValueError: if `mapping` names an unknown joint.
    """
    given = _given(names, mapping or {}, path)
    tree = Tree(names, parents, rest)
    found = {**find_limbs(tree, given), **given}
    if all(f"{side}_{part}" in found for side in SIDES for part in ("hip", "shoulder")):
        _add_head(tree, found)
        if "head" in found:
            # given names override whatever was found
            found = {**_with_trunk(tree, found), **given}
    return {name: found[name] for name in SMPL22.names if name in found}


def _listed(names: Sequence[str]) -> str:
    real = [name for name in names if not name.endswith(" end")]
    return ", ".join(real[:100]) + (", ..." if len(real) > 100 else "")


def _given(names: Sequence[str], mapping: Mapping[str, str], path: str) -> dict[str, int]:
    for joint, name in mapping.items():
        if joint not in SMPL22.names:
            raise ValueError(f"mapping must have SMPL22 names as keys, got {joint!r}; they are {SMPL22.names}")
        if name not in names:
            raise ValueError(
                f"mapping must name joints of {path}, got {name!r} for {joint!r}; they are {_listed(names)}"
            )
    return {joint: list(names).index(name) for joint, name in mapping.items()}


def _add_head(tree: Tree, found: dict[str, int]) -> None:
    """Find the head: the joint of that name, else the tip of the chain above the shoulders."""
    if "head" in found:
        return
    limbs = {joint for name, joint in found.items() if name.split("_")[0] in SIDES}
    arms = [tree.ancestry(found[f"{side}_shoulder"]) for side in SIDES]
    chest = next((joint for joint in arms[0] if joint in arms[1]), None)
    worth = [
        label.parts.get("head", 0.0) if tree.usable(joint) and not label.side else 0.0
        for joint, label in enumerate(tree.labels)
    ]
    heads = [j for j, score in enumerate(worth) if score >= 1.0 and not limbs.intersection(tree.subtree(j))]
    if heads:
        found["head"] = max(heads, key=lambda j: (worth[j], -j))
        return
    while chest is not None and chest >= 0:
        # a neck may branch off below the collars
        above = [child for child in tree.children[chest] if not limbs.intersection(tree.subtree(child))]
        above = [child for child in above if not tree.labels[child].other and not tree.labels[child].side]
        if above:
            found["head"] = _tip(tree, _upwards(tree, above, chest, found))
            return
        chest = tree.parents[chest]


def _upwards(tree: Tree, joints: Sequence[int], chest: int, found: Mapping[str, int]) -> int:
    """Of several branches the one called neck, else the one that leads farthest up, else the longest."""
    up = None
    if tree.rest is not None:
        hips = (tree.rest[found["left_hip"]] + tree.rest[found["right_hip"]]) / 2
        up = tree.rest[chest] - hips

    def worth(joint: int) -> tuple[float, bool, float]:
        named, inside = tree.labels[joint].parts.get("neck", 0.0), tree.subtree(joint)
        if up is None or tree.rest is None:
            return named, not tree.sites[joint], len(inside)
        return named, not tree.sites[joint], max(float((tree.rest[j] - tree.rest[chest]) @ up) for j in inside)

    return max(joints, key=worth)


def _tip(tree: Tree, joint: int) -> int:
    """The last joint of a chain above the shoulders, or its End Site if that joint is a neck."""
    chain = [joint]
    while True:
        below = [j for j in tree.children[joint] if not (tree.labels[j].side or tree.labels[j].other or tree.sites[j])]
        if not below:
            break
        joint = next((j for j in below if tree.usable(j)), below[0])
        chain.append(joint)
    chain = _real(tree, chain)
    sites = [j for j in tree.children[chain[-1]] if tree.sites[j]]
    neck = len(chain) == 1 or "neck" in tree.labels[chain[-1]].parts
    return sites[0] if sites and neck else chain[-1]


def _with_trunk(tree: Tree, found: Mapping[str, int]) -> dict[str, int]:
    """`found` with pelvis, spine, neck and collars added by their position in the tree."""
    result = dict(found)
    head = tree.ancestry(found["head"])
    hips, arms = ([tree.ancestry(found[f"{s}_{part}"]) for s in SIDES] for part in ("hip", "shoulder"))
    # the trunk is the part of the head's ancestors from where the legs branch off to where the arms do
    pelvis, chest = _pelvis(tree, head, hips), _meeting(head, arms)
    result["pelvis"] = pelvis
    spine = head[head.index(chest) : head.index(pelvis)][::-1] if pelvis in head[head.index(chest) :] else []
    neck = head[1 : head.index(chest)]
    if len(spine) > 1 and "neck" in tree.labels[chest].parts:
        neck, spine = [*neck, chest], spine[:-1]  # collars hang on the neck, as in Biped
    spine = _real(tree, spine)
    neck = _real(tree, [joint for joint in neck if "neck" in tree.labels[joint].parts] or neck)
    if len(spine) == 1:
        result["spine1"] = spine[0]
    elif len(spine) == 2:
        result["spine1"], result["spine3"] = spine
    elif spine:
        result["spine1"], result["spine2"], result["spine3"] = spine[0], spine[len(spine) // 2], spine[-1]
    if neck:
        result["neck"] = neck[-1]
    for side, arm in zip(SIDES, arms, strict=True):
        between = arm[1 : arm.index(chest)] if chest in arm else []
        if result.get(f"{side}_collar") not in between:
            result.pop(f"{side}_collar", None)
            apart = [joint for joint in between if tree.distance(joint, arm[0]) > 1e-4] or between
            if apart:
                result[f"{side}_collar"] = _real(tree, apart)[0]
    return result


def _pelvis(tree: Tree, head: list[int], hips: list[list[int]]) -> int:
    """Where the legs meet the trunk; or the joint above of that name, if the legs hang on the spine near it."""
    pelvis = _meeting(head, hips)
    above = tree.parents[pelvis]
    if above >= 0 and "spine" in tree.labels[pelvis].parts and tree.labels[above].parts.get("pelvis", 0) > 1:
        return above if tree.distance(pelvis, above) < _NEAR or tree.rest is None else pelvis
    return pelvis


def _real(tree: Tree, joints: list[int]) -> list[int]:
    """The joints that are no helpers, or those that are least so."""
    least = min((tree.labels[joint].helper for joint in joints), default=0)
    return [joint for joint in joints if tree.labels[joint].helper == least]


def _meeting(trunk: list[int], limbs: list[list[int]]) -> int:
    """The first joint of `trunk`, which is listed towards the root, that is an ancestor of all limbs."""
    for joint in trunk:
        if all(joint in limb for limb in limbs):
            return joint
    raise ValueError("joints must hang on one root, got limbs and head on different ones; the hierarchy is damaged")


def _check_order(parents: Sequence[int], found: dict[str, int], names: Sequence[str], path: str) -> None:
    """Raise `ValueError` unless each mapped joint is a descendant of the joint that its SMPL22 parent is mapped to."""
    for joint, parent in zip(SMPL22.names[1:], SMPL22.parents[1:], strict=True):
        # nearest ancestor that is mapped
        while parent >= 0 and SMPL22.names[parent] not in found:
            parent = SMPL22.parents[parent]
        if joint not in found or parent < 0:
            continue
        above, ancestor = found[SMPL22.names[parent]], parents[found[joint]]
        while ancestor >= 0 and ancestor != above:
            ancestor = parents[ancestor]
        if ancestor != above:
            raise ValueError(
                f"{path}: names must map onto SMPL22, got {names[found[joint]]!r} for {joint}, which does not hang "
                f"below {names[above]!r} for {SMPL22.names[parent]}; pass the right names in mapping= (--mapping "
                f"{joint}=NAME on the command line)"
            )
