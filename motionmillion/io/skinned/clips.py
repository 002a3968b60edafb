"""Motions as named clips of one body: checked, dressed, at the wanted frame rate.

    body, clips = make_clips([walk, run], "human", root_motion=False, fps=60)
    clips[0].name, clips[0].fps, clips[0].rotations, clips[0].path

Shapes: T frames, J joints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import roma
import torch

from motionmillion.io.arrays import exact_rotations
from motionmillion.io.root_bone import check_root_motion, on_root
from motionmillion.io.skinned.bodies import load_body
from motionmillion.io.skinned.body import SkinnedBody
from motionmillion.motion import Motion

_LONGEST_NAME = 60
"""Blender cuts names of actions after 63 bytes."""


@dataclass(frozen=True)
class Clip:
    """One animation of a body.

    Args:
        name: unique in the file.
        caption: of the motion, in full.
        fps: frames per second.
        rotations: local unit quaternions `[T, J, 4]`, x y z w, without sign flips.
        path: pelvis positions `[T, 3]`, metres; those of the root bone if there is one.
        pelvis: positions of the pelvis relative to the root bone `[T, 3]`; None without one.
    """

    name: str
    caption: str
    fps: float
    rotations: np.ndarray
    path: np.ndarray
    pelvis: np.ndarray | None = None

    @property
    def centre(self) -> np.ndarray:
        """Pelvis positions `[T, 3]`, metres."""
        return self.path if self.pelvis is None else self.path + self.pelvis

    @property
    def times(self) -> np.ndarray:
        """Seconds of the frames `[T]`; the first is at 0."""
        return np.arange(len(self.path)) / self.fps


def make_clips(
    motion: Motion | Sequence[Motion],
    body: str = "auto",
    root_motion: bool | str = True,
    fps: float | None = None,
) -> tuple[SkinnedBody, list[Clip]]:
    """A body and one clip for every motion.

    Args:
        body: see `motionmillion.io.skinned.bodies.load_body`.
        root_motion: what travels, see `motionmillion.io.root_bone`.
        fps: resample to this frame rate; None keeps each motion's own.

    Raises:
        ValueError: for no motions, motions on different skeletons, values that are not finite, or an unknown body.
    """
    kind = check_root_motion(root_motion)
    motions = [motion] if isinstance(motion, Motion) else list(motion)
    if not motions:
        raise ValueError("motion must hold at least one motion, got an empty list")
    for index, one in enumerate(motions):
        if not isinstance(one, Motion):
            raise ValueError(f"motion must be a Motion or a list of them, got {type(one).__name__} at {index}")
        if one.skeleton != motions[0].skeleton:
            raise ValueError(
                f"motion must hold motions on one skeleton, got another at {index}; write it to a file of its own"
            )
    made = load_body(body, motions[0].skeleton)
    names = unique_names([one.caption for one in motions])
    clips = [_clip(one, name, made, kind, fps) for one, name in zip(motions, names, strict=True)]
    return made.on_root() if kind == "root" else made, clips


def unique_names(captions: Sequence[str]) -> list[str]:
    """Names of clips: captions on one line, cut after 60 characters; repeated ones are numbered, "walk", "walk 2"."""
    names: list[str] = []
    for caption in captions:
        words = "".join(letter if letter.isprintable() else " " for letter in caption).split()
        stem = " ".join(words)[:_LONGEST_NAME].rstrip() or "motion"
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem[: _LONGEST_NAME - len(str(number)) - 1]} {number}"
        names.append(name)
    return names


def _clip(motion: Motion, name: str, body: SkinnedBody, root_motion: str, fps: float | None) -> Clip:
    motion = motion if fps is None else motion.replace().resample(fps)
    dressed = body.dress(motion)
    rotations, path = exact_rotations(dressed), dressed.translation.detach().cpu().double().numpy()
    pelvis = None
    if root_motion == "root":
        rotations, path, pelvis = on_root(rotations, path)
    quaternions = roma.rotmat_to_unitquat(torch.from_numpy(rotations)).numpy()  # [T, J, 4]
    # a quaternion and its negative are one rotation: take the one nearer to the frame before
    same = np.sign((quaternions[1:] * quaternions[:-1]).sum(-1, keepdims=True))
    quaternions[1:] *= np.cumprod(np.where(same == 0, 1.0, same), axis=0)
    if root_motion == "none":
        path = path * np.array([0.0, 1.0, 0.0])
    return Clip(name, motion.caption, motion.fps, quaternions, path, pelvis)
