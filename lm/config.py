"""Configuration of the motion language model: LLaMA's, with a codebook and a text encoder in place of a vocabulary.

    config = MotionLMConfig.from_name("111m", codebook_size=64000, text_dim=2048)

Tokens are the codes 0..K-1, END = K and PAD = K + 1. The input embedding has a row for each of them; the output layer
has none for PAD, which is never predicted. Both can be padded to a multiple, which makes matrix multiplication faster
on GPUs and lets tensor parallelism split them; the padding rows are never read and never predicted.

With `codes="factorised"` a code is read and written in digits, see `motionmillion.lm.factorised`: tables have a row
for each value of a digit, not for each code, so a small model can learn a large codebook.

    config = MotionLMConfig.from_name("mini", codebook_size=64000, codes="factorised", code_levels=[8, 8, 8, 5, 5, 5])

With `head="flow"` the motion is a sequence of continuous latents, drawn by flow matching: there are no codes (K = 0),
END is the only token predicted, and the embedding of PAD represents an empty text.

    config = MotionLMConfig.from_name("111m", head="flow", codebook_size=0, latent_dim=16, text_dim=2048)
"""

import dataclasses
import math
from typing import Any

from transformers import LlamaConfig

from motionmillion.configuration import check_keys, check_number, check_whole, unknown_key_error
from motionmillion.lm.flow import FlowMatching

ROPE_PRECISIONS = ("float32", "bfloat16", "autocast")
HEADS = ("codes", "flow")
CODES = ("joint", "factorised")

_HEAD_FLOW = {"sampling": "logit_normal", "shift": 1.0, "weighting": "none"}
"""Default flow matching settings of a flow head.

A latent has few values and little redundancy, so a shift towards noise does not help; the velocity is hardest to
predict half way, where the logit-normal distribution has most of its mass (arXiv 2403.03206).
"""

_FLOW_ONLY = ("latent_dim", "flow_width", "flow_layers", "flow_draws", "flow", "latent_noise", "end_weight")

_FACTORISED_ONLY = ("code_levels", "depth_width", "depth_layers")

# layers, heads, hidden size, intermediate size: Go to Zero (arXiv 2507.07095), released configurations
_SIZES = {
    "mini": (6, 4, 256, 768),
    "44m": (8, 8, 512, 1536),
    "111m": (12, 12, 768, 2048),
    "343m": (24, 16, 1024, 2816),
    "775m": (36, 20, 1280, 3584),
    "1b": (48, 24, 1536, 4096),
    "3b": (24, 32, 3200, 8704),
    "5b": (24, 32, 4096, 11008),
    "7b": (36, 32, 4096, 11008),
    "13b": (40, 40, 5120, 13824),
}


class MotionLMConfig(LlamaConfig):
    """Settings of a `MotionLM`; those not listed here are LlamaConfig's.

    Args:
        codebook_size: number of codes K of the motion tokenizer.
        text_dim: width of the text encoder's features.
        hidden_dropout: dropout on the embeddings and before the output layer, for training on little data.
        context_codes: context length in codes of motion; generation continues beyond it with a sliding context.
        vocab_multiple: the rows of the embedding and the output layer are rounded up to a multiple of it.
        rope_precision: how rotary angles are computed, whatever the model's dtype: "float32" is exact; "bfloat16"
            and "autocast" reproduce the rounding under which MotionMillion-Codes checkpoints were trained, in pure
            bfloat16 and under autocast.
        caption_dropout: fraction of training samples whose text was dropped, which classifier-free guidance needs;
            None if it is unknown.
        codes: "joint" for one embedding row per code, "factorised" for codes split into digits.
        code_levels: number of values of each digit, least significant first, at least two digits; their product is
            the codebook size. The levels of an FSQ tokenizer, or products of neighbours among them.
        depth_width: width of the transformer over the digits, a multiple of 32; None for three quarters of the
            hidden size.
        depth_layers: number of layers of that transformer.
        head: "codes" for tokens of a codebook, "flow" for continuous latents.
        latent_dim: channels of a latent, those of the tokenizer's quantizer "none".
        flow_width: width of the flow head; None for that of the transformer.
        flow_layers: residual blocks of the flow head.
        flow_draws: noise samples per position in training; all of them share one forward pass of the transformer.
        flow: fields of `motionmillion.lm.flow.FlowMatching` that differ from the head's defaults: sampling
            "logit_normal", shift 1, weighting "none".
        latent_noise: in training, Gaussian noise of up to this many standard deviations (drawn per row) is added to
            the input latents, so that the model learns to continue from its own imperfect output.
        end_weight: weight of the END loss relative to the flow loss. Positions are not reweighted by how rare END is,
            so its predicted probability is calibrated to the data.

    Raises:
        ValueError: for unknown keys and for values that do not fit together.
    """

    model_type = "motionmillion-lm"

    codebook_size: int = 64000
    text_dim: int = 2048
    hidden_dropout: float = 0.0
    context_codes: int = 150
    vocab_multiple: int = 1
    rope_precision: str = "float32"
    rms_norm_eps: float = 1e-5
    caption_dropout: float | None = None
    codes: str = "joint"
    code_levels: list[int] | None = None
    depth_width: int | None = None
    depth_layers: int = 2
    head: str = "codes"
    latent_dim: int = 0
    flow_width: int | None = None
    flow_layers: int = 3
    flow_draws: int = 4
    flow: dict[str, Any] | None = None
    latent_noise: float = 0.2
    end_weight: float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        check_keys(kwargs, type(self), "LM config")
        self._check_head()
        self._check_codes()
        sizes = ("text_dim", "hidden_size", "num_hidden_layers", "num_attention_heads")
        for name in (*sizes, "context_codes", "vocab_multiple"):
            check_whole(name, getattr(self, name), 1)
        if self.rope_precision not in ROPE_PRECISIONS:
            raise ValueError(f"rope_precision must be one of {ROPE_PRECISIONS}, got {self.rope_precision!r}")
        if not 0 <= self.hidden_dropout < 1:
            raise ValueError(f"hidden_dropout must be in [0, 1), got {self.hidden_dropout!r}")
        if self.caption_dropout is not None and not 0 <= check_number("caption_dropout", self.caption_dropout) < 1:
            raise ValueError(f"caption_dropout must be in [0, 1), got {self.caption_dropout!r}")
        # sizes and special tokens of transformers follow from the codebook; LlamaConfig checks them
        self.vocab_size = self.codebook_size + 2
        self.eos_token_id = self.end_token_id
        self.pad_token_id = self.padding_token_id
        self.bos_token_id = None
        super().__post_init__(**kwargs)
        rope_type = (self.rope_parameters or {}).get("rope_type", "default")
        if rope_type != "default":
            raise ValueError(f'rope_parameters must be of the rope_type "default", got {rope_type!r}')
        if self.tie_word_embeddings and self.embedding_rows != self.head_rows:
            raise ValueError(
                f"tie_word_embeddings must be off unless both tables have as many rows, got {self.embedding_rows} and "
                f"{self.head_rows}; set vocab_multiple to 64"
            )

    def _check_head(self) -> None:
        """Raise `ValueError` for settings of the other head and for values out of range."""
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {HEADS}, got {self.head!r}")
        if self.head == "codes":
            check_whole("codebook_size", self.codebook_size, 1)
            for name in _FLOW_ONLY:
                if getattr(self, name) != getattr(type(self), name):
                    raise ValueError(f'{name} must be left out with head "codes", got {getattr(self, name)!r}')
            return
        # with a flow head there is no vocabulary: the options of one must keep their neutral values
        if self.codebook_size != 0 or self.vocab_multiple != 1:
            raise ValueError(
                f'codebook_size must be 0 and vocab_multiple 1 with head "flow", got {self.codebook_size!r} and '
                f"{self.vocab_multiple!r}; latents have no codebook"
            )
        if self.tie_word_embeddings:
            raise ValueError('tie_word_embeddings must be off with head "flow", got True; latents have no vocabulary')
        for name in ("latent_dim", "flow_layers", "flow_draws"):
            check_whole(name, getattr(self, name), 1)
        check_whole("flow_width", self.head_width, 1)
        check_number("latent_noise", self.latent_noise)
        check_number("end_weight", self.end_weight)
        _ = self.flow_matching

    def _check_codes(self) -> None:
        """Raise `ValueError` for levels that do not multiply to the codebook size, or any with joint codes."""
        if self.codes not in CODES:
            raise ValueError(f"codes must be one of {CODES}, got {self.codes!r}")
        if self.codes == "joint":
            for name in _FACTORISED_ONLY:
                if getattr(self, name) != getattr(type(self), name):
                    raise ValueError(f'{name} must be left out with codes "joint", got {getattr(self, name)!r}')
            return
        if self.head != "codes":
            raise ValueError(f'codes must be "joint" with head {self.head!r}, got "factorised"; latents have no codes')
        levels = self.code_levels
        if not isinstance(levels, list) or len(levels) < 2:
            raise ValueError(f"code_levels must be a list of at least two numbers, got {levels!r}; try [40, 25]")
        for level in levels:
            check_whole("code_levels", level, 2)
        if math.prod(levels) != self.codebook_size:
            raise ValueError(
                f"code_levels must multiply to codebook_size, {self.codebook_size}, got {levels!r} with the product "
                f"{math.prod(levels)}; take the levels of the tokenizer's quantizer"
            )
        if self.vocab_multiple != 1 or self.tie_word_embeddings:
            raise ValueError(
                f'vocab_multiple must be 1 and tie_word_embeddings off with codes "factorised", got '
                f"{self.vocab_multiple!r} and {self.tie_word_embeddings!r}"
            )
        check_whole("depth_layers", self.depth_layers, 1)
        if check_whole("depth_width", self.depth_head_width, 32) % 32:
            raise ValueError(f"depth_width must be a multiple of 32, got {self.depth_head_width!r}")

    @property
    def depth_head_width(self) -> int:
        """Width of the transformer over the digits of factorised codes."""
        return max(self.hidden_size * 3 // 4 // 32 * 32, 32) if self.depth_width is None else self.depth_width

    @property
    def head_width(self) -> int:
        """Width of the flow head."""
        return self.hidden_size if self.flow_width is None else self.flow_width

    @property
    def flow_matching(self) -> FlowMatching:
        """How the flow head's training noise is sampled and weighted."""
        known = {field.name for field in dataclasses.fields(FlowMatching)}
        if set(self.flow or {}) - known:
            raise unknown_key_error("flow", set(self.flow or {}) - known, known)
        return FlowMatching(**{**_HEAD_FLOW, **(self.flow or {})})

    @property
    def end_token_id(self) -> int:
        """END, also the number of codes."""
        return self.codebook_size

    @property
    def padding_token_id(self) -> int:
        """PAD, never predicted; the same number as transformers' `pad_token_id`."""
        return self.codebook_size + 1

    @property
    def end_row(self) -> int:
        """Row of END in the input embedding; the row of PAD follows it."""
        return self.codebook_size if self.codes == "joint" else sum(self.code_levels or [])

    @property
    def embedding_rows(self) -> int:
        """Rows of the input embedding: codes or values of their digits, END, PAD, and padding."""
        # ceiling division: round up to the multiple
        return -(-(self.end_row + 2) // self.vocab_multiple) * self.vocab_multiple

    @property
    def predicted_tokens(self) -> int:
        """Size of the output distribution: the codes, or the values of their first digit, and END."""
        return 1 + (self.codebook_size if self.codes == "joint" else (self.code_levels or [])[0])

    @property
    def head_rows(self) -> int:
        """Rows of the output layer: predicted tokens and padding."""
        return -(-self.predicted_tokens // self.vocab_multiple) * self.vocab_multiple

    @classmethod
    def from_name(cls, name: str, **overrides: Any) -> "MotionLMConfig":
        """A published size by name, e.g. `"1b"`; `overrides` are further arguments of the config.

        Raises:
            ValueError: for an unknown name.
        """
        if name not in _SIZES:
            raise ValueError(f"name must be one of {sorted(_SIZES)}, got {name!r}")
        layers, heads, hidden, intermediate = _SIZES[name]
        shape = dict(
            num_hidden_layers=layers, num_attention_heads=heads, hidden_size=hidden, intermediate_size=intermediate
        )
        return cls(**{**shape, **overrides})
