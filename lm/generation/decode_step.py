"""One decoding step: one token per row through all layers, as plain functions over weights laid out for few rows.

    weights = prepared_weights(lm, rows=1, int8=False, compiled=False)
    logits = decode_step(weights, caches, tokens, positions, column, mask, seen)      # [B, K + 1]

`motionmillion.lm.generation.protocol.StepEnds` covers the two ends of a step that differ between tokens and latents:
embedding the input, and the output that the sampler reads. `motionmillion.lm.generation.decoder.StaticDecoder` runs
the steps.

Letters: B batch, C width, H heads, K codebook size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionmillion.lm.generation.few_rows import Projection
from motionmillion.lm.generation.protocol import AnyLM
from motionmillion.lm.head import OutputHead


@dataclasses.dataclass(eq=False)
class LayerWeights:
    """Projections and norms of one Llama layer."""

    query: Projection
    key: Projection
    value: Projection
    output: Projection
    gate: Projection
    up: Projection
    down: Projection
    norm_in: Tensor  # [C]
    norm_out: Tensor  # [C]


class TokenEnds:
    """The `StepEnds` of codes: tokens `[B]` in, logits `[B, K + 1]` out."""

    def __init__(self, lm: AnyLM, project: Callable[[nn.Linear], Callable[[Tensor], Tensor]]) -> None:
        self.embedding = lm.embed_tokens.weight
        self.head, self.predicted = project(lm.lm_head), lm.lm_head.predicted

    def embed(self, chosen: Tensor) -> Tensor:
        return F.embedding(chosen, self.embedding)

    def read(self, x: Tensor) -> Tensor:
        return self.head(x)[:, : self.predicted]


class PreparedWeights:
    """The weights that a step needs, laid out for a given number of rows."""

    def __init__(self, lm: AnyLM, rows: int, int8: bool, compiled: bool) -> None:
        def project(linear: nn.Linear) -> Projection:
            return Projection(linear.weight, linear.bias, rows, int8, plain=compiled)

        self.rotary, self.eps = lm.rotary_emb, lm.config.rms_norm_eps
        self.norm, self.ends = lm.norm.weight, lm.step_ends(project)
        self.heads = lm.config.num_attention_heads
        self.kv_heads = lm.config.num_key_value_heads or self.heads
        layers: Any = lm.layers
        self.layers = [
            LayerWeights(
                *map(project, _linears(layer)),
                norm_in=layer.input_layernorm.weight,
                norm_out=layer.post_attention_layernorm.weight,
            )
            for layer in layers
        ]
        # identifies the weights that the prepared copies were made from
        self.signature = _signature(lm)
        self._compiled: dict[tuple[int, int], Callable[..., Tensor]] = {}

    def compiled_step(self, rows: int, capacity: int) -> Callable[..., Tensor]:
        """`decode_step` compiled for this model and one shape.

        Each gets its own code object and no guards: torch.compile would check every weight at every step, which takes
        longer than computing a small layer. `signature`, rows and capacity already fix what the guards would check.
        """
        key = (rows, capacity)
        if key not in self._compiled:
            own = FunctionType(decode_step.__code__.replace(), decode_step.__globals__, "decode_step")
            options: dict[str, Any] = {"triton.cudagraphs": self.norm.is_cuda}
            if hasattr(torch.compiler, "skip_all_guards_unsafe"):
                options["guard_filter_fn"] = torch.compiler.skip_all_guards_unsafe
            self._compiled[key] = torch.compile(own, options=options, fullgraph=True, dynamic=False)
        return self._compiled[key]


def decode_step(
    weights: PreparedWeights,
    caches: list[tuple[Tensor, Tensor]],
    tokens: Tensor,
    positions: Tensor,
    column: Tensor,
    mask: Tensor | None,
    seen: int,
) -> Tensor:
    """Run one token per row through all layers: logits `[B, K + 1]`, or whatever `weights.ends` reads.

    Args:
        caches: keys and values of each layer `[B, H, capacity, head_dim]`, written at `column`.
        tokens, positions: `[B]`; with a flow head latents `[B, Q]` instead of tokens.
        column: cache index of the new position `[1]`.
        mask: columns that each row may attend to `[B, 1, 1, seen]`; None for all.
        seen: number of cache columns that attention covers.
    """
    batch = tokens.shape[0]
    x = weights.ends.embed(tokens)  # [B, C]
    cos, sin = weights.rotary(x, positions[:, None])  # [B, 1, head_dim]
    half = sin.shape[-1] // 2
    # the sign of rotate_half is folded into the sine table, so that a roll replaces it
    cos, sin = cos[:, None], torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)[:, None]  # [B, 1, 1, head_dim]
    shared = weights.kv_heads != weights.heads
    for layer, (keys, values) in zip(weights.layers, caches, strict=True):
        h = F.rms_norm(x, x.shape[-1:], layer.norm_in, weights.eps)
        # queries and keys of all heads together, rotated by one call: [B, heads + kv_heads, 1, head_dim]
        both = torch.cat([layer.query(h), layer.key(h)], dim=1).view(batch, -1, 1, keys.shape[3])
        both = torch.addcmul(both * cos, both.roll(half, dims=-1), sin)  # rotary embedding
        query, key = both.split([weights.heads, weights.kv_heads], dim=1)
        keys.index_copy_(2, column, key)
        values.index_copy_(2, column, layer.value(h).view(batch, weights.kv_heads, 1, -1))
        seen_keys, seen_values = keys[:, :, :seen], values[:, :, :seen]
        h = F.scaled_dot_product_attention(query, seen_keys, seen_values, mask, enable_gqa=shared)
        x = x + layer.output(h.reshape(batch, -1))
        h = F.rms_norm(x, x.shape[-1:], layer.norm_out, weights.eps)
        x = x + layer.down(F.silu(layer.gate(h)) * layer.up(h))  # SwiGLU
    x = F.rms_norm(x, x.shape[-1:], weights.norm, weights.eps)
    return weights.ends.read(x)


_PREPARED: WeakKeyDictionary[AnyLM, dict[tuple[int, bool, bool], PreparedWeights]] = WeakKeyDictionary()


def prepared_weights(lm: AnyLM, rows: int, int8: bool, compiled: bool) -> PreparedWeights:
    """The weights of an earlier call while they are still valid, so that nothing is laid out or compiled twice."""
    kept = _PREPARED.setdefault(lm, {})
    key = (min(rows, 3), int8, compiled)  # three rows or more share one layout
    if key not in kept or kept[key].signature != _signature(lm):
        kept[key] = PreparedWeights(lm, rows, int8, compiled)
    return kept[key]


def supported(lm: AnyLM) -> bool:
    """Whether `StaticDecoder` supports every layer of the model: plain linear layers, SiLU, no adapters, no hooks."""
    plain = all(
        type(linear) is nn.Linear and type(linear.weight) is nn.Parameter  # torchao replaces only the weight
        for layer in lm.layers
        for linear in _linears(layer)
    )
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in lm.modules())
    moved = any(hasattr(module, "_hf_hook") for module in lm.modules())  # accelerate's device hooks
    return plain and not hooked and not moved and type(lm.lm_head) is OutputHead and lm.config.hidden_act == "silu"


def _linears(layer: Any) -> list[nn.Linear]:
    """The linear layers of a Llama layer in the order of `LayerWeights`."""
    attention, mlp = layer.self_attn, layer.mlp
    return [
        *(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj),
        *(mlp.gate_proj, mlp.up_proj, mlp.down_proj),
    ]


def _signature(lm: AnyLM) -> tuple:
    """Changes when a weight is replaced, moved, cast or written to."""
    return tuple((id(p), p.data_ptr(), p.dtype, 0 if p.is_inference() else p._version) for p in lm.parameters())
