"""Text features on disk: the encoder's own, found again, safe to interrupt, damage named."""

import json
import pickle
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, BertTokenizer
from typer.testing import CliRunner

from motionmillion.cli.app import app
from motionmillion.data.sets.texts import TextBank
from motionmillion.data.shards import text_writer
from motionmillion.data.shards.text_writer import encode_text, read_captions
from motionmillion.data.shards.texts import TextShards, text_shard_name
from motionmillion.data.shards.tokens import FORMAT, shard_name, write_header, write_shard
from motionmillion.text.encoder import TextEncoder

WORDS = "a person walks forward and waves then turns jumps slowly someone kicks sits down".split()
CAPTIONS = [" ".join(WORDS[n : n + 3 + n % 4]) for n in range(10)]


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A tiny encoder of MiniLM's kind with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def captions(tmp_path):
    (tmp_path / "captions.txt").write_text("\n".join([*CAPTIONS, "", CAPTIONS[0]]))
    return tmp_path / "captions.txt"


@pytest.fixture
def written(captions, tmp_path, encoder_folder):
    return encode_text([captions], tmp_path / "texts", encoder_folder, shard_size=4, batch_size=3, dtype="float32")


@pytest.mark.parametrize("sentence", [False, True])
def test_features_are_those_of_a_text_bank(captions, tmp_path, encoder_folder, sentence):
    options = dict(sentence=sentence, text_length=9, shard_size=4, batch_size=3)
    folder = encode_text([captions], tmp_path / "texts", encoder_folder, dtype="float32", **options)
    bank = TextBank(CAPTIONS, TextEncoder(encoder_folder, sentence, 9))
    texts = TextShards(folder)
    assert len(texts) == 10 and (texts.name, texts.sentence) == (encoder_folder, sentence)
    assert (texts.max_length, texts.dim, texts.dtype) == (9, 16, torch.float32)
    for caption in CAPTIONS:
        assert torch.allclose(texts[caption], bank[caption], atol=1e-5)
    assert CAPTIONS[0] in texts and "jumps" not in texts and 3 not in texts
    assert texts.missing([*CAPTIONS, "jumps", "jumps"]) == ["jumps"]
    with pytest.raises(ValueError, match="caption must be among the 10 of .*, got 'jumps'"):
        texts["jumps"]


def test_worker_processes_get_them_too(written):
    texts = TextShards(written)
    before = texts[CAPTIONS[3]]
    assert torch.equal(pickle.loads(pickle.dumps(texts))[CAPTIONS[3]], before)


def test_stored_in_half_the_bytes(written, captions, tmp_path, encoder_folder):
    result = CliRunner().invoke(
        app,
        ["data", "encode-text", str(captions), "-o", str(tmp_path / "half"), "--text-encoder", encoder_folder],
        catch_exceptions=False,
    )
    assert result.stdout.splitlines()[-1] == str(tmp_path / "half")
    half, whole = TextShards(tmp_path / "half"), TextShards(written)
    assert half.dtype == half[CAPTIONS[0]].dtype == torch.bfloat16
    for caption in CAPTIONS:
        assert torch.equal(half[caption], whole[caption].bfloat16())


def test_the_index_reads_as_a_table(written):
    table = pq.read_table(written / "index.parquet").to_pylist()
    assert sorted(row["text"] for row in table) == sorted(CAPTIONS)
    features = [load_file(written / text_shard_name(shard, 3))["features"] for shard in range(3)]
    texts = TextShards(written)
    for row in table:
        piece = features[row["shard"]][row["start"] : row["start"] + row["length"]]
        assert torch.equal(piece, texts[row["text"]])


def test_captions_of_every_kind_of_source(tmp_path):
    rows = [
        dict(name="a", split="train", subject="s", category="", captions=["walks", "waves"], own_captions=["jumps"])
        | dict(whole=True, frames=8, codes=np.arange(2, dtype=np.int32))
    ]
    tokens = dict(codebook_size=64, frames_per_token=4)
    write_header(
        dict(format=FORMAT, run="x", complete=True, tokenizer=tokens, source={}, shards=1), tmp_path / "codes"
    )
    write_shard(rows, tmp_path / "codes" / shard_name(0, 1), {"run": "x", "clips": 1})
    assert list(read_captions(tmp_path / "codes")) == ["walks", "waves", "jumps"]
    (tmp_path / "motions").mkdir()
    (tmp_path / "motions" / "x.npy").write_bytes(b"")  # motions are not read
    (tmp_path / "motions" / "x.txt").write_text("turns\nkicks\n")
    assert list(read_captions(tmp_path / "motions")) == ["turns", "kicks"]
    (tmp_path / "more.txt").write_text(" sits \n\nwalks\n")
    assert list(read_captions(tmp_path / "more.txt")) == ["sits", "walks"]
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xff")
    for bad, message in (("binary.txt", "text file in UTF-8"), ("nosuch", "existing file")):
        with pytest.raises(ValueError, match=message):
            list(read_captions(tmp_path / bad))


def test_an_interrupted_run_goes_on(captions, tmp_path, encoder_folder, monkeypatch, capsys):
    options = dict(shard_size=4, batch_size=3, dtype="float32")
    original, calls = text_writer._write_shard, []

    def stop_at_the_second(path, *rest):
        calls.append(path)
        if len(calls) == 2:
            (path.parent / f".{path.stem}-abc.safetensors").write_bytes(b"half a shard")  # as a kill would leave it
            raise KeyboardInterrupt
        original(path, *rest)

    monkeypatch.setattr(text_writer, "_write_shard", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        encode_text([captions], tmp_path / "texts", encoder_folder, **options)
    with pytest.raises(ValueError, match="must be finished, got an interrupted one"):
        TextShards(tmp_path / "texts")
    first = (tmp_path / "texts" / text_shard_name(0, 3)).stat().st_mtime_ns
    monkeypatch.undo()
    encode_text([captions], tmp_path / "texts", encoder_folder, **options)
    assert "1 of 3 shards were whole and kept" in capsys.readouterr().err
    assert (tmp_path / "texts" / text_shard_name(0, 3)).stat().st_mtime_ns == first
    whole = encode_text([captions], tmp_path / "other", encoder_folder, **options)
    assert {path.name for path in whole.iterdir()} == {path.name for path in (tmp_path / "texts").iterdir()}
    a, b = TextShards(tmp_path / "texts"), TextShards(whole)
    assert all(torch.equal(a[caption], b[caption]) for caption in CAPTIONS)


def test_damaged_shards_are_made_again_and_other_runs_refused(written, captions, tmp_path, encoder_folder):
    options = dict(shard_size=4, batch_size=3, dtype="float32")
    path = written / text_shard_name(1, 3)
    expected = path.read_bytes()
    path.write_bytes(expected[:-7])
    encode_text([captions], written, encoder_folder, **options)
    assert path.read_bytes() == expected
    for change in ({"shard_size": 5}, {"dtype": "bfloat16"}, {"text_length": 7}):
        with pytest.raises(ValueError, match="new or of the same run.*--overwrite"):
            encode_text([captions], written, encoder_folder, **{**options, **change})
    encode_text([captions], written, encoder_folder, **{**options, "shard_size": 20}, overwrite=True)
    assert {p.name for p in written.iterdir()} == {"text.json", "index.parquet", text_shard_name(0, 1)}
    assert len(TextShards(written)) == 10


def test_damage_is_named(written):
    path = written / text_shard_name(0, 3)
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(ValueError, match="shard must exist, got no"):
        TextShards(written)
    path.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(ValueError, match="shard must be whole, got a damaged"):
        [TextShards(written)[caption] for caption in CAPTIONS]
    save_file(load_file(written / text_shard_name(1, 3)), path, {"run": "other"})
    with pytest.raises(ValueError, match="shard must be of the run of its text.json"):
        [TextShards(written)[caption] for caption in CAPTIONS]
    path.write_bytes(kept)
    index = (written / "index.parquet").read_bytes()
    for content in (b"", index[:50]):
        (written / "index.parquet").write_bytes(content)
        with pytest.raises(ValueError, match="index must be whole"):
            TextShards(written)
    (written / "index.parquet").write_bytes(index)
    header = json.loads((written / "text.json").read_text())
    for content in ("{", "[]", json.dumps({**header, "format": 9})):
        (written / "text.json").write_text(content)
        with pytest.raises(ValueError, match="text.json must be whole and of format 1"):
            TextShards(written)
    (written / "text.json").unlink()
    with pytest.raises(ValueError, match="folder must hold a text.json"):
        TextShards(written)


def test_arguments_are_checked(captions, tmp_path, encoder_folder, monkeypatch):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "dots.txt").write_text("walks\n...\n")
    for sources, options, message in (
        ([captions], {"dtype": "int8"}, "dtype must be one of"),
        ([captions], {"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ([captions], {"shard_size": 0}, "shard_size must be a whole number of at least 1"),
        ([tmp_path / "empty.txt"], {}, "at least one caption, got none in"),
        ([tmp_path / "dots.txt"], {}, "must say what the person does, got '...'"),
    ):
        with pytest.raises(ValueError, match=message):
            encode_text(sources, tmp_path / "texts", encoder_folder, **options)
    with pytest.raises(ValueError, match="must be a folder, got the file"):
        encode_text([captions], captions, encoder_folder)
    with pytest.raises(ValueError, match="new folder or of an earlier run"):
        encode_text([captions], tmp_path, encoder_folder)
    monkeypatch.setattr(text_writer, "text_key", len)
    with pytest.raises(ValueError, match="captions must have different keys"):
        encode_text([captions], tmp_path / "texts", encoder_folder)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match="pip install"):
        TextShards(tmp_path)
    assert not (tmp_path / "texts").exists()
