"""The bodies by name; a body of your own is one function and one line in `BODIES`.

body = load_body("human", motion.skeleton)
"""

from collections.abc import Callable
from functools import lru_cache, partial

from motionmillion.io.skinned.body import SkinnedBody
from motionmillion.io.skinned.human import HUMANS, make_human
from motionmillion.io.skinned.mannequin import make_mannequin
from motionmillion.skeleton import Skeleton

BODIES: dict[str, Callable[[Skeleton], SkinnedBody]] = {
    **{build: partial(make_human, build=build) for build in HUMANS},
    "mannequin": make_mannequin,
}


def load_body(name: str, skeleton: Skeleton) -> SkinnedBody:
    """A body for motions on a skeleton.

    Args:
        name: a key of `BODIES`, or "auto": "human" if the skeleton has SMPL22's joints, else "mannequin".

    Raises:
        ValueError: for an unknown name, or a body that does not fit the skeleton.
    """
    if name != "auto" and name not in BODIES:
        raise ValueError(
            f"body must be one of {', '.join(BODIES)} and auto, got {name!r}; a character of one's own goes into "
            ".glb files only, a stick figure on pages, pictures and videos only"
        )
    return _made(name, skeleton)


@lru_cache(maxsize=8)
def _made(name: str, skeleton: Skeleton) -> SkinnedBody:
    if name == "auto":
        from motionmillion.skeleton import SMPL22

        name = "human" if skeleton.names == SMPL22.names else "mannequin"
    return BODIES[name](skeleton)
