"""A motion's caption as a text file: together with a motion file of the same name it makes a captioned clip.

    motionmillion generate --prompts-file prompts.txt -o teacher/motion.npz -o teacher/motion.txt

`motionmillion.data.clips.load_clips` reads the folder: the captions of `x.npz` are in `x.txt`.
"""

from pathlib import Path

from motionmillion.io.files import write_text
from motionmillion.motion import Motion


def write_caption(motion: Motion, path: str | Path) -> Path:
    """Write the caption as one line.

    Raises:
        ValueError: for a motion without a caption.
    """
    caption = " ".join(motion.caption.split())
    if not caption:
        raise ValueError(f"caption must say what the motion shows to be written, got none for {str(path)!r}")
    return write_text(caption + "\n", path)
