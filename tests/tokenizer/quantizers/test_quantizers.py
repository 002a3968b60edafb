"""Every quantizer: codes in range and back, gradients, padding, checkpoints, counts; and every check."""

import math

import pytest
import torch
from vector_quantize_pytorch import FSQ

from motionmillion.tokenizer.quantizers.fsq import FSQ_LEVELS
from motionmillion.tokenizer.quantizers.registry import build_quantizer, parse_options
from motionmillion.tokenizer.quantizers.usage import code_perplexity, code_usage

OPTIONS = [
    {"type": "fsq", "levels": [8, 5, 5]},
    {"type": "fsq", "levels": [2, 3], "normalize": True},
    {"type": "fsq", "size": 256, "normalize": True},
    {"type": "residual_fsq", "levels": [5, 3], "stages": 3},
    {"type": "vq", "size": 32, "codebook_dim": 4},
    {"type": "lfq", "size": 64},
]


def build(options):
    torch.manual_seed(0)
    return build_quantizer(options, dim=6)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_codes_are_in_range_and_stand_for_the_quantized_latents(options):
    quantizer = build(options)
    latents = 3 * torch.randn(4, 50, 6)
    quantizer(latents)  # a codebook that is filled from the first batch
    quantizer.eval()
    output = quantizer(latents)
    assert output.codes.shape == (4, 50) and output.codes.dtype == torch.int64
    assert (
        output.codes.min() >= 0
        and output.codes.max() < quantizer.codebook_size == parse_options(options).codebook_size
    )
    assert len(output.codes.unique()) > 1
    assert output.quantized.shape == (4, 50, quantizer.channels)
    assert torch.allclose(quantizer.embed(output.codes), output.quantized, atol=1e-5)
    assert torch.allclose(quantizer.lookup(output.codes), output.latents, atol=1e-5)
    again = quantizer(latents)
    assert torch.equal(again.codes, output.codes)


@pytest.mark.parametrize("options", [*OPTIONS, {"type": "none", "channels": 3}], ids=str)
def test_gradients_reach_the_latents_and_padding_changes_nothing(options):
    latents = torch.randn(3, 20, 6)
    mask = torch.arange(20) < torch.tensor([20, 12, 5])[:, None]
    results = []
    for padding in (0.0, 50.0):
        quantizer = build(options)
        own = torch.where(mask[..., None], latents, torch.full_like(latents, padding)).requires_grad_()
        torch.manual_seed(1)
        output = quantizer(own, mask)
        (output.latents[mask].square().sum() + output.loss).backward()
        assert own.grad is not None and own.grad[mask].abs().sum() > 0
        results.append((output.latents[mask].detach(), output.loss.detach()))
    assert torch.allclose(results[0][0], results[1][0], atol=1e-5)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-5)


def test_fsq_is_the_library_s():
    quantizer = build({"type": "fsq", "levels": [8, 5, 5]})
    latents = torch.randn(2, 9, 6)
    output = quantizer(latents)
    reference, codes = FSQ([8, 5, 5])(quantizer.project_in(latents))
    assert torch.equal(output.codes, codes.long())
    assert torch.allclose(output.latents, quantizer.project_out(reference))


def test_codes_of_a_large_codebook_are_exact():
    quantizer = build({"type": "fsq", "levels": [8, 5, 5, 5, 8, 5, 5, 5, 8, 5, 5]})  # 200 million
    output = quantizer(3 * torch.randn(4, 500, 6))
    assert int(output.codes.max()) > 2**27
    assert torch.equal(quantizer.lookup(output.codes), output.latents)


@pytest.mark.parametrize(
    ("nominal", "true"),
    [(256, 240), (512, 512), (1024, 1000), (2048, 1920), (4096, 4375), (16384, 15360), (65536, 64000)],
)
def test_published_sizes(nominal, true):
    assert parse_options({"type": "fsq", "size": nominal}).codebook_size == true == math.prod(FSQ_LEVELS[nominal])


def test_residual_stages_refine():
    torch.manual_seed(0)
    channels = 0.5 * torch.randn(1, 400, 2)
    errors = []
    for stages in (1, 2, 3):
        quantizer = build({"type": "residual_fsq", "levels": [5, 5], "stages": stages})
        clamped = quantizer.inner(channels)[0]
        target = torch.tanh(channels / 1.25) * 1.25  # the library's soft clamp
        errors.append(float((clamped - target).abs().mean()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_vq_moves_dead_codes_into_use():
    quantizer = build({"type": "vq", "size": 64, "codebook_dim": 4, "decay": 0.8})
    torch.manual_seed(1)
    for _ in range(30):
        codes = quantizer(torch.randn(8, 64, 6)).codes
    assert code_usage(codes, 64)["usage"] > 0.9


def test_continuous_latents_are_drawn_in_training_only():
    quantizer = build({"type": "none", "channels": 3, "kl": 1.0})
    latents = torch.randn(2, 5, 6)
    first, second = quantizer(latents), quantizer(latents)
    assert first.codes is None and not torch.equal(first.quantized, second.quantized)
    mean, log_variance = quantizer.project_in(latents).chunk(2, -1)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    divergence = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    assert torch.allclose(first.loss, divergence.mean(), atol=1e-6)
    quantizer.eval()
    assert torch.equal(quantizer(latents).quantized, mean)
    with pytest.raises(ValueError, match="use decode_latents"):
        quantizer.lookup(torch.zeros(1, 1, dtype=torch.long))


def test_usage_perplexity_and_entropy_are_counted():
    codes = torch.tensor([[0, 1], [1, 1]])
    usage = code_usage(codes, 4)
    assert usage["usage"] == 0.5
    assert usage["entropy_bits"] == pytest.approx(0.811278, abs=1e-5)
    assert float(code_perplexity(codes)) == pytest.approx(usage["perplexity"], rel=1e-5)
    assert float(code_perplexity(torch.arange(64000))) == pytest.approx(64000, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "xyz"}, "type must be one of"),
        ({}, "type must be one of"),
        ({"type": "fsq"}, "have levels or size"),
        ({"type": "fsq", "levels": [1, 3]}, "levels must be a list"),
        ({"type": "fsq", "levels": []}, "levels must be a list"),
        ({"type": "fsq", "levels": [True, 3]}, "levels must be a list"),
        ({"type": "fsq", "levels": 8}, "levels must be a list"),
        ({"type": "fsq", "size": 1000}, "size must be one of"),
        ({"type": "fsq", "size": 256, "levels": [5]}, "size must be one of"),
        ({"type": "fsq", "levels": [5], "normalize": 1}, "normalize must be true or false"),
        ({"type": "fsq", "levels": [5], "level": 3}, "did you mean levels"),
        ({"type": "fsq", "levels": [99] * 5}, "at most 2,147,483,647 codes"),
        ({"type": "vq", "size": 2**24 + 1}, "size must be at most 16,777,216"),
        ({"type": "residual_fsq", "levels": [5], "stages": 0}, "stages must be a whole number"),
        ({"type": "vq"}, "size must be a whole number of at least 2, got None"),
        ({"type": "vq", "size": 8, "decay": 1.0}, "decay must be between 0 and 1"),
        ({"type": "vq", "size": 8, "commitment": -1}, "commitment must be a number"),
        ({"type": "vq", "size": 8, "codebook_dim": 0}, "codebook_dim must be"),
        ({"type": "vq", "size": 8, "dead_code_threshold": "2"}, "dead_code_threshold must be"),
        ({"type": "lfq", "size": 100}, "power of two for lfq, got 100; try 128"),
        ({"type": "lfq", "size": 64, "entropy": math.inf}, "entropy must be"),
        ({"type": "none", "channels": 0}, "channels must be"),
        ({"type": "none", "kl": -1.0}, "kl must be"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        parse_options(options)
