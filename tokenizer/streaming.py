"""Streaming decoding for a decoder with lookahead: a frame is yielded once no later code can change it.

Shapes: B batch, N codes in time, T frames, D feature size.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor


def checked_parts(parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Check the parts of a stream, `[B, n]` or `[B, n, Q]`, and skip empty ones.

    Raises:
        ValueError: for parts with a wrong number of dimensions, or a different B than the first.
    """
    rows: int | None = None
    for part in parts:
        if part.ndim not in (2, 3) or (rows is not None and part.shape[0] != rows):
            wanted = "[B, n]" if rows is None else f"[{rows}, n]"
            raise ValueError(f"codes of a stream must come in parts of shape {wanted}, got {tuple(part.shape)}")
        rows = part.shape[0]
        if part.shape[1]:
            yield part


@torch.no_grad()
def stream_settled(
    decode: Callable[[Tensor], Tensor], codes: Iterable[Tensor], reach: int | None, hop: int
) -> Iterator[Tensor]:
    """Yield features `[B, t, D]` in pieces; concatenated, they are `decode` of all codes.

    Args:
        decode: codes `[B, N]` to features `[B, N * hop, D]`.
        codes: any number of codes `[B, n]`, or latents `[B, n, Q]`, at a time.
        reach: number of codes on either side that a frame depends on; None for all.
        hop: frames per code.
    """
    kept: Tensor | None = None  # codes that future frames depend on
    done = dropped = 0  # frames yielded, codes dropped
    for part in codes:
        kept = part if kept is None else torch.cat([kept, part], dim=1)
        settled = 0 if reach is None else (dropped + kept.shape[1] - reach) * hop
        if settled > done:
            yield decode(kept)[:, done - dropped * hop : settled - dropped * hop]
            done = settled
            # drop codes that no future frame depends on
            surplus = max(done // hop - int(reach or 0) - dropped, 0)
            kept, dropped = kept[:, surplus:], dropped + surplus
    if kept is not None and (dropped + kept.shape[1]) * hop > done:
        yield decode(kept)[:, done - dropped * hop :]
