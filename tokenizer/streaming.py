"""Decoding while codes arrive, for a decoder that looks ahead: a frame leaves once no later code can change it.

Shapes: B batch, N codes in time, T frames, D feature size.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor


def stream_settled(
    decode: Callable[[Tensor], Tensor], codes: Iterable[Tensor], reach: int | None, hop: int
) -> Iterator[Tensor]:
    """Features `[B, t, D]` piece by piece; together they are `decode` of all codes.

    Args:
        decode: codes `[B, N]` to features `[B, N * hop, D]`.
        codes: any number of codes `[B, n]` at a time.
        reach: how many codes ahead and back a frame depends on; None if on all.
        hop: frames a code.
    """
    kept: Tensor | None = None  # codes that frames to come depend on
    done = dropped = 0  # frames given out, codes forgotten
    for part in codes:
        kept = part if kept is None else torch.cat([kept, part], dim=1)
        settled = 0 if reach is None else (dropped + kept.shape[1] - reach) * hop
        if settled > done:
            yield decode(kept)[:, done - dropped * hop : settled - dropped * hop]
            done = settled
            surplus = max(done // hop - int(reach or 0) - dropped, 0)
            kept, dropped = kept[:, surplus:], dropped + surplus
    if kept is not None and (dropped + kept.shape[1]) * hop > done:
        yield decode(kept)[:, done - dropped * hop :]
