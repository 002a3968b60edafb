"""MotionLMOutput: result of a forward pass of a motion language model, with any head."""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast


@dataclass
class MotionLMOutput(CausalLMOutputWithPast):
    """transformers' output, and the single losses that the mean loss is taken over."""

    token_losses: Tensor | None = None  # [M] in nats, one for each counted label, row by row
    token_hits: Tensor | None = None  # [M], whether that label was the most likely token
    states: Tensor | None = None  # [B, N + 1, C], of a flow head
    losses: dict[str, Tensor] | None = None  # parts of the loss, of a flow head
    parts: dict[str, Tensor] | None = None  # the same with their weights, by the names of `loss_counts`
    end_losses: Tensor | None = None  # [M'] in nats, one per position where the motion could end, of a flow head

    @property
    def last(self) -> Tensor:
        """Input of the sampler at the last position: logits `[B, K + 1]`, or states `[B, C]`."""
        found = self.logits if self.states is None else self.states
        assert found is not None
        return found[:, -1]
