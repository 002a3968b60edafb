"""Reads a folder of motions of another system for the suites.

    folder = MotionFolder("their_motions", fps=20, up="z")
    files = folder.find([prompt.id for prompt in suite.prompts])      # {"000": ("000.npy",), "001": ("001.npy",), ...}
    sample = folder.read(files["000"][0])                             # sample.motion, sample.positions
    folder.warn_of_axis()                                             # about all motions read

Reads all files that `Motion.load` reads: .npz (SMPL), .bvh, and .npy with features of any representation or joint
positions. They are found by the prompt's id, in the folder or below it:

| name | belongs to |
|---|---|
| `<id>.npz` | the prompt |
| `<id>_0.npz`, `<id>_1.npz`, ... | the prompt, as several samples of it |
| `17.npz`, `17_0.npz`, ... | the prompt whose id is that number ("017"), or with that index if ids are not numbers |
| `walk-0017.npz` | the prompt with index 17: what `motionmillion generate` writes with one sample per prompt |

Indices start at 0.

A `SampleMotion` has two views: `motion`, whose features the evaluator uses, and `positions`, for the physical
measures. For .npz and .bvh the positions are those of the motion; for .npy they are those in the file: the joints, or
the position block of the features.

Unusual: every file keeps its own frame rate, so rates may differ in a folder if each file stores its rate. Joint
positions have none: they need `fps`, and then every file must have that rate. There are warnings about motions too
short for accelerations and, by `warn_of_axis` once all are read, about a folder whose bodies are not upright.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from torch import Tensor

from motionmillion import features as representations
from motionmillion.features.base import Route, check_route
from motionmillion.io import read_motion, readable_suffixes
from motionmillion.io.features import JOINTS, read_with_positions
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

_NAMED_AT_MOST = 5
_FEWEST_FRAMES = 4
"""Minimum number of frames for an acceleration and a jerk."""
_PELVIS, _HEAD = SMPL22.names.index("pelvis"), SMPL22.names.index("head")
_FAR_LONGER = 2.0
_RATE_TOLERANCE = 0.01
"""Tolerance in frames per second; BVH files round the frame time."""


@dataclass(frozen=True, eq=False)
class SampleMotion:
    """One motion to score.

    Args:
        name: file name relative to the folder.
        motion: at the file's own frame rate.
        positions: `[T, 22, 3]` at the same rate, y up, metres.
    """

    name: str
    motion: Motion
    positions: Tensor


class MotionFolder:
    """Motion files by prompt; see the module's docstring.

    Args:
        folder: folder of the files, searched recursively.
        fps: frames per second of files without a rate, and then of all files.
        up: the vertical axis of .npz, .bvh and joint positions, "y" or "z"; None: as stored in the file, else z for
            .npz and y for the others.
        representation: representation of .npy files, such as "rot276_velocity" or "joints"; None: inferred from their
            shape.
        route: "positions" uses the positions in a .npy file; "rotations" those of the motion, by forward
            kinematics of its rotations.
        mapping: SMPL22 name -> joint name in the .bvh files, for joints that are not found automatically.

    Raises:
        ValueError: for an invalid rate, axis, representation or route, or a path that is not a folder of motion files.
    """

    def __init__(
        self,
        folder: str | Path,
        fps: float | None = None,
        up: str | None = None,
        representation: str | None = None,
        route: Route = "positions",
        mapping: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.fps, self.up, self.representation, self.route = fps, up, representation, check_route(route)
        self.mapping = dict(mapping or {})
        _check_options(fps, up, representation)
        self._axes: dict[str, int] = {}
        if not self.folder.is_dir():
            raise ValueError(f"motions must be a folder of motion files, got {str(folder)!r}")
        suffixes = readable_suffixes()
        paths = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.suffix.lower() in suffixes)
        shown = (path for path in paths if not any(part.startswith(".") for part in path.parts))
        self._paths = sorted(shown, key=lambda path: path.parts)  # paths of Windows would compare without case
        if not self._paths:
            raise ValueError(f"motions must hold files that end in one of {suffixes}, got none in {str(folder)!r}")

    def names(self) -> list[str]:
        """All motion files, relative to the folder, sorted."""
        return [path.as_posix() for path in self._paths]

    def find(
        self, ids: Sequence[str], order: Sequence[str] | None = None, allow_missing: bool = False
    ) -> dict[str, tuple[str, ...]]:
        """The files of each prompt, with samples in order; prompts in the order of `ids`.

        Args:
            ids: ids of the prompts to score.
            order: ids of all prompts of the suite, for indices; default `ids`.
            allow_missing: leave out prompts without a file.

        Raises:
            ValueError: if a prompt has no file (unless allowed, and even then if all have none), a sample has two
                files, or the index of a file is beyond the last prompt.
        """
        finder = _Finder(list(ids if order is None else order))
        found: dict[str, dict[int, str]] = {}
        for path in self._paths:
            claim = finder.claim(path.stem)
            if claim is None:
                continue
            name, sample = claim
            samples = found.setdefault(name, {})
            for number, other in samples.items():
                if sample == number or _WHOLE in (sample, number):
                    raise ValueError(
                        f"motions must have one file for prompt {name!r}, got {other!r} and {path.as_posix()!r} in "
                        f"{str(self.folder)!r}; remove one, or name several samples {name}_0, {name}_1"
                    )
            samples[sample] = path.as_posix()
        missing = [name for name in ids if name not in found]
        if missing and (len(missing) == len(ids) or not allow_missing):
            raise self._missing(missing, len(ids))
        return {name: tuple(found[name][key] for key in sorted(found[name])) for name in ids if name in found}

    def read(self, name: str) -> SampleMotion:
        """The motion of one file of `find` or `names`.

        Raises:
            ValueError: naming the file, if it is missing or damaged, holds NaN or infinity, or has no frame rate or
                another one than `fps`.
        """
        path = self.folder / name
        given: dict[str, object] = {} if self.up is None else {"up": self.up}
        if path.suffix.lower() != ".bvh" and self.fps is not None:
            given["fps"] = self.fps
        if path.suffix.lower() == ".bvh" and self.mapping:
            given["mapping"] = self.mapping
        try:
            if path.suffix.lower() == ".npy":
                motion, positions = read_with_positions(path, representation=self.representation, **given)  # type: ignore[arg-type]
            else:
                motion = read_motion(path, **given)
                positions = motion.positions()
        except ValueError as error:
            message = str(error)
            raise error if path.name in message else ValueError(f"{str(path)!r}: {message}") from None
        if self.fps is not None and abs(motion.fps - self.fps) > _RATE_TOLERANCE:
            raise ValueError(
                f"fps must be the frame rate of every file where it is given, got {self.fps:g} and {motion.fps:g} in "
                f"{str(path)!r}; leave it out, and keep files without a rate of their own in a folder apart"
            )
        if self.route == "rotations":
            positions = motion.positions()
        if len(positions) < _FEWEST_FRAMES:
            warnings.warn(
                f"{str(path)!r} has {len(positions)} of the {_FEWEST_FRAMES} frames that accelerations and jerks "
                "need; where it is too short these are 0, which says nothing: leave it out",
                stacklevel=2,
            )
        self._axes[name] = _long_axis(positions)
        return SampleMotion(name, motion, positions)

    def warn_of_axis(self) -> None:
        """Warn if the bodies of most motions read so far extend along z although y is up; call it once.

        A body extends along z if its head is, averaged over frames, more than twice as far from the pelvis along z as
        along y. Motions of lying people do so too, but most motions of a folder only if their axis was read wrongly.
        """
        for direction, up in ((1, "z"), (-1, "y")):
            count = sum(axis == direction for axis in self._axes.values())
            if 2 * count > len(self._axes):
                warnings.warn(
                    f"motions in {str(self.folder)!r} look as if {up} were their vertical axis: in {count} of "
                    f"{len(self._axes)} the body extends along the other one; read them with --up {up}",
                    stacklevel=2,
                )

    def _missing(self, missing: Sequence[str], count: int) -> ValueError:
        first = ", ".join(repr(name) for name in missing[:_NAMED_AT_MOST])
        more = ", ..." if len(missing) > _NAMED_AT_MOST else ""
        rest = "" if len(missing) == count else ", or score the others with --allow-missing"
        return ValueError(
            f"motions must cover all {count} prompts, got no file for {len(missing)} of them in "
            f"{str(self.folder)!r}: {first}{more}; name files by the prompt's id, such as {missing[0]}.npz{rest}"
        )


def _check_options(fps: float | None, up: str | None, representation: str | None) -> None:
    if fps is not None and (not isinstance(fps, Real) or isinstance(fps, bool) or not 0 < fps < math.inf):
        raise ValueError(f"fps must be a positive number of frames per second, got {fps!r}")
    if up not in ("y", "z", None):
        raise ValueError(f'up must be "y" or "z", got {up!r}; leave it out to take what files say')
    known = [*representations.available(), JOINTS]
    if representation is not None and representation not in known:
        raise ValueError(
            f"representation must be one of {', '.join(known)}, got {representation!r}; leave it out to go by shapes"
        )


def _long_axis(positions: Tensor) -> int:
    """1 or -1 if the body of `[T, 22, 3]` extends along z or minus z, 0 otherwise."""
    _, y, z = (positions[:, _HEAD] - positions[:, _PELVIS]).mean(0).tolist()
    return int(math.copysign(1, z)) if abs(z) > _FAR_LONGER * abs(y) else 0


_WHOLE = -1
"""Sample number of a prompt's only file."""


class _Finder:
    """Maps file names to prompts.

    Args:
        order: ids of all prompts.
    """

    def __init__(self, order: list[str]) -> None:
        self.order = order
        self.ids = set(order)
        self.numeric = all(re.fullmatch(r"[0-9]+", name) for name in order)
        self.by_number = {int(name) if self.numeric else place: name for place, name in enumerate(order)}

    def claim(self, stem: str) -> tuple[str, int] | None:
        """Id of the prompt and sample number; None for a file without a prompt."""
        if stem in self.ids:
            return stem, _WHOLE
        base, _, tail = stem.rpartition("_")
        sample = int(tail) if re.fullmatch(r"[0-9]+", tail) else _WHOLE
        if base in self.ids and sample != _WHOLE:
            return base, sample
        number = re.fullmatch(r"([0-9]+)(?:_([0-9]+))?", stem)
        if number is not None:
            name = self.by_number.get(int(number[1]))
            return None if name is None else (name, _WHOLE if number[2] is None else int(number[2]))
        generated = re.fullmatch(r".*-([0-9]{4,})", stem)
        if generated is None:
            return None
        place = int(generated[1])
        if place >= len(self.order):
            raise ValueError(
                f"numbered motions must be one per prompt, got number {place} in {stem!r} for {len(self.order)} "
                "prompts; name several samples of a prompt by its id: <id>_0, <id>_1"
            )
        return self.order[place], _WHOLE
