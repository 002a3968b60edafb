"""A small data set on disk."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.quality import quality_of
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motion_writer import finish_set
from motionmillion.data.shards.motions import FILES, Row, write_motions
from motionmillion.data.shards.resumable import ResumableFolder

LABELS = ("name", "motion", "split", "subject", "category", "whole", "ends")


def row_of(clip: MotionClip, **changes) -> Row:
    fields = {name: getattr(clip, name) for name in LABELS}
    fields |= dict(texts=clip.captions, text_origins=clip.sources or ("",) * len(clip.captions))
    fields |= dict(text_own=tuple(text in clip.own_captions for text in clip.captions))
    fields |= dict(take=clip.name, source="made", quality=quality_of(clip.motion))
    return Row(**fields | changes)


def write_set(folder: Path, rows: Sequence[Row], per_file: int = 3, sources=None) -> MotionTable:
    """Rows as a data set."""
    target = ResumableFolder(folder, FILES, {"made": "by a test"}, sources={}, files=[], clips=0, shards=0)
    names = []
    for start in range(0, len(rows), per_file):
        names.append(FILES.shard_name(f"{start:04d}", "00000"))
        write_motions(rows[start : start + per_file], folder / names[-1], {"run": target.run})
    finish_set(target, names, sources or {})
    return MotionTable(folder)


def some_clips() -> list[MotionClip]:
    """Ten clips, eight to train on and one each in val and test; some have captions."""
    clips = []
    for number in range(10):
        motion = synthesize(("walk", "turn", "jump")[number % 3], seed=number, seconds=2 + 0.3 * number)
        captions = (f"caption {number}", "the left hand") if number % 4 else ()
        clips.append(
            MotionClip(
                name=f"clip {number}",
                motion=motion.replace(translation=motion.translation + motion.translation.new_tensor([0, 0.2, 0])),
                captions=captions,
                split={8: "val", 9: "test"}.get(number, "train"),
                subject=f"s{number // 3}",
                category="walk",
                whole=number != 5,
                own_captions=captions[:1],
                sources=("human", "rule")[: len(captions)],
                ends=number != 6,
            )
        )
    return clips


@pytest.fixture(scope="session")
def clips() -> list[MotionClip]:
    return some_clips()


@pytest.fixture(scope="session")
def table(clips, tmp_path_factory) -> MotionTable:
    return write_set(tmp_path_factory.mktemp("set"), [row_of(clip) for clip in clips])
