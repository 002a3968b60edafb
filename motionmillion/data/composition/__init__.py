"""New clips composed from given ones, with captions that match them.

    from motionmillion.data.composition import join_clips, overlay_clips, reverse_clip

    clip = join_clips([walk, sit], generator)       # "a person walks forward, then sits down"
    clip = overlay_clips(walk, wave, generator)     # "a person walks forward while waving the right hand"
    clip = reverse_clip(sit)                        # "a person stands up"

Each function returns a clip, or the reason why it cannot be made: a short phrase that does not depend on the clip, so
that reasons can be counted.
"""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "join_clips": "motionmillion.data.composition.sequence",
    "overlay_clips": "motionmillion.data.composition.overlay",
    "reverse_clip": "motionmillion.data.composition.reversal",
    "load_opposites": "motionmillion.data.composition.opposites",
    "Opposites": "motionmillion.data.composition.opposites",
}
__all__ = ["Opposites", "join_clips", "load_opposites", "overlay_clips", "reverse_clip"]

if TYPE_CHECKING:
    from motionmillion.data.composition.opposites import Opposites, load_opposites
    from motionmillion.data.composition.overlay import overlay_clips
    from motionmillion.data.composition.reversal import reverse_clip
    from motionmillion.data.composition.sequence import join_clips


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'motionmillion.data.composition' has no attribute {name!r}")
