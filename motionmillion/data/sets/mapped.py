"""Training data of a tokenizer that stays on disk: windows of the clips of memory-mapped data sets.

    windows = MappedWindows([MotionTable("my_set")], representation, frames=64)
    windows[0]["features"]                       # [64, D]; window and version are drawn at each access
    held_out = MappedClips([MotionTable("my_set")], representation, "val")

As `motionmillion.data.sets.windows`, which keeps the features of all clips in memory; here a window is read and
encoded when it is visited, and 12 bytes a clip are kept. What a visit draws depends only on torch's generator, so that
runs resume exactly (`motionmillion.training.order`).

Unusual: of a long clip only the frames around the window are read. Its floor is known from the data set.

Shapes: T frames, D feature size.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.configuration import check_number, check_whole
from motionmillion.data.augment import change_speed, mirror_clip, mix_bodies
from motionmillion.data.records import MotionClip
from motionmillion.data.sets.mixing import mixing_weights
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.features import Representation
from motionmillion.motion import Motion


class MappedRows:
    """Clips of one split of several data sets, numbered from 0.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, tables: Sequence[MotionTable], split: str) -> None:
        self.tables = list(tables)
        self.rows = [table.rows((split,)) for table in self.tables]
        self.ends = np.cumsum([len(rows) for rows in self.rows])
        if not self.ends[-1]:
            raise ValueError(f"data must hold clips of the split {split!r}, got none; see motionmillion data split")

    def __len__(self) -> int:
        return int(self.ends[-1])

    def place(self, clip: int) -> tuple[MotionTable, int]:
        """The data set of a clip and its number there."""
        own = int(np.searchsorted(self.ends, clip, side="right"))
        return self.tables[own], int(self.rows[own][clip - (self.ends[own - 1] if own else 0)])

    def column(self, name: str) -> np.ndarray:
        """A column of the data sets for these clips."""
        parts = zip(self.tables, self.rows, strict=True)
        return np.concatenate([table.column(name)[rows] for table, rows in parts])

    def motion(self, clip: int, start: int = 0, stop: int | None = None) -> Motion:
        """Frames of a clip, lowered so that the lowest joint of the whole clip is at height 0."""
        table, row = self.place(clip)
        motion = table.motion(row, start, stop)
        file, place = table.place(row)
        lowest = table.table(file)["quality"][place]["lowest"].as_py()
        if lowest is None:
            return motion.canonicalize()
        return motion.replace(translation=motion.translation - motion.translation.new_tensor([0.0, lowest, 0.0]))


class MappedWindows(Dataset):
    """Random windows of clips on disk; every clip is visited in proportion to its length.

    Args:
        tables: data sets.
        representation, frames, copies, speed, mixed: see `motionmillion.data.sets.windows.FeatureWindows`; the version
            is drawn at each visit.
        split: the split whose clips are used.
        samples: clips that `clips` gives, for statistics.
        seed: seed of that choice.
        by_process: each process visits files of its own in an epoch, see `motionmillion.training.order`.
    """

    def __init__(
        self,
        tables: Sequence[MotionTable],
        representation: Representation,
        frames: int,
        copies: int = 2,
        speed: float = 0.1,
        mixed: int = 0,
        split: str = "train",
        samples: int = 4096,
        seed: int = 0,
        by_process: bool = False,
    ) -> None:
        for name, value, least in (("frames", frames, 1), ("copies", copies, 1), ("mixed", mixed, 0)):
            check_whole(name, value, least)
        check_number("speed", speed)
        self.representation, self.frames = representation, frames
        self.copies, self.speed, self.mixed = copies, speed, mixed
        self.samples, self.seed, self.by_process = samples, seed, by_process
        self.source = MappedRows(tables, split)
        length = self.source.column("frames") * (representation.fps / self.source.column("fps"))
        self.ends = np.cumsum(np.ceil(length / frames).clip(min=1).astype(np.int64))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def name(self, item: int) -> str:
        """Name of the clip of an item, for messages."""
        table, row = self.source.place(self._clip(item))
        return table.name(row)

    @property
    def origin(self) -> list[str]:
        """What identifies the data sets: the fingerprints of the runs that wrote them."""
        return [table.header["content"] for table in self.source.tables]

    @property
    def blocks(self) -> np.ndarray:
        """Items after the last one of each file, for orders that keep files together."""
        found, before = [], 0
        for table, rows in zip(self.source.tables, self.source.rows, strict=True):
            last = before + np.searchsorted(rows, table.starts[1:])
            found.append(self.ends[np.unique(last[last > before]) - 1])
            before += len(rows)
        return np.concatenate(found)

    def weights(self) -> Tensor | None:
        """Sampling weight of each item by the mixing weights of its sources; None if there are none."""
        weights = mixing_weights([table.header["sources"] for table in self.source.tables])
        if weights is None:
            return None
        of_clip = self.source.column("source")
        items = np.diff(self.ends, prepend=0)
        totals = {name: int(items[of_clip == name].sum()) for name in np.unique(of_clip)}
        share = {name: 1.0 if weights.get(name) is None else weights[name] for name in totals}
        each = np.array([share[name] / max(totals[name], 1) for name in of_clip])  # type: ignore[operator]
        return torch.from_numpy(np.repeat(each, items))

    def _clip(self, item: int) -> int:
        return int(np.searchsorted(self.ends, item, side="right"))

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        clip = self._clip(item)
        version = int(torch.randint(self.copies + self.mixed, ()))
        speed = 1.0
        if self.copies > version >= 2:
            speed = 1 + self.speed * (2 * torch.rand(()).item() - 1)
        motion, after = self._piece(clip, speed, torch.rand(()).item())
        made = MotionClip("", motion)
        if version >= self.copies:
            other = int(torch.randint(len(self.source), ()))
            made = mix_bodies(made, MotionClip("", self._piece(other, 1.0, torch.rand(()).item())[0]))
            version -= self.copies
        made = mirror_clip(made) if version % 2 else made
        made = made if speed == 1.0 else change_speed(made, speed)
        features = self.representation.encode(made.motion)[after:]
        last = max(len(features) - self.frames, 0)
        start = 0 if after else int(torch.randint(last + 1, ()))
        return {"features": features[start : start + self.frames]}

    def _piece(self, clip: int, speed: float, draw: float) -> tuple[Motion, int]:
        """A whole clip, or frames of a long one that begin at a random place; rows of features to drop before them."""
        table, row = self.source.place(clip)
        file, place = table.place(row)
        data = table.table(file)
        frames, fps = data["frames"][place].as_py(), data["fps"][place].as_py()
        needed = math.ceil(self.frames * fps / self.representation.fps * speed) + 2
        if frames <= 2 * needed:
            return self.source.motion(clip), 0
        start = int(draw * (frames - needed + 1))
        return self.source.motion(clip, max(start - 1, 0), start + needed), min(start, 1)

    @property
    def clips(self) -> "MappedSample":
        """Features of a random choice of clips, for statistics; with mirror images if there are any copies."""
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(len(self.source), generator=generator)[: self.samples].sort().values
        return MappedSample(self, chosen.tolist())


class MappedSample:
    """Features of chosen clips, made each time they are iterated over."""

    def __init__(self, windows: MappedWindows, chosen: list[int]) -> None:
        self.windows, self.chosen = windows, chosen

    def __iter__(self) -> Iterator[Tensor]:
        for clip in self.chosen:
            motion = self.windows.source.motion(clip)
            yield self.windows.representation.encode(motion)
            if self.windows.copies > 1:
                yield self.windows.representation.encode(motion.mirror())


class MappedClips(Dataset):
    """Whole clips of a split as features, in order, for evaluation; read when they are asked for."""

    def __init__(self, tables: Sequence[MotionTable], representation: Representation, split: str = "val") -> None:
        self.source, self.representation = MappedRows(tables, split), representation

    @property
    def features(self) -> "MappedClips":
        """The clips; in memory they are a list."""
        return self

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, item: int) -> Tensor:
        return self.representation.encode(self.source.motion(item))
