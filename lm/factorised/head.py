"""DepthHead: a small transformer over the digits of a code, conditioned on the state of the code's position.

    logits = head(states, digits)                      # states [M, C], digits [M, d] -> d tensors [M, L_i]
    logits = head.last(states, digits)                 # of only the next digit

Letters: M positions, D digits, d given digits, C width of the transformer, W width of the head, L_i values of digit i.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from motionmillion.lm.rotary import RotaryEmbedding


class DepthHead(nn.Module):
    """Logits of the second and every further digit of a code.

    Args:
        levels: number of values of each digit, including the first.
        state_dim: C.
        width: W, a multiple of 32.
        layers: transformer layers over the digits.
    """

    def __init__(self, levels: Sequence[int], state_dim: int, width: int, layers: int) -> None:
        super().__init__()
        self.levels = list(levels)
        heads = max(width // 64, 1)
        config = LlamaConfig(
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            rms_norm_eps=1e-5,
        )
        config._attn_implementation = "sdpa"
        config.rope_precision = "float32"
        self.read_state = nn.Linear(state_dim, width)
        self.read_digits = nn.ModuleList(nn.Embedding(count, width) for count in self.levels[:-1])
        self.layers = nn.ModuleList(LlamaDecoderLayer(config, i) for i in range(layers))
        self.norm = LlamaRMSNorm(width, eps=1e-5)
        self.rotary_emb = RotaryEmbedding(config)  # type: ignore[arg-type]
        self.write = nn.ModuleList(nn.Linear(width, count, bias=False) for count in self.levels[1:])

    def forward(self, states: Tensor, digits: Tensor) -> list[Tensor]:
        """Logits of the digits that follow the given ones.

        Args:
            states: `[M, C]`.
            digits: the first d digits `[M, d]`, `1 <= d < D`.

        Returns:
            logits `[M, L_i]` of the digits i = 1 .. d, each from the digits before it.
        """
        hidden = self.states(states, digits)
        return [self.write[i](hidden[:, i]) for i in range(digits.shape[1])]

    def last(self, states: Tensor, digits: Tensor) -> Tensor:
        """Logits `[M, L_d]` of the next digit after the given ones `[M, d]`."""
        count = digits.shape[1]
        return self.write[count - 1](self.states(states, digits)[:, -1])

    def states(self, states: Tensor, digits: Tensor) -> Tensor:
        """States `[M, d, W]` that predict the digits 1 .. d."""
        # the state of the position is added to every digit's embedding
        embedded = [table(digits[:, i]) for i, table in enumerate(self.read_digits) if i < digits.shape[1]]
        hidden = self.read_state(states)[:, None] + torch.stack(embedded, dim=1)  # [M, d, W]
        positions = torch.arange(digits.shape[1], device=digits.device)[None]
        rotary = self.rotary_emb(hidden, positions)
        for layer in self.layers:  # without a mask attention is causal
            hidden = layer(hidden, attention_mask=None, position_ids=positions, position_embeddings=rotary)
        return self.norm(hidden)
