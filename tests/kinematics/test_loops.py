"""Loops: smooth across the seam, feet held, the next cycle where the report says; and motions that have none."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.kinematics.contacts import FEET, find_contacts
from motionmillion.kinematics.loops import LoopOptions, closed_loop, find_loop
from motionmillion.motion import Motion, rotation_y

REAL = Path(__file__).parents[3] / "shared" / "data" / "cmu_text_motion"


def slip(motion: Motion) -> float:
    """Mean speed along the floor of the parts of feet that touch it, metres per second."""
    contacts = find_contacts(motion.positions(), motion.fps)
    feet = motion.positions().numpy()[:, FEET][..., [0, 2]]
    both = contacts[1:] & contacts[:-1]
    return float((np.linalg.norm(np.diff(feet, axis=0), axis=-1) * motion.fps)[both].mean())


def accelerations(motion: Motion) -> torch.Tensor:
    """Largest acceleration of a joint in each inner frame `[T - 2]`."""
    return motion.positions().double().diff(n=2, dim=0).norm(dim=-1).amax(-1) * motion.fps**2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("action", ["walk", "turn", "wave", "jump"])
def test_the_seam_is_as_smooth_as_the_rest(action: str, seed: int):
    loop = find_loop(synthesize(action, seed=seed, seconds=4))
    frames = loop.motion.num_frames
    # measured on three cycles in a row, apart from the loop's own report
    around = accelerations(loop.repeated(3))
    seam = float(torch.cat([around[[frames * k - 2, frames * k - 1]] for k in (1, 2)]).max())
    inside = float(around[frames : 2 * frames - 2].max())
    assert seam <= inside
    assert seam == pytest.approx(loop.seam_acceleration, rel=0.02, abs=0.5)
    assert inside == pytest.approx(loop.inside_acceleration, rel=0.02, abs=0.5)


def test_a_cut_without_inertialization_would_jump():
    walk = synthesize("walk", seed=1, seconds=4)
    loop = find_loop(walk)
    # half a step later: poses differ, and still nothing jumps
    worse = closed_loop(walk, loop.start, loop.stop + 4)
    cut = walk.slice(worse.start, worse.stop)
    step = walk.translation[worse.stop] - walk.translation[worse.start]
    raw = Motion.join([cut, cut.replace(translation=cut.translation + step * torch.tensor([1.0, 0.0, 1.0]))])
    jump = float(accelerations(raw)[cut.num_frames - 2 : cut.num_frames].max())
    assert worse.seam_acceleration < 0.6 * jump


def test_walks_of_the_bundled_model(text_encoder):
    from motionmillion.pipeline import MotionPipeline

    pipe = MotionPipeline.from_pretrained("mini")
    for walk in pipe.sample(["a person walks forward", "a person walks", "a person runs forward"], [0, 1, 2], 5.0):
        loop = find_loop(walk)
        assert loop.speed > 0.5 and loop.seam_acceleration <= loop.inside_acceleration
        assert slip(loop.repeated(3)) < 0.5 * slip(walk.slice(loop.start, loop.stop))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real clips of shared/data/cmu_text_motion")
def test_real_walks():
    reader = ClipReader(REAL)
    walks = [record for record in list_clips(REAL, ["val", "test"]) if record.category in ("walk", "run")]
    for record in walks[:: len(walks) // 12]:
        loop = find_loop(reader(record).motion)
        assert loop.seam_acceleration <= loop.inside_acceleration, record.name


def test_cycles_follow_each_other_by_the_reported_transform():
    loop = find_loop(synthesize("walk", seed=0, seconds=4))
    assert abs(loop.turn) > 0.1  # this walk goes in a circle
    three, frames = loop.repeated(3), loop.motion.num_frames
    assert torch.equal(three.slice(0, frames).rotations, loop.motion.rotations)
    there = three.translation[frames] - three.translation[0]
    assert there[[0, 2]].tolist() == pytest.approx(loop.displacement, abs=1e-5) and abs(float(there[1])) < 1e-6
    turned = rotation_y(torch.tensor(loop.turn)) @ three.rotations[:frames, 0]
    assert torch.allclose(three.rotations[frames : 2 * frames, 0], turned, atol=1e-5)
    # rigidly: distances between joints of two frames stay
    first, second = (
        three.positions()[start : start + frames] - three.translation[start, None] for start in (0, frames)
    )
    assert torch.allclose(second, first @ rotation_y(torch.tensor(loop.turn)).mT, atol=1e-4)
    assert loop.closed.num_frames == frames + 1
    assert torch.allclose(loop.closed.rotations[-1, 1:], loop.motion.rotations[0, 1:], atol=1e-6)


def test_speed_is_that_of_the_arc():
    loop = find_loop(synthesize("walk", seed=0, seconds=4))
    many = loop.repeated(4)
    steps = many.translation[:: loop.motion.num_frames][:, [0, 2]]
    chord = float((steps[1] - steps[0]).norm()) / loop.seconds
    assert chord < loop.speed < 1.05 * chord


def test_a_loop_that_goes_straight_on():
    loop = find_loop(synthesize("walk", seed=0, seconds=4), LoopOptions(straight=True))
    assert loop.turn == pytest.approx(0.0, abs=1e-5)
    assert loop.seam_acceleration <= loop.inside_acceleration


def test_a_rest_stays_where_it_is():
    loop = find_loop(synthesize("wave", seed=0, seconds=4))
    assert loop.displacement == (0.0, 0.0) and loop.turn == 0.0 and loop.speed == 0.0


def test_movement_is_preferred_to_rest():
    """A person who stands, then walks: the loop is in the walk."""
    walk = synthesize("walk", seed=1, seconds=4)
    rest = walk.slice(0, 1)
    long_rest = Motion.join([rest] * 90 + [walk])
    loop = find_loop(long_rest)
    assert loop.start >= 90 and loop.speed > 1.0


def test_length_of_the_cycle():
    walk = synthesize("walk", seed=1, seconds=5)
    short, long = (find_loop(walk, LoopOptions(a, b)) for a, b in ((0.5, 1.2), (1.5, None)))
    assert short.seconds <= 1.2 and long.seconds >= 1.5
    fast = find_loop(walk.resample(120), LoopOptions(max_seconds=1.2))
    assert fast.seconds == pytest.approx(short.seconds, abs=0.04)


def test_loop_of_a_motion_is_that_of_the_report():
    walk = synthesize("walk", seed=1, seconds=4)
    loop = find_loop(walk)
    assert torch.equal(walk.loop().translation, loop.motion.translation)
    assert walk.loop(closed=True).num_frames == loop.motion.num_frames + 1
    # nothing is changed away from the seam and the feet
    plain = find_loop(walk, LoopOptions(feet=False, fade=0.1))
    middle = plain.motion.num_frames // 2
    assert torch.allclose(plain.motion.rotations[middle], walk.rotations[plain.start + middle], atol=1e-5)


def test_motions_without_a_loop():
    walk = synthesize("walk", seed=1, seconds=4)
    # a body that falls over does not come back
    angle = torch.linspace(0, math.pi / 2, 30)
    rotations = walk.rotations[:1].repeat(30, 1, 1, 1)
    rotations[:, 0] = torch.stack(
        [
            torch.stack([torch.ones(30), torch.zeros(30), torch.zeros(30)], -1),
            torch.stack([torch.zeros(30), angle.cos(), -angle.sin()], -1),
            torch.stack([torch.zeros(30), angle.sin(), angle.cos()], -1),
        ],
        1,
    )
    falling = Motion(rotations, torch.stack([torch.zeros(30), 1 - angle / 2, torch.zeros(30)], 1))
    with pytest.raises(ValueError, match=r"motion must have two like frames at least 0\.5 s apart .* at best"):
        falling.loop()
    with pytest.raises(ValueError, match="motion must be longer than min_seconds"):
        walk.slice(0, 10).loop()
    with pytest.raises(ValueError, match="start and stop must be frames in 1..118"):
        closed_loop(walk, 0, 40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_seconds": 0}, "min_seconds must be positive"),
        ({"fade": math.nan}, "fade must be positive"),
        ({"max_seconds": 0.2}, "max_seconds must be at least min_seconds, 0.5"),
        ({"feet": 1}, "feet must be True or False"),
    ],
)
def test_wrong_options(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        LoopOptions(**options)
