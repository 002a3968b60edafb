"""Feature files: `.npy` with the 272-dimensional representation, 30 frames per second.

    motion = read_features("walk.npy")

Unusual: where a motion stands and what it faces in its first frame is not in the features (see
`motionmillion.features.rot272`): a motion that is read starts above the origin, facing +z.
"""

from pathlib import Path

import numpy as np
import torch

from motionmillion import features as representations
from motionmillion.features.base import Route
from motionmillion.io.arrays import load_array, to_finite
from motionmillion.io.files import atomic_path
from motionmillion.motion import Motion


def read_features(path: str | Path, features: str = "rot272", route: Route = "rotations") -> Motion:
    """Read features `[T, D]` and decode them.

    Args:
        features: name of the representation, see `motionmillion.features.available()`.
        route: "rotations" or "positions", the block that the joint rotations are taken from.

    Raises:
        ValueError: if the file is missing, damaged, a pickle, not finite, or of another width.
    """
    codec = representations.get(features)
    array = load_array(path)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] != codec.dim:
        raise ValueError(
            f"features of {str(path)!r} must have shape [T, {codec.dim}] for {codec.name}, got {array.shape}"
        )
    values = torch.from_numpy(to_finite(array, "features", path)).float()
    return codec.decode(values, route=route)


def write_features(motion: Motion, path: str | Path, features: str = "rot272") -> Path:
    """Encode a motion and write its features `[T, D]` as float32; another frame rate is resampled first.

    Raises:
        ValueError: if the motion holds NaN or infinity, its joints are not SMPL22's, or the folder cannot be written.
    """
    motion = motion.replace()  # checks again: tensors may have been changed in place
    values = representations.get(features).encode(motion).cpu().numpy().astype(np.float32)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, values, allow_pickle=False)
    return Path(path)
