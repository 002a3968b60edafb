"""Matrix products of the transformer layers in 8 bits, by torchao; weights, gradients and optimizer stay as they are.

    training: {float8: true}            # in the recipe

    use_float8(model)                   # in place, before the model is split over processes

Unusual: GPUs before Ada and Hopper (compute capability 8.9) and CPUs compute in float32 what an 8-bit product would
give, which is slow and only good for tests. Layers whose sizes are not multiples of 16 stay as they are.
"""

import importlib.util

import torch
from torch import nn

_MULTIPLE = 16


def use_float8(model: nn.Module) -> int:
    """Convert the linear layers inside the model's `layers`; returns how many were converted.

    Raises:
        ImportError: without torchao.
        ValueError: if no layer can be converted.
    """
    check_torchao()
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training  # type: ignore[import-not-found]

    fast = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 9)
    found: set[str] = set()

    def fits(module: nn.Module, name: str) -> bool:
        good = isinstance(module, nn.Linear) and not (
            module.in_features % _MULTIPLE or module.out_features % _MULTIPLE
        )
        if good and "layers" in name.split("."):
            found.add(name)
        return name in found

    convert_to_float8_training(model, module_filter_fn=fits, config=Float8LinearConfig(emulate=not fast))
    if not found:
        raise ValueError(
            f"training.float8 must be off for layers whose sizes are no multiples of {_MULTIPLE}, got true; change "
            "model.hidden_size or leave it out"
        )
    return len(found)


def check_torchao() -> None:
    """Raise `ImportError` with the remedy unless torchao is installed."""
    if importlib.util.find_spec("torchao") is None:
        raise ImportError("torchao must be installed for training.float8; run: pip install torchao")
