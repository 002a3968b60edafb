"""Windows around single events: where they lie, what they say, and that rare events come first."""

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.composition.composing import ComposeOptions, compose_clips
from motionmillion.data.composition.moments import LONGEST, SHORTEST, cut_moment, find_moments
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
    found = [moment for moment in find_moments(clip.motion, generator) if moment[2].split()[0] in ("raise", "hold")]
    assert found
    for start, stop, action in found:
        assert 0 <= start < 165 < stop <= 300 and SHORTEST <= (stop - start) / 30 <= LONGEST + 0.1
        moment = cut_moment(clip, start, stop, action, generator, wordings=5)
        assert isinstance(moment, MotionClip)
        assert moment.motion.num_frames == stop - start and moment.category == action
        assert moment.captions == moment.own_captions and 1 <= len(moment.captions) <= 5
        assert set(moment.captions) <= set(describe_motion(clip.motion.slice(start, stop)))
        other = "right" if side == "left" else "left"
        said = " ".join(moment.captions)
        assert side in said and other not in said and "bus" not in said
        assert moment.whole and not moment.ends


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
    refused = cut_moment(wandering, 0, 60, "wait", torch.Generator().manual_seed(0), 3)
    assert refused == "nothing to say about the window"
