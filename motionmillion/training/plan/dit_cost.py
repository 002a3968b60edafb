"""Training cost of a MotionDiT: the sizes from which `motionmillion.training.plan` computes memory and hours.

    shape = dit_shape(MotionDiTConfig.from_name("1.3b"))
    step = Step(gpus=8, rows=128, positions=200, predicted=200)        # positions: frames / patch
    memory(shape, step, stage=2).total / GIB

The formulas, for N positions per row, L words and a reference of N positions; DiT and reference encoder are each
counted with their own number of layers:

| | a layer | |
|---|---|---|
| operations | 6 N (4 C C + 2 C I) + 12 C N N | self-attention and feed-forward |
| | 6 (2 C C) (N + S) + 12 C N S | each cross-attention, S its words or reference positions |
| activations, bytes | N (40 C + 4 I), under autocast N (52 C + 4 I) | self-attention and feed-forward |
| | 16 C N + 12 C S, under autocast 18 C N + 12 C S | each cross-attention |

A row goes through one cross-attention: that of its text, or that of its reference with the reference encoder. Of all
rows, the share `text_share` goes through the former. Outside the layers, 8 C
(under autocast 10 C) and 8 bytes per feature are kept for each position. With gradient checkpointing a layer keeps
only its input, 2 C or 4 C, and the layers are recomputed one at a time. Attention never stores its scores (SDPA).

Letters: N, L, S as above, C width, I intermediate width, D features of a position.
"""

from dataclasses import dataclass

import torch

from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.training.plan.cost import ModelShape, Step, count_parameters


@dataclass(frozen=True)
class DiTShape(ModelShape):
    """Sizes of a MotionDiT; `layers` are those of the transformer, `vocabulary` is 0."""

    reference_layers: int  # layers of the reference encoder, 0 for none
    features: int  # D, features of all frames of a position
    outputs: int  # outputs of the last layer per position, twice as many if patches overlap
    reference_features: int
    text_dim: int
    words: int  # L
    text_share: float  # fraction of rows that attend to their text; the others follow a reference

    def _contexts(self, step: Step) -> list[tuple[float, int]]:
        """Each cross-attention: the share of rows that go through it, and its number of keys."""
        return [(self.text_share, self.words), (1 - self.text_share, step.positions)]

    def operations(self, step: Step) -> float:
        """Floating point operations of one optimizer step on all GPUs together."""
        n, c = step.positions, self.width
        own = 6 * n * (4 * c * c + 2 * c * self.intermediate) + 12 * c * n * n
        crossed = sum(share * (12 * c * c * (n + s) + 12 * c * n * s) for share, s in self._contexts(step))
        encoded = 1 - self.text_share
        layers = self.layers * (own + crossed) + encoded * self.reference_layers * own
        # 4 where the input gets no gradient
        outside = self.text_share * self.words * (4 * self.text_dim * c + 6 * c * c)
        outside += n * c * (4 * self.features + 6 * self.outputs)
        outside += encoded * 4 * n * self.reference_features * c
        return float(step.all_rows * (layers + outside))

    def activations(self, step: Step, autocast: bool) -> int:
        """Bytes that one GPU keeps for the backward pass."""
        n, c, number = step.positions, self.width, 4 if autocast else 2
        own = n * ((52 if autocast else 40) * c + 4 * self.intermediate)
        crossed = sum(share * ((18 if autocast else 16) * c * n + 12 * c * s) for share, s in self._contexts(step))
        encoded = 1 - self.text_share
        layers = self.layers * (own + crossed) + encoded * self.reference_layers * own
        if step.checkpointing:
            layers = (self.layers + encoded * self.reference_layers) * number * c * n + own + crossed
        outside = n * ((10 if autocast else 8) * c + 8 * self.features + 2 * encoded * self.reference_features)
        outside += self.text_share * self.words * (6 * c + 2 * self.text_dim)
        return round(step.rows * (layers + outside))

    def logits(self, step: Step) -> int:
        """0: a DiT has no logits."""
        return 0


def dit_shape(config: MotionDiTConfig, words: int | None = None, text_share: float = 1.0) -> DiTShape:
    """Sizes of the MotionDiT of a config, counted on the meta device.

    Args:
        words: text length with padding; None for `config.text_length`.
        text_share: fraction of rows that attend to their text; 1 for models without a reference branch.
    """
    with torch.device("meta"):
        model = MotionDiT(config)
    layers = [*model.blocks, *(model.reference_blocks if config.num_reference_layers else ())]
    parameters = count_parameters(model)
    return DiTShape(
        parameters=parameters,
        trained=parameters,
        body=sum(map(count_parameters, layers)),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        intermediate=config.intermediate_size,
        vocabulary=0,
        reference_layers=config.num_reference_layers,
        features=config.patch * config.motion_dim,
        outputs=model.head.linear.out_features,
        reference_features=config.patch * config.reference_dim if config.num_reference_layers else 0,
        text_dim=config.text_dim,
        words=config.text_length if words is None else words,
        text_share=text_share if config.num_reference_layers else 1.0,
    )
