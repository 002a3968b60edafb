"""Codes of another tokenizer, and a run resumed on other data, are refused, or with force reported."""

import json
import shutil
from pathlib import Path

import pytest

from motionmillion.data import synthesize
from motionmillion.data.shards.tokens import write_header
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.lm.train import train_lm
from motionmillion.training.origins import ORIGINS, check_origins, check_tokens, clips_of, shards_of, weights_of
from motionmillion.training.recipe import load_recipe


def tokens(folder: Path, run: str = "r1", **tokenizer) -> Path:
    header = {"format": 1, "run": run, "complete": True, "shards": 1, "source": {}}
    folder.mkdir()
    write_header({**header, "tokenizer": {"codebook_size": 125, **tokenizer}}, folder)
    return folder


def test_codes_of_another_tokenizer_are_refused(tmp_path, tiny_parts, capsys):
    own = weights_of(tiny_parts["tokenizer"])
    check_tokens([tokens(tmp_path / "own", weights_sha256=own)], tiny_parts["tokenizer"])
    assert not capsys.readouterr().err
    folders = [tokens(tmp_path / "other", weights_sha256="f" * 64)]
    with pytest.raises(
        ValueError, match=f"must be the tokenizer that made the codes of .*other', weights f{{12}}, got .*{own[:12]}"
    ):
        check_tokens(folders, tiny_parts["tokenizer"])
    with pytest.warns(UserWarning, match="must be the tokenizer that made the codes"):
        check_tokens(folders, tiny_parts["tokenizer"], force=True)
    check_tokens([tokens(tmp_path / "old")], tiny_parts["tokenizer"])
    assert "old does not say which tokenizer made its codes" in capsys.readouterr().err


def test_a_run_is_resumed_on_what_it_was_trained_on(tmp_path):
    first, other = tokens(tmp_path / "a"), tokens(tmp_path / "b", run="r2")
    check_origins(tmp_path / "run", shards_of([first], None))
    check_origins(tmp_path / "run", {**shards_of([first], None), "training clips": [3, "x"]})
    with pytest.raises(ValueError, match="tokens must be that of the run to resume, .*r1.* is now .*r2.*--force"):
        check_origins(tmp_path / "run", shards_of([other], None))
    with pytest.raises(ValueError, match="training clips must be that of the run to resume"):
        check_origins(tmp_path / "run", clips_of([1, 2]))
    with pytest.warns(UserWarning, match="training clips must be that of the run to resume"):
        check_origins(tmp_path / "run", clips_of([1, 2]), force=True)
    check_origins(tmp_path / "run", clips_of([1, 2]))  # from here on the run is one on these


def test_a_language_model_is_not_resumed_with_another_tokenizer(lm_recipe, tmp_path, tiny_parts):
    folder = shutil.copytree(tiny_parts["tokenizer"], tmp_path / "tokenizer")
    path = lm_recipe(data={"tokenizer": str(folder)}, training={"max_steps": 2, "save_steps": 2, "eval_steps": 2})
    train_lm(load_recipe(path))
    noted = json.loads((tmp_path / "run" / ORIGINS).read_text())
    assert noted["tokenizer"] == weights_of(folder) and noted["training clips"][0] == 10
    (tmp_path / "run" / ORIGINS).unlink()  # as in a run of an earlier version
    train_lm(load_recipe(path), resume=True)
    assert json.loads((tmp_path / "run" / ORIGINS).read_text()) == noted
    tokenizer = MotionTokenizer.from_pretrained(folder)
    tokenizer.mean.add_(1)
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match="tokenizer must be that of the run to resume, got another in .*run': "):
        train_lm(load_recipe(path), resume=True)


def test_motions_and_captions_of_a_folder_that_change_are_noticed(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(2):
        synthesize("walk", seed=number, seconds=2).save(folder / f"c{number}.npz")
        (folder / f"c{number}.txt").write_text("a person walks\n")
    clips = ["c0", "c1"]
    first = clips_of(clips, [folder])
    assert clips_of(clips, [folder]) == first and clips_of(clips, [folder]) != clips_of(clips)
    check_origins(tmp_path / "run", first)
    (folder / "c0.txt").write_text("a person runs\n")
    caption = clips_of(clips, [folder])
    synthesize("jump", seed=9, seconds=2).save(folder / "c0.npz")
    motion = clips_of(clips, [folder])
    assert first != caption != motion
    with pytest.raises(ValueError, match="motions must be that of the run to resume"):
        check_origins(tmp_path / "run", motion)
