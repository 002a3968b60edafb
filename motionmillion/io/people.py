"""Which body it is in a file of several: the character to retarget to, or the person to read.

    place, joints = choose_character(targets, mapping, "two.glb", index=None)
    tree = choose_person(trees, mapping, "two.bvh", index=1)

A body is what has the joints of a human; props, cameras and controls are none. A character must be named where there
are several, since a motion on the wrong one is lost work; of people to read the first is taken, with a warning.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from motionmillion.io.bvh_file import BvhTree, warn_of_others
from motionmillion.io.options import choose, option
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.kinematics.targets import Target


def choose_character(
    targets: Sequence[Target], mapping: Mapping[str, str], path: str | Path, index: int | None
) -> tuple[int, dict[str, int]]:
    """The place of the character among the bodies of a file, the largest first, and its joints by SMPL22 name.

    Args:
        index: which one of several.

    Raises:
        ValueError: if none has the joints of a human (why, for the first), or several have and none is chosen.
    """
    made, failed = [], None
    for place, target in enumerate(targets):
        try:
            made.append((place, target.joints(mapping)))
        except ValueError as error:
            failed = failed or error
    if not made:
        raise failed or ValueError(f"{str(path)!r} must hold a character with joints, got none")
    if index is None and len(made) > 1:
        names = ", ".join(repr(targets[place].names[joints["pelvis"]]) for place, joints in made[:4])
        raise ValueError(
            f"{str(path)!r} must hold one character, got {len(made)}, with the hips {names}; choose one with "
            f"{option('index', 0)} to {len(made) - 1}"
        )
    if not 0 <= (index or 0) < len(made):
        raise ValueError(f"index must be 0 to {len(made) - 1} for the characters of {str(path)!r}, got {index!r}")
    return made[index or 0]


def choose_person(
    trees: Sequence[BvhTree], mapping: Mapping[str, str], path: str | Path, index: int | None
) -> BvhTree:
    """The hierarchy of a person; warns of several, and of props.

    Raises:
        ValueError: if there is no such person.
    """
    people = (
        [tree for tree in trees if is_body(tree.names, tree.parents, tree.rest_positions(), mapping)]
        if len(trees) > 1
        else []
    )
    people = people or list(trees[:1])
    tree = people[choose(len(people), index, path, "people")]
    warn_of_others(tree, [other for other in trees if all(other is not person for person in people)], str(path))
    return tree


def separate_bodies(parents: Sequence[int], bones: np.ndarray) -> list[list[int]]:
    """The joints below each topmost bone, with all that it hangs from; the largest first.

    Args:
        parents: index of each joint's parent, -1 for roots; parents come first.
        bones: which joints are bones, `[N]`.
    """
    top = list(range(len(parents)))  # the topmost bone above each joint
    inside = [bool(bone) for bone in bones]
    for joint, parent in enumerate(parents):
        if parent >= 0 and inside[parent]:
            top[joint], inside[joint] = top[parent], True
    groups = []
    for root in sorted({top[joint] for joint in range(len(parents)) if inside[joint]}):
        group = {joint for joint in range(len(parents)) if inside[joint] and top[joint] == root}
        above = parents[root]
        while above >= 0:
            group.add(above)
            above = parents[above]
        groups.append(sorted(group))
    return sorted(groups, key=len, reverse=True)


def is_body(
    names: Sequence[str], parents: Sequence[int], rest: np.ndarray, mapping: Mapping[str, str] | None = None
) -> bool:
    """Whether joints are found as `map_joints` does."""
    try:
        map_joints(names, parents, mapping, rest=rest)
    except ValueError:
        return False
    return True
