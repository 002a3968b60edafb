"""Rigs whose bones lie, and are turned, in any way, and a walk on each of them: what reading must not depend on.

    rig = Rig().along([1.0, 0.0, 0.0])              # every bone of the rest pose along x, as in LAFAN1
    Path("x.bvh").write_text(rig.bvh(*walk()))      # the same motion as that of `Rig()`

The plain rig stands in a T-pose and is of other proportions than SMPL22. Used by `reading_table.py` and the tests.
Shapes: T frames, 22 joints in SMPL22's order; centimetres.
"""

import dataclasses

import numpy as np
import roma
import torch

from motionmillion.kinematics.bodies import TIPS
from motionmillion.kinematics.rotations import about, axis_rotation, swing, unit
from motionmillion.skeleton import SMPL22

INDEX = {name: joint for joint, name in enumerate(SMPL22.names)}
SIDES = (("left", 1.0), ("right", -1.0))
FPS = 30.0


def children(joint: int) -> list[int]:
    """Joints whose parent is `joint`."""
    return [child for child, parent in enumerate(SMPL22.parents) if parent == joint]


def plain_offsets() -> np.ndarray:
    """Offsets `[22, 3]` of a T-pose with straight limbs and a straight trunk."""
    offsets = np.zeros((22, 3))
    for side, sign in SIDES:
        limb = dict(hip=(sign * 9, -5, 0), knee=(0, -41, 0), ankle=(0, -42, -2), foot=(0, -7, 13))
        limb |= dict(collar=(sign * 4, 17, 0), shoulder=(sign * 13, 0, 0), elbow=(sign * 28, 0, 0))
        for name, offset in (limb | dict(wrist=(sign * 25, 0, 0))).items():
            offsets[INDEX[f"{side}_{name}"]] = offset
    for name, offset in dict(spine1=(0, 12, 0), spine2=(0, 9, 0), spine3=(0, 9, 0), neck=(0, 22, 0)).items():
        offsets[INDEX[name]] = offset
    offsets[INDEX["head"]] = (0, 9, 2)
    return offsets


@dataclasses.dataclass
class Rig:
    """A rig; `frames[j]` turns joint j's own frame, and with it the bones below j in the rest pose."""

    offsets: np.ndarray = dataclasses.field(default_factory=plain_offsets)
    frames: np.ndarray = dataclasses.field(default_factory=lambda: np.tile(np.eye(3), (22, 1, 1)))
    names: tuple[str, ...] = SMPL22.names

    def rest(self) -> np.ndarray:
        """Positions `[22, 3]` of the rest pose."""
        positions = np.zeros((22, 3))
        for joint, parent in enumerate(SMPL22.parents[1:], start=1):
            positions[joint] = positions[parent] + self.frames[parent] @ self.offsets[joint]
        return positions

    def posed(self, local: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions `[T, 22, 3]`, and global rotations `[T, 22, 3, 3]` relative to the rest pose."""
        turned, positions = np.zeros_like(local), np.zeros((len(local), 22, 3))
        for joint, parent in enumerate(SMPL22.parents):
            turned[:, joint] = local[:, joint] if parent < 0 else turned[:, parent] @ local[:, joint]
            step = 0.0 if parent < 0 else turned[:, parent] @ self.offsets[joint]
            positions[:, joint] = (root if parent < 0 else positions[:, parent]) + step
        return positions, turned @ self.frames.swapaxes(-1, -2)

    def along(self, direction: list[float], twist: np.ndarray | None = None) -> "Rig":
        """Every bone along one direction; joints without a bone turn with the bone above.

        Args:
            twist: an angle `[22]` by which each joint's frame is turned about its bone, radians.
        """
        frames, trunk = np.tile(np.eye(3), (22, 1, 1)), {0: INDEX["spine1"], INDEX["spine3"]: INDEX["neck"]}
        for joint in range(22):
            below = children(joint)
            if not below:
                frames[joint] = frames[SMPL22.parents[joint]]
                continue
            frames[joint] = swing(self.offsets[trunk.get(joint, below[0])], np.array(direction))
            if twist is not None and joint:
                frames[joint] = about(unit(np.array(direction)), twist[joint]) @ frames[joint]
        return dataclasses.replace(self, frames=frames)

    def turned_about_its_bone(self, names: tuple[str, ...], degrees: float) -> "Rig":
        """Some joints' frames turned about their own bones."""
        frames = self.frames.copy()
        for joint in map(INDEX.__getitem__, names):
            bone = self.offsets[(children(joint) or [joint])[0]]
            frames[joint] = about(unit(frames[joint] @ bone), np.deg2rad(degrees)) @ frames[joint]
        return dataclasses.replace(self, frames=frames)

    def bvh(self, local: np.ndarray, root: np.ndarray) -> str:
        """The text of a BVH file."""
        _, turned = self.posed(local, root)
        lines, columns = ["HIERARCHY"], [root]

        def add(joint: int, above: np.ndarray | None) -> None:
            parent = SMPL22.parents[joint]
            offset = np.zeros(3) if parent < 0 else self.frames[parent] @ self.offsets[joint]
            moved = "6 Xposition Yposition Zposition" if parent < 0 else "3"
            lines.extend([f"{'ROOT' if parent < 0 else 'JOINT'} {self.names[joint]}", "{"])
            lines.append("OFFSET " + " ".join(f"{value:.6f}" for value in offset))
            lines.append(f"CHANNELS {moved} Zrotation Xrotation Yrotation")
            own = turned[:, joint] if above is None else above.swapaxes(-1, -2) @ turned[:, joint]
            columns.append(roma.rotmat_to_euler("ZXY", torch.from_numpy(own), degrees=True).numpy())
            for child in children(joint):
                add(child, turned[:, joint])
            if not children(joint):
                tip = self.frames[joint] @ (8.0 * np.array(TIPS[SMPL22.names[joint]]))
                lines.extend(["End Site", "{", "OFFSET " + " ".join(f"{value:.6f}" for value in tip), "}"])
            lines.append("}")

        add(0, None)
        lines += ["MOTION", f"Frames: {len(root)}", f"Frame Time: {1 / FPS:.6f}"]
        lines += [" ".join(f"{value:.5f}" for value in row) for row in np.concatenate(columns, axis=1)]
        return "\n".join(lines) + "\n"


def walk(frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations `[T, 22, 3, 3]` and root positions `[T, 3]`: limbs bend and swing, trunk and head turn."""
    phase = np.linspace(0, 4 * np.pi, frames)
    local = np.tile(np.eye(3), (frames, 22, 1, 1))

    def turn(name: str, axis: int, degrees: np.ndarray) -> None:
        local[:, INDEX[name]] = axis_rotation(np.deg2rad(degrees), axis)

    turn("pelvis", 1, 15 + 15 * np.sin(phase / 4))
    turn("spine3", 1, 8 * np.sin(phase))
    turn("head", 1, 20 * np.sin(phase / 2))
    for side, sign in SIDES:
        turn(f"{side}_hip", 0, sign * 25 * np.sin(phase))
        turn(f"{side}_knee", 0, 25 - 25 * np.cos(phase + sign))
        down, swinging = axis_rotation(np.deg2rad(-70.0 * sign), 2), np.deg2rad(-sign * 20 * np.sin(phase))
        local[:, INDEX[f"{side}_shoulder"]] = axis_rotation(swinging, 0) @ down
        turn(f"{side}_elbow", 1, -sign * (25 + 10 * np.sin(phase)))
    return local, np.stack([30 * phase, np.full(frames, 95.0), 100 * phase], axis=1)


def rigs() -> dict[str, Rig]:
    """The rigs of the table in `docs/files.md`, by what they are."""
    spine, plain = ("spine1", "spine2", "spine3"), Rig()
    found = {"T-pose": plain}
    for name, axis in dict(x=[1.0, 0, 0], minus_x=[-1.0, 0, 0], y=[0, 1.0, 0], z=[0, 0, 1.0]).items():
        found[f"all bones along {name.replace('minus_', '-')}"] = plain.along(axis)
    twist = np.random.default_rng(0).uniform(-np.pi, np.pi, 22)
    found["all bones along x, each turned about itself at random"] = plain.along([1.0, 0, 0], twist)
    found["all bones along x, the spine turned by 90 degrees"] = plain.along([1.0, 0, 0]).turned_about_its_bone(
        spine, 90
    )
    bent = plain.along([1.0, 0, 0])
    bent.frames[0] = np.eye(3)
    found["hips and spine along x"] = bent
    for names in (spine[:2], ("neck", "head"), ("left_collar", "right_collar")):
        for degrees in (90, 180):
            label = " and ".join(names).replace("_", " ")
            found[f"T-pose, {label} turned by {degrees} degrees"] = plain.turned_about_its_bone(names, degrees)
    return found
