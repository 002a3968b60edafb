"""What pictures and videos draw of a motion: a body of triangles, or a figure of capsules.

    actor = make_actor(motion, "human")
    color, covered, corner = actor.shade(frame, camera)

Both have the same outline, a figure of capsules on their own skeleton: cameras are placed around it, and it casts the
shadow. A body of your own needs these members.

Shapes: T frames, P points of the outline, V vertices, F triangles, H and W pixels.
"""

import numpy as np

from motionmillion.io.capsules import shade_capsules
from motionmillion.io.figure import Figure
from motionmillion.io.render import Actor, Camera, Layer
from motionmillion.io.skinned.bodies import load_body
from motionmillion.io.skinned.body import SkinnedBody, vertex_normals
from motionmillion.io.triangles import shade_triangles
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22


class CapsuleActor:
    """A figure of capsules on the motion's own skeleton: left warm, right cool."""

    def __init__(self, motion: Motion) -> None:
        self.figure = Figure.of(motion.skeleton)
        self.points = self.figure.points(motion)

    def shade(self, frame: int, camera: Camera) -> Layer:
        return shade_capsules(self.points[frame], self.figure, camera)


class SkinnedActor:
    """A skinned body with its own proportions."""

    def __init__(self, motion: Motion, body: SkinnedBody) -> None:
        self.motion, self.body = motion, body
        dressed = body.dress(motion)
        self.figure = Figure.of(dressed.skeleton)
        self.points = self.figure.points(dressed)
        self.faces = np.concatenate([part.faces for part in body.parts])  # [F, 3]
        colors = [np.tile(np.array(part.color, dtype=np.float32), (len(part.faces), 1)) for part in body.parts]
        self.colors = np.concatenate(colors)  # [F, 3]

    def shade(self, frame: int, camera: Camera) -> Layer:
        vertices = self.body.vertices_of(self.motion.slice(frame, frame + 1))[0]  # [V, 3]
        return shade_triangles(vertices, vertex_normals(vertices, self.faces), self.faces, self.colors, camera)


def make_actor(motion: Motion, body: str = "auto") -> Actor:
    """The actor of a motion.

    Args:
        body: "human", "man", "woman", "mannequin" (capsules), or "auto": "human" if the skeleton has SMPL22's joints.

    Raises:
        ValueError: for another name, or a human on another skeleton.
    """
    if body == "mannequin" or (body == "auto" and motion.skeleton.names != SMPL22.names):
        return CapsuleActor(motion)
    return SkinnedActor(motion, load_body(body, motion.skeleton))
