"""Two or three clips in sequence, with captions that describe the sequence.

    clip = join_clips([walk, sit], generator)

The captions are combined: "a person walks forward, then sits down", "after walking forward, a person sits down", "walk
forward before sitting down". The transition is smoothed by inertialization (`motionmillion.kinematics.joining`); clips
whose poses or velocities differ too much at the seam are rejected.
"""

import re
from collections.abc import Callable, Sequence

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.composition.bodies import LEGS, joints, local_positions, postures
from motionmillion.data.composition.grammar import Phrase, draw, parse_caption
from motionmillion.kinematics.joining import go_on
from motionmillion.motion import Motion, heading, rotation_y

LONGEST_SECONDS = 12.0
FEWEST_FRAMES = 10
HEIGHT_TOLERANCE = 0.12
"""Maximum difference between the pelvis heights on both sides of a seam, metres."""
LEG_TOLERANCE = 0.2
"""Maximum mean distance between the leg joints on both sides of a seam, metres."""
BODY_TOLERANCE = 0.28
"""The same for all joints."""
SPEED_TOLERANCE = 0.9
"""Maximum difference between the velocities of the pelvis, m/s."""
MOST_WORDS = 45
_TRIES = 40


def join_clips(
    clips: Sequence[MotionClip], generator: torch.Generator, wordings: int = 4, longest: float = LONGEST_SECONDS
) -> MotionClip | str:
    """Join clips in sequence; returns the new clip, or the reason why they cannot be joined.

    Args:
        clips: two or three; the result has the frame rate of the first.
        generator: draws captions and wordings.
        wordings: maximum number of captions.
        longest: maximum length, seconds.

    Raises:
        ValueError: for another number of clips, or fewer than one wording.
    """
    if len(clips) not in (2, 3):
        raise ValueError(f"clips must be two or three, got {len(clips)}")
    if wordings < 1:
        raise ValueError(f"wordings must be at least 1, got {wordings!r}")
    reason = _unfit(clips, longest)
    if reason:
        return reason
    motion = _join_motions([clip.motion for clip in clips])
    if isinstance(motion, str):
        return motion
    captions = _word(clips, generator, wordings)
    if isinstance(captions, str):
        return captions
    subjects = dict.fromkeys(clip.subject for clip in clips)
    return MotionClip(
        name="+".join(clip.name for clip in clips),
        motion=motion.replace(caption=captions[0]),
        captions=captions,
        split=clips[0].split,
        subject="+".join(subjects),
        category=clips[0].category if len({clip.category for clip in clips}) == 1 else "",
        dataset=clips[0].dataset,
        own_captions=captions,
    )


def true_captions(clip: MotionClip) -> tuple[str, ...]:
    """Captions that describe exactly the clip's own motion."""
    return tuple(dict.fromkeys((*clip.own_captions, *(clip.captions if clip.whole else ()))))


def _unfit(clips: Sequence[MotionClip], longest: float) -> str:
    if any(clip.motion.num_frames < FEWEST_FRAMES for clip in clips):
        return "too few frames"
    if len({clip.split for clip in clips}) > 1:
        return "splits differ"
    if any(clip.motion.skeleton != clips[0].motion.skeleton for clip in clips):
        return "skeletons differ"
    if not all(map(true_captions, clips)):
        return "no caption of its own"
    return "too long" if sum(clip.motion.seconds for clip in clips) > longest else ""


def _join_motions(motions: Sequence[Motion]) -> Motion | str:
    whole = motions[0]
    for following in motions[1:]:
        following = following.resample(whole.fps)
        reason = seam_reason(whole, following)
        if reason:
            return reason
        whole = go_on(whole, following)
    return whole


def seam_reason(first: Motion, second: Motion) -> str:
    """Why `second` cannot follow `first`; empty if it can. Both must have the same frame rate."""
    end, start = first.slice(first.num_frames - 1, first.num_frames), second.slice(0, 1)
    before, after = postures(end, end.positions())[0], postures(start, start.positions())[0]
    if before != after and {before, after} != {"sitting", "crouching"}:
        return "postures at the seam differ"
    if abs(float(end.translation[0, 1] - start.translation[0, 1])) > HEIGHT_TOLERANCE:
        return "heights at the seam differ"
    apart = (local_positions(end, 0) - local_positions(start, 0)).norm(dim=-1)  # [J]
    if float(apart[joints(first, LEGS)].mean()) > LEG_TOLERANCE or float(apart.mean()) > BODY_TOLERANCE:
        return "poses at the seam differ"
    if (_speed(first, -1) - _speed(second, 0)).norm() > SPEED_TOLERANCE:
        return "speeds at the seam differ"
    return ""


def _speed(motion: Motion, frame: int) -> torch.Tensor:
    """Mean velocity `[3]` of the pelvis over a sixth of a second at one end, relative to the heading there, m/s."""
    count = max(min(round(motion.fps / 6), motion.num_frames - 1), 1)
    path = motion.translation[-count - 1 :] if frame else motion.translation[: count + 1]
    turn = rotation_y(-heading(motion.rotations[frame, 0]))
    return turn @ (path[-1] - path[0]) * motion.fps / count


def _word(clips: Sequence[MotionClip], generator: torch.Generator, wordings: int) -> tuple[str, ...] | str:
    phrases = [[p for p in map(parse_caption, true_captions(clip)) if p] for clip in clips]
    if not all(phrases):
        return "no caption of known grammar"
    words: dict[str, None] = {}
    for _ in range(_TRIES):
        text = join_phrases([some[draw(some, generator)] for some in phrases], generator)
        if text and len(text.split()) <= MOST_WORDS:
            words[text] = None
        if len(words) == wordings:
            break
    return tuple(words) or "captions do not go together"


def join_phrases(phrases: Sequence[Phrase], generator: torch.Generator) -> str:
    """One caption for phrases in sequence; empty if they cannot be combined."""
    first, *others = phrases
    if len({phrase.kind for phrase in phrases}) > 1 or any(phrase.opener for phrase in others):
        return ""
    if any(a.predicate.endswith(b.predicate) for a, b in zip(phrases, phrases[1:], strict=False)):
        return ""
    if any(map(_stands_on, phrases, phrases[1:])):
        return ""
    if first.kind == "sentence" and not _one_subject(phrases):
        return ""
    fitting = [t for t in (_TWO if len(phrases) == 2 else _THREE)[first.kind] if t.fits(phrases)]
    return fitting[draw(fitting, generator)].write(phrases) if fitting else ""


def _stands_on(first: Phrase, second: Phrase) -> bool:
    """Whether both phrases mention standing at the seam: "walks and then stands, then stands moving both arms"."""
    last = re.split(r", (?:then )?|\band (?:then )?", first.predicate)[-1]
    return second.verb == "stand" and re.match(r"stands?\b", last) is not None


def _one_subject(phrases: Sequence[Phrase]) -> bool:
    """Whether the subject of the first phrase can be used for all phrases."""
    if any(not p.generic and p.subject.split()[1:] != phrases[0].subject.split()[1:] for p in phrases[1:]):
        return False
    return len(set().union(*(p.genders for p in phrases))) < 2


class _Template:
    """A template: a condition on the phrases, and the caption made from them."""

    def __init__(self, write: Callable[[Sequence[Phrase]], str], fits: Callable[[Sequence[Phrase]], bool]) -> None:
        self.write, self.fits = write, fits


def _any(phrases: Sequence[Phrase]) -> bool:
    return True


def _unordered(phrases: Sequence[Phrase]) -> bool:
    """Whether the phrases contain no words of order yet."""
    order = ("then", "first", "finally", "before", "after", "until")
    return not any(word in f" {p.opener} {p.rest} ".replace(",", " ").split() for p in phrases for word in order)


def _first_single(phrases: Sequence[Phrase]) -> bool:
    return phrases[0].single and not phrases[0].opener


def _second_single(phrases: Sequence[Phrase]) -> bool:
    return phrases[0].single and phrases[1].single


def _plain_start(phrases: Sequence[Phrase]) -> bool:
    return _unordered(phrases) and not phrases[0].opener


_VERBAL_TWO = [
    _Template(lambda p: f"{p[0].text}, then {p[1].predicate}", _any),
    _Template(
        lambda p: f"{p[0].text}, and after that {p[1].predicate}",
        lambda p: not p[0].single and not _unordered(p),
    ),
    _Template(lambda p: f"{p[0].text} and then {p[1].predicate}", lambda p: p[0].single and _unordered(p)),
    _Template(lambda p: f"{p[0].text} before {p[1].as_gerund}", lambda p: _second_single(p) and _unordered(p)),
    _Template(lambda p: f"first {p[0].text}, then {p[1].predicate}", _plain_start),
    _Template(
        lambda p: f"after {p[0].as_gerund}, " + " ".join(s for s in (p[0].subject, p[1].predicate) if s),
        lambda p: _first_single(p) and _unordered(p),
    ),
]
_VERBAL_THREE = [
    _Template(lambda p: f"{p[0].text}, then {p[1].predicate}, and finally {p[2].predicate}", _unordered),
    _Template(lambda p: f"first {p[0].text}, then {p[1].predicate}, and finally {p[2].predicate}", _plain_start),
    _Template(lambda p: f"{p[0].text}, then {p[1].predicate}, then {p[2].predicate}", _any),
]
_TWO = {
    "sentence": _VERBAL_TWO,
    "command": _VERBAL_TWO,
    "noun": [
        _Template(lambda p: f"{p[0].rest}, then {p[1].rest}", _any),
        _Template(lambda p: f"{p[0].rest} followed by {p[1].rest}", _any),
        _Template(lambda p: f"first {p[0].rest}, then {p[1].rest}", _unordered),
    ],
}
_THREE = {
    "sentence": _VERBAL_THREE,
    "command": _VERBAL_THREE,
    "noun": [
        _Template(lambda p: f"{p[0].rest}, then {p[1].rest}, then {p[2].rest}", _any),
        _Template(lambda p: f"first {p[0].rest}, then {p[1].rest}, and finally {p[2].rest}", _unordered),
    ],
}
