"""Sampling of a MotionDiT: guidance, references, kept values and starts do what they say, row by row."""

import copy

import pytest
import torch

from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.dit.sampling import Conditions, Velocities, sample_motion
from motionmillion.lm.flow import FlowSampling, solve

FRAMES, SEEDS = [12, 7, 9], [3, 4, 5]


@pytest.fixture(scope="module")
def dit() -> MotionDiT:
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_reference_layers=1, frequency_dim=16)
    dit = MotionDiT(MotionDiTConfig(text_dim=12, num_attention_heads=2, patch=2, prediction="velocity", **shape))
    for parameter in dit.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    dit.mean.copy_(torch.linspace(-1, 1, 276))
    dit.std.copy_(torch.linspace(0.5, 2, 276))
    return dit.eval()


@pytest.fixture(scope="module")
def told() -> Conditions:
    generator = torch.Generator().manual_seed(1)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [False] * 5])
    there = torch.arange(12) < torch.tensor([[12], [4], [9]])
    reference = torch.randn(3, 12, 138, generator=generator) * there[..., None]
    shares = torch.tensor([0.0, 0.5, 1.0])
    return Conditions(torch.randn(3, 5, 12, generator=generator), mask, reference, there, shares)


def rows(told: Conditions, *chosen: int) -> Conditions:
    return Conditions(*(getattr(told, name)[list(chosen)] for name in Conditions.__dataclass_fields__))


@pytest.fixture(scope="module")
def values() -> tuple[torch.Tensor, torch.Tensor]:
    """Known values, and which of them are kept."""
    generator = torch.Generator().manual_seed(2)
    keep = torch.rand(3, 12, 276, generator=generator) < 0.3
    keep[:, :4] = True
    return torch.randn(3, 12, 276, generator=generator), keep


@pytest.mark.parametrize("options", [{}, {"rounds": 3}])
def test_no_row_depends_on_another(dit, told, values, options):
    known, keep = values
    sampling = FlowSampling(steps=3, guidance_scale=2.0, solver="heun")
    together = sample_motion(dit, told, FRAMES, SEEDS, sampling, known, keep, **options)
    assert together.shape == (3, 12, 276) and together.dtype == torch.float32
    for row, (frames, seed) in enumerate(zip(FRAMES, SEEDS, strict=True)):
        own = [each[row : row + 1, :frames] for each in (known, keep)]
        alone = sample_motion(dit, rows(told, row), [frames], [seed], sampling, *own, **options)
        assert torch.allclose(together[row, :frames], alone[0], atol=1e-3)
        assert not together[row, frames:].any()


def test_kept_values_come_back_exactly(dit, told, values):
    known, keep = values
    wanted = dit.denormalize(known)
    for sampling, rounds in (
        (FlowSampling(steps=4), 1),
        (FlowSampling(steps=4), 2),
        (FlowSampling(steps=3, strength=0.6), 1),
    ):
        found = sample_motion(dit, told, [12] * 3, SEEDS, sampling, known, keep, rounds=rounds)
        assert torch.equal(found[keep], wanted[keep])
        assert not torch.allclose(found[~keep], wanted[~keep], atol=0.1)


def test_less_noise_never_leads_further_from_the_start(dit, told):
    """The network's output is bad at every sigma and worst near the motion, as without training it is."""
    config = copy.deepcopy(dit.config)
    config.prediction = "clean"
    clean = MotionDiT(config).eval()
    clean.load_state_dict(dit.state_dict())
    start = torch.randn(3, 12, 276, generator=torch.Generator().manual_seed(4))
    found = {
        strength: sample_motion(clean, told, [12] * 3, SEEDS, FlowSampling(steps=6, strength=strength), start=start)
        for strength in (0.001, 0.01, 0.1, 0.29999, 0.3, 1.0)
    }
    far = [float((each - clean.denormalize(start)).square().mean().sqrt()) for each in found.values()]
    assert far[0] < 0.02 * far[4] and far[0] < far[1] < far[2] < far[3]
    assert torch.allclose(found[0.29999], found[0.3], atol=0.1)  # no jump where the mixture ends
    keep = torch.zeros(3, 12, 276, dtype=torch.bool)
    keep[:, :4] = True
    sampling = FlowSampling(steps=2, strength=0.1)
    kept = sample_motion(clean, told, [12] * 3, SEEDS, sampling, start + 1, keep, start=start)
    assert torch.equal(kept[keep], clean.denormalize(start + 1)[keep])


def test_velocities_are_followed_whatever_the_strength(dit, told):
    start = torch.randn(3, 12, 276, generator=torch.Generator().manual_seed(4))
    sampling = FlowSampling(steps=3, strength=0.1)
    found = sample_motion(dit, told, [12] * 3, SEEDS, sampling, start=start)
    noise = torch.stack([torch.randn(12, 276, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS])
    there = torch.ones(3, 12, dtype=torch.bool)
    with torch.no_grad():
        wanted = solve(Velocities(dit, told, there, sampling), sampling.start(noise, start), sampling)
    assert torch.equal(found, dit.denormalize(wanted))


def test_what_is_free_depends_on_what_is_kept(dit, told, values):
    known, keep = values
    ways = [sample_motion(dit, told, [12] * 3, SEEDS, FlowSampling(steps=4), k, keep) for k in (known, known + 1)]
    assert not torch.allclose(ways[0][~keep], ways[1][~keep], atol=1e-3)


def test_guidance_is_for_texts_and_within_its_interval(dit, told):
    x, there = torch.randn(3, 12, 276, generator=torch.Generator().manual_seed(5)), torch.ones(3, 12, dtype=torch.bool)
    free = copy.copy(told)
    free.text_mask = torch.zeros_like(told.text_mask)
    text, none = (Velocities(dit, c, there, FlowSampling())(x, 0.5) for c in (told, free))
    guided = Velocities(dit, told, there, FlowSampling(guidance_scale=3.0))(x, 0.5)
    assert torch.allclose(guided[0], (none + 3 * (text - none))[0], atol=1e-3)
    assert torch.allclose(guided[2], text[2], atol=1e-4)  # a reference is followed as it is
    interval = FlowSampling(guidance_scale=3.0, guidance_interval=(0.1, 0.4))
    assert torch.allclose(Velocities(dit, told, there, interval)(x, 0.5), text, atol=1e-5)


def test_shares_mix_the_two_velocities(dit, told):
    x, there = torch.randn(3, 12, 276, generator=torch.Generator().manual_seed(6)), torch.ones(3, 12, dtype=torch.bool)
    found = {}
    for share in (0.0, 0.25, 1.0):
        own = copy.copy(told)
        own.reference_share = torch.full((3,), share)
        found[share] = Velocities(dit, own, there, FlowSampling())(x, 0.7)
    assert torch.allclose(found[0.25], 0.75 * found[0.0] + 0.25 * found[1.0], atol=1e-4)
    plain = Conditions(told.text, told.text_mask)
    assert torch.allclose(Velocities(dit, plain, there, FlowSampling())(x, 0.7), found[0.0], atol=1e-5)


def test_a_start_leaves_its_share(dit, told, values):
    start, sampling = values[0], FlowSampling(steps=1, strength=0.3, shift=1.0)
    noise = torch.stack([torch.randn(12, 276, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS])
    there = torch.ones(3, 12, dtype=torch.bool)
    begin = 0.7 * start + 0.3 * noise
    expected = dit.denormalize(begin - 0.3 * Velocities(dit, told, there, sampling)(begin, 0.3))
    assert torch.allclose(sample_motion(dit, told, [12] * 3, SEEDS, sampling, start=start), expected, atol=1e-3)
    pure = dit.denormalize(noise - 0.3 * Velocities(dit, told, there, sampling)(noise, 0.3))
    assert torch.allclose(sample_motion(dit, told, [12] * 3, SEEDS, sampling), pure, atol=1e-3)


def test_temperature_scales_the_noise(dit, told):
    cold = [
        sample_motion(dit, told, FRAMES, seeds, FlowSampling(steps=2, temperature=0)) for seeds in (SEEDS, [7, 8, 9])
    ]
    assert torch.equal(*cold)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(seeds=[1]), "seeds must be one per row, 3, got 1"),
        (dict(known=torch.zeros(3, 12, 276)), "known and keep must be given together, got no keep"),
        (dict(keep=torch.ones(3, 12, 276, dtype=torch.bool)), "known and keep must be given together, got no known"),
    ],
)
def test_bad_arguments_are_named(dit, told, change, message):
    arguments = {"frames": FRAMES, "seeds": SEEDS, "sampling": FlowSampling(steps=1), **change}
    with pytest.raises(ValueError, match=message):
        sample_motion(dit, told, **arguments)


def test_shares_need_a_reference(dit, told):
    lacking = Conditions(told.text, told.text_mask, reference_share=torch.ones(3))
    with pytest.raises(ValueError, match="reference_share must be 0 for rows without a reference"):
        sample_motion(dit, lacking, FRAMES, SEEDS, FlowSampling(steps=1))


@pytest.mark.slow
def test_a_compiled_transformer_gives_the_same(dit, told):
    texts, sampling = Conditions(told.text, told.text_mask), FlowSampling(steps=2)
    plain, compiled = (sample_motion(d, texts, FRAMES, SEEDS, sampling) for d in (dit, torch.compile(dit)))
    assert torch.allclose(plain, compiled, atol=1e-3)
