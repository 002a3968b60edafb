"""MotionDiT: sizes, conditions, padding and company, loss, precision, checkpoints, and every check."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from motionmillion.features.stats import FeatureStats
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.layers import faded, frame_sines, time_sines
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.flow import FlowMatching

SHAPE = dict(text_dim=12, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_reference_layers=2)
SHAPE |= dict(num_attention_heads=2, frequency_dim=16, prediction="velocity")

# counted from the shapes of ViMoGen's checkpoint: 30 layers, 15 of the reference encoder, width 1536, 8960 inside
RELEASED, RELEASED_TEXT_ONLY = 2_258_214_420, 1_419_648_276


def make(**changes) -> MotionDiT:
    """A tiny model with weights large enough that every condition makes a difference."""
    torch.manual_seed(0)
    dit = MotionDiT(MotionDiTConfig(**{**SHAPE, **changes}))
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return dit.eval()


@pytest.fixture(scope="module")
def dit() -> MotionDiT:
    return make()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Four rows of other lengths: short text, long text, reference of its own length, nothing at all.

    What is padded is filled with large numbers, so that a look at it shows.
    """
    generator = torch.Generator().manual_seed(0)
    batch = dict(
        x=torch.randn(4, 11, 276, generator=generator),
        timestep=torch.tensor([30.0, 999.0, 500.0, 700.0]),
        text=torch.randn(4, 6, 12, generator=generator),
        reference=torch.randn(4, 9, 138, generator=generator),
        frame_mask=torch.arange(11) < torch.tensor([5, 11, 8, 6])[:, None],
        text_mask=torch.arange(6) < torch.tensor([2, 6, 3, 0])[:, None],
        reference_mask=torch.arange(9) < torch.tensor([9, 4, 7, 1])[:, None],
        use_reference=torch.tensor([False, False, True, False]),
    )
    for name, mask in (("x", "frame_mask"), ("text", "text_mask"), ("reference", "reference_mask")):
        batch[name][~batch[mask]] = 1e3
    return batch


def row_of(batch: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    """One row without any padding."""
    alone = {name: value[row : row + 1] for name, value in batch.items()}
    for name, mask in (("x", "frame_mask"), ("text", "text_mask"), ("reference", "reference_mask")):
        valid = max(int(alone.pop(mask).sum()), 1)
        alone[name] = alone[name][:, :valid]
    if not batch["text_mask"][row].any():
        del alone["text"]
    return alone


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch": 4},
        {"patch": 3, "overlap": True},
        {"prediction": "clean"},
        {"patch": 4, "overlap": True, "text_padding": "attended"},
    ],
)
def test_neither_padding_nor_company_changes_a_row(batch, changes):
    dit = make(**changes)
    with torch.no_grad():
        together = dit(**batch)
        for row in range(4):
            alone = row_of(batch, row)
            if dit.config.text_padding == "attended":  # no mask means no padding
                alone["text_mask"] = torch.ones(alone["text"].shape[:2]) if "text" in alone else None
            found = dit(**alone)
            assert torch.allclose(together[row, : found.shape[1]], found[0], atol=2e-5, rtol=1e-5), row


def test_a_row_goes_through_one_condition_only(dit, batch):
    with torch.no_grad():
        before = dit(**batch)
        for name, rows in (("text", [0, 1]), ("reference", [2])):
            changed = {**batch, name: batch[name] + 1}
            moved = (dit(**changed) - before).abs().flatten(1).max(1).values > 1e-4
            assert moved.nonzero().flatten().tolist() == rows


@pytest.mark.parametrize("follows", [False, True])
def test_a_branch_without_rows_gets_gradients_of_zero(batch, follows):
    """Not none: several processes add up the gradients of all weights."""
    dit = make()
    batch["use_reference"] = torch.tensor([follows] * 4)
    dit(labels=batch.pop("x"), **{name: value for name, value in batch.items() if name != "timestep"}).loss.backward()
    gradients = {name: parameter.grad for name, parameter in dit.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    unused = "cross_attentions.0" if follows else "cross_attentions.1"
    for name, gradient in gradients.items():
        if unused in name or (name.startswith("reference_blocks") and not follows):
            assert not bool(gradient.any()), name
        elif "cross_attentions" in name and name.endswith("value.weight"):
            assert bool(gradient.any()), name


def test_an_all_zero_reference_takes_the_text(dit, batch):
    del batch["use_reference"]
    for row, mask in ((0, 0), (1, 4), (3, 0)):
        batch["reference"][row, :mask] = 0
        batch["reference"][row, batch["reference_mask"][row]] = 0  # what is padded stays large
    told = torch.tensor([False, False, True, False])
    with torch.no_grad():
        assert torch.equal(dit(**batch), dit(**batch, use_reference=told))
        without = {name: value for name, value in batch.items() if "reference" not in name}
        assert torch.allclose(dit(**without)[~told], dit(**batch)[~told], atol=1e-6)


def test_text_that_is_left_out_is_one_zero_in_its_place(dit, batch):
    rows = {name: batch[name][:2, :5] if name == "x" else batch[name][:2] for name in ("x", "timestep", "text")}
    nothing = dict(rows, text_mask=torch.zeros(2, 6))
    with torch.no_grad():
        expected = dit(**dict(rows, text=torch.zeros(2, 1, 12)))
        assert torch.allclose(dit(**nothing), expected, atol=1e-5, rtol=1e-5)
        assert torch.allclose(dit(rows["x"], rows["timestep"]), expected, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(dit(**rows), expected, atol=1e-2)


def test_attended_padding_is_zeros_up_to_the_text_length(batch):
    masked, attended = make(), make(text_padding="attended", text_length=9)
    attended.load_state_dict(masked.state_dict())
    x, timestep, text, mask = (batch[name] for name in ("x", "timestep", "text", "text_mask"))
    padded = F.pad(text * mask[..., None], (0, 0, 0, 3))
    with torch.no_grad():
        found = attended(x, timestep, text=text, text_mask=mask)
        assert torch.allclose(found, masked(x, timestep, text=padded), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found, masked(x, timestep, text=text, text_mask=mask), atol=1e-2)
        longer = F.pad(text * mask[..., None], (0, 0, 0, 7))  # is cut
        again = attended(x, timestep, text=longer, text_mask=torch.ones(4, 13))
        assert torch.allclose(found, again, atol=1e-5, rtol=1e-5)


def naive(dit: MotionDiT, x: Tensor, timestep: float, context: Tensor) -> Tensor:
    """The transformer as its sources write it, for one row `[T, D]` and a context `[S, C]`, with loops."""
    weights = dit.state_dict()
    width, heads = dit.config.hidden_size, dit.config.num_attention_heads

    def linear(name: str, value: Tensor) -> Tensor:
        return value @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(value: Tensor, name: str = "") -> Tensor:
        value = (value - value.mean(-1, keepdim=True)) / (value.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return value * weights[f"{name}.weight"] + weights[f"{name}.bias"] if name else value

    def attend(name: str, value: Tensor, seen: Tensor) -> Tensor:
        def rms(part: Tensor, which: str) -> Tensor:
            return part / (part.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weights[f"{name}.{which}.weight"]

        query, key = rms(linear(f"{name}.query", value), "norm_query"), rms(linear(f"{name}.key", seen), "norm_key")
        values, size = linear(f"{name}.value", seen), width // heads
        parts = [slice(head * size, (head + 1) * size) for head in range(heads)]
        found = [(query[:, p] @ key[:, p].T / math.sqrt(size)).softmax(-1) @ values[:, p] for p in parts]
        return linear(f"{name}.output", torch.cat(found, dim=1))

    half = torch.arange(dit.config.frequency_dim // 2, dtype=torch.float64)
    angles = timestep * 10000 ** (-half / (dit.config.frequency_dim // 2))
    time = linear("embed_time.0", torch.cat([angles.cos(), angles.sin()]).float()[None])
    time = linear("embed_time.2", F.silu(time))
    modulation = linear("project_time", F.silu(time)).view(6, width)
    frames = torch.arange(len(x), dtype=torch.float64)[:, None]
    angles = frames * 10000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    places = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).float()
    hidden = linear("embed_motion", x) + places
    for number in range(dit.config.num_hidden_layers):
        block = f"blocks.{number}"
        shift, scale, gate, shift_up, scale_up, gate_up = weights[f"{block}.modulation.learned"][0] + modulation
        own = norm(hidden) * (1 + scale) + shift
        hidden = hidden + gate * attend(f"{block}.self_attention", own, own)
        crossed = attend(f"{block}.cross_attentions.0", norm(hidden, f"{block}.cross_norms.0"), context)
        hidden = hidden + crossed
        up = F.gelu(linear(f"{block}.up", norm(hidden) * (1 + scale_up) + shift_up), approximate="tanh")
        hidden = hidden + gate_up * linear(f"{block}.down", up)
    shift, scale = weights["head.modulation.learned"][0] + time
    return linear("head.linear", norm(hidden) * (1 + scale) + shift)


def test_it_computes_what_its_sources_write(dit):
    generator = torch.Generator().manual_seed(0)
    x, text = torch.randn(7, 276, generator=generator), torch.randn(3, 12, generator=generator)
    with torch.no_grad():
        found = dit(x[None], torch.tensor([417.0]), text=text[None])[0]
        expected = naive(dit, x, 417.0, dit.embed_text(text))
    assert torch.allclose(found, expected, atol=5e-5)


def test_numbers_are_those_of_before():
    """Weights and inputs from a formula; the values were written down when the model passed the upstream's arrays."""
    dit = MotionDiT(MotionDiTConfig(**{**SHAPE, "patch": 2})).eval()
    with torch.no_grad():
        for number, parameter in enumerate(dit.parameters()):
            parameter.copy_((0.3 * torch.sin(torch.arange(parameter.numel()) * 0.7 + number)).view(parameter.shape))
    x = torch.sin(torch.arange(5 * 276) * 0.1).view(1, 5, 276)
    text, reference = torch.cos(torch.arange(24.0)).view(1, 2, 12), torch.cos(torch.arange(5 * 138.0)).view(1, 5, 138)
    with torch.no_grad():
        told = dit(x, torch.tensor([250.0]), text=text)
        followed = dit(x, torch.tensor([250.0]), reference=reference)
    assert told[0, 4, [0, 100, 275]].tolist() == pytest.approx([-0.792626, 0.229792, 1.339581], abs=2e-4)
    assert followed[0, 4, [0, 100, 275]].tolist() == pytest.approx([-0.174935, -0.315304, -0.146275], abs=2e-4)


def test_sines_of_places_and_times():
    places = frame_sines(3, 8, torch.device("cpu"))
    assert torch.allclose(places[0], torch.tensor([0.0, 1.0] * 4))
    assert torch.allclose(places[2, :2], torch.tensor([math.sin(2), math.cos(2)]))
    assert torch.allclose(places[2, 4:6], torch.tensor([math.sin(0.02), math.cos(0.02)]))
    times = time_sines(torch.tensor([1000.0]), 4)
    assert torch.allclose(times, torch.tensor([[math.cos(1000), math.cos(10), math.sin(1000), math.sin(10)]]))


@pytest.mark.parametrize("patch", [1, 3, 4])
def test_overlapping_patches_fade_into_each_other(patch):
    times = torch.arange(6 * patch).float()
    spoken = torch.stack([times[0] + n * patch - patch // 2 + torch.arange(2 * patch) for n in range(6)])[
        None, ..., None
    ]
    assert torch.allclose(faded(spoken)[0, :, 0], times)  # who agrees is not changed
    lone = torch.zeros_like(spoken)
    lone[:, 2] = 1.0  # one position says 1, the others 0: it rises and falls by equal steps and adds up to a patch
    hill = faded(lone)[0, :, 0]
    assert float(hill.sum()) == pytest.approx(patch)
    assert float(hill.diff().abs().max()) <= 1 / patch + 1e-6
    mask = torch.arange(6)[None] < 4
    spoken[:, 4:] = 1e3
    assert torch.allclose(faded(spoken, mask)[0, : 4 * patch, 0], times[: 4 * patch])


def test_smoothness_adds_the_error_of_the_steps(batch):
    dit, smooth = make(flow={"weighting": "none"}), make(flow={"weighting": "none"}, smoothness=0.5)
    labels = batch.pop("x").clamp(-3, 3)
    del batch["timestep"]
    losses = []
    for model in (dit, smooth):
        torch.manual_seed(3)
        with torch.no_grad():
            losses.append(model(labels=labels, **batch))
    torch.manual_seed(3)
    wrong = losses[0].velocity - FlowMatching(weighting="none").draw(labels).target
    steps = wrong.diff(dim=1).square() * batch["frame_mask"][:, 1:, None]
    expected = 0.5 * float(steps.sum()) / (276 * int(batch["frame_mask"].sum()))
    assert float(losses[1].loss - losses[0].loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("prediction", ["velocity", "clean"])
def test_loss_is_the_weighed_error_of_what_is_there_and_trusted(batch, prediction):
    weights = {"rotations": 2.0, "root_velocity": 3.0}
    dit = make(prediction=prediction, block_weights=weights, flow={"shift": 3.0})
    labels = batch.pop("x").clamp(-3, 3)
    del batch["timestep"]
    trusted = torch.zeros(4, 276, dtype=torch.bool)
    trusted[:2] = True
    trusted[2, :126] = True
    with torch.no_grad():
        torch.manual_seed(5)
        output = dit(labels=labels, feature_mask=trusted, **batch)
        torch.manual_seed(5)
        drawn = FlowMatching(shift=3.0).draw(labels)
        velocity = dit(drawn.x, drawn.timestep, **batch)
    by_block = torch.ones(276)
    by_block[:126], by_block[273:] = 2.0, 3.0
    total, plain, count = 0.0, 0.0, 0
    for row in range(4):
        for frame in range(int(batch["frame_mask"][row].sum())):
            for feature in range(276 if row < 2 else 126 if row == 2 else 0):
                error = float(velocity[row, frame, feature] - drawn.target[row, frame, feature]) ** 2
                last = error if prediction == "velocity" else error * float(drawn.sigma[row]) ** 2
                plain, count = plain + last, count + 1
                total += error * float(drawn.weight[row] * by_block[feature])
    assert float(drawn.sigma.min()) > 0.05  # below, clean predictions are weighed down
    assert float(output.loss) == pytest.approx(total / count, rel=1e-4)
    assert set(output.losses) == {prediction}  # the error of what the last layer says
    assert float(output.losses[prediction]) == pytest.approx(plain / count, rel=1e-4)


def test_what_is_not_trusted_gets_no_gradient(batch):
    dit = make()
    trusted = torch.ones(4, 276)
    trusted[:, 126:] = 0
    labels = batch.pop("x").clamp(-3, 3)
    del batch["timestep"]
    dit(labels=labels, feature_mask=trusted, **batch).loss.backward()
    gradient = dit.head.linear.weight.grad.abs().sum(1)
    assert (gradient[:126] > 0).all() and not gradient[126:].any()
    assert dit.embed_text[0].weight.grad.any() and dit.embed_reference.weight.grad.any()


def test_gradient_checkpointing_gives_the_same_gradients(batch):
    dit = make().train()
    found = []
    for _ in range(2):
        dit.zero_grad()
        dit(**batch).square().mean().backward()
        found.append([parameter.grad.clone() for parameter in dit.parameters()])
        dit.gradient_checkpointing_enable()
    assert dit.is_gradient_checkpointing
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_attention_kernels_agree(dit, batch):
    found = []
    for kernel in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        with torch.no_grad(), sdpa_kernel(kernel):
            found.append(dit(**batch)[batch["frame_mask"]])
    assert torch.allclose(*found, atol=1e-4)


@pytest.mark.slow  # 20 s of compiling
def test_compiled_it_gives_the_same(dit, batch):
    with torch.no_grad():
        expected = dit(**batch)
        found = torch.compile(dit)(**batch)
    assert torch.allclose(found[batch["frame_mask"]], expected[batch["frame_mask"]], atol=1e-4)


def test_in_bfloat16_only_the_statistics_stay_exact(batch, tmp_path):
    dit = make()
    expected = dit(**batch)
    mean, std = torch.linspace(-1, 1, 276), torch.linspace(0.01, 2, 276)
    dit.set_statistics(FeatureStats(mean, std))
    dit.to(torch.bfloat16)
    assert {parameter.dtype for parameter in dit.parameters()} == {torch.bfloat16}
    dit.save_pretrained(tmp_path)
    half, whole = (MotionDiT.from_pretrained(tmp_path, dtype=dtype) for dtype in (torch.bfloat16, torch.float32))
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    for each in (dit, half, whole):
        assert torch.equal(each.mean, mean) and torch.equal(each.std, std)
    valid = batch["frame_mask"]
    with torch.no_grad():
        found = half(**batch)[valid].float()
        assert torch.equal(found, dit(**batch)[valid].float())
        assert (found - expected[valid]).abs().mean() < 0.05 * expected[valid].abs().mean()
        assert torch.allclose(half.denormalize(torch.zeros(1, 276, dtype=torch.bfloat16))[0], mean)
    labels = batch["x"].clamp(-3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert whole(labels=labels, frame_mask=batch["frame_mask"]).loss.isfinite()


def test_statistics_lead_to_physical_units_and_back(batch):
    dit = make()
    dit.set_statistics(FeatureStats(torch.linspace(-1, 1, 276), torch.linspace(0.5, 2, 276)))
    features = batch["x"]
    assert torch.allclose(dit.denormalize(dit.normalize(features)), features, rtol=1e-5, atol=1e-4)
    reference = dit.reference_of(features)
    assert torch.equal(reference, torch.cat([features[..., :126], features[..., 258:270]], dim=-1))


def test_save_and_load_keep_every_number(dit, batch, tmp_path):
    dit.save_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(MotionDiT.from_pretrained(tmp_path)(**batch), dit(**batch))
    weights = load_file(tmp_path / "model.safetensors")
    save_file({**weights, "blocks.9.up.weight": torch.zeros(2)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="exactly the weights of MotionDiT, got 1 unexpected .*blocks.9.up.weight"):
        MotionDiT.from_pretrained(tmp_path)
    del weights["embed_reference.bias"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="exactly the weights of MotionDiT, got 1 missing .*embed_reference.bias"):
        MotionDiT.from_pretrained(tmp_path)


def test_a_new_model_predicts_nothing_and_depends_on_its_seed():
    torch.manual_seed(0)
    dit = MotionDiT(MotionDiTConfig(**SHAPE))
    assert not dit(torch.randn(1, 4, 276), torch.tensor([10.0])).any()  # the head begins with zeros
    assert all(parameter.isfinite().all() for parameter in dit.parameters())
    torch.manual_seed(0)
    again = MotionDiT(MotionDiTConfig(**SHAPE))
    assert all(torch.equal(a, b) for a, b in zip(dit.parameters(), again.parameters(), strict=True))


def test_the_largest_size_has_exactly_the_released_weights():
    for expected, changes in ((RELEASED, {}), (RELEASED_TEXT_ONLY, {"num_reference_layers": 0})):
        with torch.device("meta"):
            dit = MotionDiT(MotionDiTConfig.from_name("1.3b", **changes))
        assert sum(parameter.numel() for parameter in dit.parameters()) == expected
    assert not any("reference" in name or "cross_attentions.1" in name for name, _ in dit.named_parameters())


def test_a_model_of_texts_alone(batch):
    light = make(num_reference_layers=0)
    rows = {name: value for name, value in batch.items() if "reference" not in name}
    assert light(**rows).shape == (4, 11, 276)
    assert light(**rows, use_reference=torch.zeros(4)).shape == (4, 11, 276)
    with pytest.raises(ValueError, match="reference must be left out for a text-only model"):
        light(**batch)
    other = make(features="rot272", num_reference_layers=0)
    assert other(torch.zeros(1, 3, 272), torch.tensor([5.0])).shape == (1, 3, 272)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(4, 11, 272)}, r"x must have shape \[\*, \*, 276\], got \[4, 11, 272\]"),
        ({"x": torch.zeros(4, 0, 276)}, r"x must have shape \[\*, \*, 276\], got \[4, 0, 276\]"),
        ({"x": None}, "x and timestep must be given unless labels are, got None"),
        ({"timestep": torch.zeros(3)}, r"timestep must have shape \[4\], got \[3\]"),
        ({"text": torch.zeros(4, 6, 13)}, r"text must have shape \[4, \*, 12\], got \[4, 6, 13\]"),
        ({"text_mask": torch.ones(4, 5)}, r"text_mask must have shape \[4, 6\], got \[4, 5\]"),
        ({"frame_mask": torch.ones(4, 5)}, r"frame_mask must have shape \[4, 11\], got \[4, 5\]"),
        ({"reference": torch.zeros(4, 9, 276)}, r"reference must have shape \[4, \*, 138\], got \[4, 9, 276\]"),
        ({"reference_mask": torch.ones(4, 5)}, r"reference_mask must have shape \[4, 9\], got \[4, 5\]"),
        ({"use_reference": torch.ones(3)}, r"use_reference must have shape \[4\], got \[3\]"),
        ({"reference": None, "reference_mask": None}, "use_reference must be all false without a reference"),
        ({"labels": torch.zeros(4, 11, 275)}, r"labels must have shape \[\*, \*, 276\], got \[4, 11, 275\]"),
    ],
)
def test_inputs_that_do_not_fit_are_named(dit, batch, changes, message):
    with pytest.raises(ValueError, match=message):
        dit(**{**batch, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hiden_size": 3}, "'hiden_size'; did you mean hidden_size"),
        ({"hidden_size": 33}, "hidden_size must be even and a multiple of num_attention_heads, got 33 for 12 heads"),
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1"),
        ({"num_reference_layers": -1}, "num_reference_layers must be a whole number of at least 0"),
        ({"patch": 0}, "patch must be a whole number of at least 1"),
        ({"overlap": True}, "overlap must be true or false, and false for a patch of 1, got True"),
        ({"smoothness": -1}, "smoothness must be a number that is not negative, got -1"),
        ({"frequency_dim": 7}, "frequency_dim must be even, got 7"),
        ({"text_padding": "left"}, "text_padding must be one of .*masked.*, got 'left'"),
        ({"prediction": "noise"}, "prediction must be one of .*velocity.*, got 'noise'"),
        ({"text_dropout": 1.0}, r"text_dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": 2}, r"dropout must be in \[0, 1\), got 2"),
        ({"features": "rot272"}, "num_reference_layers must be 0 for features 'rot272', got 15"),
        ({"features": "rot"}, "rot"),
        ({"flow": {"shft": 3}}, "flow must hold known keys only, got 'shft'; did you mean shift"),
        ({"flow": {"shift": 0}}, "shift must be above 0"),
        ({"block_weights": {"root": 3}}, "block_weights must hold known keys only, got 'root'"),
        ({"block_weights": {"rotations": -1}}, "rotations must be a number that is not negative, got -1"),
        ({"block_weights": 5}, "block_weights must be a mapping, got 5"),
        ({"flow": 5}, "flow must be a mapping, got 5"),
        ({"flow": {"logit_mean": True}}, "logit_mean must be a finite number, got True"),
        ({"few_step": 5}, "few_step must be a mapping, got 5"),
        ({"few_step": {"steps": 0, "shift": 2, "guidance_scale": 1}}, "few_step.steps must be a whole number of at"),
        ({"few_step": {"steps": 4, "shift": 0, "guidance_scale": 1}}, "few_step.shift must be above 0, got 0"),
        ({"few_step": {"steps": 4, "shift": 2, "guidance_scale": "x"}}, "few_step.guidance_scale must be a number"),
        ({"layer_norm_eps": -1}, "layer_norm_eps must be a number that is not negative, got -1"),
        ({"layer_norm_eps": 0}, "layer_norm_eps must be above 0, got 0"),
    ],
)
def test_bad_configs_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        MotionDiTConfig(**changes)


def test_sizes_have_names():
    with pytest.raises(ValueError, match="name must be one of .*1.3b.*, got '2b'"):
        MotionDiTConfig.from_name("2b")
    predictions = [MotionDiTConfig.from_name("mini", patch=patch).prediction for patch in (1, 4)]
    assert predictions == ["clean", "clean"] and MotionDiTConfig.from_name("1.3b").prediction == "velocity"
    config = MotionDiTConfig.from_name("mini", text_dim=384, patch=4, hidden_size=64)
    assert (config.hidden_size, config.patch, config.motion_dim, config.reference_dim) == (64, 4, 276, 138)
    assert config.flow_matching == FlowMatching() and config.flow["shift"] == 5.0
    again = MotionDiTConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
