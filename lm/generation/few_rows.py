"""Projection: `x @ weight.T` for the few rows of a decoding step, which is bound by the reading of the weight.

    project = Projection(layer.weight, layer.bias, rows=1)
    y = project(x)                                     # [M, in] -> [M, out]

On a CPU, the usual call for one row runs in one thread and reaches a quarter of the memory bandwidth. Here float32
weights are multiplied with one or two rows as a batched product over slices of the weight, which uses all threads and
the full bandwidth, and with more rows from a copy in oneDNN's blocked layout. bfloat16 uses oneDNN's layout for any
number of rows, and `int8` quantizes the weight per row (a quarter of the bytes; inputs in bfloat16). On other devices
it is `torch.nn.functional.linear`.

Unusual: a blocked or quantized copy does not follow later changes of the weight.

Letters: M rows.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_SLICES = 64
_BATCHED_ROWS = 2
_INT8_COLUMNS = 64
"""Torch's 8-bit kernel does not check sizes; it only gets multiples of this, and of 64 rows."""


class Projection:
    """One weight, prepared for inputs of `rows` rows.

    Args:
        weight: `[out, in]`.
        bias: `[out]` or None.
        rows: number of rows of the inputs.
        int8: quantize the weight if its sizes allow it; on CPUs only.
        plain: do not prepare the weight, for torch.compile.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, rows: int, int8: bool = False, plain: bool = False
    ) -> None:
        self.weight, self.bias = weight, bias
        self.blocked: Any = None
        self.scale: Any = None
        self.slices: Tensor | None = None
        self.rest: Tensor | None = None
        whole = weight.shape[0] // _SLICES * _SLICES  # rows that divide into equal slices
        if weight.is_cpu and plain and rows <= _BATCHED_ROWS:
            self.run = self._summed
        elif not weight.is_cpu or plain:
            self.run = self._plain
        elif int8 and weight.shape[1] % _INT8_COLUMNS == 0 and whole:
            # symmetric quantization, one scale per output row
            scale = (weight[:whole].float().abs().amax(dim=1) / 127).clamp(min=1e-12)
            self.blocked = (weight[:whole].float() / scale[:, None]).round().to(torch.int8)
            self.scale, self.rest = scale.bfloat16(), weight[whole:]
            self.run = self._int8
        elif weight.dtype == torch.float32 and rows <= _BATCHED_ROWS:
            self.slices = weight[:whole].unflatten(0, (_SLICES, -1)) if whole else None  # [64, out / 64, in]
            self.rest = weight[whole:] if whole < weight.shape[0] else None
            self.run = self._batched
        elif blocked_layout(weight.dtype):
            self.blocked = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
            self.run = self._blocked
        else:
            self.run = self._plain

    def __call__(self, x: Tensor) -> Tensor:
        return self.run(x)

    def _plain(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def _summed(self, x: Tensor) -> Tensor:
        y = (self.weight * x[:, None]).sum(dim=-1)  # compiled into one loop over the weight
        return y if self.bias is None else y + self.bias

    def _batched(self, x: Tensor) -> Tensor:
        # transposed output [out, M], so that each slice writes a contiguous block
        y = x.new_empty(self.weight.shape[0], x.shape[0])
        whole = y.shape[0] if self.rest is None else y.shape[0] - self.rest.shape[0]
        if self.slices is not None:
            torch.bmm(self.slices, x.t().expand(_SLICES, -1, -1), out=y[:whole].unflatten(0, (_SLICES, -1)))
        if self.rest is not None:
            torch.mm(self.rest, x.t(), out=y[whole:])
        return y.t() if self.bias is None else y.t() + self.bias

    def _blocked(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.blocked, self.bias, "none", [], "")

    def _int8(self, x: Tensor) -> Tensor:
        y = torch._weight_int8pack_mm(x.bfloat16().contiguous(), self.blocked, self.scale).to(x.dtype)
        if self.rest is not None and len(self.rest):
            y = torch.cat([y, x @ self.rest.t()], dim=1)
        return y if self.bias is None else y + self.bias


def blocked_layout(dtype: torch.dtype) -> bool:
    """Whether this build and processor have oneDNN's blocked linear layer for `dtype`."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
