"""Tokenizing a folder: the same codes however it is done, and every kind of interruption and mistake."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import torch

from motionmillion.cli.jobs import tokenize_file
from motionmillion.data import synthesize
from motionmillion.data.clips import list_clips
from motionmillion.data.shards.encoding_pool import Piece, encode_pieces
from motionmillion.data.shards.token_writer import ShardWriter
from motionmillion.data.shards.tokenize import tokenize_folder
from motionmillion.data.shards.tokens import load_token_shards
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig


@pytest.fixture(scope="module")
def model(tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    """Ten motions of five subjects, one of them at 60 frames per second; splits are listed."""
    folder = tmp_path_factory.mktemp("motions")
    for number in range(10):
        motion = synthesize(("walk", "turn", "jump")[number % 3], seed=number, seconds=2 + 0.2 * number)
        motion = motion.resample(60) if number == 4 else motion
        motion.save(folder / f"s{number // 2}" / f"clip{number}.npz")
        (folder / f"s{number // 2}" / f"clip{number}.txt").write_text(f"caption {number}\nanother\n")
    (folder / "val.txt").write_text("s3/clip6\ns3/clip7\n")
    return folder


@pytest.fixture
def source(motions, tmp_path):
    """A copy to damage, with the files' times."""
    return shutil.copytree(motions, tmp_path / "source")


@pytest.fixture(scope="module")
def expected(motions, model, tmp_path_factory):
    """What one process makes of the motions, four to a shard: file name -> content."""
    folder = tokenize_folder(motions, tmp_path_factory.mktemp("expected") / "out", model, workers=1, shard_size=4)
    return contents(folder)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def header(folder) -> dict:
    return json.loads((folder / "tokens.json").read_text())


def test_shards_hold_the_codes_of_the_single_files(motions, model, expected, tmp_path):
    assert sorted(expected) == [*(f"codes-{n:05d}-of-00003.parquet" for n in range(3)), "tokens.json"]
    for name, content in expected.items():
        (tmp_path / name).write_bytes(content)
    clips = list(load_token_shards(tmp_path, codebook_size=125))
    records = list_clips(motions)
    assert len(clips) == len(records) == 10
    for clip, record in zip(clips, records, strict=True):
        codes = np.load(tokenize_file(motions / record.file, tmp_path / "codes.npy", str(model), overwrite=True))
        assert clip.codes.tolist() == codes.tolist() and len(codes) == -(-clip.frames // 4)
        for name in ("name", "split", "subject", "captions", "whole", "own_captions"):
            assert getattr(clip, name) == getattr(record, name)
    assert clips[4].frames == round(30 * 2.8)
    about = header(tmp_path)
    assert about["complete"] and about["clips"] == 10 and about["codes"] == sum(len(clip.codes) for clip in clips)
    assert about["tokenizer"]["codebook_size"] == 125 and about["tokenizer"]["features"] == "rot272"
    assert about["skipped"] == [] and "codes" in about["columns"]


@pytest.mark.slow
def test_workers_and_batches_change_nothing(motions, model, expected, tmp_path):
    folder = tokenize_folder(motions, tmp_path / "two", model, workers=2, batch_size=3, shard_size=4)
    assert contents(folder) == expected
    folder = tokenize_folder(motions, tmp_path / "one", model, workers=1, batch_size=1, shard_size=4)
    assert contents(folder) == expected
    whole = tokenize_folder(motions, tmp_path / "val", model, workers=1, splits=("val",))
    assert [clip.name for clip in load_token_shards(whole)] == ["s3/clip6", "s3/clip7"]


def test_missing_and_truncated_shards_are_made_again(motions, model, expected, tmp_path, capsys):
    folder = tmp_path / "out"
    tokenize_folder(motions, folder, model, workers=1, shard_size=4)
    first, second, third = sorted(folder.glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-9])
    (folder / ".codes-00000-of-00003-0123456789ab.parquet").write_bytes(b"half")  # as a kill leaves it
    kept = third.stat().st_mtime_ns
    capsys.readouterr()
    tokenize_folder(motions, folder, model, workers=1, shard_size=4)
    assert contents(folder) == expected and third.stat().st_mtime_ns == kept
    assert "1 shards are damaged" in (said := capsys.readouterr().err) and "1 of 3 shards are whole" in said


def test_ctrl_c_keeps_whole_shards(motions, model, expected, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "out"
    many = tmp_path / "many"
    for number in range(30):
        shutil.copytree(motions / "s4", many / f"t{number}")
    take = ShardWriter.take

    def take_then_interrupt(writer, *arguments) -> None:
        take(writer, *arguments)
        if list(folder.glob("codes-*.parquet")):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ShardWriter, "take", take_then_interrupt)
    before_us = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    with pytest.raises(KeyboardInterrupt):
        tokenize_folder(many, folder, model, workers=1, shard_size=1)
    signal.signal(signal.SIGINT, before_us)
    monkeypatch.undo()
    assert "stopped; " in capsys.readouterr().err and not list(folder.glob(".*"))
    before = set(folder.glob("codes-*.parquet"))
    assert 1 <= len(before) < 60 and not header(folder)["complete"]
    with pytest.raises(ValueError, match="folder must be finished"):
        load_token_shards(folder)
    tokenize_folder(many, folder, model, workers=1, shard_size=1)
    assert len(list(load_token_shards(folder))) == 60
    assert f"{len(before)} of 60 shards are whole and kept" in capsys.readouterr().err


def test_changed_motions_are_encoded_again(source, model, expected, tmp_path):
    folder = tokenize_folder(source, tmp_path / "out", model, workers=1, shard_size=4)
    assert contents(folder) == expected
    synthesize("wave", seed=1, seconds=2).save(source / "s4" / "clip9.npz")
    tokenize_folder(source, folder, model, workers=1, shard_size=4)
    changed = [name for name, content in contents(folder).items() if content != expected[name]]
    assert sorted(changed) == ["codes-00002-of-00003.parquet", "tokens.json"]
    assert list(load_token_shards(folder))[-1].frames == 60


def test_another_run_in_the_output_is_an_error(source, model, tmp_path):
    folder = tokenize_folder(source, tmp_path / "out", model, workers=1, shard_size=4)
    before = contents(folder)
    torch.manual_seed(1)
    MotionTokenizer(MotionTokenizerConfig(width=16, depth=1)).save_pretrained(tmp_path / "other")
    for changes, message in (
        ({"model": tmp_path / "other"}, "a difference in tokenizer: codebook_size 125 there, 64000 now"),
        ({"shard_size": 5}, "a difference in shard_size: 4 there, 5 now"),
        ({"splits": ("train",)}, "a difference in splits"),
    ):
        with pytest.raises(ValueError, match=f"{message}.*choose another output, or start over with --overwrite"):
            tokenize_folder(source, folder, **{"model": model, "workers": 1, "shard_size": 4, **changes})
    (source / "s0" / "clip0.txt").write_text("another caption")
    with pytest.raises(ValueError, match="a difference in source: sha256 .* there, .* now"):
        tokenize_folder(source, folder, model, workers=1, shard_size=4)
    assert contents(folder) == before
    (folder / "notes.txt").write_text("mine")
    tokenize_folder(source, folder, model, workers=1, shard_size=5, overwrite=True)
    assert sorted(contents(folder)) == [
        "codes-00000-of-00002.parquet",
        "codes-00001-of-00002.parquet",
        "notes.txt",
        "tokens.json",
    ]
    (folder / "tokens.json").write_text("{")
    with pytest.raises(ValueError, match="tokens.json must be whole"):
        tokenize_folder(source, folder, model, workers=1)
    (folder / "tokens.json").unlink()
    with pytest.raises(ValueError, match="output must be a new folder or of an earlier run"):
        tokenize_folder(source, folder, model, workers=1)


def test_motions_that_cannot_be_read(source, model, expected, tmp_path, capsys):
    folder = tmp_path / "out"
    bad = source / "s2" / "clip5.npz"
    content, times = bad.read_bytes(), bad.stat()
    bad.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"got 's2/clip5' in 's2/clip5.npz': .*whole .npz.*--skip-bad"):
        tokenize_folder(source, folder, model, workers=1, shard_size=4)
    first = folder / "codes-00000-of-00003.parquet"
    assert first.read_bytes() == expected[first.name]
    capsys.readouterr()
    tokenize_folder(source, folder, model, workers=1, shard_size=4, skip_bad=True)
    said = capsys.readouterr().err
    assert "left out 's2/clip5' in 's2/clip5.npz'" in said and "9 clips" in said and "1 motions left out" in said
    assert [entry["file"] for entry in header(folder)["skipped"]] == ["s2/clip5.npz"]
    assert "s2/clip5" not in {clip.name for clip in load_token_shards(folder)}
    with pytest.raises(ValueError, match="s2/clip5"):
        tokenize_folder(source, folder, model, workers=1, shard_size=4)
    bad.write_bytes(content)
    os.utime(bad, ns=(times.st_atime_ns, times.st_mtime_ns))
    tokenize_folder(source, folder, model, workers=1, shard_size=4)
    assert contents(folder) == expected


def test_a_folder_of_bad_motions_is_an_error(model, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "x.npz").write_text("no motion")
    still = synthesize("walk", seed=0, seconds=2)
    far = torch.zeros(still.num_frames, 3)
    far[1, 0] = 2e38
    arrays = dict(np.load(still.save(tmp_path / "source" / "y.npz")))
    np.savez(tmp_path / "source" / "y.npz", **{**arrays, "trans": far.numpy()})
    with pytest.raises(ValueError, match="source must hold at least one readable motion, got 2 that are not"):
        tokenize_folder(tmp_path / "source", tmp_path / "out", model, workers=1, skip_bad=True)
    assert not header(tmp_path / "out")["complete"]


def test_a_tokenizer_without_codes_is_an_error(motions, tmp_path):
    config = MotionTokenizerConfig(width=16, depth=1, quantizer={"type": "none"})
    MotionTokenizer(config).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="model must have a codebook"):
        tokenize_folder(motions, tmp_path / "out", tmp_path / "model")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"shard_size": 0}, "shard_size must be at least 1, got 0"),
        ({"splits": ["trian"]}, "splits must be among train, val, test, got trian"),
        ({"splits": []}, "splits must be among train, val, test, got none"),
        ({"output": "codes.npy"}, "output must be a folder where the source is one, got 'codes.npy'"),
        ({"output": __file__}, "output must be a folder where the source is one"),
        ({"source": "no/such/folder"}, "folder must be an existing folder"),
    ],
)
def test_options_are_checked(motions, model, tmp_path, options, message):
    arguments = {"source": motions, "output": tmp_path / "out", "model": model, **options}
    with pytest.raises(ValueError, match=message):
        tokenize_folder(**arguments)
    assert not (tmp_path / "out").exists()


def test_a_worker_that_dies_is_an_error(motions, model):
    pieces = [Piece(0, number, (record,)) for number, record in enumerate(list_clips(motions))]

    def kill() -> None:
        end = time.monotonic() + 60
        while len(multiprocessing.active_children()) < 2 and time.monotonic() < end:
            time.sleep(0.001)  # until there are both, so that none is killed while the other starts
        for child in multiprocessing.active_children():
            child.kill()

    watch = threading.Thread(target=kill, daemon=True)
    watch.start()
    with pytest.raises(ChildProcessError, match="one of 2 that ended suddenly; if memory ran out, use fewer"):
        list(encode_pieces(pieces, motions, model, workers=2))
    watch.join()


def test_a_device_that_cannot_encode_is_an_error(motions, model, tmp_path):
    with pytest.raises(ChildProcessError, match="workers must be able to encode, got .* on device 'meta'"):
        tokenize_folder(motions, tmp_path / "out", model, device="meta")
