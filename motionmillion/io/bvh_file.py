"""The text of a `.bvh` file <-> a tree of joints with animated channels; any hierarchy, any channel order.

    tree = parse_bvh(data, "walk.bvh")                       # the largest hierarchy
    trees = parse_hierarchies(data, "two_people.bvh")        # all of them
    positions, rotations = tree.forward_kinematics()

Unusual: End Sites are kept as joints without channels, named `<parent> end`. A joint's position channels replace its
OFFSET, as in common tools. Errors give the file, the line and what is wrong or missing.
Files are read as tolerantly as by common tools: comment lines, names behind `End Site`, decimal commas and NUL or
Ctrl-Z at the end are no errors; a wrong number of frames, a last row that was cut off and hierarchies of props give a
warning, and the whole frames that are there are read.

Shapes: T frames, N joints, End Sites included.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from motionmillion.io.bvh_rows import decimal_points, decoded, frame_rate, read_rows

_CHANNELS = {
    **{f"{axis}position": ("position", index) for index, axis in enumerate("xyz")},
    **{f"{axis}rotation": ("rotation", index) for index, axis in enumerate("xyz")},
}
_COMMENTS = ("#", "//", ";")
_CHUNK = 2048
_RATE_TOLERANCE = 0.01
_SHORTEST, _LONGEST = 1e-6, 1e6


@dataclass
class BvhTree:
    """A hierarchy and its motion; `values` are those of the file `[T, channels]`, in degrees and file units."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)  # lower case, in the file's order
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    fps: float = 30.0

    @property
    def num_frames(self) -> int:
        return len(self.values)

    def rest_positions(self) -> np.ndarray:
        """Joint positions `[N, 3]` of the rest pose, the root at the origin."""
        positions = np.zeros((len(self.names), 3))
        for joint, parent in enumerate(self.parents[1:], start=1):
            positions[joint] = positions[parent] + self.offsets[joint]
        return positions

    def forward_kinematics(
        self,
        frames: slice | np.ndarray = slice(None),  # noqa: B008
    ) -> tuple[np.ndarray, np.ndarray]:
        """Global positions `[T, N, 3]` and rotations `[T, N, 3, 3]` relative to the rest pose.

        Args:
            frames: the frames to take; long files fit into memory piece by piece.
        """
        values = self.values[frames]
        positions = np.empty((len(values), len(self.names), 3))
        rotations = np.empty((len(values), len(self.names), 3, 3))
        for start in range(0, len(values), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._turn(values[part], positions[part], rotations[part])
        return positions, rotations

    def _turn(self, values: np.ndarray, positions: np.ndarray, rotations: np.ndarray) -> None:
        """Forward kinematics of a few frames into `positions` and `rotations`, with frames as the last axis inside."""
        columns = np.ascontiguousarray(values.T)  # [channels, T]
        angles = np.deg2rad(columns)
        sin, cos = np.sin(angles), np.cos(angles)
        placed: list[np.ndarray] = []  # [3, T] each
        turned: list[np.ndarray] = []  # [3, 3, T] each
        first = 0
        for joint, parent in enumerate(self.parents):
            offset: list[float | np.ndarray] = list(self.offsets[joint])
            turn = np.repeat(np.eye(3)[:, :, None], len(values), axis=2) if parent < 0 else turned[parent].copy()
            for column, channel in enumerate(self.channels[joint], start=first):
                kind, axis = _CHANNELS[channel]
                if kind == "position":
                    offset[axis] = columns[column]
                else:
                    # channels compose in the file's order, the first is outermost
                    one, two = turn[:, (axis + 1) % 3].copy(), turn[:, (axis + 2) % 3].copy()
                    turn[:, (axis + 1) % 3] = one * cos[column] + two * sin[column]
                    turn[:, (axis + 2) % 3] = two * cos[column] - one * sin[column]
            first += len(self.channels[joint])
            if parent < 0:
                place = np.stack([np.broadcast_to(np.asarray(value, float), len(values)) for value in offset])
            else:
                above = turned[parent]
                place = placed[parent] + above[:, 0] * offset[0] + above[:, 1] * offset[1] + above[:, 2] * offset[2]
            placed.append(place)
            turned.append(turn)
            positions[:, joint], rotations[:, joint] = place.T, turn.transpose(2, 0, 1)


def parse_bvh(data: bytes | str, path: str) -> BvhTree:
    """Parse the contents of a `.bvh` file; of several hierarchies the largest, with a warning.

    Args:
        path: the file's name for error messages.

    Raises:
        ValueError: for anything missing, unknown or not finite, with the file and the line.
    """
    trees = parse_hierarchies(data, path)
    warn_of_others(trees[0], trees[1:], path)
    return trees[0]


def parse_hierarchies(data: bytes | str, path: str) -> list[BvhTree]:
    """All hierarchies of a `.bvh` file, the largest first; Args, Raises: as for `parse_bvh`."""
    trees = _Parser(data.encode("utf-8") if isinstance(data, str) else data, path).parse()
    return sorted(trees, key=lambda tree: -len(tree.names))


def warn_of_others(read: BvhTree, others: Sequence[BvhTree], path: str) -> None:
    """Warn of the hierarchies that are not read, such as props."""
    if others:
        warnings.warn(
            f"{path} has {len(others) + 1} hierarchies; only {read.names[0]!r} is read, not "
            f"{', '.join(repr(tree.names[0]) for tree in others[:5])}",
            stacklevel=3,
        )


class _Parser:
    """Parses line by line up to the rows of numbers; braces may be on lines of their own or follow a name."""

    def __init__(self, data: bytes, path: str) -> None:
        self.path = path
        self.data = decoded(data)
        self.position, self.number = 0, 0  # where the next line begins, and the number of the last one
        self.pieces: list[str] = []
        self.last = ""

    def fail(self, expected: str, got: str | None = None) -> ValueError:
        found = repr((self.last if got is None else got)[:60])
        line = max(self.number, 1)
        return ValueError(f"{self.path}, line {line}: {expected}, got {found}; the file is damaged or not a BVH file")

    def line(self) -> str | None:
        """The next line of the file; None at its end."""
        if self.position >= len(self.data):
            return None
        end = self.data.find(b"\n", self.position)
        end = len(self.data) if end < 0 else end
        raw = self.data[self.position : end]
        self.position, self.number = end + 1, self.number + 1
        for encoding in ("utf-8", "cp932"):
            try:
                return raw.decode(encoding).strip()
            except UnicodeDecodeError:
                continue
        return raw.decode("utf-8", errors="replace").strip()

    def take(self, expected: str) -> str:
        """The next line without braces in it, or the next brace."""
        while not self.pieces:
            line = self.line()
            if line is None:
                raise self.fail(f"{expected} must follow", "the end of the file")
            if not line.startswith(_COMMENTS):
                self.pieces = [part.strip() for part in re.split(r"([{}])", line) if part.strip()]
        self.last = self.pieces.pop(0)
        return self.last

    def numbers(self, words: list[str], count: int, what: str) -> list[float]:
        try:
            values = [float(word if "." in word else word.replace(",", ".")) for word in words]
        except ValueError:
            values = []
        if len(values) != count or not np.isfinite(values).all():
            raise self.fail(f"{what} must be {count} finite number{'s' if count != 1 else ''}")
        return values

    def parse(self) -> list[BvhTree]:
        if self.take("HIERARCHY").upper() != "HIERARCHY":
            raise self.fail("the file must begin with HIERARCHY")
        trees: list[BvhTree] = []
        line = self.take("ROOT")
        while not trees or line.upper() != "MOTION":
            if line.split()[0].upper() != "ROOT":
                raise self.fail("ROOT must follow" if not trees else "MOTION must follow the hierarchy")
            trees.append(BvhTree())
            self.hierarchy(trees[-1], line[4:].strip())
            line = self.take("MOTION")
        return self.motion(trees)

    def hierarchy(self, tree: BvhTree, root: str) -> None:
        """Read a root, whose name is already read, and all joints below it."""
        open_joints: list[int] = []
        pending: str | None = root
        while pending is not None or open_joints:
            if pending == "":
                raise self.fail("a joint must have a name")
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
            elif line.upper().split()[:2] == ["END", "SITE"]:
                # a name behind it is of no use
                pending = tree.names[open_joints[-1]] + " end"
            elif line == "}":
                if not tree.offsets[open_joints[-1]]:
                    raise self.fail(f"OFFSET must be given for {tree.names[open_joints[-1]]!r}")
                open_joints.pop()
            else:
                raise self.fail("a joint, OFFSET, CHANNELS or } must follow")

    def channel_names(self, words: list[str]) -> list[str]:
        names = [word.lower() for word in words[1:]]
        if not words or words[0] != str(len(names)) or any(name not in _CHANNELS for name in names):
            raise self.fail("CHANNELS must be a count and as many of Xposition ... Zrotation")
        return names

    def motion(self, trees: list[BvhTree]) -> list[BvhTree]:
        """Read the rows, and return the trees with their columns of them."""
        count = self.labelled("Frames:", 1)
        if not re.fullmatch(r"[+-]?\d+(\.0*)?", count):
            count = "0"  # rows are counted
        count = count.split(".")[0]
        step = self.labelled("Frame Time:", 1)
        seconds = self.numbers([step], 1, "Frame Time")[0]
        if seconds <= 0:
            raise self.fail("Frame Time must be positive")
        if not _SHORTEST <= seconds <= _LONGEST:
            raise self.fail(f"Frame Time must lie between {_SHORTEST:g} and {_LONGEST:g} seconds")
        widths = [sum(len(names) for names in tree.channels) for tree in trees]
        if sum(widths) == 0:
            raise self.fail("a file must have CHANNELS")
        values = read_rows(self.data, self.position, self.number, sum(widths), count, self.path)
        for tree, stop in zip(trees, np.cumsum(widths), strict=True):
            tree.fps = frame_rate(decimal_points(step))
            tree.values = values[:, stop - sum(map(len, tree.channels)) : stop]
        self.warn_of_rate(trees[0].fps, step)
        return trees

    def warn_of_rate(self, fps: float, step: str) -> None:
        """Warn of a frame rate that is not the printed one."""
        printed = 1.0 / float(decimal_points(step))
        if abs(fps / printed - 1.0) > _RATE_TOLERANCE:
            warnings.warn(
                f"{self.path}: the frame time {step} is read as {fps:g} frames per second, since it is rounded; "
                f"without rounding it would be {printed:.4g}",
                stacklevel=2,
            )

    def labelled(self, label: str, count: int) -> str:
        """The single word after a label such as `Frames:`."""
        line = " ".join(self.take(label).split()).replace(" :", ":")
        words = line[len(label) :].split()
        if not line.lower().startswith(label.lower()) or len(words) != count:
            raise self.fail(f"{label} and {count} number must follow")
        return words[0]
