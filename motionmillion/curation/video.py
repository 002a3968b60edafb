"""Reading and writing videos with PyAV.

    video = Video.open("film.mp4")
    video.frames, video.fps, video.width, video.height
    for picture in video.read(30, 60, step=5): ...          # uint8 [H, W, 3], RGB
    write_video("part.mp4", pictures, fps=30)

A frame's number is its place in the order of time stamps, so that it is right for videos of variable rate, too, and
reading starts at the nearest key frame. Pictures are turned upright where the file says so. Needs PyAV:
`pip install "motionmillion[curate]"`.
"""

import bisect
import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.files import atomic_path

_ENDS = 2**20
_WHOLE = 0.95
"""Least fraction of the frames that a file promises, below which it counts as cut off."""


class VideoError(ValueError):
    """A video that cannot be read; the message is one line."""


@dataclass(frozen=True)
class Video:
    """A video file; made by `open`.

    Args:
        key: name and eight digits of a hash, for files about this video.
        stamps: time stamp of each frame, in units of the file.
    """

    path: Path
    key: str
    fps: float
    width: int
    height: int
    stamps: list[int] = field(repr=False)

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @staticmethod
    def open(path: str | Path) -> "Video":
        """Look at a video, without decoding more than one frame.

        Raises:
            VideoError: if it is missing, damaged, cut off, or has no moving picture.
        """
        path = Path(path)
        with _opened(path) as (container, stream):
            promised = stream.frames
            packets = container.demux(stream)
            stamps = sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)
            base = float(stream.time_base or 0)
        if len(stamps) < max(2, _WHOLE * promised) or not base or stamps[-1] == stamps[0]:
            raise VideoError(f"video must be whole, got {len(stamps)} of {promised} frames in {path.name!r}")
        fps = (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * base)
        with _opened(path) as (container, stream):
            first = next((_upright(frame) for frame in container.decode(stream)), None)
        if first is None:
            raise VideoError(f"video must have a moving picture, got none that can be decoded in {path.name!r}")
        return Video(path, video_key(path), round(fps, 4), first.shape[1], first.shape[0], stamps)

    def read(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[np.ndarray]:
        """Every `step`-th picture from `start` to `stop`, uint8 `[H, W, 3]`, RGB.

        Raises:
            VideoError: if a frame is damaged.
        """
        stop, expected = self.frames if stop is None else stop, start
        with _opened(self.path) as (container, stream):
            stream.thread_type = "AUTO"
            if start:
                container.seek(self.stamps[start], stream=stream)
            for frame in container.decode(stream):
                number = bisect.bisect_left(self.stamps, frame.pts)
                if number >= stop:
                    break
                if frame.is_corrupt:
                    raise VideoError(f"video must be whole, got a damaged frame {number} in {self.path.name!r}")
                if number >= start and (number - start) % step == 0:
                    yield _upright(frame)
                    expected = number + step
        if expected < stop:
            raise VideoError(f"video must be whole, got no frame {expected} of {self.frames} in {self.path.name!r}")


def video_key(path: Path) -> str:
    """Name of a video for files: its own, and a hash of its size and of both ends of its content."""
    with path.open("rb") as file:
        digest = hashlib.sha256(str(size := path.stat().st_size).encode() + file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    plain = "".join(letter if letter.isalnum() else "_" for letter in path.stem)[:60]
    return f"{plain}-{digest.hexdigest()[:8]}"


def write_video(path: str | Path, pictures: Iterable[np.ndarray], fps: float, crf: int = 18) -> Path:
    """Write uint8 pictures `[H, W, 3]` (RGB, even sides) as H.264; `crf` is the quality, lower being better."""
    av = _av()
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        stream = None
        for picture in pictures:
            if stream is None:
                rate = Fraction(fps).limit_denominator(1001)
                stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf)})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError("pictures must hold at least one, got none")
        container.mux(stream.encode())
    return Path(path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"video must have a moving picture, got none in {path.name!r}")
            yield container, container.streams.video[0]
    except (av.FFmpegError, EOFError) as error:
        raise VideoError(f"video must be readable, got {path.name!r}: {getattr(error, 'strerror', error)}") from None


def _upright(frame: Any) -> np.ndarray:
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImportError('av must be installed to read videos; run: pip install "motionmillion[curate]"') from error
    return av
