"""Stage 5: body motion of a person, by a program that estimates it, or from its results.

| estimator | what runs |
|---|---|
| files | nothing: results lie in `folder`, as `CLIP.*`, or `FILM_pN.*` or `FILM.*` with all frames of the film |
| gvhmr | GVHMR's demo in the checkout `folder` |
| wham | WHAM's demo in the checkout `folder` |
| command | `command`, in `folder`, with {video}, {out} and {name} in it; `result` is looked for below {out} |

Results may be in any format that `Motion.load` reads, such as GVHMR's `hmr4d_results.pt`, WHAM's `wham_output.pkl`,
SMPL parameters in `.npz`, and joint positions `[T, 22, 3]` in `.npy`. They are kept in the folder `motions` of the
run, clip by clip, so that no program runs twice for one clip. Unusual: a program gets a video of the clip in which the
other people are painted over, because most take the largest person that they see.
"""

import shlex
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.configuration import check_number
from motionmillion.curation.clips import Clip, Dropped, Stage, Verdict
from motionmillion.curation.video import Video, write_video
from motionmillion.io import read_motion, readable_suffixes
from motionmillion.motion import Motion
from motionmillion.provenance import file_stamps, fingerprint

PROGRAMS = {
    "gvhmr": ("python tools/demo/demo.py --video={video} --output_root={out} -s", "**/hmr4d_results.pt"),
    "wham": ("python demo.py --video {video} --output_pth {out} --save_pkl", "**/wham_output.pkl"),
}
"""Command line and result of programs that are known by name."""
_RATELESS = (".npz", ".npy", ".pkl", ".pt", ".pth")
_SLACK = 2
"""Frames that a result may be too short or too long."""


@dataclass(frozen=True)
class SmplOptions:
    """How body motion is estimated; see the module's docstring.

    Args:
        estimator: files, gvhmr, wham or command.
        folder: of results, or where the program is installed.
        command, result: of the estimator "command"; others have their own.
        timeout: seconds that a program may take for a clip.
    """

    estimator: str = "files"
    folder: str = ""
    command: str = ""
    result: str = "**/*"
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        known = ("files", "command", *PROGRAMS)
        if self.estimator not in known:
            raise ValueError(f"estimator must be one of {', '.join(known)}, got {self.estimator!r}")
        if (self.estimator == "command") != bool(self.command):
            raise ValueError(f"command must be given for the estimator command only, got {self.command!r}")
        check_number("timeout", self.timeout)


class Smpl(Stage):
    """Adds a motion to each clip."""

    name = "smpl"
    Options = SmplOptions

    def inputs(self) -> Any:
        options: SmplOptions = self.options
        if options.estimator != "files":
            return None
        files = sorted(Path(options.folder).glob("*")) if options.folder else []
        return file_stamps(path for path in files if path.suffix in readable_suffixes())

    def __call__(self, video: Video, clips: Sequence[Clip]) -> Verdict:
        if not self.options.folder and self.options.estimator != "command":
            raise ValueError(f"smpl.folder must name {_FOLDERS[self.options.estimator == 'files']}, got none")
        verdict = Verdict()
        for clip in clips:
            file = self._file(clip, clips)
            try:
                if not (self.folder / file).is_file():
                    self._motion(video, clip, clips).canonicalize().save(self.folder / file)
            except (ValueError, OSError, subprocess.SubprocessError) as error:
                verdict.dropped.append(Dropped(clip, f"no motion: {_short(error)}"))
                verdict.final = self.options.estimator == "files"  # a program may be repaired
            else:
                verdict.kept.append(replace(clip, motion=file))
        return verdict

    def _file(self, clip: Clip, clips: Sequence[Clip]) -> str:
        """Name of the motion's file, another one for other options, boxes and results."""
        seen = [each.boxes for each in (clip, *_beside(clip, clips))]
        state = fingerprint([asdict(self.options), self.inputs(), seen])
        return f"motions/{clip.name}-{state[:8]}.npz"

    def _motion(self, video: Video, clip: Clip, clips: Sequence[Clip]) -> Motion:
        if self.options.estimator == "files":
            return self._from_files(video, clip)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            film = write_video(out / f"{clip.name}.mp4", _alone(video, clip, clips), clip.fps)
            command, pattern = PROGRAMS.get(self.options.estimator, (self.options.command, self.options.result))
            words = [word.format(video=film, out=out, name=clip.name) for word in shlex.split(command)]
            done = subprocess.run(
                words,
                cwd=self.options.folder or None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.options.timeout,
            )
            if done.returncode:
                lines = done.stderr.strip().splitlines() or ["nothing on standard error"]
                raise ValueError(f"{words[0]} ended with {done.returncode}, {lines[-1]}")
            results = sorted(path for path in out.glob(pattern) if path != film and path.is_file())
            if not results:
                raise ValueError(f"{words[0]} wrote no {pattern}")
            return _of_length(_read(results[0], clip.fps), clip.frames)

    def _from_files(self, video: Video, clip: Clip) -> Motion:
        folder, stem = Path(self.options.folder), video.path.stem
        for name in (clip.name, f"{stem}_p{clip.person}", stem):
            for suffix in readable_suffixes():
                path = folder / f"{name}{suffix}"
                if path.is_file():
                    motion = _read(path, clip.fps)
                    if name == clip.name:
                        return _of_length(motion, clip.frames)
                    return _of_length(motion, video.frames).slice(clip.start, clip.stop)
        raise ValueError(f"no file for {clip.name}")


_FOLDERS = {True: "the folder of the results", False: "the folder where the program is installed"}


def _read(path: Path, fps: float) -> Motion:
    """A motion of one frame for each of the video, on the body of this library."""
    options: dict[str, Any] = {"fps": fps} if path.suffix.lower() in _RATELESS else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # guesses about the rate, which is known here
        return read_motion(path, **options).replace(fps=fps)


def _of_length(motion: Motion, frames: int) -> Motion:
    """The motion with exactly `frames`: cut, or the last frame held."""
    if abs(motion.num_frames - frames) > _SLACK:
        raise ValueError(f"{motion.num_frames} frames instead of {frames}")
    order = np.minimum(np.arange(frames), motion.num_frames - 1).tolist()
    return motion.replace(rotations=motion.rotations[order], translation=motion.translation[order])


def _alone(video: Video, clip: Clip, clips: Sequence[Clip]) -> Iterator[np.ndarray]:
    """The pictures of a clip, with even sides, the other people painted over in the mean colour."""
    others = [
        each for each in clips if each.person != clip.person and each.start < clip.stop and clip.start < each.stop
    ]
    for number, picture in enumerate(video.read(clip.start, clip.stop)):
        frame, made = clip.start + number, picture.copy()
        for other in others:
            if other.start <= frame < other.stop:
                _paint(made, other.boxes[frame - other.start], picture.mean((0, 1)))
        own = tuple(slice(*map(round, map(float, edge))) for edge in _edges(clip.boxes[number]))
        made[own] = picture[own]
        yield made[: made.shape[0] // 2 * 2, : made.shape[1] // 2 * 2]


def _beside(clip: Clip, clips: Sequence[Clip]) -> list[Clip]:
    """The clips that share frames with one, itself included."""
    return [each for each in clips if each.start < clip.stop and clip.start < each.stop]


def _paint(picture: np.ndarray, box: Sequence[float], color: np.ndarray) -> None:
    rows, columns = _edges(box)
    picture[round(rows[0]) : round(rows[1]), round(columns[0]) : round(columns[1])] = color


def _edges(box: Sequence[float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row, first and last column, within the picture on the upper left."""
    return (max(box[1], 0), max(box[3], 0)), (max(box[0], 0), max(box[2], 0))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
