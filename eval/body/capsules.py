"""Self-penetration of limbs, measured on a body of capsules around joint positions.

    capsule_penetration(motion.positions())                       # one motion -> float
    capsule_penetrations([m.positions() for m in motions])        # many -> [N]
    capsule_depths(motion.positions())                            # [T, P] metres, depth of each of `PAIRS`

| unit | meaning |
|---|---|
| "percent" | percentage of `PAIRS` that penetrate each other, mean over frames |
| "mm" | summed depth of all pairs, mean over frames, millimetres |

A capsule is the set of points within a radius of a line segment; 18 of them with an adult's girth make the body: two
columns of the trunk, neck, head, upper arms, forearms, hands, thighs, shanks and feet. Excluded are pairs that share a
joint, neighbours on the trunk, and the two hands, which may clasp. The other pairs penetrate each other if their axes
are closer than `TOUCH` times the sum of their radii, and the depth is the missing distance. `TOUCH` is below 1 because
flesh yields, limbs are not exact capsules, and in motion capture arms rest against the body and thighs against each
other. With 0.5, 97 of 100 frames of the CMU database (split train) have no penetration.

Unusual: positions do not determine the orientation of hands, head and toes; a hand extends its forearm. This is
not MBench's Body_Penetration, which counts triangles of the SMPL mesh: see `motionmillion.eval.body.mesh`.

Shapes: N motions, T frames, C capsules, P pairs; `...` stands for any leading dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from motionmillion.eval.inputs import Numbers, to_tensor, to_tensors
from motionmillion.skeleton import SMPL22

TOUCH = 0.5
"""Fraction of the sum of two radii below which the distance of two axes counts as penetration."""

Unit = Literal["percent", "mm"]
_FRAMES_AT_ONCE = 2**12
_TINY = 1e-9


@dataclass(frozen=True)
class Capsule:
    """A part of the body.

    Args:
        name: such as "left_forearm".
        start, stop: ends of its axis, as weights of joints that sum to 1.
        radius: metres.
    """

    name: str
    start: dict[str, float]
    stop: dict[str, float]
    radius: float

    @property
    def part(self) -> str:
        return self.name.removeprefix("left_").removeprefix("right_")

    def mirrored(self) -> "Capsule":
        start, stop = ({_other_side(joint): w for joint, w in end.items()} for end in (self.start, self.stop))
        return Capsule(_other_side(self.name), start, stop, self.radius)


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    return "left_" + name.removeprefix("right_") if name.startswith("right_") else name


_WAIST = {"spine2": 1.0, "left_hip": 0.25, "right_hip": -0.25}
_CHEST = {"spine3": 0.55, "left_shoulder": 0.35, "neck": 0.1}
_SKULL = {"head": 1.3, "neck": -0.15, "spine3": -0.15}
_CROWN = {"head": 1.75, "neck": -0.25, "spine3": -0.5}
_CENTRE = (
    Capsule("neck", {"neck": 1.0}, {"head": 1.0}, 0.055),
    Capsule("head", _SKULL, _CROWN, 0.085),
)
_LEFT = (
    Capsule("left_hips", {"left_hip": 0.75, "right_hip": 0.25}, _WAIST, 0.09),
    Capsule("left_chest", _WAIST, _CHEST, 0.09),
    Capsule("left_upper_arm", {"left_shoulder": 1.0}, {"left_elbow": 1.0}, 0.045),
    Capsule("left_forearm", {"left_elbow": 1.0}, {"left_wrist": 1.0}, 0.037),
    Capsule("left_hand", {"left_wrist": 1.0}, {"left_wrist": 1.5, "left_elbow": -0.5}, 0.032),
    Capsule("left_thigh", {"left_hip": 1.0}, {"left_knee": 1.0}, 0.07),
    Capsule("left_shank", {"left_knee": 1.0}, {"left_ankle": 1.0}, 0.047),
    Capsule("left_foot", {"left_ankle": 1.0}, {"left_foot": 1.3, "left_ankle": -0.3}, 0.035),
)
CAPSULES = (*_CENTRE, *_LEFT, *(capsule.mirrored() for capsule in _LEFT))

_NEIGHBOURS = {("hips", "hips"), ("hips", "chest"), ("chest", "chest"), ("neck", "chest"), ("neck", "head")}
_NEIGHBOURS |= {("hips", "thigh"), ("neck", "upper_arm"), ("hand", "hand")}
_NEIGHBOURS_OF_A_SIDE = {("chest", "upper_arm"), ("upper_arm", "forearm"), ("forearm", "hand")}
_NEIGHBOURS_OF_A_SIDE |= {("thigh", "shank"), ("shank", "foot")}


def _counts(a: Capsule, b: Capsule) -> bool:
    parts = {(a.part, b.part), (b.part, a.part)}
    one_side = a.name.split("_")[0] == b.name.split("_")[0]
    return not (parts & _NEIGHBOURS or (one_side and parts & _NEIGHBOURS_OF_A_SIDE))


_PAIRS = [(i, j) for i, j in combinations(range(len(CAPSULES)), 2) if _counts(CAPSULES[i], CAPSULES[j])]
PAIRS = tuple((CAPSULES[i].name, CAPSULES[j].name) for i, j in _PAIRS)
"""Names of the two capsules of each pair that is tested."""


def capsule_penetration(positions: Numbers, unit: Unit = "percent") -> float:
    """Self-penetration of a motion's limbs, in one of the units of the module's docstring.

    Args:
        positions: `[T, 22, 3]`, metres, any axis up; a tensor, an array or nested lists.
        unit: "percent" or "mm".

    Raises:
        ValueError: for a wrong shape, non-finite positions, or an unknown unit.
    """
    return float(capsule_penetrations([positions], unit, ["positions"])[0])


def capsule_penetrations(
    clips: Sequence[Numbers], unit: Unit = "percent", names: Sequence[str] | None = None
) -> Tensor:
    """`capsule_penetration` of many motions, float64 `[N]`; clips do not affect each other.

    Args:
        clips: N positions `[T, 22, 3]`, metres, each of its own length; tensors, arrays or nested lists.
        unit: "percent" or "mm".
        names: of the clips, for errors; "clips[3]" otherwise.

    Raises:
        ValueError: for no clips, a wrong shape, non-finite positions, or an unknown unit.
    """
    if unit not in ("percent", "mm"):
        raise ValueError(f'unit must be "percent" or "mm", got {unit!r}')
    clips = to_tensors("clips", clips, names)
    if not clips:
        raise ValueError("clips must hold at least one motion, got none")
    for index, clip in enumerate(clips):
        _check(clip, names[index] if names else f"clips[{index}]")
    values = []
    for part in torch.cat([clip.float() - clip[:, :1].float() for clip in clips]).split(_FRAMES_AT_ONCE):
        depths = capsule_depths(part)
        values.append((depths > 0).double().mean(1) * 100 if unit == "percent" else depths.double().sum(1) * 1000)
    frames = torch.cat(values).cpu()
    return torch.stack([part.mean() for part in frames.split([len(clip) for clip in clips])])


def capsule_depths(positions: Numbers) -> Tensor:
    """Penetration depth of each of `PAIRS`, metres, `[..., P]`; 0 without penetration.

    Args:
        positions: `[..., 22, 3]`, metres.

    Raises:
        ValueError: for a wrong shape.
    """
    positions = to_tensor("positions", positions)
    if positions.ndim < 2 or positions.shape[-2:] != (len(SMPL22), 3):
        raise ValueError(f"positions must have shape [..., 22, 3], got {tuple(positions.shape)}")
    points = (positions - positions[..., :1, :]).reshape(-1, len(SMPL22), 3)  # relative to the pelvis, for precision
    start, stop = (weights.to(points) @ points for weights in (_STARTS, _STOPS))  # [F, C, 3], F all frames
    radius = _RADII.to(points)
    first, second = _FIRST.to(points.device), _SECOND.to(points.device)
    reach = (stop - start).norm(dim=-1) / 2 + radius  # [F, C], radius of a ball around the capsule
    apart = torch.cdist((start + stop) / 2, (start + stop) / 2)[:, first, second]
    frame, pair = (apart < reach[:, first] + reach[:, second]).nonzero(as_tuple=True)
    i, j = first[pair], second[pair]
    distance = segment_distance(start[frame, i], stop[frame, i], start[frame, j], stop[frame, j])
    depths = points.new_zeros(len(points), len(PAIRS))
    depths[frame, pair] = (TOUCH * (radius[i] + radius[j]) - distance).clamp(min=0)
    return depths.reshape(*positions.shape[:-2], len(PAIRS))


def segment_distance(start: Tensor, stop: Tensor, other_start: Tensor, other_stop: Tensor) -> Tensor:
    """Exact distance `[...]` between two line segments given by their ends `[..., 3]`, which may coincide.

    Source: Ericson, Real-Time Collision Detection (2005), 5.1.9.
    """
    way, other, between = stop - start, other_stop - other_start, start - other_start
    a, e = (v.square().sum(-1).clamp(min=_TINY) for v in (way, other))
    b, c, f = (way * other).sum(-1), (way * between).sum(-1), (other * between).sum(-1)
    square = a * e - b * b  # 0 for parallel lines, where any point will do
    s = torch.where(square > 1e-6 * a * e, (b * f - c * e) / square.clamp(min=_TINY**2), 0.0).clamp(0, 1)
    free = (b * s + f) / e
    t = free.clamp(0, 1)
    s = torch.where(t == free, s, (b * t - c) / a).clamp(0, 1)
    return (between + s[..., None] * way - t[..., None] * other).norm(dim=-1)


def _check(positions: Tensor, name: str) -> None:
    if positions.ndim != 3 or positions.shape[0] == 0 or positions.shape[1:] != (len(SMPL22), 3):
        raise ValueError(f"{name} must have shape [T, 22, 3] with T > 0, got {tuple(positions.shape)}")
    finite = torch.isfinite(positions).flatten(1).all(1)
    if not bool(finite.all()):
        frame = int((~finite).nonzero()[0])
        raise ValueError(f"{name} must be finite, got NaN or infinity in frame {frame}; repair or cut it")


def _weights(end: dict[str, float]) -> list[float]:
    return [end.get(name, 0.0) for name in SMPL22.names]


_STARTS = torch.tensor([_weights(capsule.start) for capsule in CAPSULES])  # [C, 22]
_STOPS = torch.tensor([_weights(capsule.stop) for capsule in CAPSULES])
_RADII = torch.tensor([capsule.radius for capsule in CAPSULES])
_FIRST, _SECOND = torch.tensor(_PAIRS).T
