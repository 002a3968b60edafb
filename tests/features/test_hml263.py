"""The 263 features: layout, a naive reference, round trips, and every check."""

import math

import pytest
import torch

from motionmillion import Motion, features
from motionmillion.data import synthesize
from motionmillion.features.hml263 import Hml263
from motionmillion.motion import rotation_y
from motionmillion.tokenizer.losses import KINEMATIC_LOSSES, reconstruction_losses

CODEC = Hml263()


@pytest.fixture(scope="module")
def motion() -> Motion:
    return synthesize("turn", seed=4, seconds=4).resample(20)


def naive_headings(joints: torch.Tensor) -> list[float]:
    """Smoothed facing of hips and shoulders, radians, one frame after another."""
    fronts = []
    for frame in joints.double():
        across = frame[2] - frame[1] + frame[17] - frame[16]
        across = across / across.norm()
        fronts.append(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]).double(), across))
    headings = []
    for t in range(len(fronts)):
        total, weights = torch.zeros(3).double(), 0.0
        for shift in range(-80, 81):
            weight = math.exp(-0.5 * (shift / 20) ** 2)
            total += weight * fronts[min(max(t + shift, 0), len(fronts) - 1)]
            weights += weight
        headings.append(math.atan2(float(total[0]), float(total[2])))
    return headings


def turned(vector: torch.Tensor, angle: float) -> torch.Tensor:
    """`vector` turned about y."""
    x, y, z = vector.double().tolist()
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([cos * x + sin * z, y, -sin * x + cos * z], dtype=torch.float64)


def test_layout():
    assert CODEC.dim == 263
    assert type(features.get("hml263")) is Hml263
    spans = {name: (span.start, span.stop) for name, span in CODEC.layout.items()}
    assert spans == {
        "heading_change": (0, 1),
        "root_velocity": (1, 3),
        "root_height": (3, 4),
        "positions": (4, 67),
        "rotations": (67, 193),
        "velocities": (193, 259),
        "contacts": (259, 263),
    }


def test_every_number_matches_its_definition(motion):
    encoded = CODEC.encode(motion)
    joints = motion.positions()
    headings = naive_headings(joints)
    assert encoded.shape == (motion.num_frames - 1, 263)
    for t in (0, 20, 60, motion.num_frames - 2):
        row, heading = encoded[t], headings[t]
        assert float(row[0]) == pytest.approx(-(headings[t + 1] - heading) / 2, abs=1e-6)
        step = turned(joints[t + 1, 0] - joints[t, 0], -headings[t + 1])
        assert row[1:3].tolist() == pytest.approx([float(step[0]), float(step[2])], abs=1e-5)
        assert float(row[3]) == pytest.approx(float(joints[t, 0, 1]))
        for joint in range(22):
            local = turned(joints[t, joint] - joints[t, 0] * torch.tensor([1.0, 0.0, 1.0]), -heading)
            velocity = turned(joints[t + 1, joint] - joints[t, joint], -heading)
            if joint:
                assert row[1 + 3 * joint : 4 + 3 * joint].tolist() == pytest.approx(local.tolist(), abs=1e-5)
            assert row[193 + 3 * joint : 196 + 3 * joint].tolist() == pytest.approx(velocity.tolist(), abs=1e-5)
        moved = [float((joints[t + 1, foot] - joints[t, foot]).square().sum()) for foot in (7, 10, 8, 11)]
        assert row[259:].tolist() == [float(square < 0.002) for square in moved]


def test_rotations_turn_rest_bones_into_bones_along_the_chains(motion):
    encoded, joints = CODEC.encode(motion), motion.positions().double()
    headings = naive_headings(joints)
    chains = ([0, 1, 4, 7, 10], [9, 14, 17, 19, 21])
    rest = {1: (1, 0, 0), 4: (0, -1, 0), 7: (0, -1, 0), 10: (0, 0, 1)}
    rest |= {14: (-1, 0, 0), 17: (0, -1, 0), 19: (0, -1, 0), 21: (0, -1, 0)}
    for t in (0, 33):
        for chain in chains:
            rotation = torch.stack([turned(axis, headings[0] - headings[t]) for axis in torch.eye(3)], dim=1)
            for parent, joint in zip(chain, chain[1:], strict=False):
                x, y = encoded[t, 61 + 6 * joint : 67 + 6 * joint].double().unflatten(0, (2, 3))
                rotation = rotation @ torch.stack([x, y, torch.linalg.cross(x, y)], dim=1)
                bone = turned(joints[t, joint] - joints[t, parent], -headings[0])
                direction = rotation @ torch.tensor(rest[joint], dtype=torch.float64)
                assert direction.tolist() == pytest.approx((bone / bone.norm()).tolist(), abs=1e-5)


@pytest.mark.parametrize("route", ["rotations", "positions"])
def test_joints_come_back(motion, route):
    encoded = CODEC.encode(motion)
    joints, heading = motion.positions(), naive_headings(motion.positions())[0]
    start = joints[0, 0] * torch.tensor([1.0, 0.0, 1.0])
    for t in (0, 40, 78):
        for joint in (0, 7, 15, 21):
            expected = turned(joints[t, joint] - start, -heading)
            assert CODEC.positions(encoded)[t, joint].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    decoded = CODEC.decode(encoded, route=route)
    assert decoded.fps == 20 and decoded.num_frames == motion.num_frames - 1
    assert (decoded.positions() - CODEC.positions(encoded)).norm(dim=-1).max() < 1e-4


def test_a_heading_that_goes_full_circles_is_followed():
    yaw = torch.linspace(0, 4.2 * math.pi, 400)
    rotations = torch.eye(3).repeat(400, 22, 1, 1)
    rotations[:, 0] = rotation_y(yaw)
    circle = torch.stack([torch.cos(yaw), torch.full((400,), 0.95), torch.sin(yaw)], dim=1)
    spinning = Motion(rotations, circle, fps=20)
    encoded = CODEC.encode(spinning)
    assert float(encoded[1:-1, 0].max()) < 0  # always to the left
    found = CODEC.root(encoded)[0]
    assert float(found[-1]) == pytest.approx(4.2 * math.pi, abs=0.7)  # the ends are smoothed
    limbs = CODEC.positions(encoded)
    apart = (limbs[:, 1] - limbs[200, 2]).norm(dim=-1)
    truth = spinning.positions()
    assert torch.allclose(apart, (truth[:-1, 1] - truth[200, 2]).norm(dim=-1), atol=1e-4)


def test_decoding_reads_positions_unless_told_otherwise(motion):
    encoded = CODEC.encode(motion)
    encoded[:, CODEC.layout["rotations"]] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(21)
    assert (CODEC.decode(encoded).positions() - CODEC.positions(encoded)).norm(dim=-1).max() < 1e-4
    by_rotations = CODEC.decode(encoded, route="rotations").positions()
    assert (by_rotations - CODEC.positions(encoded)).norm(dim=-1).max() > 0.1


def test_batched_decoding_equals_single_and_losses_are_differentiable(motion):
    encoded = CODEC.encode(motion)
    batch = torch.stack([encoded[:30], encoded[30:60]])
    assert torch.allclose(CODEC.positions(batch)[1], CODEC.positions(encoded[30:60]), atol=1e-6)
    assert torch.allclose(CODEC.rotations(batch)[0][1], CODEC.rotations(encoded[30:60])[0], atol=1e-5)
    predicted = (batch + 0.01 * torch.randn(batch.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    losses = reconstruction_losses(predicted, batch, torch.ones(2, 30).bool(), torch.ones(263), CODEC)
    assert set(KINEMATIC_LOSSES) <= set(losses)
    torch.stack(list(losses.values())).sum().backward()
    assert predicted.grad is not None and bool(torch.isfinite(predicted.grad).all())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(4, 262), "features must have shape"),
        (torch.full((4, 263), torch.nan), "features must be finite"),
        (torch.zeros(4, 263), "positions must be metres"),
    ],
)
def test_bad_features_are_named(value, message):
    with pytest.raises(ValueError, match=message):
        CODEC.decode(value)


def test_bad_motions_and_routes_are_named(motion):
    with pytest.raises(ValueError, match="at least 2 frames at 20 per second for hml263, got 1"):
        CODEC.encode(motion.slice(0, 1))
    with pytest.raises(ValueError, match="route must be"):
        CODEC.decode(CODEC.encode(motion), route="both")  # type: ignore[arg-type]
