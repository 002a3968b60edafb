"""A fixed-size descriptor of a motion for classifiers, invariant to position, heading and length.

    motion_descriptor(motion)       # [F], the same for a motion with another start or heading
    window_descriptors(motion)      # [W, F], of the whole and of windows of two seconds

Positions relative to the pelvis in the heading frame, joint speeds, joint angles, heights above the lower foot,
turning and the rhythm of the legs, summarised by means, standard deviations and quantiles over time. Metres, radians,
seconds.

Shapes: T frames, J joints, W windows, F descriptor size, Q quantiles.
"""

import math

import torch
from torch import Tensor

from motionmillion.motion import Motion, heading, rotation_y
from motionmillion.skeleton import SMPL22

FPS = 30.0
SHORTEST = 8
"""Minimum number of frames; a shorter motion is padded with its last pose."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ENDS = [SMPL22.index(f"{side}_{joint}") for joint in ("foot", "wrist") for side in ("left", "right")]
_KEYS = [*_ENDS, *(SMPL22.index(name) for name in ("left_knee", "right_knee", "left_elbow", "right_elbow", "head"))]


def motion_descriptor(motion: Motion) -> Tensor:
    """Descriptor `[F]`, float32, of a motion of any length and frame rate on the SMPL22 skeleton."""
    return _describe(_tracks(motion))


def window_descriptors(motion: Motion, frames: int = 60, hop: int = 30) -> Tensor:
    """Descriptors `[W, F]` of the whole motion, followed by those of windows from start to end.

    Args:
        frames, hop: length and stride of the windows, in frames at 30 per second.
    """
    tracks = _tracks(motion)
    rest = len(tracks["turned"]) - frames
    count = math.ceil(max(rest, 0) / hop)
    starts = [round(index * rest / count) for index in range(count + 1)] if count else []
    cuts = [{name: track[start : start + frames] for name, track in tracks.items()} for start in starts]
    return torch.stack([_describe(cut) for cut in [tracks, *cuts]])


def _tracks(motion: Motion) -> dict[str, Tensor]:
    """Measures of each frame; the first dimension is time."""
    motion = motion.resample(FPS)
    missing = SHORTEST - motion.num_frames
    if missing > 0:
        rotations = torch.cat([motion.rotations, motion.rotations[-1:].expand(missing, -1, -1, -1)])
        translation = torch.cat([motion.translation, motion.translation[-1:].expand(missing, -1)])
        motion = motion.replace(rotations=rotations, translation=translation)
    joints = motion.positions()  # [T, J, 3]
    yaw = heading(motion.rotations[:, 0])
    unturn = rotation_y(-yaw)  # [T, 3, 3]
    local = (joints - joints[:, :1]) @ unturn.mT
    velocity = _rate(joints)
    step = torch.remainder(yaw.diff() + math.pi, math.tau) - math.pi
    turned = torch.cat([yaw.new_zeros(1), step.cumsum(0)])
    smooth = torch.nn.functional.pad(_rate(turned)[None], (3, 3), mode="replicate")
    return {
        "local": local[:, 1:],
        "keys": local[:, _KEYS].flatten(1),
        "speeds": torch.cat([_rate(local[:, _KEYS]).norm(dim=-1), velocity[:, _ENDS].norm(dim=-1)], dim=1),
        "root": (unturn @ velocity[:, 0, :, None])[..., 0],
        "bounce": _rate(velocity[:, 0, 1:2]),
        "turned": turned,
        "turning": smooth.unfold(1, 7, 1).mean(-1)[0, :, None].abs(),  # over 1/4 s, to ignore steps
        "pelvis": joints[:, 0],
        "feet": joints[:, _ENDS[:2], 1],
        "stride": local[:, _ENDS[0], 2] - local[:, _ENDS[1], 2],
        "angles": _angles(joints),
    }


def _describe(tracks: dict[str, Tensor]) -> Tensor:
    local, root, pelvis, turned = tracks["local"], tracks["root"], tracks["pelvis"], tracks["turned"]
    low, high = tracks["feet"].amin(1, keepdim=True), tracks["feet"].amax(1, keepdim=True)
    net = (turned[-1] - turned[0]).abs()
    varying = torch.cat(
        [
            *(tracks[name] for name in ("keys", "speeds", "bounce", "turning", "angles")),
            root,
            root[:, [0, 2]].norm(dim=-1, keepdim=True),
            pelvis[:, 1:2] - low,
            low - low.amin(),
            high - low,
        ],
        dim=1,
    )
    quantiles = torch.quantile(varying, varying.new_tensor(_QUANTILES), dim=0)  # [Q, ...]
    totals = [
        net,
        net / len(turned) * FPS,
        turned.amax() - turned.amin(),
        pelvis[:, 1].amax() - pelvis[:, 1].amin(),
        (pelvis[-1, 1] - pelvis[0, 1]).abs(),
        (pelvis[-1] - pelvis[0])[[0, 2]].norm(),
    ]
    parts = [local.mean(0), local.std(0), quantiles, torch.stack(totals), _rhythm(tracks["stride"])]
    return torch.cat([part.flatten() for part in parts])


def _rhythm(stride: Tensor) -> Tensor:
    """Dominant frequency of the legs, its fraction of the power, mean frequency, and distance of the feet.

    The first three fade to zero if the feet move apart by less than about a centimetre: noise has no rhythm.
    """
    swing = stride - stride.mean()
    power = torch.fft.rfft(swing * torch.hann_window(len(swing)), n=512).abs().square()
    frequency = torch.fft.rfftfreq(512, 1 / FPS)
    band = (frequency > 0.3) & (frequency < 5)
    power, frequency = power[band], frequency[band]
    total = power.sum() + 1e-9
    rhythm = torch.stack([frequency[power.argmax()], power.amax() / total, (power * frequency).sum() / total])
    spread = swing.std()
    return torch.cat([rhythm * spread.square() / (spread.square() + 1e-4), spread[None]])


def _angles(joints: Tensor) -> Tensor:
    """Knee and elbow angles, and how upright thighs and spine are, `[T, 7]`."""

    def bone(start: str, end: str) -> Tensor:
        return torch.nn.functional.normalize(joints[:, SMPL22.index(end)] - joints[:, SMPL22.index(start)], dim=-1)

    columns = [bone("pelvis", "neck")[:, 1]]
    for side in ("left", "right"):
        for first, middle, last in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            upper, lower = bone(f"{side}_{middle}", f"{side}_{first}"), bone(f"{side}_{middle}", f"{side}_{last}")
            columns.append(torch.arccos((upper * lower).sum(-1).clamp(-1, 1)))
        columns.append(bone(f"{side}_hip", f"{side}_knee")[:, 1])
    return torch.stack(columns, dim=1)


def _rate(track: Tensor) -> Tensor:
    return torch.gradient(track, spacing=1 / FPS, dim=0)[0]
