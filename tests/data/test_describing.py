"""Measured captions: true of made-up motions, the same for the same motion however it lies, and the command."""

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from motionmillion.data import MotionClip, load_clips, synthesize
from motionmillion.data.augment import mirror_caption
from motionmillion.data.describing import describe_clip, describe_motion, measure_facts
from motionmillion.data.describing.facts import (
    Balance,
    Bend,
    HandRaise,
    Jump,
    Kick,
    PostureChange,
    Squat,
    Stop,
    Travel,
    Turn,
    Wave,
)
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.describing.timeline import smooth, spans, turning_points
from motionmillion.data.describing.words import command, finite, participle, times
from motionmillion.data.synthetic.body import Pose
from motionmillion.data.synthetic.clips import ACTIONS
from motionmillion.kinematics.joining import go_on, joined
from motionmillion.motion import Motion, rotation_y
from motionmillion.skeleton import SMPL22, Skeleton

MOTIONS = [synthesize(action, seed, seconds=4) for action in ACTIONS for seed in range(2)]


def standing(frames: int = 90, **arms: float) -> Motion:
    """A body that stands; `left` and `right` lower the arms by so many radians below the T-pose."""
    pose = Pose(frames)
    for side in ("left", "right"):
        pose.add_arm(side, lower=arms.get(side, 1.2))
    return Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(frames, 3))


def raising(side: str) -> Motion:
    """One arm goes from hanging to pointing up, the other hangs."""
    pose = Pose(120)
    pose.add_arm(
        side, lower=torch.cat([torch.full((40,), 1.2), torch.linspace(1.2, -1.4, 20), torch.full((60,), -1.4)])
    )
    pose.add_arm("left" if side == "right" else "right", lower=1.2)
    return Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(120, 3))


def reversed_in_time(motion: Motion) -> Motion:
    return motion.replace(rotations=motion.rotations.flip(0), translation=motion.translation.flip(0))


def moved(motion: Motion) -> Motion:
    """The motion somewhere else, at another height, facing another way."""
    turn = rotation_y(torch.tensor(2.2))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(
        rotations=rotations, translation=motion.translation @ turn.mT + torch.tensor([3.0, 0.7, -5.0])
    )


@functools.cache
def synthetic(action: str) -> list[Motion]:
    return [synthesize(action, seed, seconds=4) for seed in range(24)]


def captioned(action: str, *words: str) -> list[Motion]:
    found = [motion for motion in synthetic(action) if all(word in motion.caption for word in words)]
    assert found
    return found[:4]


def plain(facts) -> list[str]:
    """Kinds of events and what they say, without times and lengths."""
    found = []
    for event in facts.events:
        values = {k: v for k, v in vars(event).items() if k not in ("start", "end", "distance", "angle")}
        found.append(f"{type(event).__name__} {values}")
    return sorted(found)


@pytest.mark.parametrize(
    ("word", "direction"), [("forward", "forward"), ("straight", "forward"), ("backward", "backward")]
)
def test_a_walk_goes_where_its_caption_says(word, direction):
    for motion in captioned("walk", word):
        travels = measure_facts(motion).of(Travel)
        assert {travel.direction for travel in travels} == {direction}
        assert {travel.gait for travel in travels} == {"walk"}


def test_a_walk_that_ends_in_stillness_stops_and_a_walk_that_is_cut_does_not():
    walk = captioned("walk", "forward")[0]
    still = walk.slice(walk.num_frames - 1, walk.num_frames).replace(caption="")
    stops = go_on(walk, joined([still] * 60))
    (stop,) = measure_facts(stops).of(Stop)
    assert abs(stop.start - walk.seconds) < 1.0 and stop.end == pytest.approx(stops.seconds, abs=0.1)
    said = describe_motion(stops)
    assert any(text.endswith(("stops", "comes to a stop", "stands still")) for text in said)
    assert "stop" not in said and any("stop" not in text for text in said)
    for other in (walk, stops.slice(0, walk.num_frames + 3), joined([still] * 60)):
        assert not measure_facts(other).of(Stop)


@pytest.mark.parametrize("side", ["left", "right"])
def test_sides_are_those_of_the_captions(side):
    for motion in captioned("walk", f"curve to the {side}"):
        assert {travel.curve for travel in measure_facts(motion).of(Travel)} == {side}
    for motion in captioned("turn", side, "degrees"):
        turns = measure_facts(motion).of(Turn)
        assert [turn.side for turn in turns] == [side]
        assert turns[0].angle == pytest.approx(next(int(w) for w in motion.caption.split() if w.isdigit()), abs=12)
        assert turns[0].moving is False
    for motion in captioned("wave", f"the {side} hand"):
        assert {wave.side for wave in measure_facts(motion).of(Wave)} <= {side}
    assert any(measure_facts(motion).of(Wave) for motion in captioned("wave", f"the {side} hand"))


def test_somebody_who_goes_round_and_round_spins():
    assert phrases(Turn(0.0, 3.0, "left", 700.0, None, None))[0] == "[spin] to the left"
    assert phrases(Turn(0.0, 3.0, "left", 355.0, 360, None))[0] == "[turn] in a full circle to the left"
    assert phrases(Turn(0.0, 3.0, "left", 235.0, None, None)) == ["[turn] around to the left", "[turn] around"]
    assert phrases(Turn(0.0, 3.0, "left", 120.0, None, None)) == ["[turn] to the left", "[turn] left"]


@pytest.mark.parametrize(("words", "count"), [("twice", 2), ("once", 1)])
def test_jumps_are_counted(words, count):
    for motion in captioned("jump", words):
        assert [jump.count for jump in measure_facts(motion).of(Jump)] == [count]
    for motion in captioned("jump", "forward"):
        assert {jump.direction for jump in measure_facts(motion).of(Jump)} <= {"forward", None}


def test_squats_are_counted_and_deep_or_not():
    for motion in captioned("squat", "twice"):
        assert [squat.count for squat in measure_facts(motion).of(Squat)] == [2]
    assert all(squat.deep is not False for m in captioned("squat", "deep") for squat in measure_facts(m).of(Squat))
    assert all(squat.deep is not True for m in captioned("squat", "half") for squat in measure_facts(m).of(Squat))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_raised_hand_has_a_side_and_a_height(side):
    raises = measure_facts(raising(side)).of(HandRaise)
    assert [(event.side, event.level, event.begun) for event in raises] == [(side, "above the head", True)]
    sentences = describe_motion(raising(side))
    assert f"raise the {side} hand" in sentences
    assert not any(mirror_caption(side) in sentence for sentence in sentences)


@pytest.mark.parametrize("side", ["left", "right"])
def test_standing_on_one_foot_has_a_side_and_takes_a_second(side):
    def on_one_foot(frames: int) -> Motion:
        other = "right" if side == "left" else "left"
        pose = Pose(frames)
        pose.add(f"{other}_hip", pitch=-0.6)
        pose.add(f"{other}_knee", pitch=1.2)
        for each in ("left", "right"):
            pose.add_arm(each, lower=1.2)
        return Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(frames, 3))

    assert [event.side for event in measure_facts(on_one_foot(75)).of(Balance)] == [side]
    assert f"stand on the {side} foot" in describe_motion(on_one_foot(75))
    assert not measure_facts(on_one_foot(24)).of(Balance) and not measure_facts(standing()).of(Balance)


def test_what_is_too_small_to_be_told_is_measured_on_request():
    jump = captioned("jump", "once")[0]
    assert measure_facts(jump, unclear=True).unclear == ()  # it is clear
    assert measure_facts(standing(), unclear=True).unclear == ()
    slow = jump.replace(fps=jump.fps * 0.7)  # falls too slowly for a jump
    facts = measure_facts(slow, unclear=True)
    assert not facts.of(Jump) and any(isinstance(event, Jump) for event in facts.unclear)
    assert measure_facts(slow).unclear == ()


def kicking(hip: float, knee: float) -> Motion:
    """The left leg swings forward in a quarter of a second and back."""
    swing = torch.cat([torch.zeros(40), torch.linspace(0, 1, 8), torch.linspace(1, 0, 15), torch.zeros(40)])
    pose = Pose(len(swing))
    pose.add("left_hip", pitch=-hip * swing)
    pose.add("left_knee", pitch=knee * swing)
    for side in ("left", "right"):
        pose.add_arm(side, lower=1.2)
    return Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(len(swing), 3))


def test_a_low_kick_with_a_bent_knee_is_unclear():
    clear, low = (measure_facts(kicking(*angles), unclear=True) for angles in ((1.5, 0.1), (1.2, 0.7)))
    assert [event.side for event in clear.of(Kick)] == ["left"]
    assert not low.of(Kick) and [event.side for event in low.unclear if isinstance(event, Kick)] == ["left"]
    step = measure_facts(kicking(0.4, 0.6), unclear=True)
    assert not any(isinstance(event, Kick) for event in (*step.events, *step.unclear))


def test_a_small_wave_is_unclear():
    waves = [motion for motion in synthetic("wave") if measure_facts(motion).of(Wave)]
    found = 0
    for motion in waves[:6]:
        mean = roma.special_procrustes(motion.rotations.mean(0, keepdim=True)).expand_as(motion.rotations)
        soft = motion.replace(rotations=roma.rotmat_slerp(mean, motion.rotations, torch.tensor(0.45)))
        facts = measure_facts(soft, unclear=True)
        found += not facts.of(Wave) and any(isinstance(event, Wave) for event in facts.unclear)
    assert found >= 2


def test_a_hand_that_goes_up_after_the_other_is_an_unclear_raise():
    pose = Pose(150)
    for side, start in (("left", 20), ("right", 80)):
        up = torch.linspace(1.2, -1.4, 20)
        pose.add_arm(side, lower=torch.cat([torch.full((start,), 1.2), up, torch.full((130 - start,), -1.4)]))
    facts = measure_facts(Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(150, 3)), unclear=True)
    assert "right" not in [event.side for event in facts.of(HandRaise)]
    later = [event for event in facts.unclear if isinstance(event, HandRaise)]
    assert [event.side for event in later] == ["right"] and later[0].start > 2


def test_a_walk_that_turns_all_the_time_is_an_unclear_curve():
    walk = next(
        m
        for m in synthetic("walk")
        if measure_facts(m).of(Travel)[:1] and measure_facts(m).of(Travel)[0].curve is None
    )
    frames, step = walk.num_frames, walk.translation.diff(dim=0)
    turn = rotation_y(torch.linspace(0, math.radians(300), frames))
    rotations = walk.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    path = torch.cat([walk.translation[:1], (turn[1:] @ step[..., None])[..., 0]]).cumsum(0)
    facts = measure_facts(walk.replace(rotations=rotations, translation=path), unclear=True)
    curves = [event.curve for event in (*facts.of(Travel), *facts.unclear) if isinstance(event, Travel)]
    assert "left" in curves and "right" not in curves


def test_restless_is_what_a_joint_does_for_more_than_a_moment():
    wave = measure_facts(synthetic("wave")[0]).restless
    twitch = standing().rotations.clone()
    twitch[40:43, SMPL22.index("left_elbow")] = rotation_y(torch.tensor(1.0))
    moment = measure_facts(standing().replace(rotations=twitch)).restless
    assert measure_facts(standing()).restless == pytest.approx(0, abs=0.01) and moment < 0.1 < wave


def test_a_body_that_keeps_still_stands_still():
    facts = measure_facts(standing())
    assert facts.still and facts.start == facts.end == "standing" and facts.events == ()
    assert "a person stands still" in describe_motion(standing())


def test_lying_down_and_on_which_side():
    frames = 120
    pose = Pose(frames)
    pitch = torch.cat([torch.zeros(40), torch.linspace(0, -math.pi / 2, 30), torch.full((50,), -math.pi / 2)])
    pose.add("pelvis", pitch=pitch)
    for side in ("left", "right"):
        pose.add_arm(side, lower=1.2)
    height = torch.cat([torch.full((40,), 0.92), torch.linspace(0.92, 0.1, 30), torch.full((50,), 0.1)])
    path = torch.stack([torch.zeros(frames), height, torch.zeros(frames)], dim=-1)
    facts = measure_facts(Motion(pose.rotations(), path))
    assert (facts.start, facts.end, facts.end_facing) == ("standing", "lying", "back")
    assert [(change.before, change.after) for change in facts.of(PostureChange)] == [("standing", "lying")]


def _bowing(*angles: tuple[float, float, int]) -> Motion:
    """A body whose spine pitches from one angle to another in so many frames, one after the other."""
    pitch = torch.cat([torch.linspace(start, end, frames) for start, end, frames in angles])
    pose = Pose(len(pitch))
    pose.add_spine(pitch=pitch)
    for side in ("left", "right"):
        pose.add_arm(side, lower=1.2)
    return Motion(pose.rotations(), torch.tensor([[0.0, 0.92, 0.0]]).expand(len(pitch), 3))


def test_a_body_that_is_bent_from_the_beginning_straightens_up_or_stays_bent():
    bent = 2.2  # over three joints; the line from pelvis to neck pitches by 73 degrees
    whole = measure_facts(_bowing((0, 0, 20), (0, bent, 20), (bent, bent, 20), (bent, 0, 20), (0, 0, 30)))
    assert [(bend.begun, bend.straightens) for bend in whole.of(Bend)] == [(True, True)]
    rises = _bowing((bent, bent, 30), (bent, 0, 20), (0, 0, 30))
    assert [(bend.begun, bend.straightens) for bend in measure_facts(rises).of(Bend)] == [(False, True)]
    assert "straighten up" in describe_motion(rises)
    stays = _bowing((bent, bent, 90))
    assert [(bend.begun, bend.straightens) for bend in measure_facts(stays).of(Bend)] == [(False, False)]
    assert "stay bent forward" in describe_motion(stays) and not any("straighten" in s for s in describe_motion(stays))


def _lowered(frames: int, still: int) -> Motion:
    """A body that stands for some frames, then lies down on its back and stays there."""
    fall = 20
    pitch = torch.cat([torch.zeros(still), torch.linspace(0, -math.pi / 2, fall)])
    height = torch.cat([torch.full((still,), 0.92), torch.linspace(0.92, 0.1, fall)])
    rest = frames - len(pitch)
    pose = Pose(frames)
    pose.add("pelvis", pitch=torch.cat([pitch, pitch[-1:].expand(rest)]))
    height = torch.cat([height, height[-1:].expand(rest)])
    for side in ("left", "right"):
        pose.add_arm(side, lower=1.2)
    return Motion(pose.rotations(), torch.stack([torch.zeros(frames), height, torch.zeros(frames)], dim=-1))


def test_a_body_that_stands_only_for_a_moment_at_first_has_stood():
    changes = measure_facts(_lowered(120, still=5)).of(PostureChange)
    assert [(change.before, change.after) for change in changes] == [("standing", "lying")]
    assert "lie down" in describe_motion(_lowered(120, still=5))


def test_what_is_held_for_most_of_the_time_is_said_where_the_beginning_is_unclear():
    motion = _lowered(120, still=5).slice(14, 120)  # half way down already
    facts = measure_facts(motion)
    assert facts.start is None and facts.mostly == facts.end == "lying" and not facts.events
    assert describe_motion(motion) == ["a person lies", "someone ends up lying on the back"]
    assert describe_motion(_lowered(40, still=5).slice(14, 30)) == []


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda motion: motion.caption)
def test_mirroring_exchanges_the_sides_and_nothing_else(motion):
    mirrored = [mirror_caption(sentence) for sentence in describe_motion(motion)]
    assert sorted(describe_motion(motion.mirror())) == sorted(mirrored)
    assert plain(measure_facts(motion.mirror())) == sorted(
        mirror_caption(text) for text in plain(measure_facts(motion))
    )


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda motion: motion.caption)
def test_place_and_frame_rate_change_no_fact(motion):
    expected = plain(measure_facts(motion))
    assert plain(measure_facts(moved(motion))) == expected
    assert plain(measure_facts(motion.resample(60))) == expected


def test_a_forward_walk_played_backward_goes_backward():
    for motion in captioned("walk", "straight"):
        assert {travel.direction for travel in measure_facts(reversed_in_time(motion)).of(Travel)} == {"backward"}


def test_a_child_walks_like_an_adult():
    half = tuple(tuple(0.5 * value for value in offset) for offset in SMPL22.offsets)
    small = Skeleton(SMPL22.names, SMPL22.parents, half)  # type: ignore[arg-type]
    for motion in captioned("squat", "deep"):
        child = motion.replace(skeleton=small, translation=0.5 * motion.translation)
        assert plain(measure_facts(child)) == plain(measure_facts(motion))


def test_sentences_are_simple_many_and_different():
    for motion in MOTIONS:
        sentences = describe_motion(motion)
        assert 3 <= len(sentences) == len(set(sentences))
        assert all(s == s.strip() and s[0].islower() and "[" not in s and not s.endswith(".") for s in sentences)


def test_draws_follow_the_generator_alone():
    motion = captioned("turn", "degrees")[0]
    fixed = describe_motion(motion)
    assert describe_motion(motion, count=2) == fixed[:2]
    first, again, other = (describe_motion(motion, torch.Generator().manual_seed(s), 3) for s in (1, 1, 2))
    assert first == again != other
    assert set(first) < set(fixed) and len(first) == 3


def test_a_clip_keeps_its_captions_and_gains_own_ones():
    clip = describe_clip(MotionClip("x", raising("left"), ("a teacher", "raise the left hand"), whole=False), count=3)
    assert clip.captions[:2] == ("a teacher", "raise the left hand")
    assert len(clip.captions) == len(set(clip.captions))
    assert "raise the left hand" in clip.own_captions and "a teacher" not in clip.own_captions


@pytest.mark.parametrize(
    ("motion", "count", "message"),
    [(standing(1), None, "at least 2 frames"), (standing(), 0, "count must")],
)
def test_what_cannot_be_described_is_an_error(motion, count, message):
    with pytest.raises(ValueError, match=message):
        describe_motion(motion, count=count)


def test_words_take_their_forms():
    assert finite("[wave] and [carry] and [do] a [push] and [stay]") == "waves and carries and does a pushes and stays"
    assert participle("[raise] and [run] and [lie] and [hold]") == "raising and running and lying and holding"
    assert command("[raise] it") == "raise it"
    assert [times(count) for count in (1, 2, 3, 12)] == ["once", "twice", "three times", "12 times"]


def test_timeline_helpers():
    assert spans(np.array([0, 1, 1, 0, 1, 0, 0, 1], dtype=bool), shortest=2, gap=1) == [(1, 5)]
    wave = np.sin(np.linspace(0, 4 * math.pi, 400))
    points = turning_points(wave, 0.5)
    assert points == [len(wave) - 1 - point for point in reversed(turning_points(-wave[::-1], 0.5))]
    assert turning_points(wave, 2.5) == []
    assert [round(float(wave[p])) for p in points] == [0, 1, -1, 1, -1, 0]
    line = np.linspace(0, 1, 30)
    assert np.allclose(smooth(line, 4), line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four motions: one with a caption, one in a subfolder, one of a single frame, one broken."""
    raising("left").save(tmp_path / "left.npz")
    raising("right").save(tmp_path / "who" / "right.bvh")
    (tmp_path / "left.txt").write_text("a teacher\n")
    standing(1).save(tmp_path / "single.npz")
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    return tmp_path


def test_the_command_writes_what_is_missing_and_names_what_fails(run, folder):
    code, out, err = run("data", "describe", folder)
    assert code == 0 and out == ""
    assert (folder / "left.txt").read_text() == "a teacher\n"
    assert "raise the right hand" in (folder / "who" / "right.txt").read_text().splitlines()
    assert "1 clips described" in err and "1 kept" in err and "2 could not be described" in err
    assert "single.npz: motion must have at least 2 frames" in err and "not described: broken.npz" in err
    assert {path.name for path in folder.glob("*")} == {"left.npz", "left.txt", "single.npz", "broken.npz", "who"}


def test_append_adds_each_sentence_once_and_overwrite_replaces(run, folder):
    for _ in range(2):
        assert run("data", "describe", folder, "--append")[0] == 0
    lines = (folder / "left.txt").read_text().splitlines()
    assert lines[0] == "a teacher" and "raise the left hand" in lines and len(lines) == len(set(lines))
    assert run("data", "describe", folder, "--overwrite", "--count", 2, "--seed", 3)[0] == 0
    drawn = (folder / "left.txt").read_text()
    assert len(drawn.splitlines()) == 2 and "a teacher" not in drawn
    assert run("data", "describe", folder, "--overwrite", "--count", 2, "--seed", 3)[0] == 0
    assert (folder / "left.txt").read_text() == drawn
    code, _, err = run("data", "describe", folder, "--overwrite", "--append")
    assert code == 2 and "append must come without overwrite" in err


def test_output_leaves_the_folder_alone(run, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("captions") / "new"
    assert run("data", "describe", folder, "-o", output)[0] == 0
    assert not (folder / "who" / "right.txt").exists() and (output / "who" / "right.txt").exists()
    assert not (output / "left.txt").exists()  # it has a caption


def test_a_motion_set_is_listed_anew(run, tmp_path):
    clips = [("a", raising("left"), []), ("b", raising("right"), [{"text": "a teacher", "source": "watched"}])]
    poses, trans, entries, start = [], [], [], [0]
    for name, motion, captions in clips:
        poses.append(roma.rotmat_to_rotvec(motion.rotations).numpy())
        trans.append(motion.translation.numpy())
        start.append(start[-1] + motion.num_frames)
        place = dict(clip=name, take=name, shard="motion-0.npz", start=0, end=motion.num_frames, split="train")
        entries.append({**place, "captions": captions, "part": "first"})
    arrays = dict(take=np.array(["a", "b"]), start=np.array(start))
    np.savez(tmp_path / "motion-0.npz", **arrays, poses=np.concatenate(poses), trans=np.concatenate(trans))
    (tmp_path / "skeleton.json").write_text('{"fps": 30}')
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    code, out, err = run("data", "describe", tmp_path, "--append")
    assert code == 0 and "2 clips described" in err
    first, second = map(json.loads, out.splitlines())
    assert {"text": "raise the left hand", "source": "measured"} in first["captions"]
    assert second["captions"][0] == {"text": "a teacher", "source": "watched"} and second["part"] == "first"
    new = tmp_path / "described.jsonl"
    assert run("data", "describe", tmp_path, "-o", new)[0] == 0
    assert json.loads(new.read_text().splitlines()[1])["captions"] == entries[1]["captions"]
    assert run("data", "describe", tmp_path, "-o", new)[0] == 2  # never over a file that is there
    new.rename(tmp_path / "clips.jsonl")
    assert "raise the left hand" in load_clips(tmp_path)[0].own_captions
