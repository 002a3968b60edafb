"""HumanML3D in 272 features, as published with MotionStreamer (`lxxiao/272-dim-HumanML3D` on the hub).

    motion_data/000021.npy         features [T, 272], 30 frames a second
    texts/000021.txt               sentence#tags#from#to, one caption a line
    split/{train,val,test}.txt     one name a line
    mean_std/                      statistics, not used here

Unusual: the release has fewer motions than HumanML3D; the lists may name motions that are not in it.
"""

from pathlib import Path

from motionmillion.data.layouts.base import Facts
from motionmillion.data.layouts.humanml3d import HumanML3D


class HumanML3D272(HumanML3D):
    """See the module's docstring."""

    name = "humanml3d-272"
    facts = Facts(
        "HumanML3D-272",
        HumanML3D.facts.licence,
        "https://huggingface.co/datasets/lxxiao/272-dim-HumanML3D",
        {"motions": 26_846},
    )

    @classmethod
    def recognises(cls, source: Path) -> bool:
        motions = source / "motion_data"
        return motions.is_dir() and (source / "texts").is_dir() and not (motions / "vector_272").is_dir()
