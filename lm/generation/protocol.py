"""What generation asks of a language model, of codes or of latents; `motionmillion.lm.MotionLM` is one.

Letters: B batch, N motion tokens, P prefix, C width.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.head import OutputHead
from motionmillion.lm.rotary import RotaryEmbedding


class StepEnds(Protocol):
    """Input and output layer of a decoding step."""

    def embed(self, chosen: Tensor, /) -> Tensor:
        """Embeddings `[B, C]` of the token or latent chosen for each row."""
        ...

    def read(self, x: Tensor, /) -> Tensor:
        """What the sampler reads (logits or states), from the last hidden states `[B, C]`."""
        ...


class AnyLM(Protocol):
    """A module with Llama layers, and what differs between codes and latents."""

    config: MotionLMConfig
    embed_tokens: nn.Embedding
    layers: nn.ModuleList
    norm: LlamaRMSNorm
    rotary_emb: RotaryEmbedding
    lm_head: OutputHead
    prefix_name: str  # the argument of `stream` that takes a motion prefix

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def blank(self) -> float:
        """Padding of motion tokens."""
        ...

    def valid_motion(self, motion: Tensor) -> Tensor:
        """Mask `[B, N]` of the positions that hold a token."""
        ...

    def step_ends(self, project: Callable[[nn.Linear], Callable[[Tensor], Tensor]]) -> StepEnds:
        """Input and output layer of a decoding step."""
        ...

    def sampler(self, options: Any, seeds: Sequence[int]) -> Any:
        """The sampler of the next tokens, one seed per row."""
        ...

    def checked_prefix(self, batch: int, codes: Tensor | None, latents: Tensor | None) -> Tensor:
        """The checked prefix of all rows, `[B, P]` or with latents `[B, P, Q]`."""
        ...

    def row_losses(self, motion: Tensor, features: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """Loss `[B]` of each row's labels."""
        ...
