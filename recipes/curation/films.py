"""Films of our own motion whose truth is known: shots, cuts, dissolves, zooms, several people, occlusion.

    python recipes/curation/films.py --output films --films 3 --size 256

For each film: `NAME.mp4`; `NAME.txt`, the boxes of the people as in the MOT challenge (frame from 1, number, left,
top, width, height, confidence, -1, -1, -1); `NAME_pN.npy`, the joints `[T, 22, 3]` of person N in every frame of
the film, with noise; and `NAME.json`, the shots and the dissolves. Each shot has its own
background, camera and people.

Shapes: T frames of a film or shot, H and W pixels.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from motionmillion.curation.video import write_video
from motionmillion.data import synthesize
from motionmillion.io.actors import make_actor
from motionmillion.io.render import SUPERSAMPLING, Actor, Camera, optional_package
from motionmillion.motion import Motion, rotation_y

ACTIONS = ("walk", "wave", "jump", "squat", "turn")
FPS = 30.0
_SLOW = 10


@dataclass(frozen=True)
class Shot:
    """A shot of a film.

    Args:
        people: motions, all as long as the shot and in one space.
        dissolve: frames of the dissolve from the shot before; 0 is a cut.
        zoom: distance of the camera at the end, relative to that at the beginning.
        hue: seed of the background.
        pillar: whether a pillar stands in front of the people.
    """

    people: tuple[Motion, ...]
    dissolve: int = 0
    zoom: float = 1.0
    hue: int = 0
    pillar: bool = False

    @property
    def frames(self) -> int:
        return self.people[0].num_frames


@dataclass
class Film:
    """Pictures of a film, and its truth: boxes by person and frame, and motions by person and first frame."""

    pictures: list[np.ndarray] = field(default_factory=list)
    shots: list[tuple[int, int]] = field(default_factory=list)
    dissolves: list[tuple[int, int]] = field(default_factory=list)
    boxes: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)
    motions: list[tuple[int, int, Motion]] = field(default_factory=list)

    def add(self, shot: Shot, size: tuple[int, int]) -> None:
        """Append a shot; the frames of its dissolve lie over the last ones of the shot before."""
        begin = len(self.pictures) - shot.dissolve
        if shot.dissolve:
            self.dissolves.append((begin, begin + shot.dissolve))
            self.shots[-1] = (self.shots[-1][0], begin)
        self.shots.append((begin + shot.dissolve, begin + shot.frames))
        for number, motion in enumerate(shot.people, 1):
            self.motions.append((number, begin, motion))
        for frame, (picture, boxes) in enumerate(draw_shot(shot, size)):
            if frame < shot.dissolve:
                share = (frame + 1) / (shot.dissolve + 1)
                below = self.pictures[begin + frame].astype(np.float32)
                self.pictures[begin + frame] = ((1 - share) * below + share * picture).round().astype(np.uint8)
                continue
            self.pictures.append(picture)
            for number, box in enumerate(boxes, 1):
                if box is not None:
                    self.boxes.setdefault(number, {})[begin + frame] = box

    def joints(self, person: int, noise: float, draw: np.random.Generator) -> np.ndarray:
        """Joints of a person in every frame `[T, 22, 3]`, metres; those of the nearest frame where there is no person.

        The noise is normal and changes slowly, over about a third of a second, as that of estimators does.
        """
        found = np.full((len(self.pictures), 22, 3), np.nan, np.float32)
        for number, begin, motion in self.motions:
            if number == person:
                found[begin : begin + motion.num_frames] = motion.positions().numpy()
        there, frames = np.flatnonzero(np.isfinite(found[:, 0, 0])), np.arange(len(found))
        found = found[there[np.abs(frames[:, None] - there).argmin(1)]]
        rough = draw.standard_normal((len(found) + 2 * _SLOW, 22, 3))
        slow = np.apply_along_axis(np.convolve, 0, rough, np.hanning(2 * _SLOW + 1), "valid")
        return found + (noise * slow / slow.std()).astype(np.float32)


def draw_shot(shot: Shot, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, list[np.ndarray | None]]]:
    """Pictures of a shot, and for each person the box of what is seen: left, top, right, bottom."""
    actors = [make_actor(motion) for motion in shot.people]
    points = np.concatenate([actor.points for actor in actors], axis=1)
    middle = np.tile((points.min((0, 1)) + points.max((0, 1))) / 2, (shot.frames, 1))
    camera = Camera.around(shot.people[0], points, middle, size)
    behind = background(shot.hue, size)
    pillar = np.zeros(behind.shape[:2], bool)
    if shot.pillar:
        left = int(0.47 * behind.shape[1])
        pillar[:, left : left + behind.shape[1] // 16] = True
    for frame in range(shot.frames):
        share = frame / max(shot.frames - 1, 1)
        seen = replace(camera, distance=camera.distance * (1 + (shot.zoom - 1) * share))
        picture, owner = behind.copy(), np.zeros(behind.shape[:2], np.uint8)
        for number, actor in sorted(enumerate(actors, 1), key=lambda each: -_depth(each[1], frame, seen)):
            paste(picture, owner, actor, number, frame, seen)
        picture[pillar], owner[pillar] = (90, 70, 60), 0
        small = picture.reshape(size[1], SUPERSAMPLING, size[0], SUPERSAMPLING, 3).mean((1, 3))
        yield small.round().astype(np.uint8), [_box(owner == number) for number in range(1, len(actors) + 1)]


def paste(picture: np.ndarray, owner: np.ndarray, actor: Actor, number: int, frame: int, camera: Camera) -> None:
    """Draw an actor into a supersampled picture `[H, W, 3]`, and its number into `owner` `[H, W]`."""
    color, covered, (left, top) = actor.shade(frame, camera)
    there = (slice(top, top + covered.shape[0]), slice(left, left + covered.shape[1]))
    picture[there][covered > 0] = color[covered > 0]
    owner[there][covered > 0] = number


def background(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A soft pattern of colours, supersampled `[H, W, 3]`."""
    pil = optional_package("PIL.Image")
    draw = np.random.default_rng(seed)
    coarse = draw.integers(60, 250, (4, 6, 3)) * 0.5 + draw.integers(40, 130, 3)
    picture = pil.fromarray(coarse.clip(0, 255).astype(np.uint8))
    return np.array(picture.resize((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), pil.Resampling.BICUBIC))


def _depth(actor: Actor, frame: int, camera: Camera) -> float:
    return float(camera.project(actor.points[frame, :1])[0, 2])


def _box(mask: np.ndarray) -> np.ndarray | None:
    """The box around a supersampled mask, in pixels of the picture; None if nothing is seen."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / SUPERSAMPLING


def moved(motion: Motion, x: float, z: float, turn: float = 0.0) -> Motion:
    """A motion turned about the vertical axis (radians), then moved along the floor."""
    rotations, around = motion.rotations.clone(), rotation_y(torch.tensor(turn))
    rotations[:, 0] = around @ rotations[:, 0]
    path = motion.translation @ around.mT + torch.tensor([x, 0.0, z])
    return motion.replace(rotations=rotations, translation=path)


def make_shots(seed: int, count: int = 5, seconds: float = 2.0) -> list[Shot]:
    """Shots with a cut or a dissolve between them; the second zooms, the third has two people, the fourth a pillar."""
    draw = np.random.default_rng(seed)
    shots = []
    for number in range(count):
        length = round(seconds * draw.uniform(1, 1.25) * FPS)
        people = [_cut(synthesize(ACTIONS[(seed + number) % 5], seed + number, seconds=seconds + 2), length)]
        if number % 5 == 2:
            other = synthesize(ACTIONS[(seed + number + 1) % 5], seed + number + 50, seconds=seconds + 2)
            people = [moved(people[0], -0.7, 0.0), moved(_cut(other, length), 0.7, 0.3, math.pi / 3)]
        shots.append(
            Shot(
                tuple(people),
                dissolve=int(length * draw.uniform(0.25, 0.35)) if number % 3 == 2 else 0,
                zoom=0.75 if number % 5 == 1 else 1.0,
                hue=100 * seed + number,
                pillar=number % 5 == 3,
            )
        )
    return shots


def _cut(motion: Motion, frames: int) -> Motion:
    return motion.slice(0, min(frames, motion.num_frames)).canonicalize()


def make_film(shots: Sequence[Shot], size: tuple[int, int]) -> Film:
    """Draw a film."""
    film = Film()
    for shot in shots:
        film.add(shot, size)
    return film


def write_film(film: Film, folder: Path, name: str, noise: float = 0.0, seed: int = 0) -> Path:
    """Write the files of a film, see the module's docstring; returns the path of the video.

    Args:
        noise: standard deviation of the joints, metres.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    lines = []
    for person, boxes in sorted(film.boxes.items()):
        for frame, (left, top, right, bottom) in sorted(boxes.items()):
            lines.append(
                f"{frame + 1},{person},{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f},0.9,-1,-1,-1"
            )
        np.save(folder / f"{name}_p{person}.npy", film.joints(person, noise, draw))
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    truth = {"shots": film.shots, "dissolves": film.dissolves}
    (folder / f"{name}.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")
    return write_video(folder / f"{name}.mp4", film.pictures, FPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels")
    parser.add_argument("--noise", type=float, default=0.01, help="of the joints, metres")
    args = parser.parse_args()
    for number in range(args.films):
        film = make_film(make_shots(number), (args.size, args.size))
        print(write_film(film, args.output, f"film{number}", args.noise, number))


if __name__ == "__main__":
    main()
