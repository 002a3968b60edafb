"""Actions of the synthetic motions: one function each, from a style and random draws to a `Plan` and its captions.

A new action is one function with the signature of `walk` and one line in `PERFORMERS`.

Shapes: T frames. Angles in radians (signs as in `motionmillion.data.synthetic.body`), metres, seconds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from motionmillion.data.synthetic.body import REST_TOE_Z, SIDE_SIGNS, SIDES, Plan, Pose, keyframes, smooth, turn

_STANCE = 0.6  # fraction of a step cycle in which a foot is on the floor
_EDGE = 0.45  # seconds to start and stop stepping
_GRAVITY = 9.81
_TIMES = ("once", "twice", "three times", "four times")
_NUMBERS = ("one", "two", "three", "four")
_T = TypeVar("_T")
Course = Callable[[Tensor], tuple[Tensor, Tensor]]  # progress 0..1 `[...]` -> floor point (x, z) `[..., 2]`, heading


class Dice:
    """Random draws from a seeded `torch.Generator`."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def choice(self, options: Sequence[_T]) -> _T:
        return options[int(torch.randint(len(options), (), generator=self.generator))]


@dataclass(frozen=True)
class Style:
    """How one synthetic person moves: arm and foot habits, posture, pace."""

    arm_lower: float
    arm_swing: float
    elbow: float
    lean: float
    width: float
    toe_out: float
    pace: float

    @staticmethod
    def sample(dice: Dice) -> "Style":
        return Style(
            arm_lower=dice.uniform(1.28, 1.4),
            arm_swing=dice.uniform(0.3, 0.5),
            elbow=dice.uniform(0.2, 0.45),
            lean=dice.uniform(0.0, 0.08),
            width=dice.uniform(0.09, 0.13),
            toe_out=dice.uniform(0.0, 0.15),
            pace=dice.uniform(0.92, 1.1),
        )


def stand(style: Style, dice: Dice, time: Tensor) -> Plan:
    """Standing with hanging arms and a little sway; the actions add to it."""
    frames = len(time)
    pose = Pose(frames)
    sway = [torch.sin(math.tau * (dice.uniform(0.2, 0.4) * time + dice.uniform(0, 1))) for _ in range(3)]
    pose.add_spine(pitch=style.lean + 0.015 * sway[0], roll=0.01 * sway[1])
    pose.add("neck", pitch=-0.5 * style.lean, yaw=0.04 * sway[2])
    for side, _ in SIDES:
        pose.add_arm(side, style.arm_lower + 0.01 * sway[0], swing=0.02 * sway[1] - 0.08, flex=style.elbow)
    toes = torch.zeros(frames, 2, 3, dtype=torch.float64)
    toes[..., 0] = SIDE_SIGNS * style.width
    toes[..., 2] = REST_TOE_Z
    still = torch.zeros(frames, dtype=torch.float64)
    return Plan(
        pose=pose,
        root=torch.stack([0.008 * sway[1], 0.006 * sway[0]], dim=-1),
        toes=toes,
        toe_yaw=(SIDE_SIGNS * style.toe_out).expand(frames, 2).clone(),
        heel=torch.zeros(frames, 2, dtype=torch.float64),
        crouch=still + 0.004,
        flight=still,
    )


def _follow(plan: Plan, time: Tensor, course: Course, cycles: float, lead: float, lift: float, push: float) -> Tensor:
    """Add steps along a course to a plan, body and footprints; returns the step phase `[2, T]`: cycles and activity.

    Args:
        cycles: number of steps of the leading foot, a multiple of 0.5 and at least 1.
        lead: side of the foot that lands at whole cycles, 1 left, -1 right.
        lift: height of the toes in mid-swing, metres.
        push: pitch of the foot when it leaves the floor, radians.
    """
    end, fps = float(time[-1]), 1 / float(time[1] - time[0])
    start = min(0.4, 0.08 * end)
    activity = keyframes(time, [(start, 0), (start + _EDGE, 1), (end - start - _EDGE, 1), (end - start, 0)])
    phase = activity.cumsum(0) * (cycles / activity.sum())

    def place(at: Tensor) -> tuple[Tensor, Tensor]:
        return course(((at - 0.2) / (cycles - 0.4)).clamp(0, 1))

    offset = 0.25 * (1 - lead * SIDE_SIGNS)  # phase offset of each foot's cycle, 0 or 0.5
    count = (phase[:, None] + offset).floor()  # [T, 2]
    part = phase[:, None] + offset - count
    swing = ((part - _STANCE) / (1 - _STANCE)).clamp(0, 1)
    middle = count + _STANCE / 2 - offset  # the body is above the footprint in mid-stance
    (here, yaw), (there, next_yaw) = place(middle), place(middle + 1)
    blend = swing**2 * (1.5 + 4 * swing - 7.5 * swing**2 + 3 * swing**3)
    beside = plan.toes[..., [0, 2]]
    ground = torch.lerp(here + turn(beside, yaw), there + turn(beside, next_yaw), blend[..., None])
    height = lift * keyframes(swing, [(0, 0, 3), (0.35, 1), (1, 0, -1.5)])  # quickly off the floor
    plan.toes = torch.stack([ground[..., 0], height, ground[..., 1]], dim=-1)
    plan.toe_yaw = plan.toe_yaw + torch.lerp(yaw, next_yaw, blend)
    plan.heel = keyframes(part, [(0, 0), (0.36, 0), (_STANCE + 0.04, push), (0.86, -0.12), (1, 0)]) * activity[:, None]
    center, heading = place(phase)
    sway = lead * 0.022 * torch.cos(math.tau * (phase - _STANCE / 2)) * activity
    plan.root = smooth(center, 0.1 * fps) + turn(torch.stack([sway + plan.root[:, 0], plan.root[:, 1]], -1), heading)
    plan.pose.add("pelvis", yaw=smooth(heading, 0.1 * fps))
    return torch.stack([phase, activity])


def walk(style: Style, dice: Dice, time: Tensor) -> tuple[Plan, list[str]]:
    """Walk forward, backward or along a curve, slowly, normally or fast."""
    way = dice.choice(("forward", "forward", "backward", "left", "right"))
    speed = dice.choice(("slow", "normal", "normal", "fast"))
    rate, stride = {"slow": (0.68, 0.85), "normal": (0.9, 1.15), "fast": (1.12, 1.32)}[speed]
    stride *= (0.65 if way == "backward" else 0.9 if way != "forward" else 1) * dice.uniform(0.93, 1.07)
    cycles = max(2, round(2 * rate * style.pace * (float(time[-1]) - 0.8 - _EDGE))) / 2
    sign = -1.0 if way == "backward" else 1.0
    length = sign * stride * (cycles - 0.4)
    bend = {"left": 1.0, "right": -1.0}.get(way, 0.0) * dice.uniform(0.45, 0.8)  # radians per metre

    def course(progress: Tensor) -> tuple[Tensor, Tensor]:
        heading = bend * length * progress
        chord = length * progress * torch.sinc(heading / math.tau)  # chord length of the arc so far
        return turn(torch.stack([torch.zeros_like(chord), chord], dim=-1), heading / 2), heading

    plan, lead = stand(style, dice, time), dice.choice((1.0, -1.0))
    vigour = stride / 1.15
    push = 0.55 * vigour if sign > 0 else 0.15
    phase, activity = _follow(plan, time, course, cycles, lead, 0.05 + 0.03 * vigour, push)
    reach = sign * lead * torch.cos(math.tau * phase) * activity  # 1 where the left foot is furthest forward
    plan.pose.add("pelvis", yaw=-0.09 * vigour * reach)
    plan.pose.add_spine(yaw=0.16 * vigour * reach, pitch=0.05 * sign * vigour * activity)
    for side, left in SIDES:
        forward = -left * vigour * reach
        plan.pose.add_arm(side, swing=-style.arm_swing * forward, flex=0.12 * (1 + forward) * activity)
    return plan, _walk_phrases(way, speed)


def _walk_phrases(way: str, speed: str) -> list[str]:
    manner = {"slow": [" slowly", " at a slow pace"], "normal": [""], "fast": [" quickly", " at a fast pace"]}[speed]
    ways = {
        "forward": ["walks forward", "walks straight ahead", "walks in a straight line"],
        "backward": ["walks backward", "walks backwards", "steps backward"],
        "left": ["walks in a curve to the left", "walks forward and veers to the left"],
        "right": ["walks in a curve to the right", "walks forward and veers to the right"],
    }[way]
    return [start + end for start in ways for end in manner]


def turn_around(style: Style, dice: Dice, time: Tensor) -> tuple[Plan, list[str]]:
    """Turn on the spot, to the left or right by 45 to 180 degrees."""
    side, sign = dice.choice(SIDES)
    room = float(time[-1]) - 0.8 - _EDGE
    needs = {45: 1.0, 90: 1.5, 135: 2.0, 180: 2.5}
    degrees = dice.choice([angle for angle, cycles in needs.items() if cycles <= 1.3 * room] or [45])
    plan = stand(style, dice, time)

    def course(progress: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(*progress.shape, 2, dtype=torch.float64), sign * math.radians(degrees) * progress

    phase, activity = _follow(plan, time, course, needs[degrees], sign, 0.05, 0.2)
    plan.pose.add_spine(yaw=0.15 * sign * activity)
    plan.pose.add("neck", yaw=0.25 * sign * activity)  # the head leads the turn
    for arm, left in SIDES:
        plan.pose.add_arm(arm, swing=0.1 * left * torch.cos(math.tau * phase) * activity, flex=0.1 * activity)
    words = {
        45: [f"turns slightly to the {side}", f"turns to the {side} by 45 degrees"],
        90: [f"turns {side}", f"turns {side} by 90 degrees", f"makes a quarter turn to the {side}"],
        135: [f"turns {side} by 135 degrees", f"turns far around to the {side}"],
        180: [f"turns around to the {side}", f"turns {side} by 180 degrees", f"makes a half turn to the {side}"],
    }
    return plan, words[degrees]


def wave(style: Style, dice: Dice, time: Tensor) -> tuple[Plan, list[str]]:
    """Wave with the left hand, the right hand or both."""
    hand, speed = dice.choice(("left", "right", "left", "right", "both")), dice.choice(("slow", "normal", "normal"))
    end, start = float(time[-1]), dice.uniform(0.1, 0.3)
    raised = keyframes(time, [(start, 0), (start + 0.6, 1), (end - 0.75, 1), (end - 0.1, 0)])
    rate = (1.0 if speed == "slow" else dice.uniform(1.6, 2.2)) * style.pace
    swing = torch.sin(math.tau * rate * (time - start)) * raised
    level, width = dice.uniform(-0.15, 0.45), dice.uniform(0.35, 0.5)
    plan = stand(style, dice, time)
    for side, left in SIDES:
        if hand not in (side, "both"):
            continue
        plan.pose.add_arm(
            side,
            lower=(level - style.arm_lower) * raised,
            twist=-1.45 * raised,
            flex=(1.35 - style.elbow) * raised + width * swing,
        )
        lean = 0.05 * left * raised if hand != "both" else 0.0 * raised
        plan.pose.add_spine(roll=lean)
        plan.root[:, 0] += -0.3 * lean
    words = {
        "left": ["waves with the left hand", "waves the left hand", "raises the left arm and waves"],
        "right": ["waves with the right hand", "waves the right hand", "raises the right arm and waves"],
        "both": ["waves with both hands", "raises both arms and waves", "waves both hands"],
    }[hand]
    if speed == "slow":
        return plan, [f"{phrase} slowly" for phrase in words]
    return plan, [*words, f"{words[0]} to greet someone"]


def jump(style: Style, dice: Dice, time: Tensor) -> tuple[Plan, list[str]]:
    """Jump up on the spot or forward, one to three times."""
    forward, height, depth = dice.choice((False, True)), dice.uniform(0.12, 0.32), dice.uniform(0.2, 0.3)
    speed = math.sqrt(2 * _GRAVITY * height)
    leave = 0.42 + max(0.22, 1.9 * depth / speed)
    land = leave + 2 * speed / _GRAVITY
    rise = land + 0.55
    end, start = float(time[-1]), dice.uniform(0.05, 0.2)
    count = dice.choice(range(1, max(1, min(3, int((end - start) / rise))) + 1))
    step = dice.uniform(0.3, 0.7) if forward else 0.0
    plan = stand(style, dice, time)
    for index in range(count):
        clock = time - start - index * rise
        bent = keyframes(clock, [(0, 0), (0.42, depth), (leave, 0, -speed)])
        absorbed = keyframes(clock, [(land, 0, speed), (land + 0.17, 0.6 * depth), (rise, 0)])
        air = (clock - leave).clamp(0, land - leave)
        flight = speed * air - 0.5 * _GRAVITY * air.square()
        plan.crouch = plan.crouch + bent + absorbed
        plan.flight = plan.flight + flight
        plan.toes[..., 1] += (flight + 0.06 * torch.sin(math.pi * air / (land - leave)).square())[:, None]
        plan.toes[..., 2] += keyframes(clock, [(leave, 0), (land, step)])[:, None]
        plan.root[:, 1] += keyframes(clock, [(leave - 0.2, 0), (leave, 0.16 * step, step), (land + 0.15, step)])
        up = [(leave - 0.14, 0), (leave, 0.5), (leave + 0.1, 0.65), (land, 0.3), (land + 0.1, 0)]
        plan.heel = plan.heel + keyframes(clock, up)[:, None]
        fold = (bent + absorbed) / depth
        plan.pose.add("pelvis", pitch=0.4 * fold)
        plan.pose.add_spine(pitch=0.35 * fold)
        plan.root[:, 1] -= 0.05 * fold
        arms = keyframes(clock, [(0, 0), (0.3, 0.7), (leave + 0.08, -1.5), (land, -0.7), (rise, 0)])
        for side, _ in SIDES:
            plan.pose.add_arm(side, swing=arms, flex=0.2 * arms.abs())
    where = ["jumps forward", "leaps forward"] if forward else ["jumps up", "jumps on the spot", "jumps in place"]
    if count > 1:
        return plan, [f"{phrase} {_TIMES[count - 1]}" for phrase in where]
    return plan, [*where, f"{where[0]} once"]


def squat(style: Style, dice: Dice, time: Tensor) -> tuple[Plan, list[str]]:
    """Squat one to four times, half or deep, the arms stretched forward."""
    end, start = float(time[-1]), dice.uniform(0.05, 0.25)
    period = dice.uniform(1.6, 2.3) / style.pace
    count = dice.choice(range(1, max(1, min(4, int((end - start) / period))) + 1))
    period = min(period, end - start)
    deep = dice.choice((True, True, False))
    depth = dice.uniform(0.38, 0.46) if deep else dice.uniform(0.18, 0.25)
    plan = stand(style, dice, time)
    clock = (time - start).clamp(0, count * period - 1e-9).remainder(period) / period
    down = keyframes(clock, [(0, 0), (0.42, 1), (0.52, 1), (0.94, 0)])
    plan.toes[..., 0] += SIDE_SIGNS * 0.06
    plan.toe_yaw += SIDE_SIGNS * 0.2
    plan.crouch = plan.crouch + depth * down
    plan.root[:, 1] -= 0.3 * depth * down
    plan.pose.add("pelvis", pitch=1.1 * depth * down)
    plan.pose.add_spine(pitch=0.7 * depth * down)
    plan.pose.add("neck", pitch=-0.9 * depth * down)
    for side, _ in SIDES:
        plan.pose.add_arm(side, swing=-(1.1 + 1.5 * depth) * down, flex=-0.6 * style.elbow * down)
    name = "a deep squat" if deep else "a half squat"
    many = f"{_NUMBERS[count - 1]} {name[2:]}s"
    if count > 1:
        return plan, [f"squats {_TIMES[count - 1]}", f"does {many}", f"squats down and stands up {_TIMES[count - 1]}"]
    return plan, ["squats down and stands up again", f"does {name}", "squats once", f"does {name} and stands up"]


PERFORMERS: dict[str, Callable[[Style, Dice, Tensor], tuple[Plan, list[str]]]] = {
    "walk": walk,
    "turn": turn_around,
    "wave": wave,
    "jump": jump,
    "squat": squat,
}
