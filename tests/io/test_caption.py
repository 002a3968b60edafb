"""Captions as text files make generated motions a data set."""

from pathlib import Path

import pytest

from motionmillion.data import load_clips
from motionmillion.motion import Motion


def test_a_motion_and_its_caption_are_a_clip(motion: Motion, tmp_path: Path):
    said = motion.replace(caption="a person\nturns ")
    for suffix in (".npz", ".txt"):
        said.save(tmp_path / f"motion-0000{suffix}")
    clip = load_clips(tmp_path)[0]
    assert clip.captions == ("a person turns",) and clip.motion.num_frames == motion.num_frames


def test_a_motion_must_have_a_caption(motion: Motion, tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"caption must say what the motion shows to be written, got none for .*x\.txt"
    ):
        motion.replace(caption="").save(tmp_path / "x.txt")
    assert not list(tmp_path.iterdir())
