"""Weights in 8 and 4 bits by the real libraries, on the CPU."""

import sys
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from motionmillion.lm import MotionLM
from motionmillion.pipeline.folder import find_pipeline
from motionmillion.quantization import LIBRARIES, quantization_config


@pytest.fixture(params=sorted(LIBRARIES))
def name(request) -> str:
    """A way to quantize whose library is here; importing one has warnings of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(LIBRARIES[request.param], reason='needs pip install "motionmillion[quantization]"')
    return request.param


@pytest.fixture
def folder(tiny_lm, tmp_path):
    tiny_lm.save_pretrained(tmp_path / "lm")
    return tmp_path / "lm"


def text(lm: MotionLM) -> torch.Tensor:
    return torch.randn(2, 5, lm.config.text_dim, generator=torch.Generator().manual_seed(0))


def logits(lm: MotionLM, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return lm(tokens, text(lm)).logits.float()


def stored_bytes(lm: MotionLM) -> int:
    """Bytes of the layers' weights, with the parts of torchao's tensors."""
    return sum(
        sum(getattr(weight, part).nbytes for part in weight.__tensor_flatten__()[0])
        if hasattr(weight, "__tensor_flatten__")
        else weight.nbytes
        for weight in lm.layers.parameters()
    )


def test_bundled_model_agrees_with_float32(name):
    folder = find_pipeline("mini") / "lm"
    exact = MotionLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = exact.generate(text(exact), max_new_tokens=40, min_new_tokens=40, do_sample=False)
    small = MotionLM.from_pretrained(folder, dtype=torch.float32, quantization_config=quantization_config(name)).eval()
    assert stored_bytes(small) < (0.15 if name == "4bit" else 0.27) * stored_bytes(exact)
    assert small.lm_head.weight.dtype == small.project_text.weight.dtype == torch.float32
    a, b = logits(exact, tokens), logits(small, tokens)
    difference = (a.softmax(-1) - b.softmax(-1)).abs().sum(-1).mean() / 2  # total variation
    assert 0 < difference < (0.15 if name == "4bit" else 0.05)
    found = small.generate(text(small), max_new_tokens=10, min_new_tokens=10, do_sample=False)
    assert found.shape == (2, 10) and (found < small.config.end_token_id).all()


@pytest.mark.parametrize("damage", ["missing", "unexpected", "nan"])
def test_loading_stays_strict(folder, name, damage):
    weights = load_file(folder / "model.safetensors")
    if damage == "missing":
        del weights["layers.1.mlp.up_proj.weight"]
    elif damage == "unexpected":
        weights["layers.1.mlp.other.weight"] = torch.zeros(3)
    else:
        weights["layers.1.mlp.up_proj.weight"][3, 5] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    message = "finite weights" if damage == "nan" else f"1 {damage}"
    with pytest.raises(ValueError, match=message):
        MotionLM.from_pretrained(folder, dtype=torch.float32, quantization_config=quantization_config(name))


def test_quantized_models_are_saved_and_loaded(name, tmp_path):
    config = quantization_config(name)
    small = MotionLM.from_pretrained(find_pipeline("mini") / "lm", dtype=torch.float32, quantization_config=config)
    small.eval().save_pretrained(tmp_path / "small")
    tokens = torch.tensor([[3, 5, 7], [2, 2, 9]])
    before = logits(small, tokens)
    again = MotionLM.from_pretrained(tmp_path / "small", dtype=torch.float32).eval()
    assert stored_bytes(again) == stored_bytes(small)
    assert torch.allclose(logits(again, tokens), before, atol=1e-5)
    packed = (getattr(getattr(p, "quant_state", None), "packing_format_for_cpu", False) for p in small.parameters())
    if any(packed):  # on processors with AVX512-BF16
        with pytest.raises(ValueError, match="saved before it has run in 4 bits on a CPU"):
            small.save_pretrained(tmp_path / "later")
    else:
        small.save_pretrained(tmp_path / "later")
        assert torch.allclose(logits(MotionLM.from_pretrained(tmp_path / "later").eval(), tokens), before, atol=1e-5)


def test_bfloat16_weights_take_half(folder, tiny_lm):
    half = MotionLM.from_pretrained(folder, dtype=torch.bfloat16)
    assert stored_bytes(half) * 2 == stored_bytes(tiny_lm)


def test_names_and_missing_libraries(monkeypatch):
    with pytest.raises(ValueError, match="quantization must be one of .*got '2bit'"):
        quantization_config("2bit")
    for name, library in LIBRARIES.items():
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=rf'{library} must be installed.*pip install "motionmillion\[quantiz'):
            quantization_config(name)
