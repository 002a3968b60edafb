"""The manifest of a batch of clips: one JSON file beside them that an import script or an engine reads.

    manifest = Manifest("clips/manifest.json")          # what is listed already stays
    manifest.add(clip_entry(["clips/walk.glb"], clip, prompt="a person walks", seed=0))

| key of a clip | content |
|---|---|
| name, files | name without suffix; files, relative to the manifest's folder |
| prompt, seed | as generated; seed is null for a clip that was not |
| caption | of the clip; a mirror image has the sides of the prompt swapped |
| frames, fps, seconds | as written; seconds of a loop are those of one cycle, without the closing frame |
| loop, in_place | whether it repeats, and whether its travel was taken out |
| speed | mean speed along the floor, metres per second, of the motion before it was put in place |
| displacement, turn | from the first frame to the last one: [x, z] in metres, degrees about +y |
| contacts | for each foot the intervals of frames in which it touches the floor: [first, one after the last] |

Contacts of a loop are those while it repeats; one across the seam is two intervals.
The file is replaced as a whole whenever a clip is added, so that it is always valid.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from motionmillion.data.game_clips import GameClip
from motionmillion.io.files import check_writable, read_text, write_text

NAME = "manifest.json"
_FORMAT, _VERSION = "motionmillion clips", 1


class Manifest:
    """A manifest file; read when it is made, if it exists.

    Raises:
        ValueError: for a file that is not a manifest, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.clips: list[dict[str, Any]] = []
        check_writable(self.path)
        if self.path.exists():
            self.clips = self._read()

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = json.loads(read_text(self.path, "manifest"))
            clips = content["clips"]
            if content["format"] != _FORMAT or not all(isinstance(clip["files"], list) for clip in clips):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(
                f"manifest must be one that was written for clips, got {str(self.path)!r}; move that file or choose "
                "another folder"
            ) from None
        return clips

    def lists(self, files: Sequence[str | Path]) -> bool:
        """Whether there is a clip of exactly these files."""
        return any(clip["files"] == self._names(files) for clip in self.clips)

    def add(self, entry: dict[str, Any]) -> None:
        """Add a clip and write the file; clips that share a file with it are replaced."""
        names = self._names(entry["files"])
        self.clips = [clip for clip in self.clips if not set(clip["files"]) & set(names)]
        self.clips.append({**entry, "files": names})
        self.clips.sort(key=lambda clip: clip["files"])
        content = {"format": _FORMAT, "version": _VERSION, "clips": self.clips}
        write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", self.path)

    def _names(self, files: Sequence[str | Path]) -> list[str]:
        """Paths relative to the manifest's folder, with forward slashes."""
        folder = os.path.realpath(self.path.parent)
        return [Path(os.path.relpath(os.path.realpath(file), folder)).as_posix() for file in files]


def clip_entry(files: Sequence[str | Path], clip: GameClip, prompt: str, seed: int | None = None) -> dict[str, Any]:
    """The entry of a clip; see the module."""
    from motionmillion.kinematics.repair import check_skeleton
    from motionmillion.kinematics.roots import headings, mean_speed
    from motionmillion.kinematics.trimming import foot_contacts, loop_contacts

    motion, loop = check_skeleton(clip.travelling), clip.loop
    step = (motion.translation[-1] - motion.translation[0]).tolist()
    yaw = headings(motion.rotations[:, 0].double())
    contacts = foot_contacts(motion) if loop is None else loop_contacts(loop)
    return {
        "name": Path(files[0]).stem,
        "files": list(files),
        "prompt": prompt,
        "caption": clip.motion.caption,
        "seed": seed,
        "frames": motion.num_frames,
        "fps": motion.fps,
        "seconds": round(motion.seconds if loop is None else loop.seconds, 4),
        "loop": loop is not None,
        "in_place": clip.motion is not clip.travelling,
        "speed": round(mean_speed(motion) if loop is None else loop.speed, 3),
        "displacement": [round(step[0], 4), round(step[2], 4)],
        "turn": round(math.degrees(float(yaw[-1] - yaw[0])), 2),
        "contacts": {side: [list(each) for each in found] for side, found in contacts.items()},
    }
