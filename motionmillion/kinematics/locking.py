"""Where feet should be: still while they touch the floor, and back on their path smoothly when they leave it.

    locks = find_locks(points, contacts, fps)         # anchors of contacts [T, F, P, 3]
    ankles, toes = foot_targets(points, locks, fps)   # [T, F, 3] each

Each contact has one anchor, the mean of its first frames weighted by how still they are. Where a foot has moved
further than `LEASH` from it, it is dragged along. Before and after a contact the distance from the anchor is taken
back along a cubic that begins with the foot's own velocity, so that neither position nor velocity jumps.

Unusual: anchors depend on the beginning of a contact only, so that a motion can be repaired while it is being made.

Shapes: T frames, J joints, F two feet, P two parts of a foot (ankle, toes).
"""

import math

import numpy as np

from motionmillion.kinematics.contacts import FEET, floor_speed, runs, windows
from motionmillion.skeleton import SMPL22

LEASH = 0.06
"""Distance along the floor between a foot and its anchor, metres, from which the anchor follows the foot."""
CORE = 0.5
"""Seconds of a contact that set its anchor."""
RELEASE = 0.2
"""Seconds in which a foot returns to its path."""
_STILL = 0.25  # metres per second
_LEVEL = (0.01, 0.03)
"""Distances in height, metres, up to which a foot is held at its anchor's height, and from which it is free."""
CLEARANCE = 0.056
"""Height of the toes' joint that a foot in the air has at least, metres; that of a standing foot is 1 to 3 cm."""
_MOST_LIFT = 0.035
_MOVING = (0.3, 0.55)  # metres per second
_UPRIGHT = (0.5, 0.7)
"""Heights of the pelvis, as shares of the leg, up to which a body is down, and from which it is up."""
_LEG = [SMPL22.names.index(f"left_{part}") for part in ("hip", "knee", "ankle")]


def find_locks(points: np.ndarray, contacts: np.ndarray, fps: float, before: np.ndarray | None = None) -> np.ndarray:
    """Anchor of each part of a foot in each frame `[T, F, P, 3]`, NaN where it is free.

    Args:
        points: joint positions `[T, J, 3]`, metres.
        contacts: bool `[T, F, P]`.
        fps: frames per second.
        before: anchors `[F, P, 3]` of contacts that last since before the first frame, NaN for the others.
    """
    parts = points[:, FEET]
    still = 1.0 / (1.0 + (floor_speed(parts, fps) / _STILL) ** 4)
    locks = np.full(parts.shape, np.nan)
    core = max(round(CORE * fps), 1)
    for side, part in np.ndindex(2, 2):
        path, weight = parts[:, side, part], still[:, side, part]
        for start, stop in runs(contacts[:, side, part]):
            head = slice(start, min(start + core, stop))
            anchor = np.average(path[head], axis=0, weights=weight[head])
            if start == 0 and before is not None and np.isfinite(before[side, part]).all():
                anchor = before[side, part]
            else:  # a landing that is still too far away is left to the release
                apart = np.linalg.norm((path[start:stop] - anchor)[:, [0, 2]], axis=-1)
                start += int(np.flatnonzero(apart <= max(LEASH, apart[:core].min()))[0])
            locks[start:stop, side, part] = _leashed(path[start:stop], anchor, fps)
    return locks


def _leashed(path: np.ndarray, anchor: np.ndarray, fps: float) -> np.ndarray:
    """Anchor in each frame `[T, 3]`: it stays unless the foot is further away than the leash, then follows softly."""
    anchors = np.repeat(anchor[None], len(path), axis=0)
    # the height stays; along the floor the anchor closes in on the leash's end, by half within 0.05 s
    follow = 1.0 - 0.5 ** (1.0 / (0.05 * fps))
    if (np.linalg.norm((path - anchor)[:, [0, 2]], axis=-1) <= LEASH).all():
        return anchors
    x, z = float(anchor[0]), float(anchor[2])
    for frame, (there_x, there_z) in enumerate(path[:, [0, 2]].tolist()):
        apart = math.hypot(there_x - x, there_z - z)
        if apart > LEASH:
            part = follow * (1.0 - LEASH / apart)
            x, z = x + part * (there_x - x), z + part * (there_z - z)
        anchors[frame, [0, 2]] = x, z
    return anchors


def foot_targets(points: np.ndarray, locks: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions of ankles and toes `[T, F, 3]` with the parts of the feet at their anchors; see the module."""
    parts = points[:, FEET]
    shift, weight = np.zeros(parts.shape), np.zeros(parts.shape[:-1])
    for side, part in np.ndindex(2, 2):
        shift[:, side, part], weight[:, side, part] = _released(parts[:, side, part], locks[:, side, part], fps)
    # a part without contact of its own moves with the other one
    ankle_weight, toe_weight = weight[..., 0, None], weight[..., 1, None]
    ankles = parts[:, :, 0] + shift[:, :, 0] + (1.0 - ankle_weight) * shift[:, :, 1]
    toes = parts[:, :, 1] + shift[:, :, 1] + (1.0 - toe_weight) * shift[:, :, 0]
    # the foot keeps its length: the part that touches the floor stays, toes first
    sole = np.linalg.norm(parts[:, :, 1] - parts[:, :, 0], axis=-1, keepdims=True)
    between = toes - ankles
    length = np.maximum(np.linalg.norm(between, axis=-1, keepdims=True), 1e-9)
    excess = between / length * (length - sole)
    return ankles + toe_weight * excess, toes - (1.0 - toe_weight) * excess


def lift(points: np.ndarray, toes: np.ndarray, locks: np.ndarray, floor: float, fps: float) -> np.ndarray:
    """How far to lift feet that swing close to the floor, `[T, F]`, metres; none while a body lies, crawls or sits.

    Args:
        points: joint positions `[T, J, 3]`, metres.
        toes: where the toes will be `[T, F, 3]`.
        locks: anchors `[T, F, P, 3]`, NaN where a foot is free.
        floor: height of the floor.
        fps: frames per second.
    """
    leg = np.linalg.norm(np.diff(points[0, _LEG], axis=0), axis=-1).sum()
    hips = (points[:, 0, 1] - floor) / leg
    upright = _smoothstep((hips - _UPRIGHT[0]) / (_UPRIGHT[1] - _UPRIGHT[0]))[:, None]
    free = np.isnan(locks[:, :, 1, 0])
    moving = _smoothstep((floor_speed(toes, fps) - _MOVING[0]) / (_MOVING[1] - _MOVING[0]))
    need = np.clip(floor + CLEARANCE - toes[..., 1], 0.0, _MOST_LIFT) * moving * free * upright
    return envelope(need, fps, 0.034, 0.034)


def envelope(values: np.ndarray, fps: float, hold: float, fade: float) -> np.ndarray:
    """A smooth curve over values `[T, ...]`: their maximum within `hold` seconds, averaged over `fade` seconds."""
    hold_frames, fade_frames = max(round(hold * fps), 1), max(round(fade * fps), 1)
    held = windows(values, hold_frames).max(-1)
    kernel = np.hanning(2 * fade_frames + 3)[1:-1]
    return windows(held, fade_frames) @ (kernel / kernel.sum())


def _released(path: np.ndarray, lock: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Shift `[T, 3]` of a point `[T, 3]` to its anchors and, around contacts, back to 0; its weight `[T]`, 0 to 1."""
    held = np.isfinite(lock[:, 0])
    shift = np.where(held[:, None], lock - path, 0.0)
    shift[:, 1] *= 1.0 - _smoothstep((np.abs(shift[:, 1]) - _LEVEL[0]) / (_LEVEL[1] - _LEVEL[0]))
    weight = held.astype(np.float64)
    release = max(round(RELEASE * fps), 1)
    for start, stop in runs(~held):
        before, after = start > 0, stop < len(path)
        length = min(release, stop - start + 1) if before and after else release
        for side in ([1] if before else []) + ([-1] if after else []):
            edge = start - 1 if side == 1 else stop
            time = np.arange(1, length + 1)
            frames = edge + side * time
            inside = (frames >= 0) & (frames < len(path))
            curve, fade = _return(shift, held, edge, side, length, time / length)
            shift[frames[inside]] += curve[inside]
            weight[frames[inside]] = np.maximum(weight[frames[inside]], fade[inside])
    return shift, weight


def _return(shift: np.ndarray, held: np.ndarray, edge: int, side: int, length: int, time: np.ndarray):
    """A cubic from the shift at `edge`, with its slope there, to zero in `length` frames; and a weight from 1 to 0."""
    value = shift[edge]
    inner = edge - side
    inside = 0 <= inner < len(held) and held[inner]
    slope = (value - shift[inner]) * length if inside else np.zeros(3)
    curve = value * ((1.0 + 2.0 * time) * (1.0 - time) ** 2)[:, None] + slope * (time * (1.0 - time) ** 2)[:, None]
    return curve, 1.0 - _smoothstep(time)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
