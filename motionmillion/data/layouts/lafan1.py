"""LAFAN1: 77 takes of five actors at 30 frames a second, as BVH files.

    lafan1.zip                       members dance1_subject1.bvh: theme, take and actor; or the same unpacked

The themes give captions. Actor 5 is the test split, as in the published benchmark; the others are split by take. Takes
of one theme and number were recorded at the same time. Takes are minutes long, so that they are cut (`--cut`).

Source: Harvey et al., Robust Motion In-betweening (2020).
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from motionmillion.data.layouts.archives import Member
from motionmillion.data.layouts.base import Draft, Facts, Layout
from motionmillion.data.layouts.index import Index
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.splits import split_of_subject
from motionmillion.motion import Motion

_NAME = re.compile(r"([A-Za-z]+?)(\d+)_subject(\d+)$")
_THEMES = {
    "aiming": "a person moves while aiming a gun",
    "dance": "a person dances freely",
    "fallAndGetUp": "a person falls and gets up again",
    "fight": "a person fights",
    "fightAndSports": "a person fights and does sports",
    "ground": "a person crawls and crouches",
    "jumps": "a person jumps",
    "multipleActions": "a person does several things one after another",
    "obstacles": "a person walks over uneven ground",
    "push": "a person pushes",
    "pushAndFall": "a person is pushed and falls",
    "pushAndStumble": "a person is pushed and stumbles",
    "run": "a person runs",
    "sprint": "a person sprints",
    "walk": "a person walks",
}


class Lafan1(Layout):
    """See the module's docstring."""

    name = "lafan1"
    facts = Facts(
        "LAFAN1",
        "CC BY-NC-ND 4.0",
        "https://github.com/ubisoft/ubisoft-laforge-animation-dataset",
        {"motions": 77, "hours": 4.6},
    )
    suffixes = (".bvh",)
    indexed = False

    @classmethod
    def recognises(cls, source: Path) -> bool:
        if any(source.glob("lafan1.zip")) or any(source.glob("*/lafan1.zip")):
            return True
        return any(_NAME.search(path.stem) for path in [*source.glob("*.bvh"), *source.glob("*/*.bvh")][:10])

    def has_motions(self, archive: str) -> bool:
        return PurePosixPath(archive).name.lower().startswith("lafan")

    def drafts(self, member: Member, index: Index | None) -> Iterator[Draft | Fault]:
        name = PurePosixPath(member.inner).stem
        found = _NAME.search(name)
        theme, take, actor = found.groups() if found else (name, "", "")
        split = "test" if actor == "5" else split_of_subject(f"{theme}{take}")
        yield Draft(
            name=name,
            motion=Motion.load(member.path),
            texts=(_THEMES[theme],) if theme in _THEMES else (),
            origin="rule",
            split="train" if split == "test" and actor != "5" else split,
            subject=f"subject{actor}",
            category=theme,
            take=f"{theme}{take}",
            id=name,
        )
