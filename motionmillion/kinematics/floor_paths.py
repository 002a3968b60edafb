"""Paths on the floor: waypoints with or without times, as a smooth curve, and how far a motion is from one.

    path = FloorPath.of([(0, 0), (1, 2), (2, 2)])               # x and z, metres
    path = FloorPath.of([(0, 0, 0), (2, 1, 2), (4, 2, 2)])      # seconds, x and z
    path = FloorPath.arc(length=4, turn=90)                     # 4 m, to the left by 90 degrees
    path_error(motion, path)                                    # PathError(mean=0.03, largest=0.08), metres

The curve goes through all waypoints (Catmull and Rom, 1974, with the centripetal spacing of Yuksel et al., 2011).
Angles are degrees about +y where a person asks for them: 0 faces +z, and positive ones turn to the left, towards +x.
Unusual: without times only the way counts, so `path_error` compares curves, not places at a time.

Shapes: W waypoints, K places, T frames.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from motionmillion.kinematics.roots import smooth_path
from motionmillion.motion import Motion

FASTEST = 7.0
"""Metres per second on foot that no motion exceeds for seconds."""
_STEP = 0.02
"""Distance of the points that stand for a curve, metres."""
_FARTHEST = 1000.0


@dataclass(frozen=True)
class FloorPath:
    """Waypoints on the floor.

    Args:
        points: x and z of at least two, metres; not all at one place.
        times: seconds of each, from 0 on; None without times.

    Raises:
        ValueError: for fewer points, values that are not finite, and times that do not begin at 0 and increase.
    """

    points: tuple[tuple[float, float], ...]
    times: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        values = np.array([*self.points], np.float64)
        if len(self.points) < 2 or not np.isfinite(values).all() or np.abs(values).max() > _FARTHEST:
            raise ValueError(
                f"path must be at least two points (x, z) in metres, at most {_FARTHEST:g} m away, got {self.points!r}"
            )
        if self.length < 0.05:
            raise ValueError(f"path must lead somewhere, got points within {self.length:.2f} m: {self.points!r}")
        if self.times is not None:
            times = np.array(self.times, np.float64)
            if len(times) != len(self.points) or times[0] != 0 or not (np.diff(times) > 0).all():
                raise ValueError(f"times of path must begin at 0 and increase, one for each point, got {self.times!r}")
            for number, (metres, seconds) in enumerate(zip(np.diff(self._reached), np.diff(times), strict=True)):
                check_speed(metres, seconds, f"from point {number} to {number + 1}")

    @staticmethod
    def of(value: Any) -> "FloorPath":
        """A path from pairs (x, z) or triples (seconds, x, z).

        Raises:
            ValueError: for anything else.
        """
        if isinstance(value, FloorPath):
            return value
        try:
            rows = [tuple(float(number) for number in row) for row in value]
        except (TypeError, ValueError):
            rows = []
        widths = {len(row) for row in rows}
        if widths == {2}:
            return FloorPath(tuple((x, z) for x, z in rows))
        if widths == {3}:
            return FloorPath(tuple((x, z) for _, x, z in rows), tuple(time for time, _, _ in rows))
        raise ValueError(f"path must be points (x, z) or (seconds, x, z), got {str(value)[:80]!r}")

    @staticmethod
    def arc(length: float, turn: float = 0.0) -> "FloorPath":
        """A line or an arc of `length` metres from the origin, first towards +z, that turns by `turn` degrees."""
        angle = math.radians(turn)
        steps = max(math.ceil(abs(turn) / 5.0), 1)
        way = np.arange(steps + 1) / steps
        if abs(angle) < 1e-6:
            return FloorPath(((0.0, 0.0), (0.0, float(length))))
        radius = length / angle
        points = zip(radius * (1 - np.cos(way * angle)), radius * np.sin(way * angle), strict=True)
        return FloorPath(tuple((float(x), float(z)) for x, z in points))

    @property
    def length(self) -> float:
        """Metres along the curve."""
        return float(self._curve[1][-1])

    @property
    def seconds(self) -> float | None:
        """When the last point is reached; None without times."""
        return None if self.times is None else self.times[-1]

    def distances(self, seconds: np.ndarray) -> np.ndarray:
        """Metres along the curve at times `[T]`, evenly spaced; at an even speed for a path without times."""
        if self.times is None:
            return self.length * seconds / max(float(seconds[-1]), 1e-9)
        found = np.interp(seconds, self.times, self._reached)
        rate = (len(seconds) - 1) / max(float(seconds[-1] - seconds[0]), 1e-9)
        soft = smooth_path(torch.from_numpy(found[:, None]), rate, 0.15)[:, 0].numpy()
        return np.clip(soft, 0.0, self.length)

    def at(self, metres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places `[K, 2]` in x and z so far along the curve, and the direction of the curve there `[K]`, radians."""
        points, along = self._curve
        places = np.stack([np.interp(metres, along, points[:, axis]) for axis in range(2)], axis=-1)
        middles, steps = (along[1:] + along[:-1]) / 2, np.diff(points, axis=0)
        angles = np.unwrap(np.arctan2(steps[:, 0], steps[:, 1]))
        return places, np.interp(metres, middles, angles)

    @cached_property
    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Close points `[K, 2]` and metres along the curve at each `[K]`."""
        knots = self._knots
        if len(knots) < 2:
            return np.repeat(knots, 2, axis=0), np.zeros(2)
        pieces = [_between(knots, number) for number in range(len(knots) - 1)]
        points = np.concatenate([*pieces, knots[-1:]])
        return points, np.concatenate([[0.0], np.linalg.norm(np.diff(points, axis=0), axis=-1).cumsum()])

    @property
    def _knots(self) -> np.ndarray:
        """The waypoints without those at the place of the one before `[W, 2]`."""
        points = np.array(self.points, np.float64)
        moved = np.linalg.norm(np.diff(points, axis=0), axis=-1) > 1e-4
        return points[np.concatenate([[True], moved])]

    @cached_property
    def _reached(self) -> np.ndarray:
        """Metres along the curve at each waypoint `[W]`."""
        knots = self._knots
        lengths = [0.0]
        for number in range(len(knots) - 1):
            piece = np.concatenate([_between(knots, number), knots[number + 1 : number + 2]])
            lengths.append(lengths[-1] + float(np.linalg.norm(np.diff(piece, axis=0), axis=-1).sum()))
        points = np.array(self.points, np.float64)
        moved = np.linalg.norm(np.diff(points, axis=0), axis=-1) > 1e-4
        return np.array(lengths)[np.concatenate([[0], np.cumsum(moved)])]


def _between(knots: np.ndarray, number: int) -> np.ndarray:
    """Points `[K, 2]` of the curve from knot `number` up to the next one, which is left out."""
    inner = knots[number], knots[number + 1]
    # beyond the ends the path is mirrored
    first = knots[number - 1] if number else 2 * inner[0] - inner[1]
    last = knots[number + 2] if number + 2 < len(knots) else 2 * inner[1] - inner[0]
    four = np.stack([first, *inner, last])
    gaps = np.sqrt(np.maximum(np.linalg.norm(np.diff(four, axis=0), axis=-1), 1e-9))
    t = np.concatenate([[0.0], gaps.cumsum()])
    count = max(math.ceil(float(np.linalg.norm(inner[1] - inner[0])) / _STEP), 2)
    u = (t[1] + (t[2] - t[1]) * np.arange(count) / count)[:, None]
    a = [((t[i + 1] - u) * four[i] + (u - t[i]) * four[i + 1]) / (t[i + 1] - t[i]) for i in range(3)]
    b = [((t[i + 2] - u) * a[i] + (u - t[i]) * a[i + 1]) / (t[i + 2] - t[i]) for i in range(2)]
    return ((t[2] - u) * b[0] + (u - t[1]) * b[1]) / (t[2] - t[1])


def check_speed(metres: float, seconds: float, where: str = "") -> None:
    """Raise `ValueError` for a way that nobody covers on foot in the time; `where` names it."""
    speed = metres / max(seconds, 1e-9)
    if speed > FASTEST:
        raise ValueError(
            f"path must be one that a person can walk in the time, got {metres:.1f} m in {seconds:g} s"
            f"{' ' + where if where else ''}, which needs {speed:.1f} m/s (at most {FASTEST:g}); give it "
            f"{metres / FASTEST:.1f} s or more"
        )


@dataclass(frozen=True)
class PathError:
    """How far the pelvis is from a path, metres: the mean, and the largest distance."""

    mean: float
    largest: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} m from the path on average, {self.largest:.2f} m at most"


def path_error(motion: Motion, path: FloorPath | Iterable[Iterable[float]]) -> PathError:
    """How far a motion is from a path.

    With times: distances of the pelvis from where it should be at the time. Without: distances of the pelvis from the
    curve, or of the curve from the pelvis' way where these are larger, so that leaving a part of the way out counts.
    """
    path = FloorPath.of(path)
    own = motion.translation.detach().cpu().double().numpy()[:, [0, 2]]
    if path.times is not None:
        seconds = np.arange(len(own)) / motion.fps
        apart = np.linalg.norm(own - path.at(np.interp(seconds, path.times, path._reached))[0], axis=-1)
        return PathError(float(apart.mean()), float(apart.max()))
    curve = path.at(np.linspace(0.0, path.length, max(math.ceil(path.length / _STEP), 2)))[0]
    between = np.linalg.norm(own[:, None] - curve[None], axis=-1)  # [T, K]
    nearest = between.min(1), between.min(0)
    return PathError(max(float(each.mean()) for each in nearest), max(float(each.max()) for each in nearest))
