"""Memory of models that are small enough to be tried: what a forward pass keeps is counted, not computed by formula.

    shape = measured_shape(tokenizer, {"features": torch.randn(2, 64, 272)}, autocast=True)
    memory(shape, Step(gpus=8, rows=256, positions=64, predicted=64), stage=0).total / GIB

Every tensor that a backward pass needs counts once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionmillion.training.plan.cost import ModelShape, Step, count_parameters


@dataclass(frozen=True)
class MeasuredShape(ModelShape):
    """Sizes of a model whose activations were counted; the sizes of a transformer are 0."""

    row_bytes: int  # kept for the backward pass for each row of a batch

    def activations(self, step: Step, autocast: bool) -> int:
        """Bytes that one GPU keeps for the backward pass."""
        return step.rows * self.row_bytes

    def logits(self, step: Step) -> int:
        """0: counted among the activations."""
        return 0


def measured_shape(model: nn.Module, sample: Mapping[str, Tensor], autocast: bool) -> MeasuredShape:
    """Sizes of a model, from forward passes on the CPU.

    Args:
        sample: arguments of `model` for two rows, tensors `[2, ...]`.
        autocast: whether training computes in bfloat16.
    """
    parameters = count_parameters(model)
    # the difference leaves out what does not grow with the batch: weights, and their copies in bfloat16
    two, one = (kept_bytes(model, {k: v[:rows].clone() for k, v in sample.items()}, autocast) for rows in (2, 1))
    return MeasuredShape(parameters, parameters, 0, 0, 0, 0, 0, row_bytes=two - one)


def kept_bytes(model: nn.Module, sample: Mapping[str, Tensor], autocast: bool) -> int:
    """Bytes of all tensors that the backward pass of a forward pass would need."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        output = model(**sample)  # held until the count is done: a storage that is freed may be given out again
    del output
    return sum(storage.nbytes() for storage in kept.values())
