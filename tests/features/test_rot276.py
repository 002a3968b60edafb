"""The 276 features: layout, a naive reference, round trips by both routes and both recoveries, and every check."""

import pytest
import roma
import torch

from motionmillion import Motion, features
from motionmillion.data import synthesize
from motionmillion.motion import rotation_y
from motionmillion.skeleton import SMPL22, Skeleton
from motionmillion.tokenizer.losses import KINEMATIC_LOSSES, reconstruction_losses

CODEC = features.get("rot276")
BY_VELOCITY = features.get("rot276_velocity")


def upright(motion: Motion) -> tuple[Motion, Motion]:
    """The motion at 20 fps turned so that its hips face +z, above the origin; and what features keep of it."""
    motion = motion.resample(20)
    joints = motion.positions()[0]
    across = joints[1] - joints[2]  # to the left, +x for a body that faces +z
    turn = rotation_y(torch.atan2(across[2], across[0]))
    path = (motion.translation - motion.translation[0] * torch.tensor([1.0, 0.0, 1.0])) @ turn.mT
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    whole = motion.replace(rotations=rotations, translation=path)
    return whole, whole.slice(0, whole.num_frames - 1)


def test_layout():
    assert CODEC.dim == BY_VELOCITY.dim == 276
    spans = {name: (span.start, span.stop) for name, span in CODEC.layout.items()}
    assert spans == {
        "rotations": (0, 126),
        "positions": (126, 192),
        "velocities": (192, 258),
        "root_rotation": (258, 264),
        "heading_change": (264, 270),
        "translation": (270, 273),
        "root_velocity": (273, 276),
    }


def test_every_number_matches_its_definition(turning_motion):
    encoded = CODEC.encode(turning_motion)
    motion = upright(turning_motion)[0]
    assert encoded.shape == (motion.num_frames - 1, 276)
    joints = motion.positions()
    for t in (0, 17, 100):
        for joint in range(22):
            x, y, z = joints[t, joint].tolist()
            place = 126 + 3 * joint
            assert encoded[t, place : place + 3].tolist() == pytest.approx([-x, z, y], abs=2e-5)
            step = (joints[t + 1, joint] - joints[t, joint]).tolist()
            velocity = encoded[t, 192 + 3 * joint : 195 + 3 * joint].tolist()
            assert velocity == pytest.approx([-step[0], step[2], step[1]], abs=2e-5)
            if joint:
                r = motion.rotations[t, joint]
                columns = [float(r[row, column]) for row in range(3) for column in range(2)]
                assert encoded[t, 6 * joint - 6 : 6 * joint].tolist() == pytest.approx(columns, abs=1e-6)
        turned = [motion.rotations[s, 0] for s in (t, t + 1)]
        turned = [torch.stack([-r[0], r[2], r[1]]) for r in turned]  # rows in the world with z up
        change = turned[1] @ turned[0].T
        assert encoded[t, 258:264].tolist() == pytest.approx(turned[0][:, :2].flatten().tolist(), abs=1e-5)
        assert encoded[t, 264:270].tolist() == pytest.approx(change[:, :2].flatten().tolist(), abs=1e-5)
        pelvis = torch.tensor([-joints[t, 0, 0], joints[t, 0, 2], joints[t, 0, 1]])
        smplx = torch.tensor([0.003, -0.351, 0.012])
        assert encoded[t, 270:273].tolist() == pytest.approx((pelvis - smplx).tolist(), abs=2e-5)
        assert torch.equal(encoded[t, 273:276], encoded[t, 192:195])  # the pelvis' own step


def test_frame_zero_faces_forward_above_the_origin(turning_motion):
    first = CODEC.encode(turning_motion)[0, 126:192].unflatten(0, (22, 3))
    across = first[2] - first[1]  # right hip less left hip
    assert first[0, :2].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert float(first[0, 2]) == pytest.approx(float(turning_motion.translation[0, 1]), abs=1e-5)
    assert float(across[0]) > 0 and float(across[1]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("codec", [CODEC, BY_VELOCITY], ids=lambda codec: codec.name)
@pytest.mark.parametrize("route", ["rotations", "positions"])
def test_round_trip(turning_motion, codec, route):
    expected = upright(turning_motion)[1]
    encoded = codec.encode(turning_motion)
    decoded = codec.decode(encoded, route=route)
    assert decoded.fps == 20 and decoded.num_frames == expected.num_frames
    angle = roma.rotmat_geodesic_distance(decoded.rotations.double(), expected.rotations.double())
    limit = 5e-5 if codec is BY_VELOCITY else 1e-5  # 200 steps of rounded features
    assert (decoded.positions() - expected.positions()).abs().max() < limit
    assert (codec.positions(encoded) - expected.positions()).abs().max() < limit
    assert angle.max() < 1e-4


def test_the_two_recoveries_differ_where_velocities_do(turning_motion):
    encoded = CODEC.encode(turning_motion)
    encoded[:, CODEC.layout["root_velocity"]] = 0
    encoded[:, CODEC.layout["velocities"]] = 0
    encoded[:, CODEC.layout["heading_change"]] = torch.tensor([1.0, 0, 0, 1, 0, 0])
    direct, summed = CODEC.decode(encoded), BY_VELOCITY.decode(encoded)
    assert torch.allclose(direct.positions(), upright(turning_motion)[1].positions(), atol=1e-5)
    assert torch.allclose(summed.translation, summed.translation[:1].expand(summed.num_frames, 3), atol=1e-6)
    assert torch.allclose(summed.rotations[:, 0], direct.rotations[:1, 0].expand(summed.num_frames, 3, 3), atol=1e-5)
    assert torch.equal(summed.rotations[:, 1:], direct.rotations[:, 1:])
    still = BY_VELOCITY.positions(encoded)
    assert torch.equal(still, CODEC.positions(encoded)[:1].expand(still.shape))


@pytest.mark.parametrize("codec", [CODEC, BY_VELOCITY], ids=lambda codec: codec.name)
def test_batched_decoding_equals_single_and_losses_are_differentiable(turning_motion, codec):
    encoded = codec.encode(turning_motion)
    batch = torch.stack([encoded[:50], encoded[50:100]])
    assert torch.allclose(codec.positions(batch)[1], codec.positions(encoded[50:100]), atol=1e-6)
    assert torch.allclose(codec.rotations(batch)[0][1], codec.rotations(encoded[50:100])[0], atol=1e-6)
    predicted = (batch + 0.01 * torch.randn(batch.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    losses = reconstruction_losses(predicted, batch, torch.ones(2, 50).bool(), torch.ones(276), codec)
    assert set(KINEMATIC_LOSSES) <= set(losses)
    torch.stack(list(losses.values())).sum().backward()
    assert predicted.grad is not None and bool(torch.isfinite(predicted.grad).all())


def test_another_frame_rate_is_resampled():
    motion = synthesize("walk", seed=1, seconds=2)
    assert CODEC.encode(motion).shape[0] == motion.resample(20).num_frames - 1


@pytest.mark.parametrize(
    ("value", "message"),
    [(torch.zeros(4, 272), "shape"), (torch.zeros(0, 276), "shape"), (torch.full((4, 276), torch.nan), "finite")],
)
def test_bad_features_are_named(value, message):
    with pytest.raises(ValueError, match=f"features must.*{message}"):
        CODEC.decode(value)


def test_bad_motions_and_routes_are_named(turning_motion):
    with pytest.raises(ValueError, match="at least 2 frames at 20 per second for rot276, got 1"):
        CODEC.encode(turning_motion.slice(0, 2))
    tip = Skeleton(("root", "tip"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    with pytest.raises(ValueError, match="must use the SMPL22 joints, got 2"):
        CODEC.encode(Motion(torch.eye(3).repeat(3, 2, 1, 1), torch.zeros(3, 3), skeleton=tip))
    with pytest.raises(ValueError, match="route must be"):
        CODEC.decode(CODEC.encode(turning_motion), route="both")  # type: ignore[arg-type]
    assert turning_motion.skeleton is SMPL22


def test_a_window_is_what_the_cut_motion_would_give(turning_motion):
    rot276 = features.get("rot276")
    motion = turning_motion.resample(20)
    whole = rot276.encode(motion)
    for start, stop in ((0, 50), (37, 120), (150, len(whole))):
        expected = rot276.encode(motion.slice(start, stop + 1))
        assert torch.allclose(rot276.window(whole, start, stop), expected, atol=1e-5)
    # has no place in a world
    assert torch.equal(features.get("rot272").window(whole[:, :272], 3, 7), whole[3:7, :272])
