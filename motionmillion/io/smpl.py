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

Vertical axis: AMASS is z up, `Motion` is y up. A file is read as z up unless its own `up_axis` or the argument `up`
specifies y; the conversion is a rotation: x stays, y becomes the old z, z becomes minus the old y.

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

from motionmillion.io.arrays import exact_rotations, get_array, open_arrays, to_finite
from motionmillion.io.files import atomic_path
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, SMPLX_PELVIS

_PELVIS = np.array([-0.002, -0.223, 0.028])

_Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_WIDTHS = (66, 72, 156, 165)
_MODELS = {"smplh": (156, _PELVIS), "smplx": (165, np.array(SMPLX_PELVIS))}
"""Width of `poses` and place of the pelvis of the body models to write."""
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps")
_ROOT_KEYS, _BODY_KEYS = ("root_orient", "global_orient"), ("pose_body", "body_pose")


def read_smpl(path: str | Path, up: str | None = None, fps: float | None = None) -> Motion:
    """Read an AMASS or SMPL-style file.

    Args:
        path: `.npz` with `poses` `[T, 66 | 72 | 156 | 165]` (or `root_orient` and `pose_body`) and `trans` `[T, 3]`.
        up: "z" or "y", the file's vertical axis; None takes the file's own `up_axis`, else "z".
        fps: frames per second for a file that has none of `mocap_framerate`, `mocap_frame_rate` and `fps`.

    Raises:
        ValueError: if the file is missing, damaged or a pickle, a key is missing, a shape is wrong, or a value is not
            finite.
    """
    with open_arrays(path) as arrays:
        poses = _poses(arrays, path)
        key = _first_key(arrays, ("trans", "transl"), path, "the root translation")
        trans = to_finite(get_array(arrays, key, path), key, path)
        fps = _rate(arrays, path, fps)
        up = _checked_up(up if up is not None else _text(arrays, "up_axis", path) or "z")
        pelvis = np.array(SMPLX_PELVIS) if _text(arrays, "surface_model_type", path) == "smplx" else _PELVIS
        caption = _text(arrays, "caption", path)
    if trans.shape != (len(poses), 3):
        raise ValueError(f"{key} of {str(path)!r} must have shape [{len(poses)}, 3] like poses, got {trans.shape}")
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(poses))  # [T, 22, 3, 3]
    # the offset is in the axes of the file, so it is added before the rotation
    translation = torch.from_numpy(trans + pelvis)
    if up == "z":
        turn = torch.from_numpy(_Z_UP_TO_Y_UP)
        rotations[:, 0] = turn @ rotations[:, 0]
        translation = translation @ turn.mT
    return Motion(rotations, translation, fps=fps, caption=caption)


def write_smpl(motion: Motion, path: str | Path, up: str = "z", model: str = "smplh") -> Path:
    """Write a motion in AMASS' layout for SMPL-H or SMPL-X (hands and face at rest), which Blender's add-ons open.

    Args:
        up: "z" as in AMASS, or "y"; stored under the key `up_axis`.
        model: "smplh", or "smplx" with the keys of AMASS' SMPL-X files, `poses` `[T, 165]` and its parts.

    Raises:
        ValueError: if the motion's joints are not SMPL22's, or `up` or `model` is unknown.
    """
    up = _checked_up(up)
    if model not in _MODELS:
        raise ValueError(f"model must be one of {sorted(_MODELS)}, got {model!r}")
    if motion.skeleton.names != SMPL22.names:
        raise ValueError(f"motion must use the SMPL22 joints, got {len(motion.skeleton)} joints of another skeleton")
    rotations = torch.from_numpy(exact_rotations(motion))  # [T, 22, 3, 3]
    translation = motion.translation.detach().cpu().double()
    if up == "z":
        turn = torch.from_numpy(_Z_UP_TO_Y_UP).mT
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


def _poses(arrays: np.lib.npyio.NpzFile, path: str | Path) -> np.ndarray:
    """Axis-angle `[T, 22, 3]` of the body joints."""
    if "poses" in arrays.files:
        poses = get_array(arrays, "poses", path)
    else:
        root = get_array(arrays, _first_key(arrays, _ROOT_KEYS, path, "the poses"), path)
        body = get_array(arrays, _first_key(arrays, _BODY_KEYS, path, "the body's poses"), path)
        if root.ndim < 2 or body.ndim < 2 or len(root) != len(body):
            raise ValueError(
                f"root and body poses of {str(path)!r} must have one row per frame, got {root.shape} and {body.shape}"
            )
        # pelvis and the 21 body joints; SMPL's two hand joints are dropped
        poses = np.concatenate([root.reshape(len(root), -1), body.reshape(len(body), -1)[:, :63]], axis=1)
    if poses.ndim == 3 and poses.shape[2] == 3:
        poses = poses.reshape(len(poses), -1)
    if poses.ndim != 2 or len(poses) == 0 or poses.shape[1] not in _WIDTHS:
        widths = " | ".join(map(str, _WIDTHS))
        raise ValueError(
            f"poses of {str(path)!r} must have shape [T, {widths}] (3 values per joint), got {poses.shape}; "
            "the joint count is not that of an SMPL body"
        )
    return to_finite(poses, "poses", path)[:, :66].reshape(-1, 22, 3)


def _first_key(arrays: np.lib.npyio.NpzFile, keys: tuple[str, ...], path: str | Path, what: str) -> str:
    for key in keys:
        if key in arrays.files:
            return key
    raise ValueError(
        f"{str(path)!r} must hold {what} as {' or '.join(keys)}, got only the keys {sorted(arrays.files)}"
    )


def _rate(arrays: np.lib.npyio.NpzFile, path: str | Path, default: float | None) -> float:
    for key in _RATES:
        if key in arrays.files:
            value = get_array(arrays, key, path)
            if value.size == 1 and value.dtype.kind in "fiu":
                return float(value.reshape(()))
            raise ValueError(f"{key} of {str(path)!r} must be one number, got shape {value.shape} of {value.dtype}")
    if default is not None:
        return default
    raise ValueError(f"{str(path)!r} must hold its frame rate as {' or '.join(_RATES)}, got none; pass fps=")


def _text(arrays: np.lib.npyio.NpzFile, key: str, path: str | Path) -> str:
    """A string of the file; "" if the key is missing."""
    if key not in arrays.files:
        return ""
    value = get_array(arrays, key, path)
    if value.size != 1 or value.dtype.kind not in "US":
        raise ValueError(f"{key} of {str(path)!r} must be one string, got shape {value.shape} of {value.dtype}")
    text = value.reshape(()).item()
    return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)


def _checked_up(up: str) -> str:
    if up not in ("y", "z"):
        raise ValueError(f'up must be "y" or "z", got {up!r}')
    return up
