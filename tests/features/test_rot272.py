"""The 272 features: layout, frame 0, round trips by both routes, statistics, and every check."""

import pytest
import roma
import torch

from motionmillion import Motion, features
from motionmillion.data import synthesize
from motionmillion.features.stats import feature_stats
from motionmillion.motion import rotation_y

CODEC = features.get("rot272")


def canonical_without_floor(motion: Motion) -> Motion:
    """Turned and moved to the origin, heights kept: what the features can say."""
    canonical = motion.canonicalize()
    shift = motion.translation[0, 1] - canonical.translation[0, 1]
    return canonical.replace(translation=canonical.translation + torch.tensor([0.0, 1.0, 0.0]) * shift)


def test_layout_sums_to_272_and_slices_follow_from_sizes():
    assert CODEC.dim == 272
    assert CODEC.layout["positions"] == slice(8, 74)
    assert CODEC.layout["rotations"] == slice(140, 272)
    assert list(CODEC.layout.split(torch.zeros(5, 272))) == list(CODEC.layout)


def test_frame_zero_has_no_velocity_and_the_identity_as_heading_change(turning_motion):
    first = CODEC.encode(turning_motion)[0]
    assert torch.equal(first[:2], torch.zeros(2))
    assert torch.allclose(first[2:8], torch.tensor([1.0, 0, 0, 0, 1, 0]))
    assert torch.equal(first[CODEC.layout["velocities"]], torch.zeros(66))
    assert first[8] == 0 and first[10] == 0
    assert first[9] == pytest.approx(float(turning_motion.translation[0, 1]))


def test_blocks_match_their_definition(turning_motion):
    encoded = CODEC.encode(turning_motion).double()
    rotations, root = turning_motion.rotations.double(), turning_motion.translation.double()
    joints = turning_motion.positions().double()
    yaw = torch.atan2(rotations[:, 0, 0, 2], rotations[:, 0, 2, 2])
    for t in (1, 57, 299):
        heading, before = rotation_y(-yaw[t]), rotation_y(-yaw[t - 1])
        step = before @ (root[t] - root[t - 1])
        assert torch.allclose(encoded[t, :2], step[[0, 2]], atol=1e-5)
        assert torch.allclose(encoded[t, 2:8], (heading @ before.mT)[:2].flatten(), atol=1e-5)
        ground = torch.tensor([root[t, 0], 0.0, root[t, 2]], dtype=torch.float64)
        local = torch.stack([heading @ (joint - ground) for joint in joints[t]])
        assert torch.allclose(encoded[t, 8:74], local.flatten(), atol=1e-5)
        assert torch.allclose(encoded[t, 74:140], encoded[t, 8:74] - encoded[t - 1, 8:74], atol=1e-5)
        assert torch.allclose(encoded[t, 140:146], (heading @ rotations[t, 0])[:2].flatten(), atol=1e-5)
        assert torch.allclose(encoded[t, 146:152], rotations[t, 1, :2].flatten(), atol=1e-6)


@pytest.mark.parametrize("route", ["rotations", "positions"])
@pytest.mark.parametrize("turn", [0.0, 2.5, -3.1])
def test_round_trip_over_ten_seconds_and_several_circles(turning_motion, route, turn):
    turned = turning_motion.rotations.clone()
    turned[:, 0] = rotation_y(torch.tensor(turn)) @ turned[:, 0]
    motion = Motion(turned, turning_motion.translation @ rotation_y(torch.tensor(turn)).mT)
    expected = canonical_without_floor(motion)
    decoded = CODEC.decode(CODEC.encode(motion), route=route)
    assert (decoded.positions() - expected.positions()).abs().max() < 1e-5
    angle = roma.rotmat_geodesic_distance(decoded.rotations.double(), expected.rotations.double())
    assert angle.max() < 1e-4


def test_batched_decoding_equals_single_and_is_differentiable(turning_motion):
    encoded = CODEC.encode(turning_motion)
    batch = torch.stack([encoded[:50], encoded[50:100]]).requires_grad_()
    positions = CODEC.positions(batch)
    assert torch.allclose(positions[1], CODEC.positions(encoded[50:100]), atol=1e-6)
    rotations, root = CODEC.rotations(batch)
    (positions.sum() + rotations.sum() + root.sum()).backward()
    assert batch.grad is not None and torch.isfinite(batch.grad).all()


def test_position_route_puts_joints_where_the_position_block_says():
    motion = synthesize("walk", seed=3, seconds=3)
    encoded = CODEC.encode(motion)
    generator = torch.Generator().manual_seed(0)
    encoded[:, CODEC.layout["rotations"]] += 0.2 * torch.randn(encoded.shape[0], 132, generator=generator)
    by_positions = CODEC.decode(encoded, route="positions").positions()
    by_rotations = CODEC.decode(encoded, route="rotations").positions()
    wanted = CODEC.positions(encoded)
    limbs = [4, 5, 7, 8, 10, 11, 18, 19, 20, 21]
    assert (by_positions - wanted)[:, limbs].norm(dim=-1).mean() < 0.1 * (by_rotations - wanted)[:, limbs].norm(
        dim=-1
    ).mean()


def test_another_frame_rate_is_resampled():
    motion = synthesize("turn", seed=1, seconds=2, fps=60)
    assert CODEC.encode(motion).shape[0] == motion.resample(30).num_frames


def test_statistics_are_tied_inside_each_block():
    clips = [torch.randn(n, 272, generator=torch.Generator().manual_seed(n)) * torch.arange(1, 273) for n in (40, 7)]
    stats = feature_stats(clips, CODEC.layout)
    values = torch.cat(clips).double()
    assert torch.allclose(stats.mean, values.mean(0).float(), atol=1e-3)
    for span in CODEC.layout.values():
        tied = values.std(0, unbiased=False)[span].mean().float()
        assert torch.allclose(stats.std[span], tied.expand(span.stop - span.start), rtol=1e-4)
    with pytest.raises(ValueError, match="at least one frame"):
        feature_stats([], CODEC.layout)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(4, 271), "shape"),
        (torch.zeros(0, 272), "shape"),
        (torch.full((4, 272), torch.nan), "finite"),
    ],
)
def test_bad_features_are_named(value, message):
    with pytest.raises(ValueError, match=f"features must.*{message}"):
        CODEC.decode(value)


def test_unknown_names_are_refused(turning_motion):
    with pytest.raises(ValueError, match="features must be one of.*rot999"):
        features.get("rot999")
    with pytest.raises(ValueError, match="route must be"):
        CODEC.decode(CODEC.encode(turning_motion), route="both")  # type: ignore[arg-type]
