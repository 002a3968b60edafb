"""MBench's Pose_Quality: ten times NRDF's distance; needs the user's copy of its weights.

    nrdf = Nrdf.load("amass_softplus_l1_0.0001_10000_dist0.5_eik0.0_man0.1")      # the folder, or its checkpoint
    pose_quality(motion.rotations, nrdf)                  # one motion -> float
    pose_qualities(motions, nrdf)                         # many -> [N]

NRDF is a network that maps the quaternions of SMPL's 21 body joints to their distance from real poses (radians, about
half the mean angle of a joint). Each joint's quaternion and the features of its parent pass through two layers; all
features together through seven more.

Unusual: MBench fits SMPL to joint positions first (SMPLify); here the motion's own rotations are used. Also, MBench's
code passes 24 joints starting with the pelvis to a network that expects the 21 joints after the pelvis: each joint is
taken for its successor, and the heading has an effect. `joints="corrected"` uses the right order; `joints="released"`
reproduces the released code, for comparison with published values.

Source: He et al., NRDF, CVPR 2024 (arXiv 2403.03122), code and weights at github.com/hynann/NRDF; ViMoGen (arXiv
2510.26794), MBench. Shapes: N motions, T frames, J 21 joints; `...` stands for any leading dimensions.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import roma
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from motionmillion.checkpoints import open_state
from motionmillion.eval.body.pose_prior import (
    BODY_JOINTS,
    body_rotations,
    checked_motions,
    checked_rotations,
    mean_over_frames,
)
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

WHERE = "github.com/hynann/NRDF links the weights"
CHECKPOINT = Path("checkpoints") / "checkpoint_epoch_best.tar"
SCALE = 10.0

Joints = Literal["corrected", "released"]
_PARENTS = tuple(parent - 1 for parent in SMPL22.parents[1:])  # negative: child of the pelvis, which is not an input
_ACTIVATIONS = ("softplus", "relu", "lrelu")


class Nrdf(nn.Module):
    """The distance field of NRDF; sizes as in its weights.

    Args:
        state: weights by name: `enc.net.{joint}.net.{0,2}` and `dfnet.lin{layer}`; `dec` is not used.
        activation: "softplus", "relu" or "lrelu".
        beta: sharpness of softplus.
        source: name in error messages.

    Raises:
        ValueError: for weights that are missing, unexpected, non-finite or inconsistent, or another activation.
    """

    def __init__(
        self, state: Mapping[str, Tensor], activation: str = "softplus", beta: float = 100.0, source: str = "state"
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation of NRDF must be one of {_ACTIVATIONS}, got {activation!r} in {source!r}")
        state = {name: value.float() for name, value in state.items() if not name.startswith("dec.")}
        layers = sum(name.startswith("dfnet.lin") and name.endswith(".weight") for name in state)
        modules = [f"enc.net.{joint}.net.{layer}" for joint in range(BODY_JOINTS) for layer in (0, 2)]
        modules += [f"dfnet.lin{layer}" for layer in range(max(layers, 1))]
        wanted = {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}
        for what, names in (("missing", wanted - set(state)), ("left over", set(state) - wanted)):
            if names:
                raise ValueError(
                    f"checkpoint must hold the weights of NRDF, got {len(names)} {what} in {source!r}: "
                    f"{', '.join(sorted(names)[:3])}; {WHERE}"
                )
        broken = sorted(name for name, value in state.items() if not bool(torch.isfinite(value).all()))
        if broken:
            raise ValueError(f"checkpoint must hold finite weights, got NaN or infinity in {source!r}: {broken[0]}")
        _check_sizes(state, layers, source)
        layer = {module: _linear(state, module) for module in modules}
        self.inner = nn.ModuleList([layer[f"enc.net.{joint}.net.0"] for joint in range(BODY_JOINTS)])
        self.outer = nn.ModuleList([layer[f"enc.net.{joint}.net.2"] for joint in range(BODY_JOINTS)])
        self.field = nn.ModuleList([layer[f"dfnet.lin{index}"] for index in range(layers)])
        self.bend = {"softplus": nn.Softplus(beta=beta), "relu": nn.ReLU(), "lrelu": nn.LeakyReLU()}[activation]
        self.last = nn.ReLU() if activation == "lrelu" else self.bend
        self.requires_grad_(False)

    @staticmethod
    def load(path: str | Path) -> "Nrdf":
        """Read a released folder (with its `config.yaml`), a checkpoint, or its weights as safetensors.

        A single file is assumed to be the released model: softplus with beta 100.

        Raises:
            ValueError: if it is missing, damaged, or not a checkpoint of NRDF.
        """
        path = Path(path)
        if not path.exists():
            raise ValueError(f"NRDF must be a folder or a checkpoint, got {str(path)!r}, nothing there; {WHERE}")
        config = path / "config.yaml"
        activation, beta = _settings(config) if config.is_file() else ("softplus", 100.0)
        file = path / CHECKPOINT if path.is_dir() else path
        if not file.is_file():
            raise ValueError(f"NRDF's folder must hold {CHECKPOINT}, got none in {str(path)!r}; {WHERE}")
        if file.suffix == ".safetensors":
            try:
                state = load_file(file)
            except SafetensorError as error:
                raise ValueError(f"checkpoint must be whole, got a damaged one in {str(file)!r} ({error})") from None
        else:
            state = open_state(file, "model_state_dict")
        return Nrdf(state, activation, beta, str(file))

    @torch.no_grad()
    def distance(self, rotations: Tensor, joints: Joints = "corrected") -> Tensor:
        """Distance to real poses `[...]`, radians, as NRDF gives it.

        Args:
            rotations: parent-relative rotation matrices `[..., 22 | 21, 3, 3]`, SMPL's joints in order; of 22
                the first is the pelvis.
            joints: "corrected", or "released" as in MBench's code, which needs the pelvis.

        Raises:
            ValueError: for a wrong shape or order, non-finite values, or matrices that are not rotations.
        """
        if joints == "corrected":
            body = body_rotations(rotations)
        elif joints == "released":
            body = checked_rotations(rotations, (BODY_JOINTS + 1,))[..., :BODY_JOINTS, :, :]
        else:
            raise ValueError(f'joints must be "corrected" or "released", got {joints!r}')
        quaternions = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(body.to(self.field[0].weight)))  # type: ignore
        return self(torch.where(quaternions[..., :1] < 0, -quaternions, quaternions))

    def forward(self, quaternions: Tensor) -> Tensor:
        """Distance `[...]` of poses given as unit quaternions `[..., 21, 4]`, real part first and non-negative."""
        features: list[Tensor] = []
        for joint, parent in enumerate(_PARENTS):
            seen = quaternions[..., joint, :]
            if parent >= 0:
                seen = torch.cat([seen, features[parent]], dim=-1)
            features.append(self.bend(self.outer[joint](self.bend(self.inner[joint](seen)))))
        hidden = torch.cat(features, dim=-1)
        for linear in self.field[:-1]:
            hidden = self.bend(linear(hidden))
        return self.last(self.field[-1](hidden))[..., 0]


def _check_sizes(state: Mapping[str, Tensor], layers: int, source: str) -> None:
    """Raise `ValueError` unless the layers' sizes are consistent."""
    width = len(state["enc.net.0.net.2.bias"])
    fits = state[f"dfnet.lin{layers - 1}.weight"].shape[:1] == (1,)
    size = BODY_JOINTS * width
    for layer in range(layers):
        weight = state[f"dfnet.lin{layer}.weight"]
        fits &= weight.ndim == 2 and weight.shape[1] == size
        size = len(weight)
    for joint, parent in enumerate(_PARENTS):
        inner, outer = (state[f"enc.net.{joint}.net.{layer}.weight"] for layer in (0, 2))
        fits &= inner.shape[1:] == (4 if parent < 0 else 4 + width,) and outer.shape == (width, len(inner))
    fits &= all(len(state[name.replace("weight", "bias")]) == len(v) for name, v in state.items() if "weight" in name)
    if not fits:
        raise ValueError(f"weights of NRDF must fit together, got sizes that do not in {source!r}; {WHERE}")


def pose_quality(rotations: Tensor, nrdf: Nrdf, joints: Joints = "corrected") -> float:
    """MBench's Pose_Quality of one motion: 10 times the mean distance of its frames; arguments as for `distance`."""
    return SCALE * float(nrdf.distance(rotations, joints).double().mean())


def pose_qualities(motions: Sequence[Motion], nrdf: Nrdf, joints: Joints = "corrected") -> Tensor:
    """MBench's Pose_Quality of many motions, float64 `[N]`.

    Raises:
        ValueError: for no motions, one that is not on SMPL22's joints, or an unknown order of joints.
    """
    poses = [motion.rotations for motion in checked_motions(motions)]
    return SCALE * mean_over_frames(poses, partial(nrdf.distance, joints=joints))


def _linear(state: Mapping[str, Tensor], module: str) -> nn.Linear:
    weight, bias = state[f"{module}.weight"], state[f"{module}.bias"]
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear


def _settings(path: Path) -> tuple[str, float]:
    """Activation and beta from NRDF's training configuration; both of its parts must agree."""
    try:
        model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
        encoder, field = ((str(part["act"]), float(part["beta"])) for part in (model["StrEnc"], model["DFNet"]))
    except (UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"config.yaml of NRDF must name act and beta of StrEnc and DFNet, got {str(path)!r}; {WHERE}"
        ) from None
    if encoder != field:
        raise ValueError(f"StrEnc and DFNet of NRDF must have the same act and beta, got others in {str(path)!r}")
    return field
