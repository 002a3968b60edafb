"""The tokenizer on an accelerator gives what the CPU gives; run with -m gpu."""

import pytest
import torch

from motionmillion.bench.tokenizer import bench_tokenizer
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator"),
]


def tiny(**changes) -> MotionTokenizer:
    torch.manual_seed(0)
    settings = dict(width=32, depth=2, refiner_width=8, quantizer={"type": "fsq", "levels": [8, 5, 5]})
    return MotionTokenizer(MotionTokenizerConfig(**{**settings, **changes})).eval()


@pytest.mark.parametrize("changes", [{}, {"wavelet": "bior4.4"}, {"causal": True}, {"normalize_bands": True}], ids=str)
def test_codes_and_frames_equal_the_cpu_s(changes):
    tokenizer, features, lengths = tiny(**changes), torch.randn(4, 64, 272), torch.tensor([64, 50, 33, 7])
    codes = tokenizer.encode(features, lengths)
    frames = tokenizer.decode(codes, tokenizer.code_lengths(lengths))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    tokenizer.cuda()
    theirs = tokenizer.encode(features.cuda(), lengths.cuda()).cpu()
    assert (theirs == codes).float().mean() > 0.99  # a value on the border of two levels may round either way
    assert torch.allclose(
        tokenizer.decode(codes.cuda(), tokenizer.code_lengths(lengths).cuda()).cpu(), frames, atol=1e-3
    )


@pytest.mark.parametrize(
    "quantizer", [{"type": "vq", "size": 64}, {"type": "lfq", "size": 64}, {"type": "none"}], ids=str
)
def test_a_step_in_bfloat16_is_finite(quantizer):
    tokenizer = tiny(quantizer=quantizer).train().cuda()
    with torch.autocast("cuda", torch.bfloat16):
        output = tokenizer(torch.randn(4, 64, 272, device="cuda"))
    output.loss.backward()
    assert output.reconstruction.dtype == torch.float32
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in tokenizer.parameters())


def test_streams_equal_whole_decoding():
    tokenizer = tiny(causal=True).cuda()
    codes = torch.randint(200, (1, 40), device="cuda")
    pieces = torch.cat(list(tokenizer.decode_stream(codes.split(3, dim=1))), dim=1)
    assert torch.allclose(pieces, tokenizer.decode(codes), atol=1e-3)


def test_the_benchmark_runs():
    rows = bench_tokenizer([65536], [64], 96, 64, 2, device="cuda")
    assert all(row.extra_mb is not None and row.speedup > 0 for row in rows)
