"""The student's targets: mean velocities of the teacher's guided way, which lead where the teacher arrives."""

import pytest
import torch

from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.few_step import STARTS, Distiller, FewStep, ask
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.dit.sampling import Conditions, sample_motion
from motionmillion.lm.flow import TIMESTEPS, FlowSampling, sigma_schedule


def tiny_dit(**changes) -> MotionDiT:
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, frequency_dim=16)
    settings = dict(num_reference_layers=1, patch=4, max_frames=40, flow={"shift": 3.0}, text_dropout=0.1)
    dit = MotionDiT(MotionDiTConfig(text_dim=16, **{**shape, **settings, **changes}))
    torch.nn.init.normal_(dit.head.linear.weight, std=0.3)  # new ones say 0
    return dit.eval()


@pytest.fixture(scope="module")
def teacher() -> MotionDiT:
    return tiny_dit()


def batch_of(rows: int = 4, frames: int = 20, reference: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    batch = {
        "labels": torch.randn(rows, frames, 276, generator=generator),
        "text": torch.randn(rows, 5, 16, generator=generator),
        "text_mask": torch.ones(rows, 5, dtype=torch.bool),
        "frame_mask": torch.ones(rows, frames, dtype=torch.bool),
    }
    batch["frame_mask"][0, frames // 2 :] = False
    if reference:
        batch["reference"] = torch.randn(rows, frames, 138, generator=generator)
        batch["use_reference"] = torch.arange(rows) % 2 == 0
    return batch


@pytest.mark.parametrize("starts", STARTS)
def test_one_step_of_the_teacher_is_its_velocity(teacher, starts):
    drawn = Distiller(teacher, FewStep(steps=4, substeps=1, starts=starts)).drawn(batch_of())
    assert "labels" not in drawn and len(drawn["x"]) == len(drawn["text"]) == len(drawn["frame_mask"]) == 4
    grid = sigma_schedule(4, 3.0)
    assert all(torch.isclose(grid, sigma).any() for sigma in drawn["timestep"] / TIMESTEPS)
    velocity = ask(teacher, drawn["x"], drawn["timestep"] / TIMESTEPS, {k: drawn[k] for k in ("text", "frame_mask")})
    torch.testing.assert_close(drawn["target"], velocity, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("reference", [False, True])
def test_the_way_is_that_of_the_guided_solver(teacher, reference):
    batch, steps, substeps = batch_of(reference=reference), 3, 5
    distiller = Distiller(teacher, FewStep(steps, substeps, guidance_scale=2.5))
    seeds, ones = list(range(4)), torch.ones(4)
    x = torch.stack([torch.randn(20, 276, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    x[0, 10:] = 0  # where this row has ended
    for index in range(steps):
        x = distiller.follow(x, ones - index / steps, ones - (index + 1) / steps, batch)
    conditions = Conditions(batch["text"], batch["text_mask"])
    if reference:
        share = batch["use_reference"].float()
        conditions = Conditions(batch["text"], batch["text_mask"], batch["reference"], batch["frame_mask"], share)
    sampling = FlowSampling(steps * substeps, shift=3.0, guidance_scale=2.5)
    whole = sample_motion(teacher, conditions, [10, 20, 20, 20], seeds, sampling)
    rows = slice(1, None)  # the first row draws noise of its own length
    torch.testing.assert_close(teacher.denormalize(x)[rows], whole[rows], atol=1e-3, rtol=1e-3)


def test_targets_lead_to_the_end_of_the_step(teacher):
    distiller = Distiller(teacher, FewStep(steps=2, substeps=4, guidance_scale=2.0, starts="motion"))
    torch.manual_seed(0)
    drawn = distiller.drawn(batch_of())
    sigma = drawn["timestep"] / TIMESTEPS
    start = torch.where(sigma == 1, 1.0, 0.5)
    after = torch.where(sigma == 1, float(sigma_schedule(2, 3.0)[1]), 0.0)
    end = distiller.follow(drawn["x"], start, start - 0.5, drawn)
    torch.testing.assert_close(drawn["x"] + (after - sigma)[:, None, None] * drawn["target"], end)
    output = tiny_dit(prediction="clean")(**drawn)
    assert output.loss.requires_grad and not drawn["target"].requires_grad


def test_steps_on_the_teachers_way_follow_each_other(teacher):
    drawn = Distiller(teacher, FewStep(steps=4, substeps=2, guidance_scale=2.0)).drawn(batch_of(rows=9))
    x, target, sigma = (drawn[name].view(4, 2, *drawn[name].shape[1:]) for name in ("x", "target", "timestep"))
    assert torch.equal(sigma[:, 0] / TIMESTEPS, sigma_schedule(4, 3.0)) and torch.equal(sigma[:, 0], sigma[:, 1])
    step = (sigma[1:] - sigma[:-1])[..., None, None] / TIMESTEPS
    torch.testing.assert_close(x[:-1] + step * target[:-1], x[1:])
    assert torch.equal(drawn["text"][:2], drawn["text"][2:4])  # one condition all the way
    few = Distiller(teacher, FewStep(steps=4, substeps=1)).drawn(batch_of(rows=2))
    assert len(few["x"]) == 4  # fewer rows than steps


def test_the_loss_is_none_for_whoever_says_the_target(teacher):
    drawn = Distiller(teacher, FewStep(steps=4, substeps=1)).drawn(batch_of())
    assert teacher(**drawn).loss.item() == pytest.approx(0, abs=1e-6)
    student = tiny_dit(hidden_size=16)
    assert student(**drawn).loss.item() > 1e-3
    drawn["frame_mask"][1:] = False  # what is not there does not count
    alone = {name: value[:1] for name, value in drawn.items()}
    torch.testing.assert_close(student(**drawn).loss, student(**alone).loss, atol=1e-5, rtol=1e-4)


def test_a_teacher_of_as_many_steps_has_no_gap(teacher):
    distiller = Distiller(teacher, FewStep(steps=4, substeps=1))
    own, teachers = distiller.gaps(teacher, batch_of(), torch.randn(4, 20, 276))
    assert own.shape == (4,) and float(own.max()) < 1e-5 and float(teachers.max()) < 1e-5
    many = Distiller(teacher, FewStep(steps=4, substeps=8)).gaps(teacher, batch_of(), torch.randn(4, 20, 276))[0]
    assert float(many.min()) > 1e-3


def test_draws_follow_the_seed(teacher):
    distiller, draws = Distiller(teacher, FewStep(steps=4, substeps=1)), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(distiller.drawn(batch_of())["x"])
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"substeps": 0}, "substeps must be a whole number of at least 1, got 0"),
        ({"guidance_scale": -1}, "guidance_scale must be a number that is not negative, got -1"),
        ({"shift": 0}, "shift must be above 0, got 0"),
        ({"starts": "noise"}, "starts must be one of .*, got 'noise'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        FewStep(**options)


def test_guidance_wants_a_teacher_with_dropout():
    with pytest.raises(
        ValueError, match="guidance_scale must be 1 for a teacher that was trained without text dropout"
    ):
        Distiller(tiny_dit(text_dropout=0.0), FewStep(guidance_scale=2.0))


def test_the_config_says_what_a_student_is_made_for():
    few_step = {"steps": 4, "shift": 3.0, "guidance_scale": 2.5}
    config = MotionDiTConfig.from_name("nano", text_dim=16, few_step=few_step)
    assert MotionDiTConfig.from_dict(config.to_dict()).few_step == few_step
    with pytest.raises(ValueError, match="few_step must hold known keys only, got 'scale'"):
        MotionDiTConfig.from_name("nano", few_step={**few_step, "scale": 1})
