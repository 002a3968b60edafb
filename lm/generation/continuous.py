"""Continuous batching: rows join a running batch at any step, and leave it as soon as they have ended.

    batch = ContinuousBatch(lm)
    batch.join([Row(features, mask, sampling, seed=0, most=30)])
    while batch:
        for row, token, ended in batch.step():        # one token of every row
            ...
        batch.join(rows_that_have_arrived)

A row gets the tokens that `motionmillion.lm.generation.loop.stream` gives it alone, whatever else is in the batch: it
attends to its own columns only, has its own random generator, its own positions, and its own sliding context. (In
float32; as between batch sizes, rounding may flip a near tie.)

Unusual: all rows write their keys and values to the same column of the buffers, so that one step is the one of
`decode_step`, with its fast projections. The text and prefix of a row that joins are laid out to end right before that
column, and what is left of them is masked. With guidance a row takes two slots, with and without text.

Letters: R slots, L text length, P prefix, N new tokens, H heads, Q latent channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from motionmillion.configuration import check_whole
from motionmillion.lm.generation.decode_step import decode_step, prepared_weights, supported
from motionmillion.lm.generation.decoder import valid_positions
from motionmillion.lm.generation.protocol import AnyLM

_GRANULE = 64
"""Columns by which buffers grow."""


@dataclass(eq=False)
class Row:
    """One motion to generate.

    Args:
        features, mask: text `[L, text_dim]` and its valid positions `[L]`.
        sampling: a `Sampling`, or for a flow head a `FlowSampling`.
        most, least: bounds on the number of new tokens; equal for an exact length.
        prefix: codes `[P]` or latents `[P, Q]` that the motion continues, fewer than the model's context.
    """

    features: Tensor
    mask: Tensor
    sampling: Any
    seed: int
    most: int
    least: int = 0
    prefix: Tensor | None = None

    def __post_init__(self) -> None:
        check_whole("most", self.most, 1)
        check_whole("least", self.least, 0)
        if self.least > self.most:
            raise ValueError(f"least must be at most {self.most}, got {self.least}")
        if self.mask.shape != self.features.shape[:1]:
            raise ValueError(
                f"mask must have the shape of features, {list(self.features.shape[:1])}, got {list(self.mask.shape)}"
            )


class Made(NamedTuple):
    """A token `[]` or latent `[Q]` of a row; None if the row has ended instead. `ended`: it was the last one."""

    row: Row
    token: Tensor | None
    ended: bool


@dataclass(eq=False)
class _Running:
    """A row in the batch."""

    row: Row
    sampler: Any
    motion: Tensor  # prefix and new tokens [P + N]
    begun: int = 0  # column of the first token in the context
    new: int = 0
    slots: list[int] = field(default_factory=list)  # with guidance a second one, without text


class ContinuousBatch:
    """Rows that are decoded together; `len` is their number.

    Args:
        int8: 8-bit weights in the steps, on CPUs.

    Raises:
        ValueError: for a model with adapters, hooks or quantized weights.
    """

    def __init__(self, lm: AnyLM, int8: bool = False) -> None:
        if not supported(lm):
            raise ValueError("lm must have plain layers to be batched continuously, got adapters, hooks or few bits")
        self.lm, self.int8 = lm, int8
        self._running: list[_Running] = []
        self._buffers = _Buffers()

    def __len__(self) -> int:
        return len(self._running)

    @torch.no_grad()
    def join(self, rows: Sequence[Row]) -> None:
        """Add rows; each gets its first token in the next step. Nothing is added if a row is refused.

        Raises:
            ValueError: for a prefix that the model cannot continue, options of another kind, and texts that are not
                finite.
        """
        added = []
        for row in rows:
            if not bool(row.features.isfinite().all()):
                raise ValueError("text_features must be finite, got NaN or infinity; check the text encoder")
            given: dict[str, Any] = {"codes": None, "latents": None}
            if row.prefix is not None:
                given[self.lm.prefix_name.removeprefix("prefix_")] = row.prefix[None]
            motion = self.lm.checked_prefix(1, **given)[0].to(row.features.device)
            if len(motion) >= self.lm.config.context_codes:
                raise ValueError(
                    f"prefix must be shorter than the model's context of {self.lm.config.context_codes} codes, got "
                    f"{len(motion)}; give the last ones only"
                )
            added.append(_Running(row, self.lm.sampler(row.sampling, [row.seed]), motion))
        self._read(added)
        self._running += added

    def leave(self, row: Row) -> None:
        """Drop a row before its end; without effect if it is not in the batch."""
        for one in self._running:
            if one.row is row:
                self._running.remove(one)
                self._release(one)
                return

    @torch.no_grad()
    def step(self) -> list[Made]:
        """Sample one token of every row; rows that have ended leave."""
        # 1. sample
        chosen, stops = self._sampled()
        # 2. rows that have ended leave
        made, kept = [], []
        for one in self._running:
            token, one.new = chosen[one], one.new + 1
            ended = one in stops or one.new == one.row.most
            made.append(Made(one.row, None if one in stops else token, ended))
            if ended:
                self._release(one)
            else:
                one.motion = torch.cat([one.motion, token[None].to(one.motion.dtype)])
                kept.append(one)
        self._running = kept
        # 3. feed the tokens back; where the context is full, its newest half is read again as a prefix
        context = self.lm.config.context_codes
        full = [one for one in kept if len(one.motion) - one.begun == context]
        for one in full:
            self._release(one)
            one.begun = len(one.motion) - context // 2
        self._feed(chosen)
        self._read(full)
        return made

    def _sampled(self) -> tuple[dict[_Running, Tensor], set[_Running]]:
        """The next token of every row, and the rows that end with it; those with the same options in one call."""
        groups: dict[Any, list[_Running]] = {}
        for one in self._running:
            history = len(one.motion) - one.begun if one.sampler.reads_history else 0
            groups.setdefault((one.row.sampling, one.new < one.row.least, history), []).append(one)
        chosen: dict[_Running, Tensor] = {}
        stops: set[_Running] = set()
        for (_, forbid_end, history), members in groups.items():
            sampler = type(members[0].sampler).together([one.sampler for one in members])
            slots = [one.slots[copy] for copy in range(len(members[0].slots)) for one in members]
            found = self._buffers.found[slots]
            past = torch.stack([one.motion[one.begun :][:history] for one in members])
            tokens = sampler(found, past, forbid_end=forbid_end)
            for one, own, token in zip(members, sampler.apart(), tokens, strict=True):
                one.sampler, chosen[one] = own, token
            stops |= {one for one, stop in zip(members, sampler.ended(tokens).tolist(), strict=True) if stop}
        return chosen, stops

    def _feed(self, chosen: dict[_Running, Tensor]) -> None:
        """Run one decoding step of the rows that hold slots."""
        holders: dict[int, _Running] = {slot: one for one in self._running for slot in one.slots}
        if not holders:
            return
        tokens = torch.stack([chosen[holders[slot]] for slot in range(len(holders))])
        buffers = self._buffers
        weights = prepared_weights(self.lm, len(holders), self.int8, compiled=False)
        caches, positions, column, mask = buffers.next_column(len(holders))
        at = torch.tensor([column], device=tokens.device)
        buffers.write_found(range(len(holders)), decode_step(weights, caches, tokens, positions, at, mask, column + 1))

    def _read(self, rows: Sequence[_Running]) -> None:
        """Run the model over text and context of rows, those with as many tokens in one batch, and give them slots."""
        lengths = sorted({len(one.motion) - one.begun for one in rows})
        for length in lengths:
            members = [one for one in rows if len(one.motion) - one.begun == length]
            words = max(len(one.row.mask) for one in members)
            features = torch.stack([_padded(one.row.features, words) for one in members])
            mask = torch.stack([_padded(one.row.mask.bool(), words) for one in members])
            motion = torch.stack([one.motion[one.begun :] for one in members])
            guided = [place for place, one in enumerate(members) if one.sampler.guided]
            every = [*range(len(members)), *guided]
            mask = mask[every]
            mask[len(members) :] = False  # the second copy of a guided row has no text
            output = self.lm(motion[every], features[every], mask, use_cache=True, logits_to_keep=1)
            valid = valid_positions(mask, self.lm.valid_motion(motion[every]))
            slots = self._buffers.add(output.past_key_values.layers, valid, output.last)
            for place, slot in zip(every, slots, strict=True):
                members[place].slots.append(slot)

    def _release(self, one: _Running) -> None:
        """Give the slots of a row back; the last slots move to their places."""
        while one.slots:
            free = one.slots.pop()
            moved = self._buffers.remove(free)
            for other in (*self._running, one):
                other.slots = [free if slot == moved else slot for slot in other.slots]


class _Buffers:
    """Keys, values and logits of the slots 0..used-1, with room for more; columns `start` to `column` are in use."""

    def __init__(self) -> None:
        self.caches: list[tuple[Tensor, Tensor]] = []  # of each layer [R, H, capacity, head_dim]
        self.used = self.column = 0
        self.valid = torch.zeros(0, 0, dtype=torch.bool)  # [R, capacity]
        self.positions = torch.zeros(0, dtype=torch.long)  # of the next token [R]
        self.found = torch.zeros(0, 0)  # what the sampler reads of each slot

    def add(self, layers: Any, valid: Tensor, found: Tensor) -> list[int]:
        """Lay out rows that have been read, `valid` `[n, S]`, to end before the current column; gives their slots."""
        count, length = valid.shape
        if not self.used:
            self.column = 0
        if not self.caches or self.valid.device != valid.device:
            self._allocate(layers, found)
        self._reserve(self.used + count, length)
        slots = list(range(self.used, self.used + count))
        first = slice(self.used, self.used + count)
        for (keys, values), layer in zip(self.caches, layers, strict=True):
            for buffer, filled in ((keys, layer.keys), (values, layer.values)):
                buffer[first, :, self.column - length : self.column] = filled
        self.valid[first] = False
        self.valid[first, self.column - length : self.column] = valid
        self.positions[first] = valid.sum(dim=1)
        self.used += count
        self.write_found(slots, found)
        return slots

    def remove(self, slot: int) -> int:
        """Free a slot by moving the last one there; returns the one that was moved."""
        last = self.used = self.used - 1
        if slot != last:
            for buffer in (*(part for pair in self.caches for part in pair), self.valid, self.positions, self.found):
                buffer[slot] = buffer[last]
        return last

    def write_found(self, slots: Sequence[int], found: Tensor) -> None:
        self.found[list(slots)] = found.to(self.found.dtype)

    def next_column(self, count: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor, int, Tensor]:
        """Caches, positions, column and mask of a step of the first `count` slots, unused columns left out."""
        if self.column == self.valid.shape[1]:
            self._reserve(self.used, 0)
        self.valid[:count, self.column] = True
        start = self._start()
        caches = [(keys[:count, :, start:], values[:count, :, start:]) for keys, values in self.caches]
        positions, mask = self.positions[:count].clone(), self.valid[:count, None, None, start : self.column + 1]
        self.positions[:count] += 1
        self.column += 1
        return caches, positions, self.column - 1 - start, mask

    def _start(self) -> int:
        """First column that a row in use needs."""
        used = self.valid[: self.used, : self.column].any(dim=0).nonzero()
        return int(used[0]) if len(used) else self.column

    def _allocate(self, layers: Any, found: Tensor) -> None:
        like = [(layer.keys, layer.values) for layer in layers]
        self.caches = [tuple(one.new_zeros(0, one.shape[1], 0, one.shape[3]) for one in pair) for pair in like]  # type: ignore[misc]
        device = found.device
        self.valid = torch.zeros(0, 0, dtype=torch.bool, device=device)
        self.positions = torch.zeros(0, dtype=torch.long, device=device)
        self.found = found.new_zeros(0, found.shape[1])

    def _reserve(self, slots: int, length: int) -> None:
        """Room for `slots`, for `length` columns before the current one, and for one more column after it."""
        rows, capacity = self.valid.shape
        start = self._start()
        held = self.column - start
        column = max(held, length)
        if self.column < length or self.column == capacity or slots > rows:
            # a third more than is held, so that columns are moved rarely
            wanted = -(-(column * 4 // 3 + 1) // _GRANULE) * _GRANULE
            capacity, rows = max(capacity, wanted), rows if slots <= rows else max(slots, 2 * rows)
            self._move(start, column - held, rows, capacity)
            self.column = column

    def _move(self, start: int, to: int, rows: int, capacity: int) -> None:
        """Move what columns `start` to `column` hold to column `to` of new buffers."""
        old, new, used = slice(start, self.column), slice(to, to + self.column - start), self.used

        def moved(buffer: Tensor) -> Tensor:
            made = buffer.new_zeros(rows, buffer.shape[1], capacity, buffer.shape[3])
            made[:used, :, new] = buffer[:used, :, old]
            return made

        self.caches = [(moved(keys), moved(values)) for keys, values in self.caches]
        valid = self.valid.new_zeros(rows, capacity)
        valid[:used, new] = self.valid[:used, old]
        self.valid = valid
        self.positions = F.pad(self.positions, (0, rows - len(self.positions)))
        self.found = F.pad(self.found, (0, 0, 0, rows - len(self.found)))


def _padded(values: Tensor, length: int) -> Tensor:
    """`values` `[L, ...]` with zeros up to `length`."""
    padding = values.new_zeros(length - len(values), *values.shape[1:])
    return torch.cat([values, padding])
