"""A lively little motion, and BVH files of foreign rigs made from it."""

import math

import pytest
import roma
import torch
from torch import Tensor

from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22


@pytest.fixture
def motion() -> Motion:
    """24 frames in which every joint turns, the knees bend and the body walks away."""
    time = torch.linspace(0, 2 * math.pi, 24, dtype=torch.float64)
    generator = torch.Generator().manual_seed(7)
    phase = torch.rand(22, 3, generator=generator, dtype=torch.float64) * 6
    rotvec = 0.25 * torch.sin(time[:, None, None] + phase)
    rotvec[:, [4, 5], 0] += 0.7
    rotvec[:, 16, 2] -= 1.0
    rotvec[:, 17, 2] += 1.0
    rotvec[:, 0, 1] += 0.8
    path = torch.stack([0.3 * time, 0.95 + 0.03 * torch.sin(2 * time), 0.5 * time], dim=1)
    return Motion(roma.rotvec_to_rotmat(rotvec), path, fps=30.0, caption="a person walks")


@pytest.fixture
def global_rotations(motion: Motion) -> Tensor:
    return SMPL22.forward_kinematics(motion.rotations.double(), motion.translation.double())[1]


class ForeignRig:
    """A BVH text with the world motion of a `Motion`, on a rig of other names, rest pose, unit and channel order.

    `rest[j]` turns joint j's own bones in the rest pose: offsets below j become `rest[j] @ offset`, and the joint's
    global rotation `G` becomes `G @ rest[j].T`, so that every joint stays where it was.
    """

    def __init__(self, motion: Motion, names: dict[str, str], unit: float = 100.0, order: str = "ZYX") -> None:
        self.motion, self.names, self.unit, self.order = motion, names, unit, order
        self.rest = torch.eye(3, dtype=torch.float64).repeat(22, 1, 1)
        self.offsets = torch.tensor(SMPL22.offsets, dtype=torch.float64)
        self.dummies: set[str] = set()  # joints with a dummy of no length and no motion before them

    def text(self) -> str:
        rotations = self.motion.rotations.double()
        turned = SMPL22.forward_kinematics(rotations, self.motion.translation.double())[1] @ self.rest.mT
        columns: list[Tensor] = []
        lines = ["HIERARCHY"]
        self._joint(0, 0, turned, lines, columns)
        rows = torch.cat(columns, dim=1).tolist()
        lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / self.motion.fps:.6f}"]
        lines += [" ".join(f"{value:.8f}" for value in row) for row in rows]
        return "\n".join(lines) + "\n"

    def _joint(self, joint: int, depth: int, turned: Tensor, lines: list[str], columns: list[Tensor]) -> None:
        parent = SMPL22.parents[joint]
        name = self.names[SMPL22.names[joint]]
        offset = self.rest[max(parent, 0)] @ self.offsets[joint] * self.unit
        local = turned[:, joint] if parent < 0 else turned[:, parent].mT @ turned[:, joint]
        channels = " ".join(f"{axis}rotation" for axis in self.order)
        if name in self.dummies:
            lines += [f"JOINT {name}Dummy", "{", "OFFSET 0 0 0", f"CHANNELS 3 {channels}"]
            columns.append(torch.zeros(len(local), 3, dtype=torch.float64))
        lines += [("JOINT " if depth else "ROOT ") + name, "{", "OFFSET " + " ".join(f"{v:.8f}" for v in offset)]
        if depth == 0:
            lines.append(f"CHANNELS 6 Xposition Yposition Zposition {channels}")
            columns.append(self.motion.translation.double() * self.unit)
        else:
            lines.append(f"CHANNELS 3 {channels}")
        columns.append(torch.rad2deg(torch.stack(list(roma.rotmat_to_euler(self.order, local, as_tuple=True)), dim=1)))
        children = [child for child, p in enumerate(SMPL22.parents) if p == joint]
        for child in children:
            self._joint(child, depth + 1, turned, lines, columns)
        if not children:
            lines += ["End Site", "{", f"OFFSET 0 {0.1 * self.unit} 0", "}"]
        lines += ["}"] * (2 if name in self.dummies else 1)


@pytest.fixture
def foreign_rig() -> type[ForeignRig]:
    return ForeignRig
