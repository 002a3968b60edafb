"""Motion data: captioned clips from disk or synthetic, windows for the tokenizer, token sequences for the LM.

clips = load_clips("my_motions")            # a motion set or any folder of motion files with captions
train = [clip for clip in clips if clip.split == "train"]
"""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "MotionClip": "motionmillion.data.clips",
    "load_clips": "motionmillion.data.clips",
    "load_token_shards": "motionmillion.data.shards.tokens",
    "synthesize": "motionmillion.data.synthetic",
    "synthetic_clips": "motionmillion.data.synthetic",
}
__all__ = ["MotionClip", "load_clips", "load_token_shards", "synthesize", "synthetic_clips"]

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip, load_clips
    from motionmillion.data.shards.tokens import load_token_shards
    from motionmillion.data.synthetic.clips import synthesize, synthetic_clips


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'motionmillion.data' has no attribute {name!r}")
