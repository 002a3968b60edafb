"""Cost of a training run: parameters, memory per GPU by ZeRO stage, floating point operations, hours.

    shape = lm_shape(MotionLMConfig.from_name("1b"))
    step = Step(gpus=40, rows=16, positions=301, predicted=151)
    memory(shape, step, stage=2).total / GIB
    hours(step_flops(shape, step), steps=240_000, gpus=40, gpu=find_gpu("h200"), mfu=0.4)

Arithmetic only: nothing is allocated, models are counted on the meta device. Memory is that of tensors; the CUDA
context, NCCL and fragmentation come on top, so `fits` leaves a tenth of the GPU free. Bytes, for P weights of which T
are trained, on G GPUs:

| stage | weights | gradients | optimizer | buffers | at the step |
|---|---|---|---|---|---|
| 0 (no DeepSpeed: float32 under autocast) | 4 P + 2 P of bfloat16 copies | 4 T | 8 T | 4 T of DDP where G > 1 | |
| 1 | 2 P | 2 T | 12 T / G | 3 buckets | 4 T / G |
| 2 | 2 P | 2 T / G | 12 T / G | 3 buckets | 4 T / G |
| 3 | 2 P / G | 2 T / G | 12 T / G | 2 buckets + 2 min(P, LIVE) | 4 T / G |

12 is the float32 copy of a weight and Adam's two moments. "At the step" is the memory of float32 gradients during the
optimizer step, when activations have been freed. Activations in bytes per position: `24 C + 8 I` per layer in bfloat16
and `34 C + 8 I` under autocast, with attention that never stores its scores (SDPA, FlexAttention), and 10 C or 14 C
outside the layers. With gradient checkpointing a layer keeps only its input, 2 C or 4 C, and the layers are recomputed
one at a time. Logits are computed in chunks (`motionmillion.lm.head`): 16 bytes per logit of a chunk, in the backward
pass.

Operations of a step: 6 per weight of the layers and position, padding included, 12 L C per pair of positions of a row,
and 6 C V per predicted position; with LoRA 4, 8 and 4, because frozen weights get no gradient. Recomputation by
gradient checkpointing (a third more) is not counted, so the MFU is lower with it.

Letters: P, T, G as above, L layers, C width, I intermediate width, V rows of the output layer.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from motionmillion.configuration import check_whole
from motionmillion.training.lm.lora import LoraOptions

GIB = 2**30

BUCKET = 100_000_000
"""Elements per gradient bucket in recipes/lm/zero1.json to zero3.json."""

LIVE = 1_000_000_000
"""Maximum number of gathered weights that ZeRO-3 keeps (stage3_max_live_parameters)."""

STAGES = (0, 1, 2, 3)
USABLE = 0.9


@dataclass(frozen=True)
class Gpu:
    """Speed and memory of a GPU, from its vendor's datasheet."""

    name: str
    tflops: float  # bfloat16 matrix products, dense, TFLOP/s
    memory: float  # GiB


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100", 312.0, 80.0),  # SXM; the one of 40 GB is a100-40gb
        Gpu("a100-40gb", 312.0, 40.0),
        Gpu("b200", 2250.0, 180.0),
        Gpu("h100", 989.4, 80.0),  # SXM
        Gpu("h100-pcie", 756.5, 80.0),
        Gpu("h200", 989.4, 140.0),  # SXM, sold as 141 GB
        Gpu("l40s", 362.0, 48.0),
        Gpu("mi300x", 1307.4, 192.0),
        Gpu("rtx4090", 165.2, 24.0),
    )
}


def find_gpu(name: str) -> Gpu:
    """A GPU by name.

    Raises:
        ValueError: if the name is not in the table.
    """
    if name.lower() not in GPUS:
        raise ValueError(f"gpu must be one of {', '.join(GPUS)}, got {name!r}")
    return GPUS[name.lower()]


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a language model."""

    parameters: int  # P
    trained: int  # T, fewer than P where only adapters are trained
    body: int  # weights of the transformer layers
    layers: int  # L
    width: int  # C
    intermediate: int  # I
    vocabulary: int  # V

    def operations(self, step: "Step") -> float:
        """Floating point operations of one optimizer step on all GPUs together; see the module's docstring."""
        a_weight = 6 if self.trained == self.parameters else 4
        body = a_weight * self.body * step.positions
        attention = 2 * a_weight * self.layers * self.width * step.positions**2
        head = a_weight * self.vocabulary * self.width * step.predicted
        return float(step.all_rows * (body + attention + head))

    def activations(self, step: "Step", autocast: bool) -> int:
        """Bytes that one GPU keeps for the backward pass, without logits."""
        layer = (34 if autocast else 24) * self.width + 8 * self.intermediate
        own = (4 if autocast else 2) * self.width
        layers = self.layers * own + layer if step.checkpointing else self.layers * layer
        outside = (14 if autocast else 10) * self.width  # last norm, output layer
        return step.rows * step.positions * (layers + outside)

    def logits(self, step: "Step") -> int:
        """Bytes of one chunk of logits: in bfloat16 and float32, their softmax, and the gradients of both."""
        from motionmillion.lm.head import CHUNK_LOGITS

        chunk = max(CHUNK_LOGITS // self.vocabulary, 1) * self.vocabulary
        return 16 * min(chunk, step.rows * step.predicted * self.vocabulary)


@dataclass(frozen=True)
class Step:
    """Batch of one optimizer step."""

    gpus: int
    rows: int  # per forward pass on one GPU
    positions: int  # per row: text, motion and padding
    predicted: int  # positions per row that have logits
    accumulation: int = 1  # forward passes per optimizer step
    checkpointing: bool = False
    samples_a_row: float = 1.0  # above 1 if rows are packed

    def __post_init__(self) -> None:
        for name in ("gpus", "rows", "positions", "predicted", "accumulation"):
            check_whole(name, getattr(self, name), 1)

    @property
    def all_rows(self) -> int:
        """Rows per step on all GPUs."""
        return self.gpus * self.rows * self.accumulation

    @property
    def samples(self) -> float:
        """Clips per step on all GPUs."""
        return self.all_rows * self.samples_a_row

    @property
    def all_positions(self) -> int:
        """Positions per step on all GPUs, padding included."""
        return self.all_rows * self.positions


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    weights: int
    gradients: int
    optimizer: int
    buffers: int
    activations: int
    logits: int
    at_step: int  # float32 gradients during the optimizer step
    average: int = 0  # exponential moving average of the weights

    @property
    def total(self) -> int:
        """The peak: backward pass or optimizer step, whichever is larger."""
        kept = self.weights + self.gradients + self.optimizer + self.average + self.buffers
        return kept + max(self.activations + self.logits, self.at_step)

    def fits(self, gpu: Gpu) -> bool:
        """Whether the peak fits into nine tenths of the GPU's memory."""
        return self.total <= USABLE * gpu.memory * GIB


def count_parameters(model: nn.Module) -> int:
    """Number of weights of a model; shared weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def lm_shape(config: Any, lora: LoraOptions | None = None) -> ModelShape:
    """Sizes of the `MotionLM` of a config, with adapters if `lora` is given, counted on the meta device."""
    from motionmillion.lm import MotionLM

    with torch.device("meta"):
        model = MotionLM(config)
    parameters = trained = count_parameters(model)
    if lora is not None:
        linear = [(name, m) for name, m in model.layers.named_modules() if isinstance(m, nn.Linear)]
        chosen = [m for name, m in linear if name.rsplit(".", 1)[-1] in lora.targets]
        trained = sum(lora.rank * (m.in_features + m.out_features) for m in chosen)
        parameters += trained
    vocabulary = model.lm_head.out_features
    if config.head == "flow":  # the number of logits that costs as much as the flow head, for each of its draws
        vocabulary = config.flow_draws * count_parameters(model.get_submodule("flow_head")) // config.hidden_size
    elif config.codes == "factorised":  # likewise for the depth head, which processes the digits one by one
        digits = len(config.code_levels) - 1
        vocabulary += digits * count_parameters(model.get_submodule("depth")) // config.hidden_size
    return ModelShape(
        parameters=parameters,
        trained=trained,
        body=sum(count_parameters(layer) for layer in model.layers),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        intermediate=config.intermediate_size,
        vocabulary=vocabulary,
    )


def step_flops(shape: ModelShape, step: Step) -> float:
    """Floating point operations of one optimizer step on all GPUs together; see the module's docstring."""
    return shape.operations(step)


def hours(flops: float, steps: int, gpus: int, gpu: Gpu, mfu: float) -> float:
    """Hours for `steps` steps of `flops` operations each, at the fraction `mfu` of the datasheet's speed.

    Raises:
        ValueError: for an `mfu` outside (0, 1].
    """
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu must be above 0 and at most 1, got {mfu!r}")
    return steps * flops / (gpus * gpu.tflops * 1e12 * mfu) / 3600


def memory(shape: ModelShape, step: Step, stage: int, average: bool = False) -> Memory:
    """Memory per GPU under a ZeRO stage, 0 for none; see the module's docstring for the formulas.

    Args:
        average: whether an exponential moving average of the weights is kept, in float32.

    Raises:
        ValueError: for an unknown stage.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {STAGES}, got {stage!r}")
    everything, trained, gpus = shape.parameters, shape.trained, step.gpus
    sharded = -(-trained // gpus)
    activations, logits = shape.activations(step, autocast=stage == 0), shape.logits(step)
    kept = 4 * everything if average else 0
    if stage == 0:
        buckets = 4 * trained if gpus > 1 else 0
        return Memory(6 * everything, 4 * trained, 8 * trained, buckets, activations, logits, 0, kept)
    buffers = 3 * 2 * BUCKET
    if stage == 3:
        buffers = 2 * 2 * BUCKET + 2 * min(everything, LIVE)
    return Memory(
        weights=2 * (-(-everything // gpus) if stage == 3 else everything),
        gradients=2 * (trained if stage == 1 else sharded),
        optimizer=12 * sharded,
        buffers=buffers,
        activations=activations,
        logits=logits,
        at_step=4 * sharded,
        average=kept,
    )
