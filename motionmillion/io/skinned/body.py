"""A skinned body: a mesh in a bind pose, and the joints that move it.

    body = load_body("human", motion.skeleton)
    on_body = body.dress(motion)                  # the motion on the body's own proportions
    vertices = body.vertices_of(motion)           # [T, V, 3], metres, by linear blend skinning

`human` has its own proportions and takes over the joint rotations; `mannequin` is built on the motion's own skeleton.
The rest pose of both is a T-pose with the soles on the floor: local rotations are the identity, as in `SMPL22`. The
bind pose in which the mesh is modelled may be another one (the human's is an A-pose); inverse bind matrices hold the
difference.

Shapes: T frames, J joints, V vertices, F triangles.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from motionmillion.io.root_bone import rooted_skeleton
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton


@dataclass(frozen=True)
class Part:
    """Triangles `[F, 3]` of one material; `color` is 8-bit sRGB, `roughness` in 0 to 1."""

    name: str
    color: tuple[int, int, int]
    faces: np.ndarray
    roughness: float = 0.8


@dataclass(frozen=True)
class SkinnedBody:
    """A mesh with joint weights.

    Args:
        name: of the mesh in files.
        skeleton: joints with the body's own offsets.
        vertices: `[V, 3]` in the bind pose, metres.
        parts: triangles by material.
        joints: `[V, 4]` indices of the joints that move a vertex; 0 where the weight is 0.
        weights: `[V, 4]`, sum 1.
        inverse_bind: `[J, 4, 4]`, from the axes of the mesh to those of each joint in the bind pose.
        scale: metres of the body's pelvis path per metre of the motion's: the ratio of the leg lengths.
        lift: metres added to the height of the pelvis, so that soles and not foot joints stand on the floor.
    """

    name: str
    skeleton: Skeleton
    vertices: np.ndarray
    parts: tuple[Part, ...]
    joints: np.ndarray
    weights: np.ndarray
    inverse_bind: np.ndarray
    scale: float = 1.0
    lift: float = 0.0

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit vertex normals `[V, 3]` of the bind pose."""
        return vertex_normals(self.vertices, np.concatenate([part.faces for part in self.parts]))

    @cached_property
    def rest_height(self) -> float:
        """Height of the pelvis above the soles in the rest pose, metres."""
        matrices = np.tile(np.eye(4), (len(self.skeleton), 1, 1))
        matrices[:, :3, 3] = self.skeleton.rest_positions().numpy()
        return -float(self._skin((matrices @ self.inverse_bind)[None])[..., 1].min())

    def on_root(self) -> "SkinnedBody":
        """The body with a bone on the floor as its root, which moves no vertex; see `motionmillion.io.root_bone`."""
        bind = np.eye(4)
        bind[:3, 3] = -np.linalg.inv(self.inverse_bind[0])[:3, 3] + np.array([0.0, self.rest_height, 0.0])
        return replace(
            self,
            skeleton=rooted_skeleton(self.skeleton, self.rest_height),
            joints=np.where(self.weights > 0, self.joints + 1, 0),
            inverse_bind=np.concatenate([bind[None], self.inverse_bind]),
        )

    def dress(self, motion: Motion) -> Motion:
        """The motion on this body: its joint rotations, and its path scaled to the body's legs."""
        path = motion.translation * self.scale + motion.translation.new_tensor([0.0, self.lift, 0.0])
        return motion.replace(skeleton=self.skeleton, translation=path)

    def vertices_of(self, motion: Motion) -> np.ndarray:
        """Posed vertices `[T, V, 3]` of a motion, metres."""
        dressed = self.dress(motion)
        positions, rotations = self.skeleton.forward_kinematics(dressed.rotations, dressed.translation)
        matrices = np.tile(np.eye(4), (*positions.shape[:2], 1, 1))  # [T, J, 4, 4]
        matrices[..., :3, :3] = rotations.detach().cpu().numpy()
        matrices[..., :3, 3] = positions.detach().cpu().numpy()
        return self._skin(matrices @ self.inverse_bind)

    def _skin(self, matrices: np.ndarray) -> np.ndarray:
        """Linear blend skinning with `[T, J, 4, 4]` from the bind pose to the posed one."""
        points = np.concatenate([self.vertices, np.ones((len(self.vertices), 1))], axis=1)
        posed = np.zeros((len(matrices), len(self.vertices), 3))
        for slot in range(self.joints.shape[1]):
            moved = (matrices[:, self.joints[:, slot], :3] @ points[None, :, :, None])[..., 0]
            posed += self.weights[:, slot, None] * moved
        return posed


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals `[V, 3]`, the mean of the triangles around each vertex by area; +y for a vertex without one."""
    first, second, third = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    across = np.cross(second - first, third - first)  # [F, 3], twice the area long
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), minlength=len(vertices)) for axis in range(3)],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-15, total / np.maximum(length, 1e-15), [0.0, 1.0, 0.0])
