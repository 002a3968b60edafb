"""The constant rotation of every joint that turns SMPL22's rest frame into a source body's.

A source joint's global rotation is relative to the source's rest pose. Where a person could hold that pose, the two
rest poses tell the constants: limbs by the direction of their bones, the trunk by the lines between hips and between
shoulders. Where nobody could (bones along one axis, as in LAFAN1 and Rokoko's exports), or where a joint is twisted
about its own bone by more than a person can be through the whole clip (the spine of ACCAD and Bandai Namco), the clip
tells them: limbs have the least twist against the bone above, spine and neck the least bend against pelvis and chest.

Unusual: where the clip decides, the result does not depend on the frames in which a file defines its joints. What the
clip corrects in a human rest pose grows from nothing to all within `_RAMP` degrees, so that no limit makes it flip.

Shapes: T frames, N source joints.
"""

from typing import NamedTuple

import numpy as np

from motionmillion.kinematics.bodies import SMPL, SMPL_REST, Bodies
from motionmillion.kinematics.rotations import (
    about,
    angle_between,
    axis_rotation,
    nearest,
    power,
    swing,
    twist_fit,
    unit,
    whole_fit,
)
from motionmillion.skeleton import SMPL22


class _Human(NamedTuple):
    """What a person can do, in degrees.

    `swing` is by how much a bone of the rest pose differs at most from SMPL's, against the bone above; `twist` is how
    far a joint is turned about its own bone, on the mean of a clip.
    """

    swing: float
    twist: float


_HUMAN = {
    "hip": _Human(80.0, 50.0),
    "knee": _Human(100.0, 30.0),
    "ankle": _Human(100.0, 50.0),
    "foot": _Human(100.0, 40.0),
    "spine1": _Human(60.0, 30.0),
    "spine2": _Human(60.0, 30.0),
    "spine3": _Human(100.0, 30.0),
    "neck": _Human(75.0, 40.0),
    "head": _Human(100.0, 45.0),
    "collar": _Human(55.0, 40.0),
    "shoulder": _Human(100.0, 90.0),
    "elbow": _Human(100.0, 120.0),
    "wrist": _Human(100.0, 90.0),
}
_RAISED = 35.0
"""Degrees to straight up: no rest pose has its upper arms nearer."""
_BEND = 45.0
"""Degrees by which trunk, head, hand and toes can be bent against the part above, on the mean of a clip."""
_TIP_AGREES = 15.0
_RAMP = 15.0
_LIMB_BONES = ("hip", "knee", "ankle", "shoulder", "elbow")
_FREE_BEND = np.deg2rad(40.0)
"""By so much bones of spine, neck and collars may differ from SMPL's: their places within the trunk are the rig's."""
_SAME_POSE = np.deg2rad(1.0)
_ALIKE = np.deg2rad(60.0)
_NECK_FORWARD = np.deg2rad(12.5)
"""How far the neck of an upright person leans forward from the line of the trunk."""
FOOT = np.array([0.0, -0.47, 0.88])
"""Where the foot of a rig without toes points in a T-pose: ahead, from the ankle to the ball."""
_HINGES = {"hip": ("knee", "ankle", -1.0), "shoulder": ("elbow", "wrist", 1.0)}
"""Thigh and upper arm: the joints of the bone below, and the sign of z in SMPL's rest frame towards which it bends."""
_LEAST_TWIST = 0.1
"""Weight of the least twist against that of a hinge bent by a right angle in every frame."""


class Corrections:
    """The constants, found from the rest pose and the frames of a clip.

    Args:
        rotations: global rotations of the source joints `[T, N, 3, 3]` relative to the rest pose.
        positions: positions of the source joints `[T, N, 3]`.
        align: "limbs" or "bones", see `motionmillion.kinematics.retarget`.

    Attributes:
        matrices: SMPL22 name -> `[3, 3]`; the source's rotation times it is SMPL's global rotation.
        swung: names of the joints whose bones point exactly where the source's do.
        by_clip: the parts of the body, "arms", "legs" or "trunk", in whose rest pose nobody could be.

    Raises:
        ValueError: if left and right cannot be told apart, since hips and shoulders are at one point.
    """

    def __init__(self, bodies: Bodies, positions: np.ndarray, rotations: np.ndarray, align: str) -> None:
        self.bodies, self.positions, self.rotations, self.align = bodies, positions, rotations, align
        self.matrices: dict[str, np.ndarray] = {}
        self.swung: set[str] = set()
        self._rest_only: dict[str, np.ndarray] = {}
        self._turned: dict[str, np.ndarray] = {}  # SMPL's global rotations [T, 3, 3] so far
        self.by_clip: set[str] = set()
        names, trunk = list(bodies.mapping), list(dict.fromkeys(["pelvis", bodies.chest]))
        for name in trunk:
            self._keep(name, self._trunk(name, _ALIKE))
            self._rest_only[name] = self.matrices[name]
        if bodies.same_lengths and self._stands_as_smpl():
            self.matrices = {name: self._by_rest(name) for name in names}
            return
        self.by_clip = {_region(name) for name in names if self._inhuman(name)}
        if self.by_clip:
            # the trunk goes with any other part: a rig without a human pose shows no bend of neck and spine either
            self.by_clip.add("trunk")
        if any(self._inhuman(name) for name in (*bodies.spine, bodies.chest)):
            # the trunk of the rest pose is not straight
            for name in trunk:
                self._keep(name, self._trunk(name, 0.0))
                self._rest_only[name] = self.matrices[name]
        for name in names:
            if name not in self.matrices:
                self._keep(name, self._by_clip_too(name, self._by_rest(name)))

    def source(self, name: str) -> np.ndarray:
        """The source's global rotations `[T, 3, 3]` of a body part."""
        return carried(self.bodies, name, self.rotations)

    def bones(self, name: str, child: str) -> np.ndarray:
        """The posed vectors `[T, 3]` of a bone of the source."""
        return self.positions[:, self.bodies.mapping[child]] - self.positions[:, self.bodies.mapping[name]]

    def _keep(self, name: str, correction: np.ndarray) -> None:
        self.matrices[name] = correction
        self._turned[name] = apply_correction(self, name, self.positions, self.rotations)

    # The trunk

    def _trunk(self, name: str, alike: float) -> np.ndarray:
        """The constant of pelvis or chest, by the line of hips or shoulders and the line between the two.

        Lines are those of the rest pose where the clip shows them within the angle `alike`, else the clip's.
        """
        if self.bodies.same_lengths:
            return self._fit(name)
        across = "hip" if name == "pelvis" else "shoulder"
        line = SMPL_REST[SMPL[f"left_{across}"]] - SMPL_REST[SMPL[f"right_{across}"]]
        smpl = _frame(line, _up(SMPL_REST, SMPL))
        mapping = self.bodies.mapping
        source = self.source(name)

        def seen(posed: np.ndarray) -> np.ndarray:
            """The mean `[3]` of posed vectors `[T, 3]` in the frame of the body part."""
            return np.einsum("tji,tj->i", source, posed) / len(posed)

        up = _agreed(_up(self.bodies.rest, mapping), seen(_up(self.positions, mapping)), alike)
        for line in (across, "hip", "shoulder", "knee"):
            pair = [mapping[f"{side}_{line}"] for side in ("left", "right")]
            rest = self.bodies.rest[pair[0]] - self.bodies.rest[pair[1]]
            side = _agreed(rest, seen(self.positions[:, pair[0]] - self.positions[:, pair[1]]), alike)
            length = np.linalg.norm(side - unit(up) * (side @ unit(up)))
            if length > 0.05 * self.bodies.leg:
                return _frame(side, up) @ smpl.T
        raise ValueError(
            "rest must tell left from right, got hips, shoulders and knees each at one point or in line with the "
            "trunk; the OFFSETs are damaged"
        )

    def _fit(self, name: str) -> np.ndarray:
        """The rotation from SMPL's rest bones below `name` to the source's, by least squares."""
        bones = [self.bodies.bone(name, child) for child in self.bodies.children(name)]
        return nearest(sum((np.outer(source, smpl) for smpl, source in bones), np.zeros((3, 3))))

    # By the rest pose

    def _stands_as_smpl(self) -> bool:
        """Whether the rest pose of a body of SMPL's lengths is SMPL's own, turned as a whole."""
        for name in SMPL22.names[1:]:
            smpl, source = self.bodies.bone(self.bodies.parent(name), name)
            if angle_between(self.matrices["pelvis"] @ smpl, source) > _SAME_POSE:
                return False
        return True

    def _by_rest(self, name: str) -> np.ndarray:
        """The constant that the rest poses tell; below a joint it goes on from the rest pose, not from the clip."""
        if name in self._rest_only:
            return self._rest_only[name]
        child = self.bodies.child(name)
        above = self.bodies.parent(name)
        if name == "head" and "trunk" not in self.by_clip:
            above = self.bodies.chest
        # a joint without a bone of its own turns with the bone above
        found = self.matrices if child is None and _region(name) in self.by_clip else self._rest_only
        correction = found[above]
        if child is not None:
            smpl, source = self.bodies.bone(name, child)
            angle = angle_between(correction @ smpl, source)
            exact = self.bodies.same_lengths or self.align == "bones" or _kind(name) in _LIMB_BONES
            if exact:
                self.swung.add(name)
            share = 1.0 if exact else max(angle - _FREE_BEND, 0.0) / max(angle, 1e-9)
            correction = power(swing(correction @ smpl, source), share) @ correction
        elif _kind(name) == "ankle":
            smpl = SMPL_REST[SMPL[name.replace("ankle", "foot")]] - SMPL_REST[SMPL[name]]
            correction = correction @ swing(smpl, FOOT)
        self._rest_only[name] = correction
        return correction

    def _inhuman(self, name: str) -> bool:
        """Whether nobody could hold the rest pose, for the bone of this joint, its twist aside."""
        child = self.bodies.child(name)
        if child is None or name == "pelvis":
            return False
        above = self._rest_above(name)
        smpl, source = self.bodies.bone(name, child)
        raised = angle_between(self.matrices[self.bodies.chest][:, 1], source) < np.deg2rad(_RAISED)
        return angle_between(above @ smpl, source) > np.deg2rad(_HUMAN[_kind(name)].swing) or (
            _kind(name) == "shoulder" and raised
        )

    def _rest_above(self, name: str) -> np.ndarray:
        """The rotation of the bone above in the rest pose, with the smallest swings from the trunk."""
        above = self.bodies.parent(name)
        if above in self.matrices:
            return self.matrices[above]
        base, child = self._rest_above(above), self.bodies.child(above)
        if child is None or _kind(above) not in _LIMB_BONES:
            return base
        smpl, source = self.bodies.bone(above, child)
        return swing(base @ smpl, source) @ base

    # By the clip

    def _by_clip_too(self, name: str, correction: np.ndarray) -> np.ndarray:
        """A constant of the rest pose, corrected by what the clip shows."""
        by_clip, bends = _region(name) in self.by_clip, name not in self.swung
        child = self.bodies.child(name)
        if by_clip and bends and child is not None and _kind(name) != "collar":
            above = self.matrices[self.bodies.parent(name)]
            # a rig with all bones in one line shows none of the lean of the neck
            straight = axis_rotation(_NECK_FORWARD * (name == "neck"), 0) @ unit(_up(SMPL_REST, SMPL))
            correction = swing(above @ straight, self.bodies.bone(name, child)[1]) @ above
        if by_clip and child is None and (tip := self.bodies.tip(name)) is not None:
            # it turns with the bone above, unless its own End Site or fingers point elsewhere
            points = correction @ self.bodies.axis(name)
            share = float(np.clip((np.rad2deg(angle_between(points, tip)) - _TIP_AGREES) / 10.0, 0.0, 1.0))
            correction = power(swing(points, tip), share) @ correction
        rotations, target = self.source(name), self._target(name)
        if by_clip and _kind(name) == "collar":
            return whole_fit(rotations, target)
        axis = self.bodies.axis(name)
        if bends and child is not None:
            axis = unit(correction.T @ self.bodies.bone(name, child)[1])
        angle = self._twist(name, rotations @ correction, target, axis)
        share = 1.0 if by_clip else _ramp(angle, _HUMAN[_kind(name)].twist)
        if child is None and not by_clip:
            # a turned frame without a bone tells nothing about its bend either
            correction = correction @ power(whole_fit(rotations @ correction, target), share)
        else:
            correction = correction @ about(axis, angle * share)
        if bends:
            rest = whole_fit(rotations @ correction, target)
            correction = correction @ power(rest, _ramp(_angle(rest), _BEND))
        return correction

    def _target(self, name: str) -> np.ndarray:
        """Global rotations `[T, 3, 3]` without a twist of their own against the body parts beside them."""
        above = self._turned[self.bodies.parent(name)]
        if name in self.bodies.spine:
            share = (self.bodies.spine.index(name) + 1) / (len(self.bodies.spine) + 1)
            pelvis, chest = self._turned["pelvis"], self._turned[self.bodies.chest]
            return pelvis @ power(pelvis.swapaxes(-1, -2) @ chest, share)
        child = self.bodies.child(name)
        if name in self.swung and child is not None:
            return swing(above @ self.bodies.axis(name), self.bones(name, child)) @ above
        return above

    def _twist(self, name: str, guess: np.ndarray, target: np.ndarray, axis: np.ndarray) -> float:
        """The angle about the bone that is missing: to the least twist, and to where the hinge below bends."""
        total = _LEAST_TWIST * np.exp(1j * twist_fit(guess, target, axis))
        if _kind(name) not in _HINGES:
            return float(np.angle(total))
        middle, end, forward = _HINGES[_kind(name)]
        side = name.split("_")[0]
        ahead = np.array([0.0, 0.0, forward])
        ahead = unit(ahead - axis * (ahead @ axis))
        below = np.einsum("tji,tj->ti", guess, unit(self.bones(f"{side}_{middle}", f"{side}_{end}")))
        # how far the limb is bent, and in which direction about the bone
        bent = below @ ahead + 1j * (below @ np.cross(axis, ahead))
        return float(np.angle(total + (bent * np.abs(bent)).mean()))


def carried(bodies: Bodies, name: str, rotations: np.ndarray) -> np.ndarray:
    """Global rotations `[T, 3, 3]` of a body part, of all source joints' `[T, N, 3, 3]`."""
    carriers = bodies.carriers(name)
    return rotations[:, carriers[0]] if len(carriers) == 1 else nearest(rotations[:, carriers].sum(1))


def apply_correction(corrections: Corrections, name: str, positions: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """SMPL's global rotations `[T, 3, 3]` of a joint that has a source."""
    bodies = corrections.bodies
    guess = carried(bodies, name, rotations) @ corrections.matrices[name]
    child = bodies.child(name)
    if name not in corrections.swung or child is None:
        return guess
    wanted = positions[:, bodies.mapping[child]] - positions[:, bodies.mapping[name]]
    return swing(guess @ bodies.axis(name), wanted) @ guess


def _kind(name: str) -> str:
    """The name without its side."""
    return name.split("_")[-1]


def _region(name: str) -> str:
    kind = _kind(name)
    if kind in ("collar", "shoulder", "elbow", "wrist"):
        return "arms"
    return "legs" if kind in ("hip", "knee", "ankle", "foot") else "trunk"


def _up(positions: np.ndarray, index: dict[str, int]) -> np.ndarray:
    """From the middle of the hips to that of the shoulders, `[..., 3]` of positions `[..., N, 3]`."""
    hips, shoulders = (
        (positions[..., index[f"left_{part}"], :] + positions[..., index[f"right_{part}"], :]) / 2
        for part in ("hip", "shoulder")
    )
    return shoulders - hips


def _agreed(rest: np.ndarray, posed: np.ndarray, alike: float) -> np.ndarray:
    """The vector `[3]` of the rest pose if that of the clip is about as long and within an angle; else the clip's."""
    long_enough = np.linalg.norm(rest) > 0.5 * np.linalg.norm(posed)
    return rest if long_enough and angle_between(rest, posed) < alike else posed


def _frame(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Columns left, up, forward `[3, 3]`: up is kept, left made perpendicular to it."""
    up = unit(up)
    left = unit(left - up * (left @ up))
    return np.stack([left, up, np.cross(left, up)], axis=1)


def _angle(rotation: np.ndarray) -> float:
    return float(np.arccos(np.clip((np.trace(rotation) - 1.0) / 2.0, -1.0, 1.0)))


def _ramp(angle: float, limit: float) -> float:
    """0 up to `limit` degrees, 1 from `_RAMP` degrees more; `angle` in radians."""
    return float(np.clip((abs(np.rad2deg(angle)) - limit) / _RAMP, 0.0, 1.0))
