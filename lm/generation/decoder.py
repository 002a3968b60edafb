"""Decoders: text and prefix are read once, then each step takes one token per row and returns the next logits.

With a flow head each step takes one latent per row and returns the states that the head reads.

    decoder = StaticDecoder(lm, text_features, text_mask, prefix, capacity=180)
    logits = decoder.logits                            # [B, K + 1], what may follow the prefix
    logits = decoder.step(tokens)                      # tokens [B]

| class | cache |
|---|---|
| StaticDecoder | keys and values in buffers of fixed size, steps of plain functions: fast, can be compiled |
| DynamicDecoder | transformers' DynamicCache through the model's own layers, of any kind (adapters, quantized) |
| UncachedDecoder | none: every step recomputes everything, as the published sampler does; a baseline to compare with |

All three give the same logits up to rounding.

Letters: B batch, L text length, P prefix, H heads, K codebook size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionmillion.lm.generation.decode_step import decode_step, prepared_weights
from motionmillion.lm.generation.protocol import AnyLM

_GRANULE = 64
"""Capacities are rounded up to a multiple of it, so that torch.compile sees few different shapes."""


class DynamicDecoder:
    """Decoding through the model's own forward pass and a growing cache."""

    def __init__(self, lm: AnyLM, text_features: Tensor, text_mask: Tensor, prefix: Tensor, capacity: int) -> None:
        self.lm = lm
        output = lm(prefix, text_features, text_mask, use_cache=True, logits_to_keep=1)
        self.cache, self.logits = output.past_key_values, output.last
        self.valid = valid_positions(text_mask, lm.valid_motion(prefix))

    def step(self, tokens: Tensor) -> Tensor:
        """Logits `[B, K + 1]` after one more token per row `[B]`."""
        self.valid = torch.cat([self.valid, self.lm.valid_motion(tokens[:, None])], dim=1)
        return self.lm(tokens[:, None], attention_mask=self.valid, past_key_values=self.cache).last

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only."""
        self.cache.batch_select_indices(rows)
        self.valid = self.valid[rows]


class UncachedDecoder:
    """Decoding that computes every position again at every step."""

    def __init__(self, lm: AnyLM, text_features: Tensor, text_mask: Tensor, prefix: Tensor, capacity: int) -> None:
        self.lm, self.text, self.tokens = lm, (text_features, text_mask), prefix
        self.logits = self._last()

    def _last(self) -> Tensor:
        return self.lm(self.tokens, *self.text, logits_to_keep=1).last

    def step(self, tokens: Tensor) -> Tensor:
        """Logits `[B, K + 1]` after one more token per row `[B]`."""
        self.tokens = torch.cat([self.tokens, tokens[:, None]], dim=1)
        return self._last()

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only."""
        self.tokens, self.text = self.tokens[rows], tuple(part[rows] for part in self.text)


class StaticDecoder:
    """Decoding with buffers of fixed size; see `motionmillion.lm.generation.decode_step.supported` for the models that
    it takes.

    Args:
        capacity: number of positions, text and prefix included, to reserve room for.
        compiled: run the steps through torch.compile.
        int8: quantize the weights per row, on CPUs.
    """

    def __init__(
        self,
        lm: AnyLM,
        text_features: Tensor,
        text_mask: Tensor,
        prefix: Tensor,
        capacity: int,
        compiled: bool = False,
        int8: bool = False,
    ) -> None:
        output = lm(prefix, text_features, text_mask, use_cache=True, logits_to_keep=1)
        self.logits = output.last
        batch, self.column = prefix.shape[0], text_mask.shape[1] + prefix.shape[1]
        capacity = -(-max(capacity, self.column) // _GRANULE) * _GRANULE
        self.caches: list[tuple[Tensor, Tensor]] = []
        for layer in output.past_key_values.layers:
            buffers = []
            for filled in (layer.keys, layer.values):  # [B, H, L + P, head_dim]
                # [B, H, capacity, head_dim], filled up to `column`
                buffer = filled.new_zeros(batch, filled.shape[1], capacity, filled.shape[3])
                buffer[:, :, : self.column] = filled
                buffers.append(buffer)
            self.caches.append((buffers[0], buffers[1]))
        valid = valid_positions(text_mask, lm.valid_motion(prefix))
        self.valid = F.pad(valid, (0, capacity - self.column))
        self.positions = valid.sum(dim=1)
        self.gaps = not bool(valid.all())
        self.weights = prepared_weights(lm, batch, int8, compiled)
        self._compiled = self.weights.compiled_step(batch, capacity) if compiled else None
        if compiled:  # CUDA graphs can only write to buffers at fixed addresses
            for buffer in (buffer for pair in self.caches for buffer in pair):
                torch._dynamo.mark_static_address(buffer)
        self._again = (lm, int8)

    def step(self, tokens: Tensor) -> Tensor:
        """Logits `[B, K + 1]` after one more token per row `[B]`; those of PAD rows are meaningless.

        Raises:
            ValueError: when the buffers are full.
        """
        if self.column == self.valid.shape[1]:
            raise ValueError(f"capacity must cover every step, got {self.column}; make the decoder with more")
        self.valid[:, self.column] = True
        column = torch.tensor([self.column], device=tokens.device)
        if self._compiled is not None:
            # compiled: always the whole buffer, since its shape must not change
            mask = self.valid[:, None, None]
            logits = self._compiled(self.weights, self.caches, tokens, self.positions, column, mask, mask.shape[3])
        else:
            seen = self.column + 1
            mask = self.valid[:, None, None, :seen] if self.gaps else None
            logits = decode_step(self.weights, self.caches, tokens, self.positions, column, mask, seen)
        self.column += 1
        self.positions = self.positions + 1
        return logits

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only; not for compiled steps, whose shapes are fixed."""
        self.caches = [(keys[rows], values[rows]) for keys, values in self.caches]
        self.valid, self.positions = self.valid[rows], self.positions[rows]
        lm, int8 = self._again
        self.weights = prepared_weights(lm, len(rows), int8, compiled=False)


def valid_positions(text_mask: Tensor, motion: Tensor) -> Tensor:
    """Valid positions `[B, L + P]` of text `[B, L]` and motion `[B, P]`; position 0 represents an empty text."""
    text = text_mask.bool().clone()
    text[:, 0] |= ~text.any(dim=1)
    return torch.cat([text, motion], dim=1)
