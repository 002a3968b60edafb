"""Windows around single events: where they lie, what they say, and that rare events come first."""

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.composition.composing import ComposeOptions, compose_clips
from motionmillion.data.composition.moments import LONGEST, SHORTEST, Moment, cut_moment, find_moments
from motionmillion.data.composition.settling import LONGEST as LONGEST_REST
from motionmillion.data.composition.settling import SHORTEST as SHORTEST_REST
from motionmillion.data.composition.settling import STILL_SPEED, find_stills
from motionmillion.data.describing import describe_motion
from motionmillion.data.synthetic.body import Pose
from motionmillion.motion import Motion


def raising(side: str, seconds: float = 10.0) -> MotionClip:
    """After five seconds one arm goes up, and stays up for two; the other one hangs."""
    frames = int(30 * seconds)
    angle = torch.full((frames,), 1.2)
    angle[150:165] = torch.linspace(1.2, -1.4, 15)
    angle[165:225] = -1.4
    angle[225:240] = torch.linspace(-1.4, 1.2, 15)
    pose = Pose(frames)
    pose.add_arm(side, lower=angle)
    pose.add_arm("left" if side == "right" else "right", lower=1.2)
    motion = Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(frames, 3))
    return MotionClip(f"raise_{side}", motion, ("a person waits for the bus",), sources=("watched",), category="daily")


@pytest.mark.parametrize("side", ["left", "right"])
def test_windows_hold_the_event_and_say_so(side):
    clip, generator = raising(side), torch.Generator().manual_seed(0)
    found = [found for found in find_moments(clip.motion, generator) if found.action.split()[0] in ("raise", "hold")]
    assert found
    for window in found:
        start, stop, end, action, settles = window
        assert settles and 0 <= start < 165 < end <= stop <= 300 and SHORTEST <= (stop - start) / 30 <= LONGEST + 0.1
        moment = cut_moment(clip, window, generator, wordings=5)
        assert isinstance(moment, MotionClip)
        assert moment.motion.num_frames == stop - start and moment.category == action
        assert moment.captions == moment.own_captions and 1 <= len(moment.captions) <= 5
        assert set(moment.captions) <= set(describe_motion(clip.motion.slice(start, stop)))
        other = "right" if side == "left" else "left"
        said = " ".join(moment.captions)
        assert side in said and other not in said and "bus" not in said
        assert moment.whole and not moment.ends


def test_moments_come_to_rest_where_a_clip_keeps_still(capsys):
    """Two arms that go down at the end of their windows, and a third clip that stands for two seconds."""
    clips = [raising("left"), raising("right"), _standing()]
    made = compose_clips(clips, ComposeOptions(moments=20.0, settle=1.0, describe=4), seed=0)[0][len(clips) :]
    settled = [clip for clip in made if clip.name.endswith("_settled")]
    assert settled
    for clip in settled:
        motion = clip.motion
        before = int(clip.name.split("-")[1].split("_")[0]) - int(clip.name.split("_")[2].split("-")[0])
        speed = motion.positions().diff(dim=0).norm(dim=-1).amax(dim=-1) * motion.fps
        assert SHORTEST_REST <= (motion.num_frames - before) / 30 <= LONGEST_REST + 0.1
        assert speed[-10:].max() < STILL_SPEED and speed.max() > 1.0
        assert set(clip.captions) <= set(describe_motion(motion)) and clip.sources[0] == "described"
    same = compose_clips(clips, ComposeOptions(moments=20.0, describe=4), seed=0)[0][len(clips) :]
    assert not any(clip.name.endswith("_settled") for clip in same) and len(same) == len(made)
    assert "to settle" not in capsys.readouterr().err


def test_without_a_fitting_rest_moments_stay_as_they_are(capsys):
    lying = _standing()
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    rotations = lying.motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    lying = lying.replace(motion=lying.motion.replace(rotations=rotations))
    restless = raising("left")
    sway = 0.1 * torch.sin(torch.arange(300) / 5)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    restless = restless.replace(motion=restless.motion.replace(translation=restless.motion.translation + sway))
    made, refused = compose_clips([restless, lying], ComposeOptions(moments=20.0, settle=1.0), seed=0)
    assert len(made) > 2 and not any(clip.name.endswith("_settled") for clip in made)
    assert refused == {"moments to settle, postures at the seam differ": len(made) - 2}


def test_travel_does_not_come_to_rest():
    walk = synthesize("walk", 0, seconds=12)
    assert not any(
        found.settles for found in find_moments(walk, torch.Generator().manual_seed(0)) if "walk" in found.action
    )


def test_stills_are_found_and_cut():
    motion = raising("left", seconds=12).motion
    stills = find_stills(motion)  # before the arm goes up, while it is up, and afterwards
    assert [still.num_frames for still in stills] == [round(30 * LONGEST_REST), 57, 118]
    assert find_stills(motion.slice(0, 20)) == [] and find_stills(synthesize("walk", 0, seconds=4)) == []


@pytest.mark.parametrize("share", [-0.1, 1.5, "half"])
def test_the_share_that_comes_to_rest_is_checked(share):
    with pytest.raises(ValueError, match="compose.settle must be in"):
        ComposeOptions(settle=share)


def _standing() -> MotionClip:
    motion = raising("left").motion.slice(0, 60)
    return MotionClip("stand", motion, ("a person stands",), sources=("watched",), category="daily")


def test_short_clips_of_one_event_need_no_window():
    clip = raising("left").motion.slice(140, 250)
    assert find_moments(clip, torch.Generator().manual_seed(0)) == []


def test_rare_events_come_first_and_each_is_taken_once(capsys):
    walking = [synthesize("walk", n, seconds=12) for n in range(6)]
    walks = [MotionClip(f"walk{n}", walk, ("walk",), sources=("label",)) for n, walk in enumerate(walking)]
    clips = [*walks, raising("left")]
    options = ComposeOptions(moments=0.6, describe=4)
    made = compose_clips(clips, options, seed=0)[0][len(clips) :]
    assert len(made) == round(0.6 * len(clips))
    assert any(clip.category.startswith("raise the ") for clip in made)
    assert all(set(clip.sources) == {"described"} and len(clip.captions) <= 4 for clip in made)
    assert f"{len(made)} moments" in capsys.readouterr().err
    every = compose_clips(clips, ComposeOptions(moments=100.0), seed=0)[0]
    names = [clip.name for clip in every]
    assert len(set(names)) == len(names) > len(clips) + 2
    again = compose_clips(clips, ComposeOptions(moments=100.0), seed=0)[0]
    assert [(clip.name, clip.captions) for clip in again] == [(clip.name, clip.captions) for clip in every]


def test_a_window_without_facts_is_refused_with_its_reason():
    clip = raising("left")
    frames = clip.motion.num_frames
    drift = torch.linspace(0, 2.6, frames)[:, None] * torch.tensor([[1.0, 0.0, 0.0]])
    wandering = clip.replace(motion=clip.motion.replace(translation=clip.motion.translation + drift).slice(0, 60))
    refused = cut_moment(wandering, Moment(0, 60, 60, "wait"), torch.Generator().manual_seed(0), 3)
    assert refused == "nothing to say about the window"
