"""The index of token shards holds their clips, and takes no memory of the processes that map it."""

import gc

import pytest

pa = pytest.importorskip("pyarrow", reason='needs pip install "motionmillion[train]"')

from motionmillion.data.sets.tokens import ShardDataset  # noqa: E402
from motionmillion.data.shards.token_index import open_index, write_index  # noqa: E402
from motionmillion.data.shards.tokens import read_token_tables, shard_name, write_header, write_shard  # noqa: E402

CLIPS = 2000


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two shards of clips with 40 codes and two captions; a tenth are for validation, a seventh has no captions."""
    folder = tmp_path_factory.mktemp("tokens")
    for shard in range(2):
        rows = [row(number) for number in range(shard, CLIPS, 2)]
        write_shard(rows, folder / shard_name(shard, 2), {"run": "r", "clips": len(rows), "codes": 0, "left_out": []})
    tokenizer = {"codebook_size": 125, "frames_per_token": 4}
    write_header(
        {"format": 1, "run": "r", "complete": True, "tokenizer": tokenizer, "source": {}, "shards": 2}, folder
    )
    return folder


def row(number: int) -> dict:
    captions = [f"the person of clip {number} does something for the {n}th time" for n in range(2)]
    labels = dict(name=f"clip{number}", split="val" if number % 10 == 0 else "train", subject="s", category="c")
    lists = dict(
        captions=captions if number % 7 else [], own_captions=[], codes=[(number + n) % 125 for n in range(40)]
    )
    return {**labels, **lists, "whole": True, "frames": 160}


def test_an_index_holds_what_the_shards_hold(shards, tmp_path):
    for split in ("train", "val"):
        write_index([shards], split, 125, tmp_path / f"{split}.arrow")
        found = open_index(tmp_path / f"{split}.arrow").replace_schema_metadata(None)
        assert found.equals(read_token_tables([shards], split, 125)) and found.num_rows > 100
    texts = {text: None for number in range(CLIPS) for text in row(number)["captions"]}
    plain, mapped = (ShardDataset([shards], "val", 125, texts, index=i) for i in (None, tmp_path / "val.arrow"))
    assert len(plain) == len(mapped) and plain.name(7) == mapped.name(7)
    assert (plain[3]["codes"] == mapped[3]["codes"]).all()


def test_a_clip_takes_less_than_a_tenth_of_a_kilobyte(shards, tmp_path):
    write_index([shards], "train", 125, tmp_path / "train.arrow")
    gc.collect()  # tables of earlier tests would otherwise be freed in between
    before = pa.total_allocated_bytes()
    table = open_index(tmp_path / "train.arrow")
    dataset = ShardDataset([shards], "train", 125, {}, index=tmp_path / "train.arrow")
    assert pa.total_allocated_bytes() - before < 100 * len(dataset)
    read = read_token_tables([shards], "train", 125)
    assert read.nbytes > 300 * read.num_rows  # without the index
    assert table.num_rows == read.num_rows


def test_an_index_of_other_shards_is_written_again(shards, tmp_path):
    path = tmp_path / "train.arrow"
    write_index([shards], "val", 125, path)
    few, stamp = open_index(path).num_rows, path.stat().st_mtime_ns
    write_index([shards], "val", 125, path)
    assert path.stat().st_mtime_ns == stamp
    write_index([shards], "train", 125, path)
    assert open_index(path).num_rows > few


def test_a_split_without_clips_is_named(shards, tmp_path):
    with pytest.raises(ValueError, match="tokens must hold clips with captions in the split 'test', got none"):
        write_index([shards], "test", 125, tmp_path / "test.arrow")
