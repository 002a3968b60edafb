"""The arms of one clip combined with path and legs of another, with captions that describe both.

    clip = overlay_clips(walk, wave, generator)     # "a person walks forward while waving the right hand"

This is only done if it is plausible and the captions stay true: in the upper clip the person moves the arms while
standing or walking upright, and one of its captions describes only the arms; in the lower clip the person walks,
turns, stands or sits with free arms, and one of its captions describes nothing else. Arms that would pass through the
body are rejected.
"""

import re

import roma
import torch
from torch import Tensor

from motionmillion.data.audit import hands_inside
from motionmillion.data.clips import MotionClip
from motionmillion.data.composition.bodies import ARMS, TORSO, acceleration, joints, postures, trunk
from motionmillion.data.composition.grammar import Phrase, base_form, draw, gerunds, parse_caption
from motionmillion.data.composition.sequence import FEWEST_FRAMES, true_captions
from motionmillion.motion import Motion

ARM_SPEED = 0.25
"""Minimum mean speed of the faster hand in the trunk's frame for arms to count as active, m/s."""
LEAST_COVER = 0.6
"""Minimum fraction of the lower clip that the upper one covers; elsewhere the lower clip's arms are kept."""
LEAST_ENERGY = 0.7
"""Minimum fraction of the arms' motion that is kept if the upper clip is longer."""
BLEND_SECONDS = 0.4
HANDS_APART = 0.14
"""Minimum distance of the lower clip's hands, metres; nearer hands hold each other or an object."""
TRUNK_TURN = 0.6
"""Maximum median angle between the chests of both clips, relative to the pelvis, radians."""
MOST_INSIDE = 0.05
"""Maximum fraction of frames with a hand inside trunk or thigh."""
ARM_ACCELERATION = 60.0
"""Maximum acceleration of the arms, m/s^2; more is a blow that involves the whole body."""
_TRIES = 40

_ARM_VERBS = frozenset(
    "wave clap point gesture salute drink eat scratch raise lift lower reach stretch swing move circle flap beckon "
    "signal wipe wash rub conduct play shake sip comb brush clean swipe touch cross fold spread extend hold shrug "
    "cheer applaud knock pat nibble yawn cough talk explain direct hammer paint draw write type stir box punch jab "
    "pump open rotate bring put windmill chop mime sweep paddle imitate smoke phone".split()
)
_ARM_WORDS = frozenset(
    "arm arms hand hands fist fists elbow elbows wrist wrists shoulder shoulders finger fingers forearm forearms palm "
    "palms".split()
)
_OWN_ARMS = frozenset(
    "wave clap point gesture salute drink eat scratch beckon conduct sip applaud nibble comb stir hammer type".split()
)
"""Verbs that imply the arms without naming them."""
_NOT_UPPER = re.compile(
    r"\b(?:tiptoes?|legs?|foot|feet|knees?|hips?|waist|toes?|heels?|thighs?|walk\w*|run\w*|step\w*|jump\w*|hop\w*|turn\w*|sit\w*"
    r"|kneel\w*|crouch\w*|squat\w*|bend\w*|bent|lean\w*|kick\w*|danc\w*|spin\w*|l[iy](?:e|es|ing)|floor|ground|climb\w*|"
    r"swim\w*|twist\w*|bow\w*|lung\w*|stoop\w*|down to|body|side to side|around|sway\w*|walls?|ball|rope|ladder|spot|"
    r"place|forwards?|backwards?|stool|chair|stance|march\w*|stride\w*|animals?|bird|chicken|dog|cat|like|as|fast|"
    r"balanc\w*|torso|trunk|stand\w*|low|over|against|stairs|club|golf|bat|horse|box(?:es)?|weight\w*|heavy|then|"
    r"after|before|until|while|when|door|window|skat\w*)\b"
)
_LOWER_WORDS = frozenset(
    "a an the in on to of at and then with his her their its one two three four few several some steady even slow "
    "walk turn step stand sit march stroll pace jog stop pause wait stay sidestep shuffle tiptoe limp stride wander "
    "halt curve circle go move take amble continue walks walking straight ahead forward forwards backward backwards "
    "sideways left right around about round back place line circle loop curve path direction steps step pace slowly "
    "quickly briskly steadily calmly normally casually gently slightly sharply still upright side away again spot "
    "facing curving turning circling going bending small large big wide long short full half quarter degrees degree "
    "angle chair seat stool bench clockwise counterclockwise on up off time regular normal calm relaxed brisk casual "
    "way legs leg feet foot figure eight corner motionless quietly upon continuously continuous toes tight".split()
)
_LOWER_VERBS = frozenset(
    "walk turn step stand sit march stroll pace stop wait stay sidestep shuffle tiptoe limp stride wander move go "
    "amble circle pause halt".split()
)
_UPRIGHT = 0.85


def overlay_clips(
    lower: MotionClip, upper: MotionClip, generator: torch.Generator, wordings: int = 4
) -> MotionClip | str:
    """Combine path and legs of `lower` with the arms of `upper`; returns the clip, or the reason why it is impossible.

    Args:
        lower: determines length, frame rate and skeleton.
        generator: draws position, captions, wordings, and whether to take the trunk with the arms where possible.
        wordings: maximum number of captions.

    Raises:
        ValueError: for fewer than one wording.
    """
    if wordings < 1:
        raise ValueError(f"wordings must be at least 1, got {wordings!r}")
    reason = _unfit(lower, upper)
    if reason:
        return reason
    below = [p for p in map(parse_caption, true_captions(lower)) if p and _speaks_of_legs(p)]
    above = [p for p in map(_arms_phrase, true_captions(upper)) if p]
    if not below:
        return "no caption of legs alone"
    if not above:
        return "no caption of arms alone"
    told = [phrase for phrase in above if phrase.verb != "move"]  # "moves both arms" is too vague
    captions = _word(below, told or above, generator, wordings)
    if not captions:
        return "captions do not go together"
    motion = _mix(lower.motion, upper.motion.resample(lower.motion.fps), generator)
    if isinstance(motion, str):
        return motion
    return MotionClip(
        name=f"{lower.name}&{upper.name}",
        motion=motion.replace(caption=captions[0]),
        captions=captions,
        split=lower.split,
        subject="+".join(dict.fromkeys((lower.subject, upper.subject))),
        category=lower.category if lower.category == upper.category else "",
        dataset=lower.dataset,
        own_captions=captions,
    )


def _unfit(lower: MotionClip, upper: MotionClip) -> str:
    if min(lower.motion.num_frames, upper.motion.num_frames) < FEWEST_FRAMES:
        return "too few frames"
    if lower.split != upper.split:
        return "splits differ"
    if lower.motion.skeleton != upper.motion.skeleton:
        return "skeletons differ"
    return "" if true_captions(lower) and true_captions(upper) else "no caption of its own"


def _speaks_of_legs(phrase: Phrase) -> bool:
    if phrase.kind == "noun" or phrase.opener or phrase.verb not in _LOWER_VERBS or not phrase.generic:
        return False
    words = re.findall(r"[a-z]+", f"{phrase.adverb} {phrase.rest}")
    return all(w in _LOWER_WORDS or (base_form(w) or gerunds().get(w)) in _LOWER_VERBS for w in words)


def _arms_phrase(text: str) -> Phrase | None:
    """A caption that describes only the arms; "stands moving both arms" is read as "moves both arms"."""
    phrase = parse_caption(text)
    if phrase is None or phrase.kind == "noun" or not phrase.generic:
        return None
    standing = re.fullmatch(r"(?:still )?(?:and )?([a-z]+)\b ?(.*)", phrase.rest)
    if phrase.verb == "stand" and standing:
        word = standing[1]
        verb = gerunds().get(word) or (base_form(word) if phrase.kind == "sentence" else word)
        if verb not in _ARM_VERBS:
            return None
        phrase = Phrase(phrase.kind, phrase.subject, "", "", verb, standing[2], phrase.generic)
    words = set(re.findall(r"[a-z]+", phrase.rest))
    clear = phrase.verb in _OWN_ARMS or (phrase.verb in _ARM_VERBS and words & _ARM_WORDS)
    if not clear or phrase.opener or not phrase.single or _NOT_UPPER.search(phrase.rest):
        return None
    return phrase


def _word(below: list[Phrase], above: list[Phrase], generator: torch.Generator, wordings: int) -> tuple[str, ...]:
    words: dict[str, None] = {}
    for _ in range(_TRIES):
        low, high = below[draw(below, generator)], above[draw(above, generator)]
        if low.kind == high.kind and len(low.genders | high.genders) < 2:
            writers = [_legs_first, _arms_first, _arms_between] if low.single else [_arms_between]
            words[writers[draw(writers, generator)](low, high)] = None
        if len(words) == wordings:
            break
    return tuple(words)


def _legs_first(low: Phrase, high: Phrase) -> str:
    return f"{low.text} while {high.as_gerund}"


def _arms_first(low: Phrase, high: Phrase) -> str:
    return f"{' '.join(s for s in (low.subject, high.predicate) if s)} while {low.as_gerund}"


def _arms_between(low: Phrase, high: Phrase) -> str:
    return f"while {high.as_gerund}, {low.text}"


def _mix(lower: Motion, upper: Motion, generator: torch.Generator) -> Motion | str:
    """The overlaid motion, or the reason why the two do not fit together."""
    positions, others = lower.positions(), upper.positions()
    postures_below, postures_above = set(postures(lower, positions)), set(postures(upper, others))
    if not postures_below <= {"standing", "sitting"} or bool((trunk(lower, positions) < _UPRIGHT).any()):
        return "legs are not those of an upright body"
    if postures_above != {"standing"} or bool((trunk(upper, others) < _UPRIGHT).any()):
        return "arms are not those of an upright body"
    if _hands_touch(lower, positions):
        return "hands of the lower clip are not free"
    if _chest_turn(lower, upper) > TRUNK_TURN:
        return "trunks are turned differently"
    speed = hand_speed(upper, others)
    if float(speed.mean()) < ARM_SPEED:
        return "arms do nothing"
    wrists = others[:, joints(upper, ("left_wrist", "right_wrist"))] - others[:, :1]
    if float(acceleration(wrists, upper.fps).norm(dim=-1).amax()) > ARM_ACCELERATION:
        return "arms move too hard"
    span = _cover(lower.num_frames, speed, generator)
    if isinstance(span, str):
        return span
    with_trunk = "sitting" not in postures_below and float(torch.rand((), generator=generator)) < 0.5
    mixed = _transplant(lower, upper, span, (*ARMS, *TORSO) if with_trunk else ARMS)
    inside = hands_inside(mixed)
    if float(inside.float().mean()) > MOST_INSIDE + float(hands_inside(upper).float().mean()):
        return "arms would pass through the body"
    return mixed


def _hands_touch(motion: Motion, positions: Tensor) -> bool:
    left, right = (positions[:, motion.skeleton.index(f"{side}_wrist")] for side in ("left", "right"))
    return bool(((left - right).norm(dim=-1) < HANDS_APART).float().mean() > 0.1)


def _chest_turn(lower: Motion, upper: Motion) -> float:
    """Median angle between the chests of both, relative to their pelves, radians."""
    chests = []
    for motion in (lower, upper):
        one, two, three = (motion.rotations[:, motion.skeleton.index(f"spine{i}")] for i in (1, 2, 3))
        chests.append(roma.special_procrustes((one @ two @ three).mean(0)))
    return float(roma.rotmat_geodesic_distance(chests[0][None], chests[1][None])[0])


def hand_speed(motion: Motion, positions: Tensor) -> Tensor:
    """Speed of the faster hand in the frame of the chest, `[T]`, m/s."""
    turned = motion.skeleton.forward_kinematics(motion.rotations, motion.translation)[1]
    chest = motion.skeleton.index("spine3")
    wrists = positions[:, joints(motion, ("left_wrist", "right_wrist"))] - positions[:, chest : chest + 1]
    seen = wrists @ turned[:, chest]  # [T, 2, 3]
    steps = seen.diff(dim=0).norm(dim=-1).amax(-1) * motion.fps
    return torch.cat([steps[:1], steps])


def _cover(frames: int, speed: Tensor, generator: torch.Generator) -> tuple[int, int, int] | str:
    """First frame in the lower clip, first frame in the upper one, and number of frames to overlay."""
    others = len(speed)
    if others < LEAST_COVER * frames:
        return "upper clip too short"
    if others <= frames:
        return int(torch.randint(frames - others + 1, (1,), generator=generator)), 0, others
    sums = torch.cat([speed.new_zeros(1), speed.cumsum(0)])
    windows = sums[frames:] - sums[:-frames]
    best = int(windows.argmax())
    if float(windows[best] / sums[-1]) < LEAST_ENERGY:
        return "upper clip too long"
    return 0, best, frames


def _transplant(lower: Motion, upper: Motion, span: tuple[int, int, int], names: tuple[str, ...]) -> Motion:
    """`lower` with the rotations of some joints of `upper`, faded in and out if it does not cover the whole clip."""
    start, source, count = span
    chosen = joints(lower, names)
    weight = torch.zeros(lower.num_frames)
    weight[start : start + count] = 1
    fade = max(round(BLEND_SECONDS * lower.fps), 1)
    ramp = (1 - torch.cos(torch.pi * torch.arange(1, fade + 1) / (fade + 1))) / 2
    ramp = ramp[: count // 2]
    if start > 0:
        weight[start : start + len(ramp)] = ramp
    if start + count < lower.num_frames:
        weight[start + count - len(ramp) : start + count] = ramp.flip(0)
    frames = (torch.arange(lower.num_frames) - start).clamp(0, count - 1) + source
    own, other = lower.rotations[:, chosen], upper.rotations[frames][:, chosen]
    arc = roma.rotmat_to_rotvec(own.mT @ other)  # [T, J, 3]
    rotations = lower.rotations.clone()
    rotations[:, chosen] = own @ roma.rotvec_to_rotmat(arc * weight[:, None, None])
    return lower.replace(rotations=rotations)
