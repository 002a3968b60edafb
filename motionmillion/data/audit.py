"""Audit: finds broken clips by rules, before anything is trained on them.

    for finding in audit_clip(motion):
        print(finding.kind, finding.joint, finding.share, finding.worst)

    report = audit_folder("my_motions")
    print(report.table())

    motionmillion data audit my_motions -o bad.txt

Findings: elbows and knees bent backwards, folded heads, hands inside the body, joints that flip between frames, frozen
motion, bodies that float or sink into the floor, and jumps of the root. Limits are set so that anything a person can
do passes: a body supported by something unseen (a ladder, water) counts as floating only if its feet never come down.

Letters: T frames, J joints.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import roma
import torch
from torch import Tensor

from motionmillion.data.clips import SPLITS, ClipReader, list_clips
from motionmillion.motion import Motion

BACKWARD_DEGREES = {"elbow": 15.0, "knee": 15.0}
"""Minimum backward bend of a hinge that counts as a defect."""
BACKWARD_SHARE = 0.5
FOLDED_DEGREES = 70.0
"""Rotation of neck and head together relative to the chest."""
FOLDED_SHARE = 0.9
INSIDE_RADIUS = {"trunk": 0.075, "thigh": 0.05}
"""Radius around the line from pelvis to chest, and around thighs, that a hand cannot enter, metres."""
INSIDE_SHARE = 0.5
HAND = 0.08
"""Metres from wrist to knuckles."""
FLIP_DEGREES = 80.0
"""Minimum rotation of a joint within 1/30 s."""
FLIP_RATIO = 4.0
"""Minimum ratio of that rotation to those before and after."""
FROZEN_METRES = 1e-4
"""Maximum distance that any joint moves within 1/30 s in frozen motion."""
FROZEN_SHARE = 0.5
FLOATING_METRES = 0.3
"""Minimum height of the lowest joint above the floor in a floating body."""
SUNK_METRES = -0.15
HEIGHT_SHARE = 0.95
JUMP_METRES = 0.15
"""Minimum step of the pelvis within 1/30 s."""
JUMP_RATIO = 3.0
KINDS = ("bent backwards", "head folded", "hand inside", "joint flips", "frozen", "floating", "sunk", "root jumps")
UNITS = ("degrees", "degrees", "metres", "degrees", "metres", "metres", "metres", "metres")


@dataclass(frozen=True)
class Finding:
    """A defect of a motion.

    Args:
        kind: one of `KINDS`.
        joint: affected joint; `pelvis` for the whole body.
        share: fraction of the frames, 0 to 1.
        worst: the most extreme value, in the unit of `UNITS`.
    """

    kind: str
    joint: str
    share: float
    worst: float


def audit_clip(motion: Motion) -> list[Finding]:
    """Defects of a motion; empty for a good one. The floor is at y = 0."""
    positions, turned = motion.skeleton.forward_kinematics(motion.rotations, motion.translation)
    found = [*_backward_hinges(motion), *_folded_head(motion), *_inside(motion, positions, turned)]
    found += _heights(positions)
    if motion.num_frames > 2:
        found += [*_flips(motion), *_frozen(motion, positions), *_root_jumps(motion)]
    return found


def hinge_bend(motion: Motion, side: str, hinge: str) -> Tensor:
    """Bend of an elbow or a knee, `[T]`, degrees; negative if it is bent backwards.

    Args:
        side: left or right.
        hinge: elbow or knee.
    """
    above, below, axis = {
        "knee": ("knee", "ankle", (1.0, 0.0, 0.0)),
        "elbow": ("elbow", "wrist", (0.0, -1.0 if side == "left" else 1.0, 0.0)),
    }[hinge]
    offsets = torch.tensor(motion.skeleton.offsets)
    upper = offsets[motion.skeleton.index(f"{side}_{above}")]
    lower = offsets[motion.skeleton.index(f"{side}_{below}")]
    seen = motion.rotations[:, motion.skeleton.index(f"{side}_{hinge}")] @ lower  # [T, 3]
    upper = upper.expand_as(seen)
    across = torch.linalg.cross(upper, seen) @ torch.tensor(axis)
    along = (upper * seen).sum(-1)
    length = upper.norm(dim=-1) * seen.norm(dim=-1)
    size = torch.atan2(torch.linalg.cross(upper, seen).norm(dim=-1), along)
    sine = (across / length.clamp(min=1e-9)).clamp(-1, 1)
    # only the component of the bend about the hinge's axis counts
    return torch.rad2deg(torch.where(sine < 0, torch.asin(sine), size))


def _backward_hinges(motion: Motion) -> Iterable[Finding]:
    for hinge, limit in BACKWARD_DEGREES.items():
        for side in ("left", "right"):
            bend = hinge_bend(motion, side, hinge)
            share = _share(bend < -limit)
            if share > BACKWARD_SHARE:
                yield Finding("bent backwards", f"{side}_{hinge}", share, float(bend.min()))


def _folded_head(motion: Motion) -> Iterable[Finding]:
    neck, head = (motion.rotations[:, motion.skeleton.index(name)] for name in ("neck", "head"))
    angle = torch.rad2deg(roma.rotmat_to_rotvec(neck @ head).norm(dim=-1))
    share = _share(angle > FOLDED_DEGREES)
    if share > FOLDED_SHARE:
        yield Finding("head folded", "head", share, float(angle.max()))


def hands_inside(motion: Motion, margin: float = 0.0) -> Tensor:
    """Frames in which a hand or forearm is inside the trunk or a thigh, `[T]`.

    Args:
        margin: extra thickness of the body, metres.
    """
    depths = _hand_depths(motion, *motion.skeleton.forward_kinematics(motion.rotations, motion.translation))
    return torch.stack([depth > -margin for depth in depths.values()]).any(0)


def _hand_depths(motion: Motion, positions: Tensor, turned: Tensor) -> dict[str, Tensor]:
    """Penetration depth of the deeper arm into the body, `[T]`, metres; negative outside."""
    index = motion.skeleton.index
    capsules = [(index("pelvis"), index("spine3"), INSIDE_RADIUS["trunk"])]
    capsules += [(index(f"{s}_hip"), index(f"{s}_knee"), INSIDE_RADIUS["thigh"]) for s in ("left", "right")]
    depths = {}
    for side in ("left", "right"):
        elbow, wrist = index(f"{side}_elbow"), index(f"{side}_wrist")
        bone = torch.tensor(motion.skeleton.offsets[wrist])
        hand = positions[:, wrist] + turned[:, wrist] @ (bone / bone.norm().clamp(min=1e-9) * HAND)
        along = [torch.lerp(positions[:, elbow], positions[:, wrist], part) for part in (0.5, 0.75, 1.0)]
        points = torch.stack([*along, hand], dim=1)  # [T, 4, 3]
        inside = [
            radius - segment_distance(points, positions[:, start, None], positions[:, stop, None])
            for start, stop, radius in capsules
        ]
        depths[f"{side}_wrist"] = torch.stack(inside).amax(0).amax(-1)
    return depths


def segment_distance(points: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Distance of points `[..., 3]` from the segments between `start` and `stop` `[..., 3]`, `[...]`."""
    line = stop - start
    along = ((points - start) * line).sum(-1) / line.square().sum(-1).clamp(min=1e-9)
    return (points - start - line * along.clamp(0, 1)[..., None]).norm(dim=-1)


def _inside(motion: Motion, positions: Tensor, turned: Tensor) -> Iterable[Finding]:
    for joint, depth in _hand_depths(motion, positions, turned).items():
        share = _share(depth > 0)
        if share > INSIDE_SHARE:
            yield Finding("hand inside", joint, share, float(depth.max()))


def _flips(motion: Motion) -> Iterable[Finding]:
    steps = motion.rotations[:-1].mT @ motion.rotations[1:]
    angles = torch.rad2deg(roma.rotmat_to_rotvec(steps).norm(dim=-1))  # [T - 1, J]
    around = _neighbours(angles)
    flips = (angles > FLIP_DEGREES * _frame_scale(motion)) & (angles > FLIP_RATIO * around)
    for joint, name in enumerate(motion.skeleton.names):
        if bool(flips[:, joint].any()):
            yield Finding("joint flips", name, _share(flips[:, joint]), float(angles[flips[:, joint], joint].max()))


def _root_jumps(motion: Motion) -> Iterable[Finding]:
    steps = motion.translation.diff(dim=0).norm(dim=-1)  # [T - 1]
    jumps = (steps > JUMP_METRES * _frame_scale(motion)) & (steps > JUMP_RATIO * _neighbours(steps[:, None])[:, 0])
    if bool(jumps.any()):
        yield Finding("root jumps", "pelvis", _share(jumps), float(steps[jumps].max()))


def _neighbours(steps: Tensor) -> Tensor:
    """Median of the two steps before and the two after each of `[N, J]`."""
    padded = torch.cat([steps[:2].flip(0), steps, steps[-2:].flip(0)]) if len(steps) > 1 else steps.repeat(5, 1)
    count = len(steps)
    beside = torch.stack([padded[shift : shift + count] for shift in (0, 1, 3, 4)])
    return beside.quantile(0.5, dim=0)


def _frame_scale(motion: Motion) -> float:
    """Duration of a frame in units of 1/30 s, clamped to at most 3."""
    return min(max(30 / motion.fps, 1 / 3), 3.0)


def _frozen(motion: Motion, positions: Tensor) -> Iterable[Finding]:
    moved = positions.diff(dim=0).norm(dim=-1).amax(-1)  # [T - 1]
    share = _share(moved < FROZEN_METRES * _frame_scale(motion))
    if share > FROZEN_SHARE:
        yield Finding("frozen", "pelvis", share, float(moved.max()))


def _heights(positions: Tensor) -> Iterable[Finding]:
    lowest = positions[..., 1].amin(-1)
    for kind, wrong, worst in (
        ("floating", lowest > FLOATING_METRES, lowest.max()),
        ("sunk", lowest < SUNK_METRES, lowest.min()),
    ):
        share = _share(wrong)
        if share > HEIGHT_SHARE:
            yield Finding(kind, "pelvis", share, float(worst))


def _share(flags: Tensor) -> float:
    return float(flags.float().mean())


@dataclass(frozen=True)
class AuditReport:
    """Result of `audit_folder`.

    Args:
        clips: number of clips that were read.
        findings: findings by clip name, for clips that have any.
        unreadable: reason by clip name, for clips that could not be read.
    """

    clips: int
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def bad(self) -> list[str]:
        """Names of clips with findings, and of those that cannot be read."""
        return [*self.findings, *self.unreadable]

    def table(self) -> str:
        """One line per finding, then counts."""
        units: dict[str, str] = dict(zip(KINDS, UNITS, strict=True))
        width = max((len(name) for name in self.bad()), default=0)
        lines = [
            f"{name:<{width}}  {f.kind:<14}  {f.joint:<14}  {f.share:6.1%} of frames, {f.worst:.3g} {units[f.kind]}"
            for name, findings in self.findings.items()
            for f in findings
        ]
        lines += [f"{name:<{width}}  unreadable      {reason}" for name, reason in self.unreadable.items()]
        counts = Counter(kind for findings in self.findings.values() for kind in {f.kind for f in findings})
        part = len(self.findings) / max(self.clips, 1)
        lines.append(
            f"{len(self.findings)} of {self.clips} clips flagged ({part:.1%}), {len(self.unreadable)} unreadable"
        )
        lines += [f"  {kind}: {counts[kind]}" for kind in KINDS if counts[kind]]
        return "\n".join(lines)


def audit_folder(folder: str | Path, splits: Iterable[str] = SPLITS, limit: int | None = None) -> AuditReport:
    """Audit every clip of a folder, see `list_clips`; a clip that cannot be read is counted.

    Args:
        limit: maximum number of clips, evenly spread over the folder.

    Raises:
        ValueError: if the folder does not exist or lists no motion.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit!r}")
    records, reader = list_clips(folder, splits), ClipReader(folder)
    if limit is not None:
        records = records[:: max(math.ceil(len(records) / limit), 1)]
    findings: dict[str, list[Finding]] = {}
    unreadable: dict[str, str] = {}
    for record in records:
        try:
            found = audit_clip(reader(record).motion)
        except (ValueError, OSError) as error:
            unreadable[record.name] = " ".join(str(error).split())
            continue
        if found:
            findings[record.name] = found
    return AuditReport(len(records) - len(unreadable), findings, unreadable)
