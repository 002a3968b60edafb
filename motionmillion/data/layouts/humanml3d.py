"""HumanML3D as it is unpacked: features or joints, texts with times, and lists.

    new_joint_vecs/000021.npy     features [T, 263], 20 frames a second (or new_joints/, [T, 22, 3])
    texts/000021.txt              sentence#tags#from#to, one caption a line
    train.txt, val.txt, test.txt  one name a line

Names that begin with M are mirrored copies, which belong to the take of the original.
"""

import re
from pathlib import Path
from typing import Any

from motionmillion.data.layouts.base import Facts
from motionmillion.data.layouts.folder import FolderLayout
from motionmillion.data.records import ClipRecord


class HumanML3D(FolderLayout):
    """See the module's docstring."""

    name = "humanml3d"
    facts = Facts(
        "HumanML3D",
        "MIT for the texts; motions under the terms of AMASS and HumanAct12, not for commercial use",
        "https://github.com/EricGuo5513/HumanML3D",
        {"motions without mirrored copies": 14_616, "texts without mirrored copies": 44_970, "hours": 28.59},
    )

    @classmethod
    def recognises(cls, source: Path) -> bool:
        folders = any((source / name).is_dir() for name in ("new_joint_vecs", "new_joints"))
        return folders and (source / "texts").is_dir()

    def labels(self, record: ClipRecord) -> dict[str, Any]:
        name = Path(record.file).stem
        take = re.sub(r"^M(?=\d)", "", name)
        clip = record.name.rpartition("/")[2]
        return {"name": clip, "id": name, "take": take, "subject": take, "origins": ("human",) * len(record.captions)}
