"""Train the pose prior on one core in a few minutes, and measure it on held-out people.

    python recipes/evaluator/pose_prior.py FOLDER --output runs/pose_prior     # FOLDER: a motion set with splits
    python recipes/evaluator/pose_prior.py FOLDER --check runs/pose_prior      # measure only

Real limbs come in three forms, each from the split "train" and its mirror image: as recorded; with rotation shifted
between neighbouring joints, as other skeletons record the same pose; and as recovered from joint positions alone.
Faulty limbs are made from them by turning all joints a little or a few joints a lot, or by taking joints from other
poses. The training target is the exact distance to the nearest of 60,000 real limbs, or to the limb that the faulty
one was made from, if that is nearer.

Unusual: wrists in the CMU database bend about one axis only, so bends about the others are added to the real ones.

Shapes: M limbs of J joints (4 or 5), P poses of 21 joints.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from motionmillion.data.clips import load_clips
from motionmillion.eval.body.pose_prior import (
    KINDS,
    LIMBS,
    PosePrior,
    PosePriorConfig,
    combine_limbs,
    kind_of,
    limb_rotations,
    mirrored,
)
from motionmillion.io.files import write_text
from motionmillion.kinematics.joints import rotations_from_joints
from motionmillion.provenance import describe_machine
from motionmillion.skeleton import SMPL22

BANK = 60_000
EXAMPLES = 150_000
EPOCHS, BATCH, RATE = 10, 1000, 2e-3
CANDIDATES = 8
"""Nearest limbs by matrix product, which are then compared by angle."""


def real_poses(folder: str, split: str, every: int = 1) -> Tensor:
    """Poses `[P, 21, 3, 3]` of a split as recorded."""
    return torch.cat([clip.motion.rotations[::every, 1:] for clip in load_clips(folder, [split])])


def from_joints(poses: Tensor) -> Tensor:
    """The same poses `[P, 21, 3, 3]`, recovered from their joint positions."""
    upright = torch.cat([torch.eye(3).expand(len(poses), 1, 3, 3), poses], dim=1)
    positions, _ = SMPL22.forward_kinematics(upright, torch.zeros(len(poses), 3))
    return rotations_from_joints(positions, SMPL22)[:, 1:].float()


def real_limbs(kind: str, poses: Tensor) -> Tensor:
    """Limbs `[M, J, 3, 3]` of one kind: left, and right mirrored; the trunk as it is and mirrored."""
    limbs = [limb_rotations(poses, name) for name in LIMBS if kind_of(name) == kind]
    return torch.cat([*limbs, mirrored(limbs[0])] if kind == "trunk" else limbs)


def pick(limbs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return limbs[torch.randint(len(limbs), (count,), generator=generator)]


class Variations:
    """The same limbs as other skeletons record them, with rotation moved between neighbouring joints."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, kind: str, limbs: Tensor) -> Tensor:
        return getattr(self, kind)(limbs)

    def leg(self, limbs: Tensor) -> Tensor:
        hip, knee, ankle, foot = limbs.unbind(1)
        hip, knee = self._hand_on(hip, knee, self._normal(len(limbs), 5) * _bone("left_knee"))
        knee, ankle = self._hand_on(knee, ankle, self._normal(len(limbs), 5) * _bone("left_ankle"))
        return torch.stack([hip, knee, ankle, _part(foot, self._uniform(len(limbs)))], dim=1)

    def arm(self, limbs: Tensor) -> Tensor:
        collar, shoulder, elbow, wrist = limbs.unbind(1)
        count, along = len(limbs), _bone("left_wrist")
        share = roma.rotmat_to_rotvec(collar @ shoulder) * 0.25 * self._uniform(count) + self._normal(count, 6, 3)
        collar, shoulder = self._hand_on(collar, shoulder, share)
        shoulder, elbow = self._hand_on(shoulder, elbow, self._normal(count, 10) * _bone("left_elbow"))
        twist = _twist(wrist, along)[:, None] * self._uniform(count) + self._normal(count, 15)
        elbow, wrist = self._hand_on(elbow, wrist, twist * along)
        bend = torch.cat([torch.zeros(count, 1), self._normal(count, 10), self._normal(count, 25)], dim=1)
        bend *= self._uniform(count) < 0.5
        return torch.stack([collar, shoulder, elbow, wrist @ roma.rotvec_to_rotmat(bend)], dim=1)

    def trunk(self, limbs: Tensor) -> Tensor:
        spine, neck = limbs[:, 0] @ limbs[:, 1] @ limbs[:, 2], limbs[:, 3] @ limbs[:, 4]
        shares = torch.rand(len(limbs), 3, 1, generator=self.generator) + 0.1
        bent = roma.rotvec_to_rotmat(shares / shares.sum(1, keepdim=True) * roma.rotmat_to_rotvec(spine)[:, None])
        keep = self._uniform(len(limbs))[..., None, None] < 0.5
        lower = _part(neck, 0.3 + 0.7 * self._uniform(len(limbs)))
        return torch.cat([torch.where(keep, limbs[:, :3], bent), torch.stack([lower, lower.mT @ neck], dim=1)], dim=1)

    def _hand_on(self, upper: Tensor, lower: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the upper joint by a rotation vector `[M, 3]` and the lower one back: their product is unchanged."""
        rotation = roma.rotvec_to_rotmat(turn)
        return upper @ rotation, rotation.mT @ lower

    def _normal(self, count: int, degrees: float, size: int = 1) -> Tensor:
        return torch.randn(count, size, generator=self.generator) * math.radians(degrees)

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, 1, generator=self.generator)


def _bone(name: str) -> Tensor:
    return torch.nn.functional.normalize(torch.tensor(SMPL22.offsets[SMPL22.index(name)]), dim=0)


def _part(rotation: Tensor, share: Tensor) -> Tensor:
    return roma.rotvec_to_rotmat(roma.rotmat_to_rotvec(rotation) * share)


def _twist(rotation: Tensor, axis: Tensor) -> Tensor:
    """Angle `[M]` of a rotation about an axis, -pi to pi."""
    quaternion = roma.rotmat_to_unitquat(rotation)
    angle = 2 * torch.atan2(quaternion[:, :3] @ axis, quaternion[:, 3])
    return torch.remainder(angle + math.pi, math.tau) - math.pi


def faulty(real: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    """Limbs made from real ones: half turned everywhere, a quarter at single joints, some mixed, few unchanged."""
    count, joints = real.shape[:2]
    kind = torch.rand(count, 1, generator=generator)
    weight = torch.rand(count, joints, generator=generator)
    everywhere = weight / weight.square().mean(1, keepdim=True).sqrt()
    everywhere *= 20 * torch.randn(count, 1, generator=generator).abs()
    chosen = torch.rand(count, joints, generator=generator) < 1 / joints
    chosen.scatter_(1, torch.randint(joints, (count, 1), generator=generator), True)
    single = 120 * torch.rand(count, joints, generator=generator) * chosen
    angle = torch.where(kind < 0.5, everywhere, torch.where(kind < 0.75, single, 0.0))
    mixed = (kind > 0.75) & (kind < 0.92) & (torch.rand(count, joints, generator=generator) < 0.5)
    return torch.where(mixed[..., None, None], others, turned(real, angle, generator))


def turned(rotations: Tensor, degrees: Tensor, generator: torch.Generator) -> Tensor:
    """Rotations `[M, J, 3, 3]` turned by angles `[M, J]` about random axes."""
    axes = torch.nn.functional.normalize(torch.randn(*rotations.shape[:2], 3, generator=generator), dim=-1)
    return rotations @ roma.rotvec_to_rotmat(torch.deg2rad(degrees)[..., None] * axes)


def angles(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square over the joints of the angle between rotations `[..., J, 3, 3]`, degrees."""
    cosine = ((a * b).flatten(-2).sum(-1) - 1) / 2
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).square().mean(-1).sqrt()


def nearest(limbs: Tensor, bank: Tensor) -> Tensor:
    """Distance `[M]` to the nearest limb of a bank, degrees."""
    flat, found = bank.flatten(1).T, []
    for part in limbs.split(500):
        near = (part.flatten(1) @ flat).topk(CANDIDATES, dim=1).indices
        found.append(angles(part[:, None], bank[near]).amin(1))
    return torch.cat(found)


def train(prior: PosePrior, kind: str, real: Tensor, bank: Tensor, generator: torch.Generator) -> None:
    """Train one network of the prior."""
    base = pick(real, EXAMPLES, generator)
    limbs = faulty(base, pick(real, EXAMPLES, generator), generator)
    target = torch.minimum(nearest(limbs, bank), angles(limbs, base))
    optimizer = torch.optim.AdamW(prior.networks[kind].parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * (EXAMPLES // BATCH))
    for epoch in range(EPOCHS):
        losses = []
        for rows in torch.randperm(EXAMPLES, generator=generator).split(BATCH):
            guess = prior.limb_distance(kind, limbs[rows])
            loss = ((guess - target[rows]).abs() / (target[rows] + 5)).mean()  # relative error
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"{kind} epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)


def all_real(kind: str, recorded: Tensor, found: Tensor, generator: torch.Generator) -> Tensor:
    """Real limbs in equal parts: as recorded, varied, and recovered from positions."""
    limbs = real_limbs(kind, recorded)
    return torch.cat([limbs, Variations(generator)(kind, limbs), real_limbs(kind, found)])


def check(
    prior: PosePrior, poses: Tensor, see: Callable[[Tensor], Tensor], banks: dict[str, Tensor], seed: int
) -> dict[str, float]:
    """Measures of the prior on held-out poses; AUC: probability that a faulty pose is further off than a real one."""
    from sklearn.metrics import roc_auc_score

    generator = torch.Generator().manual_seed(seed)
    real = prior.distance(see(poses))
    row = {"real": float(real.median()), "real 95 %": float(real.quantile(0.95))}
    faults = {f"{d} degrees": turned(poses, torch.full(poses.shape[:2], float(d)), generator) for d in (5, 10, 20)}
    for name, joint, vector in (
        ("knee", "left_knee", (-45.0, 0.0, 0.0)),
        ("elbow", "left_elbow", (0.0, 45.0, 0.0)),
        ("neck", "neck", (-70.0, 0.0, 0.0)),
    ):
        faults[name] = poses.clone()
        faults[name][:, SMPL22.index(joint) - 1] = roma.rotvec_to_rotmat(torch.deg2rad(torch.tensor(vector)))
    for name, group in faults.items():
        distance = prior.distance(see(group))
        label = np.repeat([0, 1], [len(real), len(group)])
        row[name] = float(distance.median())
        row[f"{name} AUC"] = float(roc_auc_score(label, torch.cat([real, distance]).numpy()))
    spread = see(turned(poses, 30 * torch.rand(len(poses), 1, generator=generator).expand(-1, 21), generator))
    limbs = [nearest(limb_rotations(spread, name), banks[kind_of(name)]) for name in LIMBS]
    truth = combine_limbs(torch.stack(limbs, dim=-1))
    row["correlation"] = float(np.corrcoef(truth.numpy(), prior.distance(spread).numpy())[0, 1])
    return row


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Markdown: medians in degrees, AUC in brackets."""
    names = [name for name in next(iter(rows.values())) if not name.endswith("AUC")]
    print("| " + " | ".join(["held-out poses", *names]) + " |")
    print("|---" * (len(names) + 1) + "|")
    for title, row in rows.items():
        cells = [f"{row[n]:.2f}" + (f" ({row[f'{n} AUC']:.3f})" if f"{n} AUC" in row else "") for n in names]
        print("| " + " | ".join([title, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the pose prior and measure it on held-out people.")
    parser.add_argument("data", help="folder of motions with the splits train, val and test")
    parser.add_argument("--output", default="runs/pose_prior", help="folder to write")
    parser.add_argument("--check", help="folder of a trained prior that is measured instead")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, generator = time.monotonic(), torch.Generator().manual_seed(options.seed)
    torch.manual_seed(options.seed)  # first weights
    poses = real_poses(options.data, "train")
    found = from_joints(poses)
    real = {kind: all_real(kind, poses, found, generator) for kind in KINDS}
    banks = {kind: pick(limbs, BANK, generator) for kind, limbs in real.items()}
    if not options.check:
        prior = PosePrior(PosePriorConfig())
        for kind in KINDS:
            train(prior, kind, real[kind], banks[kind], generator)
        prior.half().save_pretrained(options.output)
    prior = PosePrior.from_pretrained(options.check or options.output)
    rows = {}
    for split in ("val", "test"):
        held_out = real_poses(options.data, split, every=10)
        for name, see in (("rotations", lambda poses: poses), ("joints alone", from_joints)):
            rows[f"{split}, {name}"] = check(prior, held_out, see, banks, options.seed)
    print_table(rows)
    facts = {"seed": options.seed, "seconds": time.monotonic() - start, "machine": describe_machine("cpu")}
    write_text(json.dumps({**facts, "held_out": rows}, indent=1) + "\n", Path(options.output) / "check.json")
    print(facts)


if __name__ == "__main__":
    main()
