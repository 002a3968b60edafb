"""The plan of a run: parameters and operations as published, memory by hand and against what tensors really hold."""

import json
from pathlib import Path

import pytest
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.config import SIZES
from motionmillion.training.lm.lora import LoraOptions
from motionmillion.training.plan.cost import (
    BUCKET,
    GIB,
    GPUS,
    LIVE,
    ModelShape,
    Step,
    find_gpu,
    hours,
    lm_shape,
    memory,
    step_flops,
)
from motionmillion.training.plan.measured import kept_bytes, measured_shape

ROOT = Path(__file__).resolve().parents[3]

PUBLISHED = {  # name: parameters of the layers, TFLOP of one sample of 301 positions, all of them predicted
    "44m": (27.3e6, 0.11),
    "111m": (85.0e6, 0.25),
    "343m": (308.3e6, 0.70),
    "775m": (731.5e6, 1.52),
    "1b": (1359.1e6, 2.71),
    "3b": (2988.6e6, 5.85),
    "5b": (4857.2e6, 9.35),
    "7b": (7285.8e6, 13.8),
    "13b": (12.69e9, 23.7),
}

SHAPE = ModelShape(parameters=1000, trained=1000, body=600, layers=2, width=8, intermediate=16, vocabulary=10)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_operations_are_the_published_ones(name):
    body, tflop = PUBLISHED[name]
    shape = lm_shape(MotionLMConfig.from_name(name))
    assert shape.parameters == shape.trained == SIZES[name].parameters
    assert shape.body == pytest.approx(body, rel=2e-3)
    sample = Step(gpus=1, rows=1, positions=301, predicted=301)
    assert step_flops(shape, sample) / 1e12 == pytest.approx(tflop, abs=0.05 if tflop > 10 else 0.006)


def test_operations_by_hand():
    step = Step(gpus=3, rows=2, positions=5, predicted=4, accumulation=7)
    a_row = 6 * 600 * 5 + 12 * 2 * 8 * 5 * 5 + 6 * 10 * 8 * 4
    assert step.all_rows == 42 and step.samples == 42 and step.all_positions == 210
    assert step_flops(SHAPE, step) == 42 * a_row
    adapters = ModelShape(1000, 10, 600, 2, 8, 16, 10)
    assert step_flops(adapters, step) == pytest.approx(42 * a_row * 4 / 6)
    checkpointed = Step(gpus=3, rows=2, positions=5, predicted=4, accumulation=7, checkpointing=True)
    assert step_flops(SHAPE, checkpointed) == step_flops(SHAPE, step)  # computing again does not count


def test_hours_by_hand():
    assert hours(989.4e12, steps=3600, gpus=2, gpu=find_gpu("H100"), mfu=0.5) == pytest.approx(1.0)
    for wrong in (0, 1.5, -1):
        with pytest.raises(ValueError, match="mfu must be above 0 and at most 1"):
            hours(1e12, 1, 1, find_gpu("h100"), wrong)
    with pytest.raises(ValueError, match="gpu must be one of a100.*got 'abacus'"):
        find_gpu("abacus")
    assert all(gpu.name == name for name, gpu in GPUS.items())


def test_memory_by_hand():
    step = Step(gpus=4, rows=2, positions=5, predicted=3)
    layer, logits = 24 * 8 + 8 * 16, 16 * 2 * 3 * 10
    found = [memory(SHAPE, step, stage) for stage in range(4)]
    assert [m.weights for m in found] == [6000, 2000, 2000, 500]
    assert [m.gradients for m in found] == [4000, 2000, 500, 500]
    assert [m.optimizer for m in found] == [8000, 3000, 3000, 3000]
    assert [m.buffers for m in found] == [4000, 6 * BUCKET, 6 * BUCKET, 4 * BUCKET + 2000]
    assert [m.activations for m in found] == [10 * (2 * (layer + 10 * 8) + 14 * 8)] + 3 * [10 * (2 * layer + 10 * 8)]
    assert [m.logits for m in found] == 4 * [logits]
    assert [m.at_step for m in found] == [0, 1000, 1000, 1000]
    assert found[2].total == 2000 + 500 + 3000 + 6 * BUCKET + found[2].activations + logits
    tiny = memory(SHAPE, Step(gpus=4, rows=1, positions=1, predicted=1), 2)
    assert tiny.total == 2000 + 500 + 3000 + 6 * BUCKET + tiny.at_step  # the optimizer's turn is the peak
    again = memory(SHAPE, Step(gpus=4, rows=2, positions=5, predicted=3, checkpointing=True), 2)
    assert again.activations == 10 * (2 * 2 * 8 + layer + 10 * 8)
    assert memory(SHAPE, step, 2, average=True).total == found[2].total + 4000
    assert memory(SHAPE, Step(gpus=1, rows=2, positions=5, predicted=3), 0).buffers == 0
    adapters = ModelShape(1000, 10, 600, 2, 8, 16, 10)
    assert memory(adapters, Step(gpus=1, rows=2, positions=5, predicted=3), 1).optimizer == 120
    with pytest.raises(ValueError, match="stage must be one of"):
        memory(SHAPE, step, 4)
    with pytest.raises(ValueError, match="gpus must be a whole number"):
        Step(gpus=0, rows=1, positions=1, predicted=1)


def test_a_tenth_of_the_gpu_is_left_free():
    gpu = find_gpu("a100")
    sizes = [int(share * gpu.memory * GIB) for share in (0.89, 0.91)]
    step = Step(gpus=1, rows=1, positions=1, predicted=1)
    plans = [memory(ModelShape(size // 18, size // 18, 1, 1, 1, 1, 1), step, 0) for size in sizes]
    assert [plan.fits(gpu) for plan in plans] == [True, False]


def test_long_batches_hold_one_chunk_of_logits():
    shape = lm_shape(MotionLMConfig.from_name("44m"))
    held = [memory(shape, Step(1, rows, 301, 151), 1).logits for rows in (1, 16, 64)]
    assert held[0] == 16 * 151 * 64001 and held[1] == held[2] < 2**29


@pytest.fixture(scope="module")
def small() -> MotionLMConfig:
    shape = dict(num_hidden_layers=4, num_attention_heads=4, hidden_size=256, intermediate_size=704)
    return MotionLMConfig(codebook_size=50, text_dim=32, **shape)


def batch(config: MotionLMConfig, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(config.codebook_size, (2, 61), generator=generator)
    text = torch.randn(2, 40, config.text_dim, generator=generator).to(dtype)
    return dict(input_ids=tokens, labels=tokens, text_features=text, text_mask=torch.ones(2, 40))


def test_weights_gradients_and_moments_are_what_tensors_hold(small):
    model = MotionLM(small)
    optimizer = torch.optim.AdamW(model.parameters())
    model(**batch(small, torch.float32)).loss.backward()
    optimizer.step()
    plan = memory(lm_shape(small), Step(gpus=1, rows=2, positions=101, predicted=61), stage=0)
    size = lambda tensors: sum(t.numel() * t.element_size() for t in tensors)  # noqa: E731
    weights, gradients = size(model.parameters()), size(p.grad for p in model.parameters() if p.grad is not None)
    moments = size(v for state in optimizer.state.values() for k, v in state.items() if k != "step")
    copies = 2 * plan.weights // 6  # of autocast, in bfloat16
    assert (plan.weights - copies, plan.gradients, plan.optimizer) == (weights, gradients, moments)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("stage", [0, 1])
def test_activations_are_what_the_backward_pass_keeps(small, stage, checkpointing):
    torch.manual_seed(0)
    dtype = torch.float32 if stage == 0 else torch.bfloat16
    model = MotionLM(small).to(dtype).train()
    model.lean_training = True
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    weights = {tuple(p.shape) for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if (
            storage.data_ptr() not in own
            and tuple(tensor.shape) not in weights
            and tuple(tensor.shape[::-1]) not in weights
        ):
            kept[storage.data_ptr()] = storage  # autocast's copies of weights are counted with the weights
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=stage == 0),
    ):
        model(**batch(small, dtype))
    measured = sum(storage.nbytes() for storage in kept.values())
    step = Step(gpus=1, rows=2, positions=101, predicted=61, checkpointing=checkpointing)
    plan = memory(lm_shape(small), step, stage).activations
    if checkpointing:  # the layer that is computed again is not there yet
        plan -= 2 * 101 * ((34 if stage == 0 else 24) * small.hidden_size + 8 * small.intermediate_size)
    assert measured == pytest.approx(plan, rel=0.05)


def test_a_tried_model_keeps_what_its_layers_keep():
    class Small(torch.nn.Sequential):
        def forward(self, features):
            return super().forward(features).sum()

    model = Small(torch.nn.Linear(5, 7), torch.nn.Sigmoid(), torch.nn.Linear(7, 3))
    shape = measured_shape(model, {"features": torch.randn(2, 11, 5)}, autocast=False)
    assert shape.parameters == shape.trained == 5 * 7 + 7 + 7 * 3 + 3
    assert shape.row_bytes == 4 * 11 * (5 + 7)  # inputs of the layers; a sigmoid keeps its output
    step = Step(gpus=4, rows=6, positions=11, predicted=11)
    assert memory(shape, step, 0).activations == 6 * shape.row_bytes and memory(shape, step, 0).logits == 0


@pytest.mark.parametrize("autocast", [False, True])
def test_memory_of_a_tokenizer_grows_with_its_windows(tiny_tokenizer, autocast):
    model = tiny_tokenizer.train()
    features = torch.randn(9, 32, model.representation.dim)
    shape = measured_shape(model, {"features": features[:2]}, autocast)
    nine, one = (kept_bytes(model, {"features": features[:rows].clone()}, autocast) for rows in (9, 1))
    model.eval()
    assert nine - one == pytest.approx(8 * shape.row_bytes, rel=0.02)


def test_lora_counts_the_adapters(small):
    lora = LoraOptions(rank=3, targets=("q_proj", "down_proj"))
    shape = lm_shape(small, lora)
    assert shape.trained == 4 * 3 * (2 * 256 + 704 + 256)
    assert shape.parameters == lm_shape(small).parameters + shape.trained


def test_lora_counts_as_peft_does(small):
    peft = pytest.importorskip("peft", reason='needs pip install "motionmillion[lora]"')
    model = peft.get_peft_model(MotionLM(small), peft.LoraConfig(r=5, target_modules=["q_proj", "up_proj"]))
    trained, everything = model.get_nb_trainable_parameters()
    shape = lm_shape(small, LoraOptions(rank=5, targets=("q_proj", "up_proj")))
    assert (shape.trained, shape.parameters) == (trained, everything)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_json_files_have_the_buckets_of_the_plan(stage):
    section = json.loads((ROOT / f"recipes/lm/zero{stage}.json").read_text())["zero_optimization"]
    assert section["stage"] == stage and section["reduce_bucket_size"] == BUCKET
    assert section.get("allgather_bucket_size", BUCKET) == BUCKET
    assert section.get("stage3_max_live_parameters", LIVE) == LIVE
