"""The rules of instructions: a motion that follows passes, its mirror image or another motion fails."""

import functools
import importlib.util
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from motionmillion.data.clips import MotionClip
from motionmillion.data.synthetic import synthesize
from motionmillion.data.synthetic.actions import Dice, Style, jump, stand
from motionmillion.data.synthetic.body import SIDES, Plan, keyframes, solve
from motionmillion.eval.instructions import FAMILIES, body_tracks, follows, instruction_check, real_rates, wilson
from motionmillion.eval.instructions.scoring import RealRates
from motionmillion.eval.instructions.tracks import reversals, spans
from motionmillion.motion import Motion, rotation_y
from motionmillion.skeleton import SMPL22
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"
TWO_PI = math.tau


def motion_of(
    seconds: float = 4.0,
    fps: float = 30.0,
    speed: float = 0.0,
    aside: float = 0.0,
    turn: float = 0.0,
    height: Callable[[Tensor], Tensor] | None = None,
    pitch: Tensor | float = 0.0,
    **joints: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]],
) -> Motion:
    """A stiff body with hanging arms that glides, turns and bends single joints.

    Args:
        speed, aside: metres a second forward and to the left; `turn`: radians in all, to the left.
        height: of the pelvis over time, metres.
        joints: for each joint its rotation about x, y and z over time `[T]`, radians.
    """
    time = torch.arange(round(seconds * fps)) / fps
    zero = torch.zeros_like(time)
    angles = {"left_shoulder": (zero, zero, zero - 1.35), "right_shoulder": (zero, zero, zero + 1.35)}
    angles |= {name: made(time) for name, made in joints.items()}
    rotations = torch.eye(3).expand(len(time), 22, 3, 3).clone()
    for name, (x, y, z) in angles.items():
        rotations[:, SMPL22.index(name)] = _about(z, 2) @ rotation_y(y + zero) @ _about(x + zero, 0)
    yaw = turn * _eased(time, seconds)
    rotations[:, 0] = rotation_y(yaw) @ _about(zero + pitch, 0) @ rotations[:, 0]
    step = rotation_y(yaw) @ torch.tensor([aside, 0.0, speed]) / fps
    path = step.cumsum(0)
    path[:, 1] = 0.92 if height is None else height(time)
    return Motion(rotations, path, fps=fps)


def _eased(time: Tensor, seconds: float) -> Tensor:
    return ((time - 0.2 * seconds) / (0.6 * seconds)).clamp(0, 1)


def _about(angle: Tensor, axis: int) -> Tensor:
    vector = torch.zeros(len(angle), 3)
    vector[:, axis] = angle
    return roma.rotvec_to_rotmat(vector)


def bump(time: Tensor, start: float = 1.0, stop: float = 2.5) -> Tensor:
    """0, then 1 between two times, with slopes of 0.4 s."""
    return ((time - start) / 0.4).clamp(0, 1) * ((stop - time) / 0.4).clamp(0, 1)


def legs(time: Tensor, amount: float = 0.45, rate: float = 0.9, sign: float = 1.0) -> Tensor:
    return sign * amount * torch.sin(TWO_PI * rate * time)


def gait(**more: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> dict[str, Any]:
    return {
        "left_hip": lambda t: (legs(t), 0 * t, 0 * t),
        "right_hip": lambda t: (legs(t, sign=-1.0), 0 * t, 0 * t),
        **more,
    }


def arm(side: str, start: float = 1.0, stop: float = 2.5, swing: float = 0.0) -> dict[str, Any]:
    """An arm that goes up sideways between two times, and swings about the elbow."""
    sign = 1.0 if side == "left" else -1.0

    def shoulder(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return 0 * t, 0 * t, sign * (-1.35 + 1.9 * bump(t, start, stop))

    def elbow(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return 0 * t, 0 * t, sign * (0.9 + swing * torch.sin(TWO_PI * 1.5 * t)) * bump(t, start, stop)

    return {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow}


def leg_up(
    side: str, hip: float, knee: float, start: float = 1.0, stop: float = 2.5, slope: float = 0.4
) -> dict[str, Any]:
    def up(t: Tensor) -> Tensor:
        return ((t - start) / slope).clamp(0, 1) * ((stop - t) / slope).clamp(0, 1)

    return {
        f"{side}_hip": lambda t: (-hip * up(t), 0 * t, 0 * t),
        f"{side}_knee": lambda t: (knee * up(t), 0 * t, 0 * t),
    }


def seat(time: Tensor, start: float, stop: float) -> Tensor:
    """0 standing, 1 seated."""
    return ((time - start) / (stop - start)).clamp(0, 1)


def sitting(down: Callable[[Tensor], Tensor]) -> Motion:
    both: dict[str, Any] = {f"{s}_hip": lambda t: (-1.5 * down(t), 0 * t, 0 * t) for s, _ in SIDES}
    both |= {f"{s}_knee": lambda t: (1.5 * down(t), 0 * t, 0 * t) for s, _ in SIDES}
    return motion_of(height=lambda t: 0.92 - 0.38 * down(t), **both)


def planned(change: Callable[[Plan, Tensor], None], seconds: float = 4.0, fps: float = 30.0) -> Motion:
    """A standing body of `motionmillion.data.synthetic.body` with some of its plan changed."""
    time = torch.arange(round(seconds * fps), dtype=torch.float64) / fps
    dice = Dice(0)
    plan = stand(Style.sample(dice), dice, time)
    change(plan, time)
    return solve(plan, fps)


def squatting(plan: Plan, time: Tensor) -> None:
    down = keyframes(time, [(0.8, 0), (1.6, 1), (2.2, 1), (3.0, 0)])
    plan.crouch = plan.crouch + 0.45 * down
    plan.root[:, 1] -= 0.1 * down
    plan.pose.add("pelvis", pitch=0.5 * down)


def jumping(count: int) -> Motion:
    """The synthetic jump of the first seed that jumps so often on the spot."""
    for seed in range(200):
        time = torch.arange(180, dtype=torch.float64) / 30
        dice = Dice(seed)
        plan, texts = jump(Style.sample(dice), dice, time)
        words = {1: "once", 2: "twice", 3: "three times"}[count]
        if "forward" not in texts[0] and any(words in text for text in texts):
            return solve(plan, 30.0)
    raise AssertionError("no such jump")


def lying() -> Motion:
    return motion_of(height=lambda t: 0.92 - 0.75 * seat(t, 1, 2), pitch=-1.5 * seat(torch.arange(120) / 30, 1, 2))


def hopping() -> Motion:
    return motion_of(
        height=lambda t: 0.92 + 0.12 * torch.sin(TWO_PI * 1.5 * t).clamp(min=0),
        right_hip=lambda t: (0.0 * t - 0.3, 0 * t, 0 * t),
        right_knee=lambda t: (0.0 * t + 1.2, 0 * t, 0 * t),
    )


def punching() -> Motion:
    def forward(t: Tensor) -> Tensor:
        return torch.exp(-(((t - 2) / 0.12) ** 2))

    return motion_of(
        left_shoulder=lambda t: (0 * t, -1.45 + 0 * t, 0 * t),
        left_elbow=lambda t: (0 * t, -2.0 * (1 - forward(t)), 0 * t),
    )


MOTIONS: dict[str, Callable[[], Motion]] = {
    "walk_forward": lambda: motion_of(speed=0.8, **gait()),
    "walk_backward": lambda: motion_of(speed=-0.6, **gait()),
    "walk_slow": lambda: motion_of(speed=0.5, **gait()),
    "walk_fast": lambda: motion_of(speed=1.5, **gait()),
    "run": lambda: motion_of(speed=3.0, **gait()),
    "side_step_left": lambda: motion_of(aside=0.3),
    "turn_left": lambda: motion_of(turn=math.pi / 2),
    "turn_around": lambda: motion_of(turn=math.pi),
    "curve_left": lambda: motion_of(speed=0.8, turn=1.8, **gait()),
    "circle": lambda: motion_of(speed=1.0, turn=TWO_PI, **gait()),
    "raise_left": lambda: motion_of(**arm("left")),
    "raise_both": lambda: motion_of(**arm("left"), **arm("right")),
    "wave_left": lambda: motion_of(**arm("left", 0.5, 3.5, swing=0.6)),
    "punch_left": punching,
    "kick_left": lambda: motion_of(**leg_up("left", 1.2, 0.3, 1.0, 1.6, slope=0.2)),
    "lift_knee_left": lambda: motion_of(**leg_up("left", 1.5, 1.6)),
    "stand_on_left": lambda: motion_of(**leg_up("right", 0.6, 1.3, 0.5, 3.5)),
    "hop_left": hopping,
    "jump_in_place": lambda: jumping(1),
    "jump_twice": lambda: jumping(2),
    "squat": lambda: planned(squatting),
    "bend_forward": lambda: motion_of(spine1=lambda t: (1.4 * bump(t), 0 * t, 0 * t)),
    "sit_down": lambda: sitting(lambda t: seat(t, 1, 2)),
    "sit": lambda: sitting(lambda t: 1 + 0 * t),
    "stand_up": lambda: sitting(lambda t: 1 - seat(t, 1, 2)),
    "lie_down": lying,
    "stand_still": lambda: motion_of(),
    "raise_first_left": lambda: motion_of(**arm("left", 0.3, 1.5), **arm("right", 2.0, 3.5)),
    "walk_raise_left": lambda: motion_of(speed=0.8, **gait(**arm("left", 0.2, 3.9))),
    "walk_raise_both": lambda: motion_of(speed=0.8, **gait(**arm("left", 0.2, 3.9), **arm("right", 0.2, 3.9))),
    "walk_wave_left": lambda: motion_of(speed=0.8, **gait(**arm("left", 0.2, 3.9, swing=0.6))),
}


@functools.cache
def made(name: str) -> Motion:
    return MOTIONS[name]()


@pytest.mark.parametrize("family", sorted(MOTIONS))
def test_a_motion_that_follows_passes(family: str):
    assert follows(family, made(family))


@pytest.mark.parametrize("family", [name for name in sorted(MOTIONS) if FAMILIES[name].side])
def test_the_mirror_image_follows_the_other_side(family: str):
    image = made(family).mirror()
    assert follows(FAMILIES[family].mirrored, image)
    assert not follows(family, image)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"stand_still"}))
def test_standing_still_follows_nothing_else(family: str):
    assert not follows(family, made("stand_still"))


@pytest.mark.parametrize(
    ("family", "motion"),
    [
        ("kick_left", "walk_forward"),
        ("kick_left", "lift_knee_left"),
        ("walk_forward", "curve_left"),
        ("walk_forward", "walk_backward"),
        ("walk_forward", "run"),
        ("walk_forward", "hop_left"),
        ("walk_forward", "side_step_left"),
        ("walk_slow", "walk_fast"),
        ("walk_fast", "walk_slow"),
        ("run", "walk_fast"),
        ("turn_left", "turn_around"),
        ("turn_around", "turn_left"),
        ("raise_left", "raise_both"),
        ("raise_both", "raise_left"),
        ("wave_left", "raise_left"),
        ("squat", "sit_down"),
        ("sit_down", "squat"),
        ("sit_down", "stand_up"),
        ("stand_up", "sit_down"),
        ("sit_down", "sit"),
        ("hop_left", "stand_on_left"),
        ("jump_in_place", "squat"),
        ("jump_twice", "jump_in_place"),
        ("jump_three_times", "jump_twice"),
        ("bend_forward", "squat"),
        ("lie_down", "bend_forward"),
        ("walk_raise_left", "walk_forward"),
        ("walk_raise_left", "raise_left"),
        ("raise_first_right", "raise_first_left"),
        ("stand_still", "wave_left"),
    ],
)
def test_another_motion_fails(family: str, motion: str):
    assert not follows(family, made(motion))


@pytest.mark.parametrize("family", sorted(MOTIONS))
def test_start_and_heading_do_not_matter(family: str):
    motion = made(family)
    turn = rotation_y(torch.tensor(2.3))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    there = motion.translation @ turn.T + torch.tensor([3.0, 0.4, -5.0])
    assert follows(family, motion.replace(rotations=rotations, translation=there))


@pytest.mark.parametrize("family", sorted(MOTIONS))
def test_the_frame_rate_does_not_matter(family: str):
    assert follows(family, made(family).resample(60.0))


@pytest.mark.parametrize(
    ("positions", "fps", "message"),
    [
        (torch.zeros(4, 21, 3), 30.0, "positions must have shape"),
        (motion_of(seconds=0.3).positions(), 30.0, "positions must last half a second"),
        (motion_of(seconds=1.0).positions(), 0.0, "fps must be positive"),
    ],
)
def test_what_cannot_be_measured_is_named(positions: Tensor, fps: float, message: str):
    with pytest.raises(ValueError, match=message):
        body_tracks(positions, fps)


def test_an_unknown_family_is_named():
    with pytest.raises(ValueError, match="family must be one of .* got 'fly'"):
        follows("fly", made("stand_still"))


def test_spans_and_reversals():
    assert spans(np.array([0, 1, 1, 0, 1], dtype=bool)) == [(1, 3), (4, 5)]
    assert reversals(np.array([0, 1, 0, 1, 0.95, 1.0]), 0.5) == 3


def test_every_family_has_an_image_and_known_relatives():
    bases = {name.removesuffix(f"_{family.side}") if family.side else name for name, family in FAMILIES.items()}
    for name, family in FAMILIES.items():
        assert FAMILIES[family.mirrored].mirrored == name
        assert all(any(base == other or base.startswith(f"{other}_") for base in bases) for other in family.related), (
            name
        )


def clip(name: str, motion: Motion, *watched: str) -> MotionClip:
    return MotionClip(name, motion, ("a title", *watched), sources=("cmu_index", *["watched"] * len(watched)))


def test_real_clips_count_with_their_mirror_images():
    clips = [
        clip("a", made("kick_left"), "kick with the left leg"),
        clip("b", made("kick_left").mirror(), "kick with the right leg"),
        clip("c", made("stand_still"), "kick with the left leg"),
        clip("d", made("stand_still"), "stand still"),
    ]
    rates = real_rates(clips)
    assert rates["kick_left"] == rates["kick_right"] == RealRates(2, 3, 0.0, 0.0)
    assert (rates["stand_still"].passed, rates["stand_still"].count) == (1, 1)
    assert rates["walk_forward"].count == 0


def test_captions_of_the_take_and_of_the_other_side_do_not_count():
    family = FAMILIES["kick_left"]
    motion = made("stand_still")
    assert not family.shown_by(MotionClip("a", motion, ("kick with the left leg",), sources=("cmu_index",)))
    assert not family.shown_by(clip("b", motion, "kick with the left leg", "kicks with the left, then the right leg"))
    assert family.shown_by(MotionClip("c", motion, ("x",), own_captions=("kick with the left leg",)))


def test_obedience_is_counted():
    prompts = {"raise_left": ["left up", "left hand up"], "stand_still": ["stand", "stay"]}

    def obeys(texts: list[str]) -> list[Motion]:
        return [made("raise_left" if "left" in text else "stand_still") for text in texts for _ in range(2)]

    result = instruction_check(obeys, prompts, samples=2)
    assert result["mean"]["rate"] == result["sides"]["rate"] == 1.0
    assert result["families"]["raise_left"]["count"] == 4 and len(result["motions"]) == 8
    lazy = instruction_check(lambda texts: [made("stand_still") for _ in texts], prompts, samples=1)
    assert lazy["mean"]["rate"] == 0.5 and lazy["sides"]["rate"] == 0.0
    with pytest.raises(ValueError, match="generate must give 2 motions a prompt, got 1 for 4 prompts"):
        instruction_check(lambda texts: [made("stand_still")], prompts, samples=2)
    with pytest.raises(ValueError, match="prompts must be for known families, got \\['fly'\\]"):
        instruction_check(obeys, {"fly": ["fly"]}, samples=1)


def test_wilson_interval():
    low, high = wilson(5, 10)
    assert low == pytest.approx(0.2366, abs=1e-3) and high == pytest.approx(0.7634, abs=1e-3)
    assert wilson(0, 10)[0] == 0 and wilson(0, 0) == (0.0, 1.0)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("instruction_check_script", RECIPE / "instruction_check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_prompts_are_for_every_family_and_differ(script: ModuleType):
    told = script.read_prompts()
    tune = script.read_prompts(RECIPE / "instruction_prompts_tune.yaml")
    assert set(told) == set(tune) == set(FAMILIES)
    script.check_different({**told, **{f"{name} tune": texts for name, texts in tune.items()}}, "both files")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fly: [a, b]", "prompts must be for known families, got \\['fly'\\]"),
        ("kick_left: [a]", "kick_left must have 2 to 4 prompts, got 1"),
        ("kick_left: [a b, 'A, b!']", "prompts must differ, got 'a b' twice"),
    ],
)
def test_wrong_prompts_are_named(script: ModuleType, tmp_path: Path, text: str, message: str):
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        script.read_prompts(path)


def test_sampling_options_are_read(script: ModuleType):
    assert script.sampling_options(["guidance_scale=3", "top_p=0.9"]) == {"guidance_scale": 3, "top_p": 0.9}
    with pytest.raises(ValueError, match="options must be key=value, got 'warm'"):
        script.sampling_options(["warm"])


def test_a_caption_of_the_data_is_no_prompt(script: ModuleType):
    seen = clip("a", made("stand_still"), "Please kick with your right foot.")
    with pytest.raises(
        ValueError, match="prompts must not be captions of the data, got \\['please kick with your left"
    ):
        script.check_unseen({"kick_left": ["please kick with your left foot"]}, [seen])


def test_real_clips_go_through_a_tokenizer(script: ModuleType, tmp_path: Path):
    config = MotionTokenizerConfig(width=8, depth=1, strides=[4], quantizer={"type": "fsq", "levels": [5, 5]})
    torch.manual_seed(0)
    MotionTokenizer(config).save_pretrained(tmp_path)
    clips = [
        MotionClip(f"{n}", synthesize("walk", n, seconds=3), ("a person walks forward",), sources=("watched",))
        for n in range(3)
    ]
    real, through = real_rates(clips), script.through_tokenizer(tmp_path, clips)
    assert real["walk_forward"].count == through["walk_forward"].count == 3
    assert real["walk_forward"].passed and not through["walk_forward"].passed  # the tokenizer is not trained
    rates = {key: {name: asdict(r) for name, r in own.items()} for key, own in (("real", real), ("through", through))}
    text = script.report({**rates, "command": "c", "machine": "m", "version": "0"})
    assert next(line for line in text.splitlines() if "walk_forward" in line).endswith("| 0% |  | 0% (0/3) |")
