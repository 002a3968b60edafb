"""The seam of a loop, closed by inertialization in both directions.

    rotations, path = without_seam(rotations, path, turn, step, fade)     # frames -1..N + 1 in, 0..N - 1 out

Value, velocity and acceleration of each joint and of the path at the end of a loop are compared with those at its
beginning, and half of the difference is taken back on either side along quintics (after Bollo, 2018, who takes all of
it back on the later side).

Shapes: N frames of a cycle, J joints.
"""

import roma
import torch
from torch import Tensor

from motionmillion.kinematics.roots import headings
from motionmillion.motion import rotation_y


def straightened(rotations: Tensor, path: Tensor) -> tuple[Tensor, Tensor]:
    """Frames -1..N + 1 of a loop without its turn, which is spread over all frames; the path is integrated again."""
    yaw = headings(rotations[:, 0])
    frames = torch.arange(-1, len(path) - 1, dtype=path.dtype)
    back = -(yaw[-2] - yaw[1]) * frames / (len(path) - 3)
    rotations = rotations.clone()
    rotations[:, 0] = rotation_y(back) @ rotations[:, 0]
    steps = (rotation_y((back[1:] + back[:-1]) / 2) @ path.diff(dim=0)[..., None])[..., 0]
    return rotations, torch.cat([path[:1], path[:1] + steps.cumsum(0)])


def without_seam(rotations: Tensor, path: Tensor, turn: float, step: Tensor, fade: float) -> tuple[Tensor, Tensor]:
    """Frames 0..N-1 of a loop whose frames -1..N + 1 are given, with one half of the seam's offset on either side.

    Args:
        turn, step: from frame 0 to frame N, radians and metres `[3]`.
        fade: frames.
    """
    count = len(path) - 3
    unturn = rotation_y(path.new_tensor(-turn))
    # value, velocity and acceleration of joints at frames 0 and N, per frame, as rotation vectors in the joint's axes
    around = [rotations[[0, 1, 2]], rotations[[-3, -2, -1]].clone()]
    around[1][:, 0] = unturn @ around[1][:, 0]
    lags = [roma.rotmat_to_rotvec(own[:-1].mT @ own[1:]) for own in around]  # [2, J, 3] each
    value = roma.rotmat_to_rotvec(around[0][1].mT @ around[1][1])  # [J, 3]
    half = roma.rotvec_to_rotmat(value / 2)
    first, last = ((side @ own[..., None])[..., 0] for side, own in ((half.mT, lags[0]), (half, lags[1])))
    spins = (value, (last.mean(0) - first.mean(0)), (last[1] - last[0]) - (first[1] - first[0]))
    ends = [path[[0, 1, 2]], path[[-3, -2, -1]] @ unturn.mT]
    steps = [own.diff(dim=0) for own in ends]  # [2, 3] each
    pushes = (
        (path[-2] - step - path[1]),
        steps[1].mean(0) - steps[0].mean(0),
        steps[1].diff(dim=0)[0] - steps[0].diff(dim=0)[0],
    )
    before, after = _offsets(spins, count, fade), _offsets(pushes, count, fade)
    # the end of the path is turned: offsets of the end are those at the beginning of the next cycle
    turned = rotations[1:-2] @ roma.rotvec_to_rotmat(before[0] + before[1])
    return turned, path[1:-2] + after[0] + after[1] @ unturn


def _offsets(seam: tuple[Tensor, Tensor, Tensor], count: int, fade: float) -> tuple[Tensor, Tensor]:
    """Offsets `[N, ...]` after and before the seam that meet half-way between its two sides.

    Args:
        seam: the end minus the beginning: value, velocity and acceleration, per frame.
        count: N.
        fade: frames after which the offsets are 0; at most half of the cycle is used.
    """
    value, velocity, acceleration = (part / 2 for part in seam)
    reach = min(max(fade, 1.0), count / 2)

    def curve(frames: Tensor, side: int) -> Tensor:
        t = (frames / reach).clamp(max=1.0).view(-1, *[1] * value.ndim)
        # quintics that are 0 with their first two derivatives at t = 1, and 1 in one of the three at t = 0
        stay = 1 - t**3 * (10 - 15 * t + 6 * t**2)
        go = reach * t * (1 - t) ** 3 * (1 + 3 * t)
        bend = reach**2 * t**2 * (1 - t) ** 3 / 2
        return side * (value * stay + acceleration * bend) + velocity * go

    frames = torch.arange(count, dtype=value.dtype)
    return curve(frames, 1), curve(count - frames, -1)
