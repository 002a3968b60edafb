"""Packing: several samples in one row, so that batches contain little padding.

    collate = PackedCollator(TokenCollator(end, pad, caption_dropout=0.1), row=1024)
    batch = collate(samples)                 # `input_ids` [R, N], `segments`, `text_features` [R, L, C], ...
    output = lm(**batch)                     # each sample has the same loss as on its own

A row contains the texts of its samples followed by their motions, as drawn in `motionmillion.lm.masks`. The samples of
a batch are distributed over as few rows as possible, with texts and motions of about equal length in all rows. A
sample without text keeps one text position.

Letters: R rows, N tokens of a row, L text positions of a row, C text feature size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.configuration import check_whole
from motionmillion.data.sets.tokens import TokenCollator

TEXT_PART, ROWS = 4, 4
"""With fixed shapes: the fraction of a row that is for texts, as 1 / TEXT_PART, and the multiple of rows."""


class PackedCollator:
    """Puts the samples of a batch into rows of at most `row` positions, text and motion together.

    Args:
        collator: cuts and corrupts the samples as without packing.
        row: positions of a row, exceeded only if single samples, padded to each other, need more.
        fixed: pad to few shapes, which a compiled model is made for: a quarter of a row for texts, the rest for
            motions, and empty rows up to a multiple of four.
    """

    def __init__(self, collator: TokenCollator, row: int, fixed: bool = False) -> None:
        self.collator, self.row, self.fixed = collator, check_whole("row", row, 1), fixed
        self.pad, self.end = collator.pad, collator.end

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        tokens = [self.collator.tokens(sample["codes"], sample.get("ends", True)) for sample in samples]
        kept = self.collator.captioned(len(samples)).tolist()
        texts = [
            sample["text"] if keep else sample["text"][:1] * 0 for sample, keep in zip(samples, kept, strict=True)
        ]
        text_room = self.row // TEXT_PART if self.fixed else None
        rows = spread([len(text) for text in texts], [len(row) for row in tokens], self.row, text_room)

        def join(parts: list[Tensor], room: int, fill: float = 0) -> Tensor:
            joined = pad_sequence([torch.cat([parts[i] for i in row]) for row in rows], True, fill)
            return self._padded(joined, room, fill)

        def numbers(parts: list[Tensor], room: int) -> Tensor:
            filled = [[torch.full((len(parts[i]),), n) for n, i in enumerate(row, 1)] for row in rows]
            return self._padded(pad_sequence([torch.cat(row) for row in filled], True, 0), room, 0)

        said = text_room or 0
        room = self.row - said
        words = [torch.full((len(text),), keep) for text, keep in zip(texts, kept, strict=True)]
        labels = join(tokens, room, self.pad)
        return {
            self.collator.motion: self.collator.inputs(labels),
            "labels": labels,
            "segments": numbers(tokens, room),
            "text_features": join(texts, said),
            "text_mask": join(words, said).bool(),
            "text_segments": numbers(texts, said),
        }

    def _padded(self, joined: Tensor, room: int, fill: float) -> Tensor:
        """Rows `[R, N, ...]` with the fixed number of positions, more if they do not fit, and a multiple of rows."""
        if not self.fixed:
            return joined
        wide = room if joined.shape[1] <= room else -(-joined.shape[1] // room) * room
        padded = joined.new_full((-(-len(joined) // ROWS) * ROWS, wide, *joined.shape[2:]), fill)
        padded[: len(joined), : joined.shape[1]] = joined
        return padded


def spread(texts: Sequence[int], motions: Sequence[int], row: int, text_room: int | None = None) -> list[list[int]]:
    """Samples of each row: the fewest rows whose padded width, longest text plus longest motion, is at most `row`.

    Args:
        texts, motions: positions of each sample.
        row: positions of a row; if nothing else fits, every sample gets its own row.
        text_room: positions of a row that are for texts; the others are for motions. None: as it comes.
    """
    total = sum(texts) + sum(motions)
    order = sorted(range(len(texts)), key=lambda i: -texts[i] - motions[i])
    for count in range(-(-total // row), len(texts) + 1):
        rows: list[list[int]] = [[] for _ in range(count)]
        sums = [(0, 0)] * count
        for i in order:  # the longest first, each into the emptiest row so far
            target = min(range(count), key=lambda r: sum(sums[r]))
            rows[target].append(i)
            sums[target] = (sums[target][0] + texts[i], sums[target][1] + motions[i])
        text, motion = (max(each) for each in zip(*sums, strict=True))
        if text + motion <= row and (text_room is None or (text <= text_room and motion <= row - text_room)):
            return [members for members in rows if members]
    return [[i] for i in order]
