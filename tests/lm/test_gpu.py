"""The motion LM on an accelerator: run with `pytest -m gpu`."""

import copy

import pytest
import torch

from motionmillion.lm import MotionLM, MotionLMConfig

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


@pytest.fixture(scope="module")
def lm() -> MotionLM:
    torch.manual_seed(0)
    shape = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2)
    lm = MotionLM(MotionLMConfig(codebook_size=125, text_dim=64, **shape)).eval()
    for parameter in lm.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return lm


@pytest.fixture
def text():
    features = torch.randn(3, 7, 64, generator=torch.Generator().manual_seed(0))
    return features, torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [0] * 7])


@pytest.mark.parametrize("options", [{"cache": "dynamic"}, {"cache": "static"}, {"compiled": True}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_greedy_tokens_are_those_of_the_cpu(lm, text, options, dtype):
    exact = dict(max_new_tokens=40, min_new_tokens=40, do_sample=False)
    expected = lm.generate(*text, cache="none", **exact)
    there = copy.deepcopy(lm).to("cuda", dtype)
    found = there.generate(*(part.cuda() for part in text), **options, **exact).cpu()
    if dtype == torch.float32:
        assert torch.equal(found, expected)
    else:  # rounding turns near ties: most of the first tokens agree
        assert (found[:, :5] == expected[:, :5]).float().mean() > 0.7


@pytest.mark.parametrize("options", [{"temperature": 0.9}, {"temperature": 0.9, "guidance_scale": 2.0}])
def test_seeds_give_the_tokens_of_the_cpu(lm, text, options):
    drawn = dict(max_new_tokens=40, min_new_tokens=40, seeds=[1, 2, 3], **options)
    expected = lm.generate(*text, **drawn)
    there = copy.deepcopy(lm).cuda()
    assert torch.equal(there.generate(*(part.cuda() for part in text), **drawn).cpu(), expected)


def test_attention_back_ends_agree_on_packed_rows(lm):
    generator = torch.Generator().manual_seed(1)
    segments = torch.tensor([[1] * 20 + [2] * 30 + [0] * 14])
    batch = dict(
        text_features=torch.randn(1, 16, 64, generator=generator),
        text_segments=torch.tensor([[1] * 6 + [2] * 10]),
        input_ids=torch.where(segments > 0, torch.randint(125, (1, 64), generator=generator), 126),
        segments=segments,
    )
    batch = {name: value.cuda() for name, value in batch.items()}
    there = copy.deepcopy(lm).cuda().train()
    losses, gradients = [], []
    for name in ("sdpa", "flex_attention", "eager"):
        there.set_attn_implementation(name)
        there.zero_grad()
        loss = there(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        losses.append(loss.detach())
        gradients.append(there.layers[0].self_attn.q_proj.weight.grad.clone())
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        assert torch.allclose(loss, losses[0], atol=1e-4)
        assert torch.allclose(gradient, gradients[0], atol=1e-3)
