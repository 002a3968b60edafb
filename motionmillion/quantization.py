"""8-bit and 4-bit weights: less memory for large language models.

    lm = MotionLM.from_pretrained(folder, quantization_config=quantization_config("4bit"), dtype=torch.bfloat16)

| name | library | method |
|---|---|---|
| 8bit | bitsandbytes | LLM.int8: weights and activations in int8, outliers in float16 |
| 4bit | bitsandbytes | NF4 in blocks of 64, computes in `dtype` |
| int8 | torchao | weights in int8, one scale per output channel, computes in the model's dtype |

The layers of the transformer are quantized; embedding, output layer and text projection are not. All three also run on
CPUs. They save memory, not time: there, none of them decodes faster than float32. Given the same tokens, their most
likely next token agrees with the bundled model in float32 at 99.7 % (int8), 98.6 % (8bit) and 93.2 % (4bit) of
positions, that of bfloat16 at 98.3 % (`recipes/bench/quantization.py`).
"""

import importlib
import logging
from typing import Any

import torch

LIBRARIES = {"8bit": "bitsandbytes", "4bit": "bitsandbytes", "int8": "torchao"}
"""Names of quantizations, and the library that each needs."""

_KEPT = ["embed_tokens", "lm_head", "project_text", "read_latents", "flow_head", "depth"]


def quantization_config(name: str, dtype: torch.dtype = torch.float32) -> Any:
    """The `quantization_config` of `MotionLM.from_pretrained` for a name.

    Args:
        name: "8bit", "4bit" or "int8".
        dtype: data type in which "4bit" computes; use the model's dtype.

    Raises:
        ImportError: if the library is not installed.
        ValueError: for an unknown name.
    """
    if name not in LIBRARIES:
        raise ValueError(f"quantization must be one of {sorted(LIBRARIES)}, got {name!r}")
    _check_library(name)
    if name == "int8":
        from torchao.quantization import Int8WeightOnlyConfig  # type: ignore[import-not-found]
        from transformers import TorchAoConfig

        return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=_KEPT)
    from transformers import BitsAndBytesConfig

    if name == "4bit":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=_KEPT,
        )
    logging.getLogger("bitsandbytes.autograd._functions").addFilter(_not_about_casting)
    return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=_KEPT)


def low_bit_arguments(name: str | None, device: str = "cpu", dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a name; none for None.

    Low-bit weights cannot be moved later, so they are loaded directly onto the device.
    """
    if name is None:
        return {}
    return {"quantization_config": quantization_config(name, dtype), "device_map": {"": device}}


def _check_library(name: str) -> None:
    library = LIBRARIES[name]
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise ImportError(
            f'{library} must be installed for quantization in {name!r}; run: pip install "motionmillion[quantization]"'
        ) from error


def _not_about_casting(record: logging.LogRecord) -> bool:
    """Filter out bitsandbytes' message, in every layer of every step, that LLM.int8 casts activations."""
    return "inputs will be cast from" not in record.msg
