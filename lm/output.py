"""MotionLMOutput: what a forward pass of a motion language model gives, with tokens and with a flow head."""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast


@dataclass
class MotionLMOutput(CausalLMOutputWithPast):
    """transformers' output, and what the mean loss was taken of."""

    token_losses: Tensor | None = None  # [M] in nats, one for each counted label, row by row
    token_hits: Tensor | None = None  # [M], whether that label was the likeliest token
    states: Tensor | None = None  # [B, N + 1, C], of a flow head
    losses: dict[str, Tensor] | None = None  # parts of the loss, of a flow head
    end_losses: Tensor | None = None  # [M'] in nats, one for each place where the motion could end, of a flow head

    @property
    def last(self) -> Tensor:
        """What generation chooses from, of the last position: logits `[B, K + 1]`, or states `[B, C]`."""
        found = self.logits if self.states is None else self.states
        assert found is not None
        return found[:, -1]
