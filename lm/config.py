"""Configuration of the motion language model: LLaMA's, with a codebook and a text encoder in place of a vocabulary.

    config = MotionLMConfig.from_name("111m", codebook_size=64000, text_dim=2048)

Tokens are the codes 0..K-1, END = K and PAD = K + 1. The input embedding has a row for each of them, the output layer
none for PAD, which is never predicted. Both can be padded to a multiple, for the sake of matrix sizes that GPUs like
and tensor parallelism can split; rows that only pad are never read and never predicted.
"""

from typing import Any

from transformers import LlamaConfig

from motionmillion.configuration import check_keys, check_whole

ROPE_PRECISIONS = ("float32", "bfloat16", "autocast")

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
        context_codes: codes of motion that the model is trained to see at once; generation goes on beyond them with
            a context that slides.
        vocab_multiple: rows of embedding and output layer are rounded up to a multiple of it.
        rope_precision: how rotary angles are computed, whatever the model's dtype: "float32" is exact; "bfloat16"
            and "autocast" repeat the roundings that checkpoints of MotionMillion-Codes were trained with, in pure
            bfloat16 and under autocast.

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

    def __post_init__(self, **kwargs: Any) -> None:
        check_keys(kwargs, type(self), "LM config")
        sizes = ("codebook_size", "text_dim", "hidden_size", "num_hidden_layers", "num_attention_heads")
        for name in (*sizes, "context_codes", "vocab_multiple"):
            check_whole(name, getattr(self, name), 1)
        if self.rope_precision not in ROPE_PRECISIONS:
            raise ValueError(f"rope_precision must be one of {ROPE_PRECISIONS}, got {self.rope_precision!r}")
        if not 0 <= self.hidden_dropout < 1:
            raise ValueError(f"hidden_dropout must be in [0, 1), got {self.hidden_dropout!r}")
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

    @property
    def end_token_id(self) -> int:
        """END, also the number of codes."""
        return self.codebook_size

    @property
    def padding_token_id(self) -> int:
        """PAD, never predicted; the same number as transformers' `pad_token_id`."""
        return self.codebook_size + 1

    @property
    def embedding_rows(self) -> int:
        """Rows of the input embedding: codes, END, PAD, and padding."""
        return -(-(self.codebook_size + 2) // self.vocab_multiple) * self.vocab_multiple

    @property
    def head_rows(self) -> int:
        """Rows of the output layer: codes, END, and padding."""
        return -(-(self.codebook_size + 1) // self.vocab_multiple) * self.vocab_multiple

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
