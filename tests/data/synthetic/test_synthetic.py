"""Synthetic motions: repeatable, on the floor, without sliding feet, and true to their captions."""

import math

import pytest
import torch

from motionmillion.data.synthetic.body import keyframes, smooth
from motionmillion.data.synthetic.clips import ACTIONS, synthesize, synthetic_clips
from motionmillion.motion import Motion, heading
from motionmillion.skeleton import SMPL22

SEEDS = range(12)
LEFT, RIGHT = SMPL22.index("left_foot"), SMPL22.index("right_foot")


def captioned(action: str, *words: str, without: tuple[str, ...] = ()) -> list[Motion]:
    """Motions of the first 60 seeds whose caption holds all words."""
    motions = (synthesize(action, seed, seconds=4) for seed in range(60))
    found = [m for m in motions if all(w in m.caption for w in words) and not any(w in m.caption for w in without)]
    assert found
    return found


def unwrapped_heading(motion: Motion) -> torch.Tensor:
    """Heading in radians `[T]`, without jumps at half a turn."""
    yaw = heading(motion.rotations[:, 0])
    step = torch.remainder(yaw.diff() + math.pi, math.tau) - math.pi
    return torch.cat([yaw[:1], yaw[0] + step.cumsum(0)])


@pytest.mark.parametrize("action", ACTIONS)
def test_same_seed_same_motion(action):
    first, again, other = (synthesize(action, seed) for seed in (5, 5, 6))
    assert torch.equal(first.rotations, again.rotations) and torch.equal(first.translation, again.translation)
    assert first.caption == again.caption
    assert first.rotations.shape != other.rotations.shape or not torch.equal(first.rotations, other.rotations)


def test_global_random_state_has_no_part():
    torch.manual_seed(0)
    first = synthesize("walk", 0)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(first.rotations, synthesize("walk", 0).rotations)
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("seconds, fps", [(2, 30), (4, 30), (4, 20), (10, 60)])
def test_length_is_as_asked(action, seconds, fps):
    motion = synthesize(action, 0, seconds=seconds, fps=fps)
    assert motion.num_frames == seconds * fps and motion.fps == fps
    assert 3 <= synthesize(action, 0).seconds <= 6


@pytest.mark.parametrize("action", ACTIONS)
def test_feet_stand_on_the_floor_and_do_not_slide(action):
    for seed in SEEDS:
        positions = synthesize(action, seed).positions()
        lowest = positions[..., 1].amin(1)
        assert lowest.min() > -1e-3
        if action != "jump":
            assert lowest.max() < 1e-3
        toes = positions[:, [LEFT, RIGHT]]
        planted = (toes[:-1, :, 1] < 0.005) & (toes[1:, :, 1] < 0.005)
        speed = (toes[1:] - toes[:-1])[..., [0, 2]].norm(dim=-1) * 30
        assert planted.any() and speed[planted].max() < 0.15


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_smooth_and_starts_upright_at_the_origin(action):
    for seed in SEEDS:
        motion = synthesize(action, seed)
        positions = motion.positions()
        assert (positions[2:] - 2 * positions[1:-1] + positions[:-2]).norm(dim=-1).max() < 0.15
        assert positions[0, 0, [0, 2]].norm() < 0.05 and 0.85 < positions[0, 0, 1] < 0.95
        assert abs(heading(motion.rotations[:1, 0])[0]) < 0.05
        hands = positions[0, [SMPL22.index("left_wrist"), SMPL22.index("right_wrist")]]
        assert (hands[:, 1] < positions[0, SMPL22.index("spine1"), 1] + 0.05).all()


def test_walk_goes_where_its_caption_says():
    for motion in captioned("walk", "straight"):
        path = motion.translation
        assert path[-1, 2] > 1.0 and path[:, 0].abs().max() < 0.1
        toes = motion.positions()[:, [LEFT, RIGHT], 2]
        ahead = (toes[:, 0] - toes[:, 1])[(toes[:, 0] - toes[:, 1]).abs() > 0.1]
        assert (ahead.sign().diff() != 0).sum() >= 2  # the legs alternate
    for motion in captioned("walk", "backward"):
        assert motion.translation[-1, 2] < -0.5
    for side, sign in (("left", 1), ("right", -1)):
        for motion in captioned("walk", side):
            assert sign * motion.translation[-1, 0] > 0.2 and sign * unwrapped_heading(motion)[-1] > 0.3
    slow, fast = (
        torch.tensor([m.translation[-1, 2] for m in captioned("walk", word, without=("back", "left", "right"))]).mean()
        for word in ("slow", "fast")
    )
    assert fast > 1.5 * slow


def test_arms_swing_against_the_legs():
    for motion in captioned("walk", "straight"):
        z = motion.positions()[..., 2] - motion.translation[:, None, 2]
        for side, other in (("left", "right"), ("right", "left")):
            hand, foot = z[:, SMPL22.index(f"{side}_wrist")], z[:, SMPL22.index(f"{other}_foot")]
            assert torch.corrcoef(torch.stack([hand, foot]))[0, 1] > 0.5


@pytest.mark.parametrize("side, sign", [("left", 1), ("right", -1)])
@pytest.mark.parametrize("words, degrees", [("by 45 degrees", 45), ("by 90 degrees", 90), ("half turn", 180)])
def test_turn_has_its_angle(side, sign, words, degrees):
    for motion in captioned("turn", side, words):
        assert math.degrees(unwrapped_heading(motion)[-1]) == pytest.approx(sign * degrees, abs=3)
        assert motion.translation[:, [0, 2]].norm(dim=-1).max() < 0.15


def test_wave_raises_the_named_hand():
    head = SMPL22.index("neck")
    for words, raised in (("left", {"left"}), ("right", {"right"}), ("both", {"left", "right"})):
        for motion in captioned("wave", words):
            positions = motion.positions()
            for side in ("left", "right"):
                above = positions[:, SMPL22.index(f"{side}_wrist"), 1] > positions[:, head, 1]
                assert bool(above.any()) == (side in raised)


def test_jump_leaves_the_floor_as_often_as_it_says():
    for words, count in (("once", 1), ("twice", 2)):
        for motion in captioned("jump", words):
            airborne = motion.positions()[..., 1].amin(1) > 0.05
            assert (airborne.int().diff() == 1).sum() == count
    assert all(m.translation[-1, 2] > 0.25 for m in captioned("jump", "forward"))
    assert all(m.translation[-1, 2] < 0.05 for m in captioned("jump", without=("forward",)))


def test_squat_goes_down_as_often_as_it_says():
    for words, count in (("once", 1), ("twice", 2)):
        for motion in captioned("squat", words):
            down = motion.translation[:, 1] < 0.8
            assert (down.int().diff() == 1).sum() == count


def test_clips_have_captions_and_splits_by_subject():
    clips = synthetic_clips(40, seed=3)
    assert len({clip.name for clip in clips}) == 40
    assert {clip.category for clip in clips} == set(ACTIONS)
    assert {clip.split for clip in clips[:10]} == {"train", "val", "test"}
    splits: dict[str, set[str]] = {}
    for clip in clips:
        splits.setdefault(clip.subject, set()).add(clip.split)
        assert len(set(clip.captions)) == 2 and clip.motion.caption == clip.captions[0]
    assert all(len(names) == 1 for names in splits.values())
    again = synthetic_clips(3, seed=3)
    assert all(torch.equal(a.motion.rotations, b.motion.rotations) for a, b in zip(clips, again, strict=False))
    assert not torch.equal(synthetic_clips(1, seed=4)[0].motion.translation[:60], clips[0].motion.translation[:60])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"action": "fly", "seed": 0}, "action must be one of"),
        ({"action": "walk", "seed": 0, "seconds": 1}, "seconds must be at least 2, got 1"),
        ({"action": "walk", "seed": 0, "seconds": math.nan}, "seconds must be at least 2, got nan"),
        ({"action": "walk", "seed": 0, "fps": 0}, "fps must be a positive number, got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthesize(**arguments)


def test_count_must_be_positive():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        synthetic_clips(0, seed=0)


def test_keyframes_pass_through_values_and_slopes():
    time = torch.tensor([-1.0, 0.0, 1.0, 3.0, 9.0], dtype=torch.float64)
    torch.testing.assert_close(
        keyframes(time, [(0, 2), (1, 5, 1.5), (3, 4)]), torch.tensor([2.0, 2, 5, 4, 4]).double()
    )
    near = keyframes(torch.tensor([0.999, 1.001], dtype=torch.float64), [(0, 2), (1, 5, 1.5), (3, 4)])
    assert float(near.diff()) / 0.002 == pytest.approx(1.5, abs=0.02)


def test_smooth_keeps_constants_and_the_mean_of_a_spike():
    assert torch.allclose(smooth(torch.full((20, 2), 3.0).double(), 2.0), torch.tensor(3.0).double())
    spike = torch.zeros(41, dtype=torch.float64)
    spike[20] = 1
    assert float(smooth(spike, 2.0).sum()) == pytest.approx(1) and float(smooth(spike, 2.0).max()) < 0.3
