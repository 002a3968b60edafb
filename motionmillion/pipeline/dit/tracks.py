"""The track that a DiT is held on: the place of the pelvis on the floor in every frame, by masked sampling.

    track = Track.of(way, frames, fps)
    known, keep = track.held(steps, tail, start, count)      # of one window, normalised features and their mask
    motion = track.in_world(made, tail)                      # from the axes of the window

A motion that stands on the track is encoded, and only the values of the pelvis on the floor are kept of it, in every
frame, and those of its orientation in one frame of ten if the heading is asked for; the model makes the rest around
them. Where only a heading is asked for, the places are the model's own. A window is encoded as beginning at the
origin, so the track is turned and moved there, and the result back.

Shapes: T frames, D feature size.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from motionmillion.kinematics.joining import joined
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.motion import Motion, rotation_y
from motionmillion.pipeline.ways import Way
from motionmillion.skeleton import SMPL22

_EVERY = 10
"""Frames between two in which the heading is held."""
_HEIGHT = 0.95
_HIPS = SMPL22.index("left_hip"), SMPL22.index("right_hip")


class Encoding(Protocol):
    """What a track needs of a pipeline: how it turns motion into the features of its model."""

    dit: MotionDiT

    @property
    def device(self) -> torch.device: ...

    def encode(self, motion: Motion) -> Tensor: ...

    def all_but_last_step(self, frames: int) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Track:
    """A standing body that is moved along a way.

    Args:
        motion: where the body has to be, in the world.
        heading: whether its heading is held, too.
        floor: whether its place on the floor is held.
    """

    motion: Motion
    heading: bool
    floor: bool = True

    @staticmethod
    def of(way: Way, frames: int, fps: float) -> "Track":
        """The track of so many frames on a way."""
        places, headings = way.places(frames, fps)
        rotations = torch.eye(3).repeat(frames, len(SMPL22), 1, 1)
        rotations[:, 0] = rotation_y(torch.from_numpy(headings)).float()
        x, z = torch.from_numpy(places).float().T
        body = Motion(rotations, torch.stack([x, torch.full_like(x, _HEIGHT), z], 1), fps=fps)
        return Track(body, way.turns, floor=not way.free)

    def held(self, steps: Encoding, tail: Motion | None, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Normalised features `[T, D]` of a window, and the mask of those that are kept.

        Args:
            tail: the frames that the window keeps, on the floor; None for the first window.
            start, count: first of the new frames on the track, and their number.
        """
        part = self.motion.slice(start, start + count)
        before = 0 if tail is None else tail.num_frames
        features = steps.encode(part if tail is None else joined([tail, part]))
        representation = steps.dit.representation
        columns = torch.zeros(representation.dim, dtype=torch.bool)
        for name, channels in representation.floor_channels.items() if self.floor else ():
            columns[[representation.layout[name].start + channel for channel in channels]] = True
        keep = columns.repeat(len(features), 1)
        if self.heading:
            turned = torch.zeros_like(columns)
            for name in representation.heading_blocks:
                turned[representation.layout[name]] = True
            keep[before::_EVERY] |= turned
            keep[-1] |= turned
        keep = keep.to(steps.device)
        if before:
            keep[:before] |= steps.all_but_last_step(before)
        return features, keep

    def in_world(self, made: Motion, tail: Motion | None) -> Motion:
        """A window in the world, whose first frame is at the origin and faces +z.

        Args:
            tail: the frames that it begins with, in the world.
        """
        first = (self.motion if tail is None else tail).slice(0, 1)
        joints = first.positions()[0]
        across = joints[_HIPS[1]] - joints[_HIPS[0]]
        turn = rotation_y(torch.atan2(across[2], -across[0]))
        rotations = made.rotations.clone()
        rotations[:, 0] = turn @ rotations[:, 0]
        shift = first.translation[0] * made.translation.new_tensor([1.0, 0.0, 1.0])
        return made.replace(rotations=rotations, translation=made.translation @ turn.mT + shift)
