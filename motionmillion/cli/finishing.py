"""What `motionmillion generate` does with each motion: repair, clip for a game, files, entry in the manifest.

finish = Finish(ClipOptions(loop=True), OutputOptions(), repair=True, manifest=open_manifest([Path("clips/x.glb")]))
finish.write([Path("x.glb")], finish.clip(motion), "a person walks", seed=0)
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from motionmillion.data.game_clips import ClipOptions, GameClip, prepare_clip
from motionmillion.data.manifest import NAME, Manifest, clip_entry
from motionmillion.data.mirror_words import mirror_caption
from motionmillion.io import write_motion
from motionmillion.io.write_options import OutputOptions
from motionmillion.kinematics.repair import repair_faults
from motionmillion.motion import Motion
from motionmillion.progress import say

if TYPE_CHECKING:
    from motionmillion.io.viewer.payload import Part


@dataclass(frozen=True)
class Finish:
    """What is done with each motion after it is generated.

    Args:
        clips: what it is made into.
        writing: options of the files' writers.
        repair: whether it is repaired first.
        manifest: where the clips are listed.
    """

    clips: ClipOptions = ClipOptions()
    writing: OutputOptions = OutputOptions()
    repair: bool = False
    manifest: Manifest | None = None

    def clip(self, motion: Motion, name: str = "motion") -> GameClip:
        """What a generated motion is made into; says what a repair changed, with its name in front.

        Raises:
            ValueError: if it cannot be.
        """
        if self.repair:
            fixed = motion.repaired()
            say(f"{name}: {repair_faults(motion, fixed)}")
            motion = fixed
        return prepare_clip(motion, self.clips)

    def write(
        self, files: Sequence[Path], clip: GameClip, prompt: str, seed: int, parts: "Sequence[Part]" = ()
    ) -> None:
        """Write a clip to every file and list them; prints their names. Pages show the texts of `parts`."""
        for file in files:
            told = {"parts": parts} if parts and file.suffix.lower() == ".html" else {}
            write_motion(clip.motion, file, **self.writing.of(file), **told)
            say(str(file), sys.stdout)
        if self.manifest is not None:
            self.manifest.add(clip_entry(files, clip, prompt, seed))

    def caption(self, prompt: str) -> str:
        """The caption in the files of a prompt."""
        return mirror_caption(prompt) if self.clips.mirror else prompt

    def lists(self, files: Sequence[Path]) -> bool:
        """Whether there is nothing left to list for these files."""
        return self.manifest is None or self.manifest.lists(files)


def open_manifest(outputs: Sequence[Path]) -> Manifest | None:
    """The manifest beside the first output; None without any, which is an error elsewhere."""
    return Manifest(outputs[0].parent / NAME) if outputs else None
