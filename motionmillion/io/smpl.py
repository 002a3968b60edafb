"""SMPL motion files: `.npz` with the keys of AMASS.

    motion = read_smpl("walk.npz")
    write_smpl(motion, "walk_copy.npz")

| key | content |
|---|---|
| poses | axis-angle of every joint relative to its parent, radians, `[T, 156]`: 22 body joints, then hands |
| trans | SMPL's root translation `[T, 3]`, metres |
| betas, gender, mocap_framerate, dmpls | body shape (zeros), "neutral", frames per second, soft tissue (zeros) |
| surface_model_type, mocap_frame_rate, root_orient, pose_body, pose_jaw, ... | SMPL-X only; `poses` is `[T, 165]` |
| up_axis, caption | our additions: "z" or "y", and the caption |

That is what is written. What is read besides, such as rotation matrices and the names of other projects, is in
`motionmillion.io.smpl_tables`.

Vertical axis: AMASS is z up, `Motion` is y up. A file is read as z up unless its own `up_axis` or the argument `up`
specifies another, or the whole clip stands about another (`motionmillion.io.axes`, with a warning); the conversion is
a rotation: x stays, y becomes the old z, z becomes minus the old y.

Unusual: SMPL adds `trans` after posing the body about its pelvis joint J0, which is not at the model's origin: the
pelvis is at `trans + J0`, with J0 in the axes of the file and never rotated by the root. J0 here is that of SMPL's
neutral body at zero betas (of SMPL-X's if the file has `surface_model_type` "smplx"). Hands and body shape are
dropped: every motion is on the `SMPL22` body.

Source: Loper et al., SMPL (2015); Mahmood et al., AMASS (2019), file layout.
"""

from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from motionmillion.io.arrays import exact_rotations, open_arrays
from motionmillion.io.axes import turn_of
from motionmillion.io.content import motion_of_content
from motionmillion.io.files import atomic_path
from motionmillion.io.smpl_tables import SMPL_PELVIS, Reading
from motionmillion.io.tables import Table
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, SMPLX_PELVIS

_MODELS = {"smplh": (156, np.array(SMPL_PELVIS)), "smplx": (165, np.array(SMPLX_PELVIS))}
"""Width of `poses` and place of the pelvis of the body models to write."""


def read_smpl(
    path: str | Path,
    up: str | None = None,
    fps: float | None = None,
    index: int | None = None,
    sixd: str | None = None,
) -> Motion:
    """Read an AMASS file, or the `.npz` of another project with SMPL parameters or joint positions.

    Args:
        path: `.npz` with poses and root translation, see `motionmillion.io.smpl_tables`.
        up: "z" or "y", the file's vertical axis; None takes the file's own `up_axis`, else the one of its format,
            checked on the clip (`motionmillion.io.axes`).
        fps: frames per second for a file that has none of `mocap_framerate`, `mocap_frame_rate` and `fps`.
        index: which motion of a file of several; None takes the first, with a warning.
        sixd: order of 6D rotations, see `motionmillion.io.rotations`.

    Raises:
        ValueError: if the file is missing, damaged or a pickle, a key is missing, a shape is wrong, or a value is not
            finite.
    """
    with open_arrays(path) as arrays:
        return motion_of_content(Table.of_npz(arrays, path), Reading(up, fps, index, sixd))


def write_smpl(motion: Motion, path: str | Path, up: str = "z", model: str = "smplh") -> Path:
    """Write a motion in AMASS' layout for SMPL-H or SMPL-X (hands and face at rest), which Blender's add-ons open.

    Args:
        up: "z" as in AMASS, or "y"; stored under the key `up_axis`.
        model: "smplh", or "smplx" with the keys of AMASS' SMPL-X files, `poses` `[T, 165]` and its parts.

    Raises:
        ValueError: if the motion's joints are not SMPL22's, or `up` or `model` is unknown.
    """
    if up not in ("y", "z"):
        raise ValueError(f'up must be "y" or "z", got {up!r}')
    if model not in _MODELS:
        raise ValueError(f"model must be one of {sorted(_MODELS)}, got {model!r}")
    if motion.skeleton.names != SMPL22.names:
        raise ValueError(f"motion must use the SMPL22 joints, got {len(motion.skeleton)} joints of another skeleton")
    rotations = torch.from_numpy(exact_rotations(motion))  # [T, 22, 3, 3]
    translation = motion.translation.detach().cpu().double()
    if up == "z":
        turn = turn_of(up).mT
        rotations[:, 0] = turn @ rotations[:, 0]
        translation = translation @ turn.mT
    # zeros behind the body joints: flat hands, and for SMPL-X also jaw and eyes
    width, pelvis = _MODELS[model]
    poses = np.zeros((motion.num_frames, width))
    poses[:, :66] = roma.rotmat_to_rotvec(rotations).flatten(1).numpy()
    more: dict[str, Any] = _smplx_keys(poses, motion) if model == "smplx" else {}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            poses=poses,
            trans=translation.numpy() - pelvis,
            betas=np.zeros(16),
            dmpls=np.zeros((motion.num_frames, 8)),
            gender=np.array("neutral"),
            mocap_framerate=np.array(motion.fps),
            up_axis=np.array(up),
            caption=np.array(motion.caption),
            **more,
        )
    return Path(path)


def _smplx_keys(poses: np.ndarray, motion: Motion) -> dict[str, np.ndarray]:
    """What AMASS' SMPL-X files hold besides the keys of its SMPL-H files."""
    return {
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(motion.fps),
        "mocap_time_length": np.array(motion.seconds),
        "num_betas": np.array(16),
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "pose_jaw": poses[:, 66:69],
        "pose_eye": poses[:, 69:75],
        "pose_hand": poses[:, 75:],
    }
