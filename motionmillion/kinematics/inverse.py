"""Joint rotations that align a skeleton's bones with given joint positions.

Shapes: T frames, J joints.
"""

import roma
import torch
from torch import Tensor

from motionmillion.skeleton import Skeleton

_TWIST_WEIGHT = 1e-4
"""Weight of the reference rotation relative to one bone: it determines the twist, the bones the direction."""


def aim_at_positions(rotations: Tensor, positions: Tensor, skeleton: Skeleton) -> Tensor:
    """Turn each joint so that its children point to their positions, keeping the twist of the reference.

    From the root outwards, each joint's global rotation is the orthogonal Procrustes fit of its bones, with a small
    weight on the reference; joints without children keep their local rotation.

    Args:
        rotations: reference parent-relative rotations `[T, J, 3, 3]`.
        positions: target joint positions `[T, J, 3]`, metres.

    Returns:
        parent-relative rotations `[T, J, 3, 3]` in the dtype of `rotations`.
    """
    dtype = rotations.dtype
    local, positions = rotations.double(), positions.double()
    offsets = torch.tensor(skeleton.offsets, dtype=torch.float64, device=local.device)
    result, turned = [], []
    for joint, parent in enumerate(skeleton.parents):
        # global rotation of the parent [T, 3, 3]
        above = turned[parent] if parent >= 0 else torch.eye(3, dtype=torch.float64, device=local.device)
        guess = above @ local[:, joint]  # [T, 3, 3]
        children = [c for c, p in enumerate(skeleton.parents) if p == joint]
        if children:
            wanted = torch.nn.functional.normalize(positions[:, children] - positions[:, joint, None], dim=-1)
            rest = torch.nn.functional.normalize(offsets[children], dim=-1)
            # sum of outer products of target and rest directions [T, 3, 3]
            fit = torch.einsum("tcx,cy->txy", wanted, rest) + _TWIST_WEIGHT * guess
            guess = torch.as_tensor(roma.special_procrustes(fit))
        turned.append(guess)
        result.append(above.mT @ guess)
    return torch.stack(result, dim=1).to(dtype)
