"""Clips joined, overlaid and reversed: motions go on, captions stay true and grammatical, refusals are named."""

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.composition import join_clips, load_opposites, overlay_clips, reverse_clip
from motionmillion.data.composition.grammar import base_form, gerund, parse_caption, third_person
from motionmillion.data.composition.reversal import Opposites
from motionmillion.data.composition.sequence import join_phrases
from motionmillion.motion import Motion


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip_of(action: str, *captions: str, seconds: float = 3, seed: int = 0, **changes) -> MotionClip:
    motion = synthesize(action, seed=seed, seconds=seconds).resample(30)
    return MotionClip(name=action, motion=motion, captions=captions, own_captions=captions, **changes)


WALK = clip_of("walk", "a person walks forward", "walk forward")
WAVE = clip_of("wave", "someone waves the right hand", "wave the right hand")


@pytest.mark.parametrize(
    "verb, third, ing",
    [("sit", "sits", "sitting"), ("carry", "carries", "carrying"), ("lie", "lies", "lying"),
     ("punch", "punches", "punching"),
     ("wave", "waves", "waving"), ("see", "sees", "seeing"), ("step", "steps", "stepping"), ("go", "goes", "going"),
     ("mimic", "mimics", "mimicking"), ("row", "rows", "rowing"), ("lean", "leans", "leaning"), ("be", "is", "being")],
)  # fmt: skip
def test_forms_of_verbs(verb, third, ing):
    assert (third_person(verb), gerund(verb), base_form(third)) == (third, ing, verb)


@pytest.mark.parametrize(
    "text, kind, verb",
    [
        ("a person walks forward", "sentence", "walk"),
        ("The old man slowly sits down.", "sentence", "sit"),
        ("facing left, she turns around", "sentence", "turn"),
        ("walk forward and stop", "command", "walk"),
        ("a slow walk to the left", "noun", ""),
        ("walking in a circle", "noun", ""),
    ],
)
def test_captions_are_told_apart(text, kind, verb):
    phrase = parse_caption(text)
    assert phrase is not None and (phrase.kind, phrase.verb) == (kind, verb)


@pytest.mark.parametrize(
    "text", ["", "driving pose loop", "golf swing", "like a cat", "a person with bent knees", "He sits. She runs."]
)
def test_other_captions_are_not_used(text):
    assert parse_caption(text) is None


def join_texts(*texts: str) -> set[str]:
    phrases = [parse_caption(text) for text in texts]
    assert all(phrases)
    return {join_phrases(phrases, seeded(seed)) for seed in range(60)}  # type: ignore[arg-type]


def test_captions_are_joined_in_words():
    assert join_texts("a person walks forward", "a person sits down") == {
        "a person walks forward, then sits down",
        "a person walks forward and then sits down",
        "a person walks forward before sitting down",
        "first a person walks forward, then sits down",
        "after walking forward, a person sits down",
    }
    assert "after walking forward, sit down" in join_texts("walk forward", "sit down")
    assert join_texts("a slow walk", "a jump") == {"a slow walk, then a jump", "a slow walk followed by a jump",
                                                   "first a slow walk, then a jump"}  # fmt: skip
    three = join_texts("a man walks", "someone turns left", "a person sits down")
    assert "first a man walks, then turns left, and finally sits down" in three
    several = join_texts("a person walks and then turns left", "a person sits down")
    assert several == {"a person walks and then turns left, then sits down",
                       "a person walks and then turns left, and after that sits down"}  # fmt: skip


@pytest.mark.parametrize(
    "texts",
    [
        ("a person walks forward", "sit down"),
        ("a person walks forward", "an old man sits down"),
        ("a man lowers his arm", "a woman raises her arm"),
        ("a person walks forward", "a person walks forward"),
        ("a person walks and then stands", "a person stands waving"),
    ],
)
def test_captions_that_do_not_go_together(texts):
    assert join_texts(*texts) == {""}


def test_joined_motion_goes_on():
    joined = join_clips([WALK, WAVE.replace(motion=WAVE.motion)], seeded())
    if isinstance(joined, str):  # synthetic poses differ: a clip always goes on with itself in place of it
        joined = join_clips([WALK, WALK.replace(name="again", own_captions=("a person walks on",))], seeded())
    assert isinstance(joined, MotionClip)
    first = WALK.motion
    assert torch.equal(joined.motion.rotations[: first.num_frames], first.rotations)
    steps = joined.motion.positions().diff(dim=0).norm(dim=-1).amax(1)
    seam = first.num_frames - 1
    assert steps[seam - 1 : seam + 3].max() < 3 * steps.median().clamp(min=0.02)
    assert joined.motion.caption == joined.captions[0] and joined.own_captions == joined.captions and joined.whole


def test_drawing_follows_the_generator():
    clips = [WAVE, WAVE.replace(own_captions=("a person nods", "nod"))]
    one, same, other = (join_clips(clips, seeded(seed), wordings=3) for seed in (0, 0, 5))
    assert isinstance(one, MotionClip) and isinstance(same, MotionClip) and isinstance(other, MotionClip)
    assert one.captions == same.captions != other.captions and len(one.captions) <= 3


def test_joining_names_reasons():
    assert join_clips([WALK, WALK.replace(captions=(), own_captions=())], seeded()) == "no caption of its own"
    assert join_clips([WALK, WALK.replace(own_captions=(), whole=False)], seeded()) == "no caption of its own"
    assert join_clips([WALK, WALK.replace(motion=WALK.motion.slice(0, 1))], seeded()) == "too few frames"
    assert join_clips([WALK, WALK.replace(split="test")], seeded()) == "splits differ"
    assert join_clips([WALK, WALK], seeded(), longest=4) == "too long"
    assert join_clips([WALK, WALK.replace(motion=lying(WALK.motion))], seeded()) == "postures at the seam differ"
    with pytest.raises(ValueError, match="clips must be two or three, got 1"):
        join_clips([WALK], seeded())
    with pytest.raises(ValueError, match="wordings must be at least 1, got 0"):
        join_clips([WALK, WALK], seeded(), wordings=0)


def lying(motion: Motion) -> Motion:
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(rotations=rotations, translation=motion.translation * torch.tensor([1.0, 0.15, 1.0]))


def test_overlay_takes_legs_and_path_from_one_and_arms_from_the_other():
    mixed = overlay_clips(WALK, WAVE, seeded())
    assert isinstance(mixed, MotionClip), mixed
    skeleton = mixed.motion.skeleton
    legs = [skeleton.index(name) for name in ("pelvis", "left_hip", "right_knee", "left_ankle")]
    assert torch.equal(mixed.motion.rotations[:, legs], WALK.motion.rotations[:, legs])
    assert torch.equal(mixed.motion.translation, WALK.motion.translation)
    arm, frame = skeleton.index("right_shoulder"), mixed.motion.num_frames // 2
    assert not torch.allclose(mixed.motion.rotations[frame, arm], WALK.motion.rotations[frame, arm], atol=0.05)
    assert set(mixed.captions) <= {
        "a person walks forward while waving the right hand",
        "a person waves the right hand while walking forward",
        "while waving the right hand, a person walks forward",
        "walk forward while waving the right hand",
        "wave the right hand while walking forward",
        "while waving the right hand, walk forward",
    }


def test_overlay_names_reasons():
    assert overlay_clips(WALK, WAVE.replace(captions=(), own_captions=()), seeded()) == "no caption of its own"
    kick = WAVE.replace(captions=(), own_captions=("a person kicks", "a person waves while jumping"))
    assert overlay_clips(WALK, kick, seeded()) == "no caption of arms alone"
    carry = WALK.replace(captions=(), own_captions=("a person walks carrying a box",))
    assert overlay_clips(carry, WAVE, seeded()) == "no caption of legs alone"
    floor = WALK.replace(motion=lying(WALK.motion))
    assert overlay_clips(floor, WAVE, seeded()) == "legs are not those of an upright body"
    assert overlay_clips(WALK, WAVE.replace(motion=floor.motion), seeded()) == "arms are not those of an upright body"
    short = WAVE.replace(motion=WAVE.motion.slice(0, 30))
    assert overlay_clips(WALK, short, seeded()) in ("upper clip too short", "arms do nothing")
    assert overlay_clips(WALK, WAVE.replace(motion=WAVE.motion.slice(0, 1)), seeded()) == "too few frames"


SLOW = clip_of("walk", "a person walks forward", seconds=4)


def reversed_captions(*captions: str, motion: Motion | None = None) -> set[str]:
    clip = reverse_clip(SLOW.replace(captions=captions, own_captions=captions, motion=motion or SLOW.motion))
    return set() if isinstance(clip, str) else set(clip.captions)


@pytest.mark.parametrize(
    "caption, opposite",
    [
        ("a person walks forward", "a person walks backward"),
        ("walk slowly", "walk slowly backward"),
        ("a person turns to the left in place", "a person turns to the right in place"),
        ("a person steps sideways to the left with the left hand raised",
         "a person steps sideways to the right with the left hand raised"),
        ("a person walks forward, turning left and then stands",
         "a person stands and then walks backward, turning right"),
        ("a person walks forward with the arms stretched forward",
         "a person walks backward with the arms stretched forward"),
        ("a person opens a box", "a person closes a box"),
        ("a person puts the bag down", "a person picks the bag up"),
    ],
)  # fmt: skip
def test_captions_are_reversed(caption, opposite):
    assert reversed_captions(caption) == {opposite}


@pytest.mark.parametrize(
    "caption",
    ["a person walks onto a stage", "a person bends down to tie a shoe", "a person walks to the door", "a person digs",
     "a person dances, turning left", "a person walks back", "a slow walk", "a person sits down", "a person stands"],
)  # fmt: skip
def test_captions_that_cannot_be_reversed_are_dropped(caption):
    assert reversed_captions("a person walks forward", caption) <= {"a person walks backward", "a person stands"}
    assert reversed_captions(caption) == set()


def moved(change: torch.Tensor) -> Motion:
    """A standing body whose pelvis moves by `change` `[T, 3]` on one leg length's height, knees as they are."""
    standing = torch.eye(3).expand(len(change), 22, 3, 3)
    return Motion(standing, torch.tensor([0.0, 0.95, 0.0]) + change, fps=30)


def test_the_motion_decides_on_verbs_of_change():
    ramp = (1 - torch.cos(torch.linspace(0, torch.pi, 90))) / 2
    down = moved(torch.stack([0 * ramp, -0.4 * ramp, 0 * ramp], -1))
    bend = "a person bends down"
    assert reversed_captions(bend, motion=down) == {"a person straightens up"}
    assert reversed_captions(bend, motion=down.replace(translation=down.translation.flip(0))) == set()
    both = down.replace(translation=torch.cat([down.translation[::2], down.translation[::2].flip(0)]))
    assert reversed_captions(bend, "a person steps left", motion=both) == {bend, "a person steps right"}


def test_words_that_stay_are_those_of_the_caption():
    standing = moved(torch.zeros(60, 3))
    sways = standing.replace(translation=standing.translation - torch.tensor([0.0, 0.3, 0.0]) * hump(60))
    told = reversed_captions("a person leans forward", "a person steps left", motion=sways)
    assert told == {"a person leans forward", "a person steps right"}


def hump(frames: int) -> torch.Tensor:
    """From 0 to 1 and back, `[frames, 1]`."""
    return torch.sin(torch.linspace(0, torch.pi, frames)).square()[:, None]


def test_reversed_twice_the_motion_is_itself():
    once = reverse_clip(SLOW)
    assert isinstance(once, MotionClip)
    twice = reverse_clip(once)
    assert isinstance(twice, MotionClip)
    assert torch.equal(twice.motion.rotations, SLOW.motion.rotations) and twice.captions == SLOW.captions


def test_reversal_names_reasons():
    assert reverse_clip(SLOW.replace(captions=(), own_captions=())) == "no caption of its own"
    assert reverse_clip(SLOW.replace(motion=SLOW.motion.slice(0, 1))) == "too few frames"
    for text in ("a person jumps", "throw a ball", "someone is kicking"):
        told = SLOW.replace(own_captions=(*SLOW.own_captions, text))
        assert reverse_clip(told) == "caption names what cannot be reversed"
    time = torch.arange(60) / 30
    fall = moved(torch.stack([0 * time, -4.9 * (time - 0.5).clamp(0, 0.4) ** 2, 0 * time], -1))
    assert reverse_clip(SLOW.replace(motion=fall)) == "falls freely"
    fast = moved(torch.stack([0 * time, 0 * time, 4 * time], -1))
    assert reverse_clip(SLOW.replace(motion=fast)) == "moves too fast"
    same = SLOW.replace(captions=(), own_captions=("a person stands",))
    assert reverse_clip(same) == "no caption changes"


@pytest.mark.parametrize(
    "text, message",
    [
        ("body: {sit down: stand up}\nthings: {get in: stand up}", "got 'stand up' with 'sit down' and 'get in'"),
        ("things: {open: open}", "got 'open': 'open' in things"),
        ("things: {open: close, open: shut}", "got 'open' twice"),
        ("same: open wave\nthings: {open: close}", "got 'open' twice"),
        ("thing: {open: close}", "thing"),
        ("things: [open, close]", "things must be pairs of words"),
        ("same: [wave]", "same must be words in one line"),
        ("- open", "opposites must be a YAML mapping, got list"),
        ("things: {open", "opposites must be valid YAML"),
    ],
)
def test_lists_that_contradict_themselves_are_named(tmp_path, text, message):
    path = tmp_path / "pairs.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        load_opposites(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_opposites_of_ones_own(tmp_path):
    path = tmp_path / "pairs.yaml"
    path.write_text("things: {dress: undress, wax: polish}\nwalk: walk\n")
    assert load_opposites(path).pairs["polish"] == ("wax", "things", 1)
    clip = SLOW.replace(captions=(), own_captions=("polish a car",))
    made = reverse_clip(clip, load_opposites(path))
    assert isinstance(made, MotionClip) and made.captions == ("wax a car",)
    with pytest.raises(ValueError, match="opposites must be an existing YAML file, got .*absent.yaml"):
        load_opposites(tmp_path / "absent.yaml")
    assert Opposites().pairs == {} and load_opposites() is load_opposites()
