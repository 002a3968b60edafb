"""MotionLM: a LLaMA-style transformer from text features to motion tokens, on transformers' own Llama parts.

    lm = MotionLM(MotionLMConfig.from_name("44m", codebook_size=1000, text_dim=384))
    output = lm(input_ids, text_features, text_mask, labels=input_ids)

Text comes first, then motion. Padding may be anywhere, also between the two: it takes no position and is never
attended to, so the result of a row does not depend on the other rows of the batch. An empty text (no valid position)
is the unconditional case of classifier-free guidance and is represented by the embedding of PAD. Several samples can
be packed into one row (`text_segments`, `segments`); each gives the same result as on its own.

Unusual: `logits[:, n]` predicts motion token n, the first one from the end of the text, so there is one more output
position than input tokens (not in packed rows). A config with `head="flow"` makes a `MotionFlowLM` over continuous
latents, one with `codes="factorised"` a `MotionFactorisedLM`: `MotionLM(config)` and
`MotionLM.from_pretrained(folder)` return the class that the config asks for.

Shapes: B batch, L text length, N motion tokens, S = L + N, C width, K codebook size.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from motionmillion.checkpoints import StrictLoading
from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.generation.decode_step import TokenEnds
from motionmillion.lm.generation.loop import checked_codes, generate
from motionmillion.lm.generation.protocol import StepEnds
from motionmillion.lm.generation.sampling import Sampler
from motionmillion.lm.head import OutputHead
from motionmillion.lm.masks import last_valid, mixed_attention_mask, places
from motionmillion.lm.output import MotionLMOutput
from motionmillion.lm.rotary import RotaryEmbedding

IGNORED = -100

_KINDS: dict[tuple[str, str], type] = {}
"""Subclasses of `MotionLM` by the setting of a config that asks for them; `motionmillion.lm` imports them all."""


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
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}
    prefix_name = "prefix_codes"  # the argument of `generate` that takes a motion prefix
    accepts_loss_kwargs = False  # Trainer divides the loss by the number of accumulated batches

    def __init_subclass__(cls, of: tuple[str, str] | None = None, **kwargs: Any) -> None:
        """`of` is the setting of a config, and its value, that asks for this class: `("head", "flow")`."""
        super().__init_subclass__(**kwargs)
        if of is not None:
            _KINDS[of] = cls

    def __new__(cls, config: MotionLMConfig | None = None, *args: Any, **kwargs: Any) -> Self:
        if cls is MotionLM:
            asked = (kind for (name, value), kind in _KINDS.items() if getattr(config, name, None) == value)
            cls = next(asked, cls)  # type: ignore[assignment]
        return super().__new__(cls)  # type: ignore[arg-type]

    def __init__(self, config: MotionLMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.embedding_rows, config.hidden_size)
        self.project_text = nn.Linear(config.text_dim, config.hidden_size)
        self.layers = nn.ModuleList(LlamaDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = RotaryEmbedding(config)
        self.lm_head = OutputHead(config.hidden_size, config.head_rows, config.predicted_tokens)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.gradient_checkpointing = False
        self.lean_training = False  # omit the logits in training steps with labels
        self.add_parts()
        self.post_init()

    def add_parts(self) -> None:
        """Add the modules of a subclass."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # scaled down with depth on residual branches, as in GPT-2; only modules with weights of their own get here
        if any(module in (layer.self_attn.o_proj, layer.mlp.down_proj) for layer in self.layers):  # type: ignore[union-attr]
            scale = self.config.initializer_range / math.sqrt(2 * self.config.num_hidden_layers)
            nn.init.normal_(module.weight, std=scale)  # type: ignore[arg-type]

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def forward(
        self,
        input_ids: Tensor,
        text_features: Tensor | None = None,
        text_mask: Tensor | None = None,
        labels: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        text_segments: Tensor | None = None,
        segments: Tensor | None = None,
        return_logits: bool | None = None,
        logits_to_keep: int = 0,
    ) -> MotionLMOutput:
        """Logits of the next motion tokens, and the loss if `labels` are given.

        Args:
            input_ids: motion tokens `[B, N]`, padded with PAD; N may be 0.
            text_features: `[B, L, text_dim]`; None if `past_key_values` already holds the text.
            text_mask: valid text positions `[B, L]`; a row without any is unconditional.
            labels: tokens to predict `[B, N]`, usually `input_ids`; PAD and -100 are ignored.
            attention_mask: with `past_key_values`, valid positions of the cache and the new tokens `[B, cached + N]`.
            text_segments, segments: for packed rows the sample number of each text position `[B, L]` and each motion
                token `[B, N]`, counted from 1, 0 for padding. A sample without text has one position whose
                `text_mask` is false.
            return_logits: False omits the logits, which with labels saves most of the memory; None does so in training
                with labels if the model's `lean_training` is set.
            logits_to_keep: compute the logits of this many last positions only; 0 for all.

        Returns:
            logits `[B, N + 1, K + 1]` (with `past_key_values` given or packed: `[B, N, K + 1]`), the mean loss over
            counted tokens with its parts, and the cache.

        Raises:
            ValueError: for shapes that do not match.
        """
        check_tokens(input_ids, self.config)
        hidden, cache = self.hidden_states(
            *(input_ids, text_features, text_mask, attention_mask, past_key_values, use_cache),
            *(text_segments, segments),
        )
        loss = losses = hits = logits = None
        if labels is not None:
            losses, hits = self._losses(hidden, labels)
            loss = losses.sum() / max(losses.numel(), 1)
        if return_logits is None:
            return_logits = labels is None or not (self.training and self.lean_training)
        if return_logits:
            logits = self.lm_head(hidden[:, -logits_to_keep:])
        return MotionLMOutput(
            loss=loss,  # type: ignore[arg-type]
            logits=logits,
            past_key_values=cache,
            token_losses=losses,
            token_hits=hits,
        )

    def hidden_states(
        self,
        motion: Tensor,
        text_features: Tensor | None,
        text_mask: Tensor | None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        text_segments: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> tuple[Tensor, Cache | None]:
        """States `[B, N + 1, C]` that predict the motion (cached or packed: N), and the cache; see `forward`."""
        text_length = 0 if text_features is None else text_features.shape[1]
        if text_features is not None:
            text, valid_text = self._embed_text(text_features, text_mask, text_segments)
            embeddings = torch.cat([text, self.embed_motion(motion)], dim=1)  # [B, S, C]
            tokens = self._motion_segments(motion, text_segments, segments)
            sample = torch.cat([valid_text, tokens], dim=1)
            if use_cache and past_key_values is None:
                past_key_values = DynamicCache(config=self.config)
        elif attention_mask is not None and past_key_values is not None:
            embeddings, sample = self.embed_motion(motion), attention_mask.bool()
        else:
            raise ValueError("text_features must be given unless past_key_values and attention_mask are, got None")
        hidden, previous = self._transform(self.dropout(embeddings), sample, text_length, past_key_values)
        if text_length:
            # the states that predict each motion token: [B, N + 1, C], in packed rows [B, N, C]
            hidden = hidden.gather(1, previous[..., None].expand(-1, -1, hidden.shape[2]))
        return self.dropout(hidden), past_key_values

    def generate(self, *args: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """Sample motion tokens; see `motionmillion.lm.generation.loop.generate`."""
        return generate(self, *args, **kwargs)

    def loss_counts(self, labels: Tensor, **_: Any) -> dict[str, Tensor]:
        """Number of tokens over which `forward` takes the mean loss of a batch."""
        return {"tokens": self._counted(labels).sum()}

    # hooks that differ between codes and latents

    @property
    def blank(self) -> float:
        """Padding of motion tokens."""
        return self.config.padding_token_id

    def motion_only(self, row: Tensor) -> Tensor:
        """The codes `[n]` of a row of tokens `[N]`, END and PAD removed."""
        return row[row < self.config.end_token_id]

    def embed_motion(self, motion: Tensor) -> Tensor:
        """Embeddings `[B, N, C]` of motion tokens `[B, N]`."""
        return self.embed_tokens(motion)

    def valid_motion(self, motion: Tensor) -> Tensor:
        """Mask `[B, N]` of the positions that hold a token."""
        return motion != self.config.padding_token_id

    def step_ends(self, project: Callable[[nn.Linear], Callable[[Tensor], Tensor]]) -> StepEnds:
        """Input and output layer of a decoding step."""
        return TokenEnds(self, project)

    def sampler(self, options: Any, seeds: Sequence[int]) -> Any:
        """The sampler of the next tokens, one seed per row; `options` are a `Sampling` or its fields."""
        return Sampler.from_options(options, self.config, seeds)

    def checked_prefix(self, batch: int, codes: Tensor | None, latents: Tensor | None) -> Tensor:
        """The checked prefix of all rows, codes `[B, P]`."""
        return checked_codes(self.config, batch, codes, latents)

    def row_losses(self, motion: Tensor, features: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """Loss `[B]` of each row's labels, summed over those that are predicted, nats."""
        losses = self(motion, features, mask, labels=labels, return_logits=False).token_losses
        rows = self._counted(labels).nonzero()[:, 0]
        return losses.new_zeros(len(labels)).index_add(0, rows, losses)

    def _embed_text(self, features: Tensor, mask: Tensor | None, segments: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embedded text `[B, L, C]` and its segments, with PAD's embedding where a sample has no text."""
        if features.ndim != 3 or features.shape[1] == 0 or features.shape[2] != self.config.text_dim:
            raise ValueError(
                f"text_features must have shape [B, L, {self.config.text_dim}] with L > 0, got {tuple(features.shape)}"
            )
        for name, value in (("text_mask", mask), ("text_segments", segments)):
            if value is not None and value.shape != features.shape[:2]:
                raise ValueError(
                    f"{name} must have the shape of text_features, {list(features.shape[:2])}, got {list(value.shape)}"
                )
        words = torch.ones(features.shape[:2], device=features.device, dtype=torch.bool)
        words = words if mask is None else mask.bool()
        if segments is None:
            instead = torch.zeros_like(words)
            instead[:, 0] = ~words.any(dim=1)
            valid: Tensor = words | instead
        else:
            valid = segments.long()
            instead = ~words & (valid > 0)
        weight = self.project_text.weight if self.project_text.weight.is_floating_point() else self.embed_tokens.weight
        text = self.project_text(features.to(weight.dtype))  # the layer's dtype, unless it is quantized
        padding = torch.tensor(self.config.end_row + 1, device=text.device)
        # a forward call instead of indexing the weight, which gathers weights under ZeRO 3 and FSDP
        nothing = self.embed_tokens(padding).to(text.dtype)
        return torch.where(instead[..., None], nothing, text), valid

    def _motion_segments(self, motion: Tensor, text_segments: Tensor | None, segments: Tensor | None) -> Tensor:
        """Segments of the motion tokens `[B, N]`: sample numbers if rows are packed, else a mask of valid tokens."""
        if (text_segments is None) != (segments is None):
            raise ValueError("segments and text_segments must be given together, got one of them alone")
        if segments is None:
            return self.valid_motion(motion)
        if segments.shape != motion.shape[:2]:
            raise ValueError(
                f"segments must have the shape of input_ids, {list(motion.shape[:2])}, got {list(segments.shape)}"
            )
        return segments.long()

    def _transform(
        self, hidden: Tensor, sample: Tensor, text_length: int, cache: Cache | None
    ) -> tuple[Tensor, Tensor]:
        """Run the transformer over new positions `[B, S, C]`; `sample` covers the cached ones too.

        Returns:
            hidden states, and the columns `[B, N + 1]` (packed `[B, N]`) that predict the motion tokens.
        """
        mask = mixed_attention_mask(self.config, hidden, sample, text_length, cache)
        if sample.dtype == torch.bool:
            # positions count valid columns only, so padding takes none
            positions = (sample.long().cumsum(1) - 1).clamp(min=0)[:, -hidden.shape[1] :]
            previous = last_valid(sample)[:, text_length - 1 :]
        else:
            positions, previous = places(sample)
            previous = previous[:, text_length:]
        rotary = self.rotary_emb(hidden, positions)
        for layer in self.layers:
            hidden = layer(
                hidden,
                attention_mask=mask,
                position_ids=positions,
                position_embeddings=rotary,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        return self.norm(hidden), previous

    def _losses(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and hits `[M]` of the predictions of `hidden` `[B, N or N + 1, C]` for labels `[B, N]`."""
        if labels.shape[1] > hidden.shape[1]:
            raise ValueError(f"labels must be as many as input_ids, {hidden.shape[1] - 1}, got {labels.shape[1]}")
        counted = self._counted(labels)
        return self.lm_head(hidden[:, : labels.shape[1]][counted], labels[counted])

    def _counted(self, labels: Tensor) -> Tensor:
        """Mask `[B, N]` of the labels that are predicted."""
        return (labels != self.config.padding_token_id) & (labels != IGNORED)


def check_tokens(tokens: Tensor, config: MotionLMConfig) -> None:
    """Raise `ValueError` for tokens out of range; checks tokens on the CPU only, since a GPU would have to sync."""
    if not torch.compiler.is_compiling() and tokens.is_cpu and tokens.numel():
        least, most = (int(value) for value in tokens.aminmax())
        if least < 0 or most > config.padding_token_id:
            raise ValueError(
                f"tokens must be in 0..{config.padding_token_id} for {config.codebook_size} codes, END and PAD, got "
                f"{least if least < 0 else most}; check that they come from the model's own tokenizer"
            )
