"""Kept frames and joints: they stay exactly, and nothing jumps where new motion begins or ends."""

import warnings

import numpy as np
import pytest
import torch

from motionmillion.features import get
from motionmillion.motion import Motion, rotation_y
from motionmillion.pipeline.dit.editing import GROUPS, check_span, free_features, joint_numbers, warn_of_slides
from motionmillion.skeleton import SMPL22

NAMES = SMPL22.names


def jumps(motion: Motion) -> torch.Tensor:
    """Mean second difference of the joints `[T]`, metres per frame squared, by the frame in the middle."""
    inside = motion.positions().diff(n=2, dim=0).norm(dim=-1).mean(-1)
    return torch.cat([inside[:1], inside, inside[-1:]])


def speeds(motion: Motion) -> torch.Tensor:
    """Mean step of the joints `[T - 1]`, metres."""
    return motion.positions().diff(dim=0).norm(dim=-1).mean(-1)


def seam_is_smooth(motion: Motion, frame: int, times: float = 2.0) -> bool:
    """Whether acceleration and speed around the first frame of a new stretch are at most `times` those elsewhere."""
    near = range(frame - 1, frame + 1)
    elsewhere = torch.tensor([abs(f - frame) > 12 for f in range(motion.num_frames)])
    acceleration, usual = jumps(motion), jumps(motion)[elsewhere].max()
    speed = speeds(motion)
    return bool(
        acceleration[list(near)].max() < times * usual and speed[frame - 1] < times * speed[elsewhere[1:]].max()
    )


def keeps(motion: Motion, other: Motion, frames) -> bool:
    """Whether two motions are the same, bit for bit, in these frames."""
    same = torch.equal(motion.rotations[frames], other.rotations[frames])
    return same and torch.equal(motion.translation[frames], other.translation[frames])


@pytest.fixture(scope="module")
def clip(smooth_pipeline) -> Motion:
    """Smooth motion of three seconds, turned, elsewhere and above the floor."""
    motion = smooth_pipeline("stand", seconds=3, seed=11)[0]
    turn = rotation_y(torch.tensor(2.0))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(
        rotations=rotations, translation=motion.translation @ turn.mT + torch.tensor([3.0, 0.1, -2.0])
    )


@pytest.mark.parametrize("options", [{}, {"transition": 1.0}, {"rounds": 3}, {"solver": "heun"}, {"smoothing": 1.0}])
def test_a_continuation_goes_on_without_a_jump(smooth_pipeline, clip, options):
    for seed in range(2):
        motion = smooth_pipeline("stand", seconds=2, prefix=clip, seed=seed, **options)[0]
        assert motion.num_frames == 100 and keeps(motion, clip, slice(0, 60))
        assert seam_is_smooth(motion, 60)


def test_without_what_is_known_there_is_a_jump(smooth_pipeline, clip):
    other = smooth_pipeline("stand", seconds=2, seed=1)[0]
    cut = Motion(
        torch.cat([clip.rotations, other.rotations]), torch.cat([clip.translation, other.translation]), fps=20
    )
    assert not seam_is_smooth(cut, 60)  # what the test measures can fail


def test_the_windows_of_a_long_motion_meet_without_a_jump(smooth_pipeline):
    motion = smooth_pipeline("stand", seconds=12, seed=5)[0]
    assert motion.num_frames == 240
    for frame in (87, 164):  # three windows of 87 frames, ten of them shared
        assert seam_is_smooth(motion, frame)


def test_a_timeline_has_no_seams(smooth_pipeline):
    motion = smooth_pipeline.timeline([("stand", 1.5), ("jump", 2.0)], seed=6)[0]
    assert motion.num_frames == 70 and seam_is_smooth(motion, 30)


@pytest.mark.parametrize("keep_place", [False, True])
def test_what_lies_between_two_motions(smooth_pipeline, clip, keep_place):
    end = smooth_pipeline("stand", seconds=1.5, seed=12)[0]
    if keep_place:  # near to where the start ends, a little aside
        here = clip.translation[-1] - end.translation[0] * torch.tensor([1.0, 0.0, 1.0])
        end = end.replace(rotations=clip.slice(30, 60).rotations, translation=end.translation + here.mul(1.01))
    motion = smooth_pipeline.inbetween("stand", clip, end, seconds=1.5, candidates=3, keep_place=keep_place, seed=2)
    assert motion.num_frames == 60 + 30 + 30
    assert keeps(motion, clip, slice(0, 60))
    assert torch.allclose(motion.rotations[90:, 1:], end.rotations[:, 1:], atol=1e-5)
    assert torch.allclose(motion.translation[90:, 1], end.translation[:, 1], atol=1e-4)
    if keep_place:
        assert torch.allclose(motion.translation[90:], end.translation, atol=1e-4)
        assert torch.allclose(motion.rotations[90:], end.rotations, atol=1e-4)
    assert seam_is_smooth(motion, 60, 3.0) and seam_is_smooth(motion, 90, 3.0)


def test_short_gaps_leave_both_ends_alone(smooth_pipeline, clip):
    motion = smooth_pipeline.inbetween("stand", clip, clip.mirror(), seconds=0.1, candidates=1)
    assert motion.num_frames == 122 and keeps(motion, clip, slice(0, 60))
    assert torch.allclose(motion.rotations[62:, 1:], clip.mirror().rotations[:, 1:], atol=1e-5)


def test_edited_frames_change_and_the_others_stay(smooth_pipeline, clip):
    motion = smooth_pipeline.edit(clip, "jump", frames=(20, 45), seed=3)
    outside = [*range(20), *range(45, 60)]
    assert keeps(motion, clip, outside) and motion.caption == "jump"
    assert not torch.allclose(motion.rotations[32], clip.rotations[32], atol=0.02)
    assert seam_is_smooth(motion, 20) and seam_is_smooth(motion, 45)
    again = smooth_pipeline.edit(clip, "jump", frames=(20, 45), seed=3)
    assert keeps(again, motion, slice(0, 60))
    assert not keeps(smooth_pipeline.edit(clip, "jump", frames=(20, 45), seed=4), motion, slice(20, 45))


def test_what_follows_an_edit_moves_along_if_it_may(smooth_pipeline, clip):
    motion = smooth_pipeline.edit(clip, "jump", frames=(20, 45), seed=3, keep_place=False)
    assert motion.num_frames == 60 and keeps(motion, clip, slice(0, 20)) and motion.caption == "jump"
    assert torch.allclose(motion.rotations[45:, 1:], clip.rotations[45:, 1:], atol=1e-5)  # the poses are kept
    assert torch.allclose(motion.translation[45:, 1], clip.translation[45:, 1], atol=1e-4)
    assert not torch.allclose(motion.translation[45:], clip.translation[45:], atol=0.01)
    both = [clip.slice(0, 20), clip.slice(45, 60)]
    between = smooth_pipeline.inbetween("jump", *both, 25 / 20, candidates=1, seed=3)
    assert keeps(motion, between, slice(0, 60))


def test_new_frames_that_slide_to_the_kept_ones_are_warned_of(smooth_pipeline, clip):
    walk = clip.replace(translation=clip.translation + torch.linspace(0, 3, 60)[:, None] * torch.tensor([0.0, 0, 1]))
    stays = walk.translation.clone()
    stays[20:40] = stays[20]  # somebody stops for a second, and is to be on within a quarter of one
    stays[40:45] = torch.lerp(stays[40], walk.translation[45], torch.arange(5)[:, None] / 5)
    with pytest.warns(UserWarning, match="the new frames slide at up to .* m/s .* keep_place=False moves those"):
        warn_of_slides(walk.replace(translation=stays), walk, (20, 45))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_slides(walk, walk, (20, 45))
        smooth_pipeline.edit(clip, "jump", frames=(20, 45))


@pytest.mark.parametrize("angle", [1.6, 3.1])
def test_an_edit_arrives_where_the_rest_is_turned_round(smooth_pipeline, angle):
    clip = smooth_pipeline("stand", seconds=4, seed=11)[0]
    rotations = clip.rotations.clone()
    rotations[50:, 0] = rotation_y(torch.tensor(angle)) @ rotations[50:, 0]
    turned = clip.replace(rotations=rotations)
    motion = smooth_pipeline.edit(turned, "turn", frames=(20, 50), seed=1)
    assert keeps(motion, turned, [*range(20), *range(50, 80)])
    inside = jumps(motion)[15:55]
    assert float(inside.max()) < 4 * float(jumps(clip).max())  # with a tear 20 to 50 times


@pytest.mark.parametrize("frames", [(0, 30), (30, 60), (59, 60)])
def test_edits_may_reach_an_end(smooth_pipeline, clip, frames):
    motion = smooth_pipeline.edit(clip, "jump", frames=frames)
    kept = [frame for frame in range(60) if not frames[0] <= frame < frames[1]]
    assert keeps(motion, clip, kept) and not keeps(motion, clip, slice(*frames))
    border = frames[0] or frames[1]
    assert seam_is_smooth(motion, border)


def test_edited_joints_change_and_the_others_stay(smooth_pipeline, clip):
    arm = joint_numbers(["left_arm"])
    motion = smooth_pipeline.edit(clip, "wave", joints="left_arm", frames=(10, 50))
    others = [joint for joint in range(22) if joint not in arm]
    assert torch.equal(motion.rotations[:, others], clip.rotations[:, others])
    assert torch.equal(motion.translation, clip.translation)
    assert torch.equal(motion.rotations[:10], clip.rotations[:10])
    assert not torch.allclose(motion.rotations[10:50, arm], clip.rotations[10:50, arm], atol=0.02)
    assert seam_is_smooth(motion, 10) and seam_is_smooth(motion, 50)
    legs = smooth_pipeline.edit(clip, "run", joints=["pelvis", "left_leg"])
    assert not torch.allclose(legs.translation, clip.translation, atol=0.02)
    assert torch.equal(legs.rotations[:, arm], clip.rotations[:, arm])


def test_a_little_strength_changes_little(smooth_pipeline, clip):
    ways = [smooth_pipeline.edit(clip, "jump", frames=(10, 50), strength=s) for s in (0.05, 1.0)]
    changes = [float((way.rotations - clip.rotations).abs().mean()) for way in ways]
    assert changes[0] < 0.3 * changes[1]
    assert all(keeps(way, clip, slice(0, 10)) for way in ways)


def test_long_edits_are_made_of_windows(smooth_pipeline):
    motion = smooth_pipeline("stand", seconds=15, seed=8)[0]
    found = smooth_pipeline.edit(motion, "jump", frames=(20, 280))
    assert keeps(found, motion, [*range(20), *range(280, 300)])
    changed = (found.rotations - motion.rotations).abs().flatten(1).mean(1)[25:275]
    assert float(changed.min()) > 0.005
    assert all(seam_is_smooth(found, frame) for frame in (20, 280))
    whole = smooth_pipeline.edit(motion, "jump", joints=["left_arm"])
    assert torch.equal(
        whole.rotations[:, : NAMES.index("left_collar")], motion.rotations[:, : NAMES.index("left_collar")]
    )


def test_frames_are_counted_in_the_motion_that_is_given(smooth_pipeline, clip):
    fast = clip.resample(60)
    assert check_span((60, 120), fast, clip) == (20, 40)
    assert check_span(None, fast, clip) == (0, 60)
    assert check_span((0, fast.num_frames), fast, clip) == (0, 60)
    assert check_span((1, 2), fast, clip) == (0, 1)
    assert check_span(np.array([60, 120]), fast, clip) == check_span(torch.tensor([60, 120]), fast, clip) == (20, 40)
    with pytest.warns(UserWarning, match="motion was resampled from 60 to 20 frames per second"):
        motion = smooth_pipeline.edit(fast, "jump", frames=(60, 120))
    assert motion.fps == 20 and keeps(motion, fast.resample(20), [*range(20), *range(40, 60)])


def test_what_is_free_in_the_features():
    rot276 = get("rot276")
    free = free_features(rot276, 10, (4, 8), joint_numbers(["left_elbow"]))
    blocks = rot276.layout.split(free)
    elbow, wrist = NAMES.index("left_elbow"), NAMES.index("left_wrist")
    assert blocks["rotations"][5].view(21, 6).all(1).nonzero().flatten().tolist() == [elbow - 1]
    assert blocks["positions"][5].view(22, 3).all(1).nonzero().flatten().tolist() == [wrist]
    assert not blocks["positions"][3].any() and blocks["velocities"][3].view(22, 3).any(1).nonzero().item() == wrist
    assert not free[:3].any() and not free[8].any()
    assert free[9].sum() == sum(rot276.layout.sizes[name] for name in rot276.ahead)  # nobody knows the next step
    everything = free_features(rot276, 10, (4, 8), joint_numbers(None))
    assert everything[4:8].all() and not everything[3][rot276.layout["translation"]].any()
    assert set(joint_numbers(list(GROUPS))) == set(range(22))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(), "frames or joints must be given, got neither"),
        (dict(frames=(5, 5)), "frames must be two increasing whole numbers within 0..60, got \\(5, 5\\)"),
        (dict(frames=(5, 61)), "frames must be two increasing whole numbers within 0..60"),
        (dict(frames=5), "frames must be two increasing whole numbers"),
        (dict(frames=(0.5, 2)), "frames must be two increasing whole numbers"),
        (dict(joints=["tail"]), "joints must be among left_arm, .* got 'tail'"),
        (dict(joints=["Left_Arms"]), "got 'Left_Arms'; did you mean 'left_arm'\\?"),
        (dict(frames=(5, 20), joints="head", keep_place=False), "keep_place must be True for an edit of joints"),
        (dict(frames=(0, 20), keep_place=False), "keep_place must be True unless frames are kept before and after"),
        (dict(frames=(5, 20), keep_place=1), "keep_place must be True or False, got 1"),
        (dict(joints=["left_arm,head"]), "got 'left_arm,head'; give each by itself, on the command line by repeating"),
        (
            dict(joints="head", max_seconds=3),
            "max_seconds must be left out of an edit, got 3; the motion already has one",
        ),
        (dict(joints="head", reference=2), "reference must be left out here, got 2; only a call takes it"),
        (dict(joints=[]), "joints must be a list of names, got \\[\\]"),
        (dict(frames=(1, 5), prompt=""), "prompt must say what the person does"),
        (dict(frames=(1, 5), prompt=["jump"]), "prompt must be one text"),
        (dict(frames=(1, 5), motion="walk.bvh"), "motion must be a Motion, got 'walk.bvh'"),
        (dict(frames=(1, 5), strength=2), "strength must be above 0 and at most 1"),
        (dict(frames=(1, 5), rounds=2, strength=0.5), "rounds must be 1 where strength"),
    ],
)
def test_bad_edits_are_named(smooth_pipeline, clip, change, message):
    with pytest.raises(ValueError, match=message):
        smooth_pipeline.edit(**{"motion": clip, "prompt": "jump", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(end=None), "end must be a Motion, got None"),
        (dict(prompt=["jump"]), "prompt must be one text"),
        (dict(seconds=None), "seconds must be a number"),
        (dict(seconds=4.1), "seconds must be at most 4 between two motions, got 4.1"),
        (dict(keep_place="y"), "keep_place must be True or False, got 'y'"),
        (dict(candidates=0), "candidates must be a whole number"),
        (dict(max_seconds=3), "max_seconds must be left out where seconds"),
    ],
)
def test_bad_gaps_are_named(smooth_pipeline, clip, change, message):
    with pytest.raises(ValueError, match=message):
        smooth_pipeline.inbetween(**{"prompt": "jump", "start": clip, "end": clip, "seconds": 1.0, **change})
