"""The text of a `.bvh` file <-> a tree of joints with animated channels; any hierarchy, any channel order.

    tree = parse_bvh(text, "walk.bvh")
    positions, rotations = tree.forward_kinematics()

Unusual: End Sites are kept as joints without channels, named `<parent> end`. A joint's position channels replace its
OFFSET, as in common tools. Errors give the file, the line and what is wrong or missing.

Shapes: T frames, N joints, End Sites included.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from motionmillion.kinematics.rotations import axis_rotation

_CHANNELS = {
    **{f"{axis}position": ("position", index) for index, axis in enumerate("xyz")},
    **{f"{axis}rotation": ("rotation", index) for index, axis in enumerate("xyz")},
}


@dataclass
class BvhTree:
    """A hierarchy and its motion; `values` are those of the file `[T, channels]`, in degrees and file units."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)  # lower case, in the file's order
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    fps: float = 30.0

    def rest_positions(self) -> np.ndarray:
        """Joint positions `[N, 3]` of the rest pose, the root at the origin."""
        positions = np.zeros((len(self.names), 3))
        for joint, parent in enumerate(self.parents[1:], start=1):
            positions[joint] = positions[parent] + self.offsets[joint]
        return positions

    def forward_kinematics(self) -> tuple[np.ndarray, np.ndarray]:
        """Global positions `[T, N, 3]` and rotations `[T, N, 3, 3]` relative to the rest pose."""
        frames = len(self.values)
        positions = np.zeros((frames, len(self.names), 3))
        rotations = np.zeros((frames, len(self.names), 3, 3))
        column = 0
        for joint, parent in enumerate(self.parents):
            # [T, 3] and [T, 3, 3]
            offset = np.tile(np.asarray(self.offsets[joint], float), (frames, 1))
            local = np.tile(np.eye(3), (frames, 1, 1))
            for channel in self.channels[joint]:
                kind, axis = _CHANNELS[channel]
                value = self.values[:, column]
                column += 1
                if kind == "position":
                    offset[:, axis] = value
                else:
                    # channels compose in the file's order, the first is outermost
                    local = local @ axis_rotation(np.deg2rad(value), axis)
            if parent < 0:
                positions[:, joint], rotations[:, joint] = offset, local
            else:
                positions[:, joint] = positions[:, parent] + (rotations[:, parent] @ offset[..., None])[..., 0]
                rotations[:, joint] = rotations[:, parent] @ local
        return positions, rotations


def parse_bvh(text: str, path: str) -> BvhTree:
    """Parse the text of a `.bvh` file.

    Args:
        path: the file's name for error messages.

    Raises:
        ValueError: for anything missing, unknown or not finite, with the file and the line.
    """
    return _Parser(text, path).parse()


class _Parser:
    """Parses line by line; braces may be on lines of their own or follow a name."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.lines = [
            (number, part.strip())
            for number, line in enumerate(text.splitlines(), start=1)
            for part in re.split(r"([{}])", line)
            if part.strip()
        ]
        self.next = 0

    def fail(self, expected: str, got: str | None = None) -> ValueError:
        index = min(max(self.next - 1, 0), len(self.lines) - 1)
        line, text = self.lines[index] if self.lines else (1, "an empty file")
        found = repr((text if got is None else got)[:60])
        return ValueError(f"{self.path}, line {line}: {expected}, got {found}; the file is damaged or not a BVH file")

    def take(self, expected: str) -> str:
        if self.next >= len(self.lines):
            raise self.fail(f"{expected} must follow", "the end of the file")
        self.next += 1
        return self.lines[self.next - 1][1]

    def numbers(self, words: list[str], count: int, what: str) -> list[float]:
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != count or not np.isfinite(values).all():
            raise self.fail(f"{what} must be {count} finite numbers")
        return values

    def parse(self) -> BvhTree:
        tree = BvhTree()
        if self.take("HIERARCHY").upper() != "HIERARCHY":
            raise self.fail("the file must begin with HIERARCHY")
        root = self.take("ROOT")
        if not root.upper().startswith("ROOT"):
            raise self.fail("ROOT must follow")
        self.hierarchy(tree, root[4:].strip())
        line = self.take("MOTION")
        if line.upper() != "MOTION":
            raise self.fail("MOTION must follow the one hierarchy")
        self.motion(tree)
        return tree

    def hierarchy(self, tree: BvhTree, root: str) -> None:
        """Read the root, whose name is already read, and all joints below it."""
        open_joints: list[int] = []
        pending: str | None = root
        while pending is not None or open_joints:
            line = self.take("a joint, OFFSET, CHANNELS or }")
            word = line.split()[0].upper()
            if pending is not None:
                if line != "{":
                    raise self.fail(f"{{ must follow the joint {pending!r}")
                tree.names.append(pending)
                tree.parents.append(open_joints[-1] if open_joints else -1)
                tree.offsets.append([])
                tree.channels.append([])
                open_joints.append(len(tree.names) - 1)
                pending = None
            elif word == "OFFSET":
                tree.offsets[open_joints[-1]] = self.numbers(line.split()[1:], 3, "OFFSET")
            elif word == "CHANNELS":
                tree.channels[open_joints[-1]] = self.channel_names(line.split()[1:])
            elif word == "JOINT":
                pending = line[5:].strip()
            elif line.upper().split() == ["END", "SITE"]:
                pending = tree.names[open_joints[-1]] + " end"
            elif line == "}":
                if not tree.offsets[open_joints[-1]]:
                    raise self.fail(f"OFFSET must be given for {tree.names[open_joints[-1]]!r}")
                open_joints.pop()
            else:
                raise self.fail("a joint, OFFSET, CHANNELS or } must follow")
            if pending == "":
                raise self.fail("a joint must have a name")

    def channel_names(self, words: list[str]) -> list[str]:
        names = [word.lower() for word in words[1:]]
        if not words or words[0] != str(len(names)) or any(name not in _CHANNELS for name in names):
            raise self.fail("CHANNELS must be a count and as many of Xposition ... Zrotation")
        return names

    def motion(self, tree: BvhTree) -> None:
        count = self.labelled("Frames:", 1)
        if not count.isdigit() or int(count) == 0:
            raise self.fail("Frames must be a positive whole number")
        step = self.labelled("Frame Time:", 1)
        if self.numbers([step], 1, "Frame Time")[0] <= 0:
            raise self.fail("Frame Time must be positive")
        tree.fps = frame_rate(step)
        width = sum(len(names) for names in tree.channels)
        if width == 0:
            raise self.fail("a file must have CHANNELS")
        values: list[float] = []
        for number, line in self.lines[self.next :]:
            try:
                row = [float(word) for word in line.split()]
            except ValueError:
                row = [float("nan")]
            if not np.isfinite(row).all():
                raise ValueError(f"{self.path}, line {number}: a frame must be finite numbers, got {line[:40]!r}")
            values += row
        if len(values) != int(count) * width:
            raise ValueError(
                f"{self.path}, line {self.lines[-1][0]}: the file must hold {count} frames of {width} values, got "
                f"{len(values) // width} frames and {len(values) % width} values; the file is truncated or damaged"
            )
        tree.values = np.array(values).reshape(int(count), width)

    def labelled(self, label: str, count: int) -> str:
        """The single word after a label such as `Frames:`."""
        line = " ".join(self.take(label).split())
        words = line[len(label) :].split()
        if not line.lower().startswith(label.lower()) or len(words) != count:
            raise self.fail(f"{label} and {count} number must follow")
        return words[0]


def frame_rate(step: str) -> float:
    """Frames per second of a printed frame time, rounded to an integer if that prints the same ("0.033333" is 30)."""
    seconds = float(step)
    digits = re.search(r"\.(\d*)", step)
    precision = 10.0 ** -(len(digits[1]) if digits else 0)
    whole = round(1.0 / seconds)
    if "e" not in step.lower() and whole > 0 and abs(1.0 / whole - seconds) < precision:
        return float(whole)
    return 1.0 / seconds
