"""From what a layout finds to rows of a data set: frame rate, cuts, splits, quality and the findings of the audit.

for made in rows_of(draft, options): ...            # Rows, or a Fault
"""

from collections.abc import Iterator

from motionmillion.data.audit import audit_clip
from motionmillion.data.layouts.base import BuildOptions, Draft
from motionmillion.data.quality import quality_of
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.shards.motions import Row
from motionmillion.data.splits import split_of_subject
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

_KINDS = {
    "finite": "not finite",
    "physical units": "wrong units",
    "human size": "wrong units",
    "metres": "wrong units",
    "shape": "wrong shape",
    "rotation matrices": "wrong shape",
    "whole": "damaged file",
    "truncated": "damaged file",
    "damaged": "damaged file",
    "empty": "damaged file",
    "pickle": "damaged file",
}
"""Words of errors, and the kinds of faults that they say."""


def fault_of(error: Exception, name: str) -> Fault:
    """The fault that an error of a reader says."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return Fault(next((kind for word, kind in _KINDS.items() if word in reason), "unreadable"), name, reason)


def rows_of(draft: Draft, options: BuildOptions, file: str = "") -> Iterator[Row | Fault]:
    """The rows of a draft: one, or one for each window of a long motion.

    Args:
        file: where it was read from.
    """
    motion = draft.motion
    if motion.skeleton.names != SMPL22.names:
        yield Fault("wrong shape", draft.name, f"{len(motion.skeleton)} joints of another skeleton")
        return
    if motion.skeleton is not SMPL22:
        motion = motion.replace(skeleton=SMPL22)
    if options.fps and motion.fps > options.fps:
        motion = motion.resample(options.fps)
    if motion.num_frames < 2 or motion.seconds < options.shortest:
        yield Fault("too short", draft.name, f"{motion.seconds:.2f} s")
        return
    windows = windows_of(motion, options.cut)
    for number, part in enumerate(windows):
        last = number == len(windows) - 1
        own = draft.own if len(windows) == 1 else False
        yield _row(draft, part, options, file, f"_{number:03d}" if len(windows) > 1 else "", own, last)
    if not draft.texts:
        yield Fault("no captions", draft.name)


def windows_of(motion: Motion, seconds: float) -> list[Motion]:
    """Equal windows of at most `seconds`; the whole motion for 0."""
    if not seconds or motion.seconds <= seconds + 0.5 / motion.fps:
        return [motion]
    count = -(-motion.num_frames // round(seconds * motion.fps))
    edges = [round(motion.num_frames * number / count) for number in range(count + 1)]
    return [motion.slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def _row(
    draft: Draft,
    motion: Motion,
    options: BuildOptions,
    file: str,
    suffix: str,
    own: bool | tuple[bool, ...],
    last: bool,
) -> Row:
    subject, take = draft.subject or draft.take or draft.name, draft.take or draft.name
    return Row(
        name=draft.name + suffix,
        motion=motion,
        split=draft.split or split_of_subject(subject),
        subject=draft.subject,
        category=draft.category,
        take=take,
        source=draft.source,
        licence=draft.licence,
        id=draft.id or draft.name,
        file=file,
        whole=draft.whole and not suffix,
        ends=draft.ends and last,
        texts=draft.texts,
        text_origins=draft.origins or (draft.origin,) * len(draft.texts),
        text_own=own if isinstance(own, tuple) else (own,) * len(draft.texts),
        flags=tuple(dict.fromkeys(finding.kind for finding in audit_clip(motion))) if options.quality else (),
        trusted=draft.trusted,
        quality=quality_of(motion) if options.quality else {},
    )
