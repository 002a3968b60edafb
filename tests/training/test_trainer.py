"""Order and draws of training samples, what a run prints, draws and keeps, and that none of it changes the losses."""

import shutil
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, Dataset

from motionmillion.training.lm.train import train_lm
from motionmillion.training.order import SeededCollator, SeededDataset, Visits, draw_weighted
from motionmillion.training.progress import log_line
from motionmillion.training.recipe import load_recipe


class Dice(Dataset):
    """Samples that are drawn at random."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, item: int) -> torch.Tensor:
        return torch.cat([torch.tensor([float(item)]), torch.rand(2)])


def noisy(samples):
    return torch.stack(list(samples)) + torch.rand(1)


def epoch_of(workers: int, epoch: int, weights=None) -> torch.Tensor:
    visits = Visits(12, seed=3, weights=weights)
    visits.epoch = epoch
    options = dict(batch_size=4, sampler=visits, collate_fn=SeededCollator(noisy), num_workers=workers)
    return torch.cat(list(DataLoader(SeededDataset(Dice()), **options)))


def test_draws_do_not_depend_on_workers_or_on_what_was_drawn_before():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = epoch_of(0, epoch=1)
    torch.rand(100)
    assert torch.equal(first, epoch_of(2, epoch=1))
    assert not torch.equal(first, epoch_of(0, epoch=2))
    assert first[:, 1:].unique().numel() == 24  # every visit draws numbers of its own
    torch.set_rng_state(state)
    visits = SeededDataset(Dice())
    _ = visits[next(iter(Visits(12, seed=3)))]
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_visits_everything_once_or_by_weight():
    assert sorted(visit.index for visit in Visits(12, seed=0)) == list(range(12))
    weights = torch.zeros(12)
    weights[[2, 5]] = torch.tensor([1.0, 3.0])
    visited = [visit.index for visit in Visits(12, seed=0, weights=weights)]
    assert len(visited) == 12 and set(visited) == {2, 5}
    with pytest.raises(ValueError, match="weights must hold one number a sample, got 12 for 5 samples"):
        Visits(5, seed=0, weights=weights)


def test_weights_may_be_more_than_multinomial_takes():
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0])
    for most in (5, 4):
        drawn = draw_weighted(weights, 4000, torch.Generator().manual_seed(0), most)
        shares = torch.bincount(drawn, minlength=5) / 4000
        torch.testing.assert_close(shares, weights / 4, atol=0.03, rtol=0)
        assert set(drawn.tolist()) == {1, 3}


def test_a_language_model_goes_on_in_the_middle_of_an_epoch(lm_recipe, log_of, tmp_path):
    """Ten clips in batches of two: step 8 lies in the second epoch; draws, dropout and workers go on."""
    training = {"max_steps": 12, "save_steps": 8, "eval_steps": 6, "dataloader_num_workers": 1}
    recipe = load_recipe(lm_recipe(training=training, model={"hidden_dropout": 0.2}, data={"balance": 0.7}))
    train_lm(recipe)
    whole = log_of(tmp_path / "run")
    for left_over in ("checkpoint-12", "final"):
        shutil.rmtree(tmp_path / "run" / left_over)
    train_lm(recipe, resume=True)
    assert log_of(tmp_path / "run") == whole and len(whole) == 12


def test_the_order_is_that_of_the_epoch_with_persistent_workers(lm_recipe, log_of, tmp_path):
    """Five batches an epoch, four epochs."""
    logs = []
    for workers in (0, 2):
        training = {"max_steps": 20, "save_steps": 20, "eval_steps": 20, "dataloader_num_workers": workers}
        training |= {"dataloader_persistent_workers": bool(workers), "per_device_train_batch_size": 2}
        train_lm(load_recipe(lm_recipe(training=training), [f"output={tmp_path / str(workers)}"]))
        logs.append(log_of(tmp_path / str(workers)))
    assert logs[0] == logs[1] and len(logs[0]) == 20


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_loss(lm_recipe, log_of, tmp_path):
    logs = []
    for checkpointing in (False, True):
        path = lm_recipe(training={"gradient_checkpointing": checkpointing}, model={"attention_dropout": 0.1})
        train_lm(load_recipe(path, [f"output={tmp_path / str(checkpointing)}"]))
        logs.append(log_of(tmp_path / str(checkpointing)))
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_accumulated_batches_are_averaged(lm_recipe, log_of, tmp_path):
    logs = []
    for accumulated in (1, 4):
        path = lm_recipe(training={"gradient_accumulation_steps": accumulated, "max_grad_norm": 0.5})
        train_lm(load_recipe(path, [f"output={tmp_path / str(accumulated)}"]))
        logs.append(log_of(tmp_path / str(accumulated))[1])
    assert logs[1]["loss"] == pytest.approx(logs[0]["loss"], rel=0.05)
    assert logs[1]["grad_norm"] == pytest.approx(logs[0]["grad_norm"], rel=0.5)  # of a sum it would be four times


@pytest.mark.slow
def test_prompts_are_drawn_at_every_evaluation(lm_recipe, tmp_path, capsys):
    prompts = ["a person walks", "someone waves"]
    train_lm(load_recipe(lm_recipe(data={"samples": prompts})))
    names = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert names == [f"step-{step:07d}-{index:02d}.png" for step in (3, 6) for index in (0, 1)]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["samples/00 a person walks", "samples/01 someone waves"]
    printed = capsys.readouterr()
    assert "step 3  eval loss " in printed.out and "{" not in printed.out
    assert "Writing model shards" not in printed.err


def test_a_line_of_the_log():
    line = log_line(20, {"loss": 3.60712, "grad_norm": 5.0, "learning_rate": 1.234e-5, "total_flos": 1e12, "epoch": 2})
    assert line == "step 20  loss 3.607  grad norm 5  learning rate 1.234e-05  epoch 2"


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("changes", [{"max_steps": 7, "ema_decay": 0.8}, {"max_steps": 5}])
def test_a_finished_run_is_left_as_it_is(lm_recipe, tmp_path, capsys, changes):
    """Five batches an epoch: step 7 lies in the middle of the second, step 5 at the end of the first."""
    recipe = load_recipe(lm_recipe(training=changes))
    figures = train_lm(recipe)
    final, run = contents(tmp_path / "run" / "final"), tmp_path / "run"
    names = sorted(path.name for path in run.glob("checkpoint-*"))
    capsys.readouterr()
    assert train_lm(recipe, resume=True) == figures
    printed = capsys.readouterr().out
    assert printed == f"step {changes['max_steps']} was the last one already, nothing is left to train\n"
    assert contents(run / "final") == final and sorted(path.name for path in run.glob("checkpoint-*")) == names
    longer = load_recipe(lm_recipe(training={**changes, "max_steps": 8}))
    train_lm(longer, resume=True)
    assert (run / "checkpoint-8").is_dir() and contents(run / "final") != final
