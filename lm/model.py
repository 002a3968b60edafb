"""MotionLM: a LLaMA-style transformer from text features to motion tokens, on transformers' own Llama parts.

    lm = MotionLM(MotionLMConfig.from_name("44m", codebook_size=1000, text_dim=384))
    output = lm(input_ids, text_features, text_mask, labels=input_ids)

Text comes first, motion after it: padding anywhere, between the two as well, takes no position and is seen by nobody,
so a row gives the same result whatever it is batched with. An empty text (no valid position) is the unconditional case
of classifier-free guidance; the embedding of PAD stands in its place.

Unusual: `logits[:, n]` predicts motion token n, the first of them from the end of the text, so there is one more
position than tokens given.

Shapes: B batch, L text length, N motion tokens, S = L + N, C width, K codebook size.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm, LlamaRotaryEmbedding

from motionmillion.checkpoints import StrictLoading
from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.generation import generate
from motionmillion.lm.masks import mixed_attention_mask

IGNORED = -100


class MotionLM(StrictLoading, PreTrainedModel, GenerationMixin):
    """Text-conditioned language model over motion tokens; see `MotionLMConfig`."""

    config_class = MotionLMConfig
    config: MotionLMConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LlamaDecoderLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: MotionLMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.project_text = nn.Linear(config.text_dim, config.hidden_size)
        self.layers = nn.ModuleList(LlamaDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size - 1, bias=False)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.gradient_checkpointing = False
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LlamaDecoderLayer):  # residual branches shrink with depth, as in GPT-2
            scale = self.config.initializer_range / math.sqrt(2 * self.config.num_hidden_layers)
            nn.init.normal_(module.self_attn.o_proj.weight, std=scale)
            nn.init.normal_(module.mlp.down_proj.weight, std=scale)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def forward(
        self,
        input_ids: Tensor,
        text_features: Tensor | None = None,
        text_mask: Tensor | None = None,
        labels: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the next motion tokens, and the loss where `labels` are given.

        Args:
            input_ids: motion tokens `[B, N]`, PAD where there is none; N may be 0.
            text_features: `[B, L, text_dim]`; left out when `past_key_values` already holds the text.
            text_mask: valid text positions `[B, L]`; a row without any is unconditional.
            labels: tokens to predict `[B, N]`, usually `input_ids`; PAD and -100 are not counted.
            attention_mask: with `past_key_values`, the valid positions of everything so far `[B, cached + N]`.

        Returns:
            logits `[B, N + 1, K + 1]` (with `past_key_values` given: `[B, N, K + 1]`), loss, and the cache.
        """
        if text_features is not None:
            text, valid_text = self._embed_text(text_features, text_mask)
            embeddings = torch.cat([text, self.embed_tokens(input_ids)], dim=1)  # [B, S, C]
            valid = torch.cat([valid_text, input_ids != self.config.padding_token_id], dim=1)
            text_length = text.shape[1]
            if use_cache and past_key_values is None:
                past_key_values = DynamicCache(config=self.config)
        elif attention_mask is not None and past_key_values is not None:
            embeddings, valid, text_length = self.embed_tokens(input_ids), attention_mask.bool(), 0
        else:
            raise ValueError("text_features must be given unless past_key_values and attention_mask are, got None")
        hidden = self._transform(self.dropout(embeddings), valid, text_length, past_key_values)
        if text_length:
            hidden = hidden.gather(1, _last_valid(valid)[:, text_length - 1 :, None].expand(-1, -1, hidden.shape[2]))
        logits = self.lm_head(self.dropout(hidden))
        loss = None if labels is None else self._loss(logits, labels)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def generate(self, *args: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """Sample motion tokens; see `motionmillion.lm.generation.generate`."""
        return generate(self, *args, **kwargs)

    def _embed_text(self, features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embedded text `[B, L, C]` and its valid positions, with PAD's embedding where a row has no text."""
        if features.ndim != 3 or features.shape[1] == 0 or features.shape[2] != self.config.text_dim:
            raise ValueError(
                f"text_features must have shape [B, L, {self.config.text_dim}] with L > 0, got {tuple(features.shape)}"
            )
        valid = torch.ones(features.shape[:2], device=features.device) if mask is None else mask
        valid = valid.bool()
        empty = ~valid.any(dim=1)
        first = torch.zeros_like(valid)
        first[:, 0] = True
        instead = first & empty[:, None]
        text = self.project_text(features.to(self.project_text.weight.dtype))
        text = torch.where(
            instead[..., None], self.embed_tokens.weight[self.config.padding_token_id].to(text.dtype), text
        )
        return text, valid | instead

    def _transform(self, hidden: Tensor, valid: Tensor, text_length: int, cache: Cache | None) -> Tensor:
        """The transformer over new positions `[B, S, C]`, `valid` covering the cached ones too."""
        mask = mixed_attention_mask(self.config, hidden, valid, text_length, cache)
        positions = (valid.long().cumsum(1) - 1).clamp(min=0)[:, -hidden.shape[1] :]
        rotary = self.rotary_emb(hidden, position_ids=positions)
        for layer in self.layers:
            hidden = layer(
                hidden,
                attention_mask=mask,
                position_ids=positions,
                position_embeddings=rotary,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        return self.norm(hidden)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy in float32 of `logits[:, :N]` against labels `[B, N]`."""
        labels = labels.masked_fill(labels == self.config.padding_token_id, IGNORED)
        return F.cross_entropy(
            logits[:, : labels.shape[1]].flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED
        )


def _last_valid(valid: Tensor) -> Tensor:
    """For each position the last valid one up to it `[B, S]`; 0 before the first."""
    index = torch.arange(valid.shape[1], device=valid.device).expand_as(valid)
    return torch.where(valid, index, 0).cummax(dim=1).values
