"""Feature windows for training the tokenizer, and the collation of features of different lengths.

Shapes: B batch, T frames, D feature size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.configuration import check_number, check_whole
from motionmillion.data.augment import change_speed, mirror_clip, mix_bodies
from motionmillion.data.clips import MotionClip
from motionmillion.features import Representation


class FeatureWindows(Dataset):
    """Random windows of clips; every clip is drawn in proportion to its length.

    Args:
        clips: clips of any length; those shorter than `frames` are returned whole.
        representation: codec of the features.
        frames: window length in frames.
        copies: number of versions of each clip to encode: the clip, its mirror image, then speed variants of both.
        speed: range of the speed variants around 1.
        mixed: further versions, each with the upper body of another clip drawn at random, see `mix_bodies`.
        seed: seed of the speeds.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        representation: Representation,
        frames: int,
        copies: int = 2,
        speed: float = 0.1,
        mixed: int = 0,
        seed: int = 0,
    ) -> None:
        for name, value, least in (("frames", frames, 1), ("copies", copies, 1), ("mixed", mixed, 0)):
            check_whole(name, value, least)
        check_number("speed", speed)
        generator = torch.Generator().manual_seed(seed)
        self.frames = frames
        self.clips: list[Tensor] = []
        self.origins = [index for index in range(len(clips)) for _ in range(copies + mixed)]
        self._names = [clip.name for clip in clips]
        for clip in clips:
            for copy in range(copies):
                version = mirror_clip(clip) if copy % 2 else clip
                if copy >= 2:
                    draw = torch.rand((), generator=generator).item()
                    version = change_speed(version, 1 + speed * (2 * draw - 1))
                self.clips.append(representation.encode(version.motion.canonicalize()))
            for copy in range(mixed):
                other = clips[int(torch.randint(len(clips), (), generator=generator))]
                version = mix_bodies(mirror_clip(clip) if copy % 2 else clip, other)
                self.clips.append(representation.encode(version.motion.canonicalize()))
        self.starts = [
            (index, start)
            for index, clip in enumerate(self.clips)
            for start in range(0, max(clip.shape[0] - frames, 0) + 1, max(frames // 8, 1))
        ]

    def __len__(self) -> int:
        return len(self.starts)

    def name(self, item: int) -> str:
        """Name of the clip and first frame of a window, for messages."""
        clip, start = self.starts[item]
        return f"{self._names[self.origins[clip]]}, frame {start}"

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        clip, start = self.starts[item]
        return {"features": self.clips[clip][start : start + self.frames]}


class WholeClips(Dataset):
    """Whole clips as features, in order, for evaluation and tokenization."""

    def __init__(self, clips: Sequence[MotionClip], representation: Representation) -> None:
        self.features = [representation.encode(clip.motion.canonicalize()) for clip in clips]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        return {"features": self.features[item]}


def collate_features(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Features `[B, T, D]`, padded with zeros, and lengths `[B]` if they differ."""
    features = [sample["features"] for sample in samples]
    lengths = torch.tensor([f.shape[0] for f in features])
    batch = {"features": torch.nn.utils.rnn.pad_sequence(features, batch_first=True)}
    return batch if bool((lengths == lengths[0]).all()) else {**batch, "lengths": lengths}
