"""Token shards: what is written comes back, also by the datasets library; damage and strangers are named."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from motionmillion.data.shards.encoding import _encode_batch, encode_features
from motionmillion.data.shards.tokens import (
    COLUMNS,
    FORMAT,
    HEADER,
    OPTIONAL,
    load_token_shards,
    read_note,
    read_token_tables,
    shard_name,
    write_header,
    write_shard,
)
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

SPLITS = ("train", "val", "test")


def row(number: int) -> dict:
    return {
        "name": f"clip_{number}",
        "split": SPLITS[number % 3],
        "subject": f"s{number % 2}",
        "category": "walk",
        "captions": [f"caption {number}", "über"] if number else [],
        "own_captions": [],
        "whole": number % 2 == 0,
        "frames": 8 * number + 3,
        "codes": np.arange(2 * number + 1, dtype=np.int32),
    }


@pytest.fixture
def folder(tmp_path):
    """Two shards of three clips each, four frames a code, 64 codes."""
    tokenizer = {"codebook_size": 64, "frames_per_token": 4}
    header = dict(format=FORMAT, run="abc", complete=True, tokenizer=tokenizer, source={}, shards=2)
    write_header(header, tmp_path)
    for shard in range(2):
        rows = [row(number) for number in range(3 * shard, 3 * shard + 3)]
        write_shard(rows, tmp_path / shard_name(shard, 2), {"run": "abc", "clips": 3})
    return tmp_path


def test_clips_come_back(folder):
    clips = list(load_token_shards(folder, codebook_size=64))
    assert [clip.name for clip in clips] == [f"clip_{number}" for number in range(6)]
    for number, clip in enumerate(clips):
        expected = row(number)
        assert clip.codes.dtype == torch.int64 and clip.codes.tolist() == expected.pop("codes").tolist()
        for name, value in expected.items():
            assert getattr(clip, name) == (tuple(value) if isinstance(value, list) else value)
    assert [clip.name for clip in load_token_shards(folder, ("val", "test"))] == [f"clip_{n}" for n in (1, 2, 4, 5)]


@pytest.mark.parametrize("columns", range(len(OPTIONAL) + 1))
def test_folders_of_earlier_versions_are_read(folder, columns):
    known = {"sources": ["cmu_index", "watched"], "ends": False, "dataset": "a"}
    for shard in range(2):
        rows = [{**row(n), **{name: known[name] for name in OPTIONAL[:columns]}} for n in (3 * shard, 3 * shard + 1)]
        write_shard(rows, folder / shard_name(shard, 2), {"run": "abc", "clips": 2})
    table = read_token_tables([folder], "train", 64)
    unknown = {"sources": [], "ends": True, "dataset": ""}
    expected = [known[name] if number < columns else unknown[name] for number, name in enumerate(OPTIONAL)]
    assert table.num_rows == 1 and [table[name][0].as_py() for name in OPTIONAL] == expected


def test_the_datasets_library_reads_them(folder, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    cache = str(tmp_path_factory.mktemp("cache"))
    table = datasets.load_dataset("parquet", data_files=str(folder / "*.parquet"), split="train", cache_dir=cache)
    assert table.num_rows == 6 and tuple(table.column_names) == COLUMNS
    assert table[5]["codes"] == list(range(11)) and table[4]["captions"] == ["caption 4", "über"]
    assert table.features["codes"].feature.dtype == "int32"


def test_missing_and_damaged_shards_are_named(folder):
    path = folder / shard_name(1, 2)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(ValueError, match="shard must be whole, got a damaged .*codes-00001-of-00002"):
        load_token_shards(folder)
    path.write_bytes(content[:4] + bytes(len(content) // 3) + content[4 + len(content) // 3 :])  # the footer is whole
    with pytest.raises(ValueError, match="shard must be whole, got a damaged .*codes-00001-of-00002"):
        list(load_token_shards(folder))
    path.unlink()
    with pytest.raises(ValueError, match="shard must exist, got no .*codes-00001-of-00002"):
        load_token_shards(folder)


def test_strange_parquet_files_are_no_shards(folder):
    path = folder / shard_name(0, 2)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ValueError, match="got a damaged"):
        read_note(path)
    write_shard([row(0)], path, {"run": "abc", "clips": 3})
    with pytest.raises(ValueError, match="got a damaged"):
        read_note(path)
    write_shard([row(0)], path, {"run": "other", "clips": 1})
    with pytest.raises(ValueError, match="shard must be of the run of its tokens.json"):
        load_token_shards(folder)


@pytest.mark.parametrize("change", [{"codes": np.array([64], np.int32)}, {"codes": np.array([1, 2], np.int32)}])
def test_codes_that_cannot_be_are_named(folder, change):
    write_shard([{**row(0), **change}], folder / shard_name(0, 2), {"run": "abc", "clips": 1})
    with pytest.raises(ValueError, match="codes must be 1 numbers in 0..63, got others for clip 'clip_0'"):
        list(load_token_shards(folder))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codebook_size": 1000}, "codebook_size must be that of the tokenizer.*64, got 1000"),
        ({"splits": ("trian",)}, "splits must be among"),
        ({"splits": ()}, "splits must be among"),
    ],
)
def test_arguments_are_checked_at_once(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_token_shards(folder, **arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "folder must hold a tokens.json"),
        ("{", "tokens.json must be whole and of format 1, got format None"),
        ("[]", "tokens.json must be whole"),
        ('{"format": 1}', "tokens.json must be whole"),
        ('{"format": 2, "run": "", "complete": true, "tokenizer": {}, "source": {}, "shards": 1}', "got format 2"),
        ('{"format": 1, "run": "", "complete": false, "tokenizer": {}, "source": {}, "shards": 1}', "be finished"),
    ],
)
def test_damaged_headers_are_named(folder, content, message):
    (folder / HEADER).unlink() if content is None else (folder / HEADER).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_token_shards(folder)


def test_pyarrow_is_asked_for(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # what Python itself does where it cannot be imported
    monkeypatch.delattr(pa, "parquet")
    with pytest.raises(ImportError, match=r'pyarrow must be installed .* pip install "motionmillion\[train\]"'):
        load_token_shards(folder)


@pytest.mark.parametrize(
    "quantizer",
    [
        {"type": "fsq", "levels": [5, 5, 5], "normalize": True},
        {"type": "lfq", "size": 64},
        {"type": "vq", "size": 32, "codebook_dim": 8},
        {"type": "residual_fsq", "levels": [5, 5]},
    ],
    ids=lambda options: options["type"],
)
@pytest.mark.parametrize("size", [1, 3, 32])
def test_codes_do_not_depend_on_the_batch(quantizer, size):
    torch.manual_seed(0)
    tokenizer = MotionTokenizer(MotionTokenizerConfig(width=16, depth=1, quantizer=quantizer)).eval()
    clips = [torch.randn(frames, 272) for frames in (40, 7, 23, 41, 1, 64, 22)]
    codes = encode_features(tokenizer, clips, size)
    assert all(torch.equal(a, tokenizer.encode(clip[None])[0]) for a, clip in zip(codes, clips, strict=True))


def test_values_on_the_border_of_two_codes_are_left_to_encoding_alone():
    torch.manual_seed(0)
    config = MotionTokenizerConfig(width=16, depth=1, quantizer={"type": "fsq", "levels": [5, 5]})
    tokenizer = MotionTokenizer(config).eval()
    clips = [torch.randn(20, 272), torch.randn(30, 272)]
    assert all(row is not None for row in _encode_batch(tokenizer, clips))
    with torch.no_grad():
        tokenizer.quantizer.project_in.weight.zero_()
        tokenizer.quantizer.project_in.bias.fill_(float(np.arctanh(0.5 / (2 * 1.001))))  # FSQ's bound of five levels
    assert _encode_batch(tokenizer, clips) == [None, None]
    assert all(
        torch.equal(a, tokenizer.encode(clip[None])[0])
        for a, clip in zip(encode_features(tokenizer, clips), clips, strict=True)
    )


def test_long_clips_get_batches_of_their_own():
    from motionmillion.data.shards.encoding import _batches

    parts = list(_batches([10, 70_000, 30_000, 30_000, 30_000, 20], size=4))
    assert parts == [[0, 5], [2, 3], [4], [1]]
