"""OutputHead: hidden states -> logits, or directly to losses without materialising all logits.

    logits = head(hidden)                              # [..., K + 1]
    losses, correct = head(hidden, labels)             # each [M], for hidden [M, C] and labels [M]

Unusual: the losses are computed in chunks that are recomputed in the backward pass, so at any time the float32 logits
of only one chunk exist. It is one module with one call, because ZeRO-3 gathers weights per call and needs the same
calls in every process.

Letters: M predicted positions, C width, K codebook size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CHUNK_LOGITS = 2**25
"""Logits per chunk: 128 MiB in float32."""


class OutputHead(nn.Linear):
    """Linear layer from width C to `rows`, of which the first `predicted` are tokens and the rest is padding."""

    def __init__(self, width: int, rows: int, predicted: int) -> None:
        super().__init__(width, rows, bias=False)
        self.predicted = predicted

    def forward(self, input: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits `[..., predicted]` of hidden states `[..., C]`; with `labels` `[M]`, losses and hits `[M]`.

        Returns:
            losses: cross entropy in nats, float32; correct: whether the label is the most likely token.
        """
        if labels is None:
            return F.linear(input, self.weight)[..., : self.predicted]
        # rows per chunk
        size = max(CHUNK_LOGITS // self.weight.shape[0], 1)
        several = labels.shape[0] > size and torch.is_grad_enabled()
        parts = []
        for hidden, wanted in zip(input.split(size), labels.split(size), strict=True):
            # recomputed in the backward pass, unless everything fits into one chunk
            parts.append(
                checkpoint(self._losses, hidden, wanted, use_reentrant=False)
                if several
                else self._losses(hidden, wanted)
            )
        losses, correct = zip(*parts, strict=True)
        return torch.cat(losses), torch.cat(correct)

    def _losses(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = F.linear(hidden, self.weight)[:, : self.predicted].float()  # [m, K + 1]
        return F.cross_entropy(logits, labels, reduction="none"), logits.argmax(dim=-1) == labels
