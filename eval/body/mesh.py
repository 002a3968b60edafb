"""Body penetration on SMPL's mesh, MBench's Body_Penetration: needs the user's copy of a body model.

    body = BodyMesh.load("SMPLX_NEUTRAL.npz")
    body_penetration(motion.rotations, body)              # one motion -> float
    body_penetrations(motions, body)                      # many -> [N], 20 frames per second

The value is 100 times the number of intersecting pairs of triangles (at most eight per face) divided by the number of
faces, mean over frames; triangles that share a vertex do not count as a pair.

Reads .npz files with the arrays of the SMPL family: `v_template` `[V, 3]`, `weights` `[V, K]`, `J_regressor`
`[K, V]`, `kintree_table` `[2, K]`, `f` `[F, 3]` and optionally `posedirs` `[V, 3, 9 * (K - 1)]`; the first 22 of the
K joints are SMPL22's. SMPL-X's `SMPLX_NEUTRAL.npz` and SMPL+H's `model.npz` can be read directly. SMPL itself is a
pickle, which is never opened here because it can execute code; convert a file that you trust, with chumpy and SciPy
installed:

    model = pickle.load(open("SMPL_NEUTRAL.pkl", "rb"), encoding="latin1")
    keys = ("v_template", "weights", "kintree_table", "f", "posedirs")
    arrays = {key: numpy.array(model[key]) for key in keys}
    numpy.savez("SMPL_NEUTRAL.npz", J_regressor=model["J_regressor"].toarray(), **arrays)

Unusual: MBench fits SMPL to joint positions first (SMPLify); here the motion's own rotations pose the mean body, with
hands and face at rest. The two values are close but not equal.

Source: Loper et al., SMPL (2015). Shapes: N motions, T frames, V vertices, K joints of the model, F faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionmillion.eval.body.collisions import CollisionTree
from motionmillion.eval.body.pose_prior import checked_motions, checked_rotations
from motionmillion.eval.padded_clips import FPS
from motionmillion.io.arrays import get_array, open_arrays, to_finite
from motionmillion.motion import Motion
from motionmillion.progress import tracked
from motionmillion.skeleton import SMPL22

WHERE = "SMPL from smpl.is.tue.mpg.de, SMPL-X from smpl-x.is.tue.mpg.de, SMPL+H from mano.is.tue.mpg.de"
_KEYS = ("v_template", "weights", "J_regressor", "kintree_table", "f")
_FRAMES_AT_ONCE = 8


def _check_shapes(data: dict[str, np.ndarray], shapes: np.ndarray | None, path: str | Path) -> None:
    """Raise `ValueError` unless the arrays describe a body whose first joints are SMPL22's."""
    vertices = len(data["v_template"])
    joints = data["kintree_table"].shape[-1]
    wanted = {"v_template": (vertices, 3), "weights": (vertices, joints), "J_regressor": (joints, vertices)}
    wanted |= {"kintree_table": (2, joints), "f": (len(data["f"]), 3)}
    found = {key: value.shape for key, value in data.items()}
    if shapes is not None:
        wanted["posedirs"], found["posedirs"] = (vertices, 3, 9 * (joints - 1)), shapes.shape
    for key, shape in wanted.items():
        if found[key] != shape:
            raise ValueError(f"{key} of {str(path)!r} must have shape {shape}, got {found[key]}; {WHERE}")
    parents = data["kintree_table"][0, 1:].astype(int).tolist()
    if tuple(parents[: len(SMPL22) - 1]) != SMPL22.parents[1:] or any(not 0 <= p <= j for j, p in enumerate(parents)):
        raise ValueError(f"kintree_table of {str(path)!r} must begin with SMPL's 22 joints, got {parents}; {WHERE}")


@dataclass(frozen=True, eq=False)
class BodyMesh:
    """A body of the SMPL family at its mean shape.

    Args:
        template: vertices at rest `[V, 3]`, metres.
        weights: skinning weights `[V, K]`.
        joints: joint positions at rest `[K, 3]`, metres.
        parents: parent of each joint, -1 for the root.
        faces: vertex indices `[F, 3]`.
        pose_shapes: pose blend shapes, the shift of each vertex per entry of the joints' rotations `[V * 3, 9 * (K -
            1)]`, or None.
    """

    template: Tensor
    weights: Tensor
    joints: Tensor
    parents: tuple[int, ...]
    faces: Tensor
    pose_shapes: Tensor | None = None

    @staticmethod
    def load(path: str | Path, device: str | torch.device = "cpu") -> "BodyMesh":
        """Read an .npz file of the SMPL family; see the module's docstring.

        Raises:
            ValueError: if it is missing, is a pickle, lacks an array, or an array has a wrong shape.
        """
        if not Path(path).exists() or Path(path).suffix.lower() == ".pkl":
            problem = "a pickle, which is never opened" if Path(path).exists() else "nothing there"
            raise ValueError(
                f"body model must be an .npz file ({WHERE}), got {str(path)!r}, {problem}; "
                "motionmillion.eval.body.mesh says how to convert SMPL"
            )
        with open_arrays(path) as arrays:
            lost = [key for key in _KEYS if key not in arrays.files]
            if lost:
                raise ValueError(
                    f"body model must hold {', '.join(_KEYS)}, got no {lost[0]} in {str(path)!r}; {WHERE}"
                )
            present = [key for key in (*_KEYS, "posedirs") if key in arrays.files]
            data = {key: to_finite(get_array(arrays, key, path), key, path) for key in present}
        shapes = data.pop("posedirs", None)
        _check_shapes(data, shapes, path)
        parents = (-1, *(int(parent) for parent in data["kintree_table"][0, 1:]))
        tensors = {key: torch.from_numpy(data[key]).to(device, torch.float32) for key in _KEYS}
        return BodyMesh(
            template=tensors["v_template"],
            weights=tensors["weights"],
            joints=tensors["J_regressor"] @ tensors["v_template"],
            parents=parents,
            faces=torch.from_numpy(data["f"]).to(device, torch.int64),
            pose_shapes=None if shapes is None else torch.from_numpy(shapes).flatten(0, 1).to(device, torch.float32),
        )

    @cached_property
    def tree(self) -> CollisionTree:
        return CollisionTree(self.template, self.faces)

    def vertices(self, rotations: Tensor) -> Tensor:
        """Vertices `[T, V, 3]` of poses, metres, with the pelvis at the model's own position.

        Args:
            rotations: parent-relative rotation matrices `[T, 22, 3, 3]`.

        Raises:
            ValueError: for a wrong shape, non-finite values, or matrices that are not rotations.
        """
        rotations = checked_rotations(rotations, (len(SMPL22),)).to(self.template)
        local = torch.eye(3).to(self.template).repeat(len(rotations), len(self.parents), 1, 1)  # [T, K, 3, 3]
        local[:, : len(SMPL22)] = rotations
        rest = self.template.expand(len(local), -1, -1)
        if self.pose_shapes is not None:
            turns = (local[:, 1:] - torch.eye(3).to(local)).flatten(1)
            rest = rest + (turns @ self.pose_shapes.mT).unflatten(1, (-1, 3))
        turned, moved = [local[:, 0]], [self.joints[0].expand(len(local), 3)]
        for joint, parent in enumerate(self.parents[1:], start=1):
            turned.append(turned[parent] @ local[:, joint])
            moved.append(moved[parent] + turned[parent] @ (self.joints[joint] - self.joints[parent]))
        turn = torch.stack(turned, dim=1)  # [T, K, 3, 3]
        shift = torch.stack(moved, dim=1) - (turn @ self.joints[..., None])[..., 0]
        blend = torch.einsum("vk,tkxy->tvxy", self.weights, turn)
        return (blend @ rest[..., None])[..., 0] + torch.einsum("vk,tkx->tvx", self.weights, shift)

    def penetrations(self, rotations: Tensor) -> Tensor:
        """100 times colliding pairs per face in each frame, float64 `[T]`; rotations as for `vertices`."""
        parts = rotations.split(_FRAMES_AT_ONCE)
        return torch.cat([self.tree.percent(self.vertices(part)) for part in parts]).cpu()


def body_penetration(rotations: Tensor, body: BodyMesh) -> float:
    """MBench's Body_Penetration of one motion, percent, over all its frames.

    Args:
        rotations: parent-relative rotation matrices `[T, 22, 3, 3]`.

    Raises:
        ValueError: for a wrong shape, non-finite values, or matrices that are not rotations.
    """
    return float(body.penetrations(rotations).mean())


def body_penetrations(motions: Sequence[Motion], body: BodyMesh) -> Tensor:
    """MBench's Body_Penetration of many motions, percent, float64 `[N]`; each at 20 frames per second.

    Raises:
        ValueError: for no motions, or one that is not on SMPL22's joints.
    """
    clips = tracked(checked_motions(motions), "measuring penetration", "motions")
    return torch.stack([body.penetrations(clip.resample(FPS).rotations).mean() for clip in clips])
