"""Characters of one's own, from `.glb`, `.gltf`, `.bvh` and `.fbx` files, and their files with a motion.

    character = read_character("hero.glb")                 # or a .bvh, or the skeleton of an .fbx file
    retarget_file(motion, character, "out.glb")            # or out.bvh; [walk, run] for two animations of a .glb
    print(character.mapping)                               # SMPL22 name -> joint's name

A `.glb` or `.gltf` character keeps its whole file, as a `.glb`, and gets more animations
(`motionmillion.io.gltf_character`). Every other pair of formats writes the bare skeleton
(`motionmillion.io.bare_skeletons`): a `.bvh` target keeps hierarchy, names, offsets, channels, axes and unit.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motionmillion.io.axes import check_up
from motionmillion.io.bare_skeletons import BareSkeleton, write_bare_bvh, write_bare_glb
from motionmillion.io.bvh_file import BvhTree, parse_hierarchies
from motionmillion.io.files import existing_file
from motionmillion.io.gltf_character import Animation, GlbCharacter, read_glb, write_glb_animations
from motionmillion.io.people import choose_character, is_body, separate_bodies
from motionmillion.kinematics.rotations import nearest
from motionmillion.kinematics.target_options import RetargetOptions
from motionmillion.kinematics.targets import Target, ToTarget
from motionmillion.kinematics.upright import UP_TURNS, upright_fraction
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

GLTF = (".glb", ".gltf")
TARGETS, OUTPUTS = (*GLTF, ".bvh", ".fbx"), (".glb", ".bvh")
_CENTIMETRES = 100.0
_UNITS = (1.0, 39.3701, 100.0, 1000.0)
_LEG = 0.8
_FAR = 0.1
"""Metres by which IK may miss its goals without a warning."""


@dataclass(frozen=True, eq=False)
class Character:
    """A body, whose joints are found, and what is needed to write its file.

    Args:
        target: the body, y up.
        joints: SMPL22 name -> joint.
        frames: rotations `[N, 3, 3]` of the joints in the rest pose, y up.
        bones: which joints are bones, `[N]`.
        turn: `[3, 3]`, from the axes of the file to y up.
        per_metre: units per metre.
    """

    target: Target
    joints: dict[str, int]
    frames: np.ndarray
    bones: np.ndarray
    turn: np.ndarray
    per_metre: float = 1.0
    glb: GlbCharacter | None = None
    bvh: BvhTree | None = None

    @property
    def mapping(self) -> dict[str, str]:
        """SMPL22 name -> name of the joint."""
        return {name: self.target.names[joint] for name, joint in self.joints.items()}


def read_character(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    index: int | None = None,
    up: str | None = None,
) -> Character:
    """Read the body of a file.

    Args:
        path: a `.glb`, `.gltf`, `.bvh` or `.fbx` file.
        mapping: SMPL22 name -> the file's joint, for joints that are not found automatically.
        index: which character of a file of several.
        up: the vertical axis of a `.bvh` file, "y" or "z"; None takes that about which it stands.

    Raises:
        ValueError: for another suffix, a file that is missing, damaged or no character, or joints that cannot be
            mapped (listing the missing ones).
    """
    check_up(up)
    path, given = Path(path), dict(mapping or {})
    suffix = path.suffix.lower()
    if suffix not in TARGETS:
        raise ValueError(f"target must end in one of {list(TARGETS)}, got {str(path)!r}")
    if suffix in GLTF:
        glb = read_glb(path, index, given)
        return Character(glb.target, glb.joints, glb.frames, glb.bones, np.eye(3), glb=glb)
    if suffix == ".bvh":
        return _from_bvh(existing_file(path), given, index, up)
    return _from_fbx(existing_file(path), given, index)


def _from_bvh(path: Path, mapping: dict[str, str], index: int | None, up: str | None) -> Character:
    trees = parse_hierarchies(path.read_bytes(), str(path))
    bodies = [Target(tuple(t.names), tuple(t.parents), t.rest_positions(), path=str(path)) for t in trees]
    place, joints = choose_character(bodies, mapping, path, index)
    tree, rest = trees[place], bodies[place].rest
    positions, rotations = tree.forward_kinematics(np.arange(min(tree.num_frames, 1000)))
    turn = UP_TURNS[_up(positions, rest, joints) if up is None else up]
    target = Target(
        tuple(tree.names),
        tuple(tree.parents),
        rest @ turn.T,
        positions=positions @ turn.T if len(positions) else None,
        rotations=turn @ rotations @ turn.T if len(positions) else None,
        path=str(path),
    )
    _check_sides(target, joints, path)
    bones = np.array([not name.endswith(" end") for name in tree.names])
    leg = sum(np.linalg.norm(rest[joints[f"left_{a}"]] - rest[joints[f"left_{b}"]]) for a, b in _LEG_BONES)
    ratio = max(float(leg), 1e-9) / _LEG
    per_metre = min(_UNITS, key=lambda unit: abs(np.log(ratio / unit)))
    return Character(target, joints, np.tile(np.eye(3), (len(rest), 1, 1)), bones, turn, per_metre, bvh=tree)


_LEG_BONES = (("hip", "knee"), ("knee", "ankle"))


def _up(positions: np.ndarray, rest: np.ndarray, joints: dict[str, int]) -> str:
    """The axis about which most frames stand, else that of the rest pose, else y."""
    order: list[int] = []
    for name, parent in zip(SMPL22.names, SMPL22.parents, strict=True):
        order.append(joints.get(name, order[parent] if parent >= 0 else 0))
    for clip in (positions, rest[None]):
        fractions = {axis: upright_fraction(clip[:, order], axis) for axis in UP_TURNS} if len(clip) else {"y": 0.0}
        best = max(fractions, key=lambda axis: (fractions[axis], axis == "y"))
        if fractions[best] > 0.5:
            return best
    return "y"


def _from_fbx(path: Path, mapping: dict[str, str], index: int | None) -> Character:
    from motionmillion.io.fbx_read import node_arrays

    arrays = node_arrays(path, ["--rest"])
    bones = arrays["bones"].astype(bool)
    groups = separate_bodies(arrays["parents"].tolist(), bones)
    bodies = [_part(arrays, group, path) for group in groups]
    if not any(is_body(body.names, body.parents, body.rest, mapping) for body in bodies):
        groups = [list(range(len(bones)))]  # one body with several topmost bones
        bodies = [_part(arrays, groups[0], path)]
    place, joints = choose_character(bodies, mapping, path, index)
    target, kept = bodies[place], groups[place]
    frames = arrays["rest"][kept, :3, :3]
    for joint in joints.values():
        if np.linalg.det(frames[joint]) <= 0:
            raise ValueError(
                f"joints of {str(path)!r} must not be mirrored, got {target.names[joint]!r}; apply scales"
            )
    return Character(target, joints, nearest(frames), bones[kept], np.eye(3))


def _check_sides(target: Target, joints: Mapping[str, int], path: Path) -> None:
    """Raise `ValueError` if the left hip is on the right, seen from behind the feet: a mirrored body, or its names."""
    if not {"left_ankle", "left_foot", "right_ankle", "right_foot"} <= set(joints):
        return
    place = {name: target.rest[joint] for name, joint in joints.items()}
    across = place["left_hip"] - place["right_hip"]
    for side in ("left", "right"):
        foot = place[f"{side}_foot"] - place[f"{side}_ankle"]
        left = np.array([foot[2], 0.0, -foot[0]])  # of a body that looks where its foot points, y up
        if left @ across > -0.5 * np.linalg.norm(foot) * np.linalg.norm(across):
            return
    hip = target.names[joints["left_hip"]]
    raise ValueError(
        f"joints of {str(path)!r} must not be mirrored, got {hip!r} on the right; mirror the file, or name the joints"
    )


def _part(arrays: dict[str, np.ndarray], kept: list[int], path: Path) -> Target:
    """The body of some of a file's joints, which hold the parents of each other."""
    parents = [kept.index(parent) if parent >= 0 else -1 for parent in arrays["parents"][kept].tolist()]
    names = tuple(str(name) for name in arrays["names"][kept])
    return Target(names, tuple(parents), arrays["rest"][kept, :3, 3], path=str(path))


def check_target_output(
    character_path: str | Path, path: str | Path, motions: int = 1, whole_glb: bool = True
) -> None:
    """Raise `ValueError` unless a character can be written to `path`.

    Args:
        motions: number of motions for the file.
        whole_glb: whether the character comes from a `.glb` or `.gltf` file.
    """
    if Path(path).suffix.lower() not in OUTPUTS:
        raise ValueError(
            f"output must end in one of {list(OUTPUTS)} for the character of {str(character_path)!r}, got "
            f"{str(path)!r}; write out.glb or out.bvh"
        )
    if motions > 1 and not (whole_glb and Path(path).suffix.lower() == ".glb"):
        raise ValueError(
            f"output must be the .glb file of a .glb character to hold {motions} motions, got {str(path)!r} for "
            f"{str(character_path)!r}; write one file for each motion"
        )


def retarget_file(
    motion: Motion | Sequence[Motion],
    character: Character,
    *paths: str | Path,
    options: RetargetOptions | None = None,
    first: bool = False,
) -> list[Path]:
    """Write a motion on a character, as `.glb` or `.bvh` files.

    Args:
        motion: one motion; for the `.glb` files of a `.glb` character also several, each an animation.
        first: animations come before those that a `.glb` character has of its own, not after them.

    Raises:
        ValueError: for another suffix, several motions in another file, or a body that cannot carry a motion.
    """
    motions = [motion] if isinstance(motion, Motion) else list(motion)
    for path in map(Path, paths):
        check_target_output(character.target.path, path, len(motions), character.glb is not None)
    clips = [_animation(each, character, options) for each in motions]
    written = []
    for path in map(Path, paths):
        if path.suffix.lower() == ".glb" and character.glb is not None:
            written.append(write_glb_animations(character.glb, clips, character.joints, path, first))
            continue
        (carried, fps, name), kept = clips[0], _kept(character)
        part = carried._replace(rotations=carried.rotations[:, kept], positions=carried.positions[:, kept])
        if path.suffix.lower() == ".glb":
            written.append(write_bare_glb(_bare(character, kept, bvh=False), part, fps, path, name))
        else:
            written.append(write_bare_bvh(_bare(character, kept, bvh=True), part, fps, path))
    return written


def _animation(motion: Motion, character: Character, options: RetargetOptions | None) -> Animation:
    """A motion on a character, with a warning if its limbs are too short."""
    carried = ToTarget(character.target, character.joints, options)(motion)
    missed = float(carried.short.max()) / character.per_metre
    if missed > _FAR:
        warnings.warn(
            f"{character.target.path}: its limbs are too short for some of the motion's places of hands or feet, by "
            f"up to {missed:.2f} m at frame {int(carried.short.argmax())}",
            stacklevel=3,
        )
    return Animation(carried, motion.fps, " ".join(motion.caption.split())[:60])


def _kept(character: Character) -> list[int]:
    """The joints of a bare skeleton: all of a BVH file; of others those below the topmost bone over the hips."""
    parents = character.target.parents
    if character.bvh is not None:
        return list(range(len(parents)))
    top = above = character.joints["pelvis"]
    while above >= 0:
        top, above = (above if character.bones[above] else top), parents[above]
    kept = [top]
    for joint, parent in enumerate(parents):
        if parent in kept:
            kept.append(joint)
    return kept


def _bare(character: Character, kept: list[int], bvh: bool) -> BareSkeleton:
    target, tree = character.target, character.bvh
    parents = [kept.index(target.parents[joint]) if target.parents[joint] in kept else -1 for joint in kept]
    names = [target.names[joint] for joint in kept]
    if not bvh:
        rest = target.rest[kept] / character.per_metre
        return BareSkeleton(names, parents, rest, character.frames[kept], unit=1.0 / character.per_metre)
    if tree is not None:
        rest = target.rest @ character.turn
        return BareSkeleton(names, parents, rest, character.frames, tree.channels, turn=character.turn)
    return BareSkeleton(names, parents, target.rest[kept] * _CENTIMETRES, character.frames[kept], unit=_CENTIMETRES)
