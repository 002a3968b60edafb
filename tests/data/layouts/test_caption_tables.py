"""Tables of captions: what is wrong with a row is counted with its number, and the others are read as they are."""

import json

import pytest

from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.layouts.base import BuildOptions
from motionmillion.data.shards.motion_table import MotionTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("m0", "m1", "m2")):
        synthesize("walk", seed=number, seconds=2).save(folder / f"{name}.npz")
    return folder


@pytest.fixture
def built(folder, tmp_path):
    """Builds with a table: its rows by name, and the faults."""

    def build(content: str | bytes, suffix: str = ".csv") -> tuple[dict, list[dict]]:
        table = tmp_path / f"captions{suffix}"
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
        output = tmp_path / "set"
        build_set(folder, output, "folder", BuildOptions(captions=str(table), quality=False), 1, overwrite=True)
        made = MotionTable(output)
        rows = {row["name"]: row for row in made.table(0).to_pylist()}
        return rows, [json.loads(line) for line in (output / "faults.jsonl").read_text().splitlines()]

    return build


def kinds(faults: list[dict]) -> list[str]:
    return [fault["kind"] for fault in faults if fault["kind"] != "no captions"]


@pytest.mark.parametrize("text", ["walks\nforward", "turns\u2028left", "a, b"])
def test_captions_are_read_whole(built, text):
    plain = " ".join(text.split())
    rows, faults = built(f'file,caption\r\nm0.npz,"{text}"\r\nm1.npz,stops\r\n')
    assert rows["m0"]["texts"] == [plain] and rows["m1"]["texts"] == ["stops"] and not kinds(faults)
    lines = [{"file": "m0", "caption": text}, {"file": "m1", "captions": ["stops"]}]
    rows, faults = built("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), ".jsonl")
    assert rows["m0"]["texts"] == [plain] and rows["m1"]["texts"] == ["stops"] and not kinds(faults)


def test_a_bad_row_is_named_and_the_others_are_read(built):
    rows, faults = built(
        '{"file": "m0", "caption": "a"}\n{broken\n[1]\n{"caption": "of none"}\n{"file":"m1","caption":"b"}', ".jsonl"
    )
    assert [rows[name]["texts"] for name in ("m0", "m1", "m2")] == [["a"], ["b"], []]
    assert kinds(faults) == ["bad captions"] * 3
    assert [fault["name"] for fault in faults][:3] == [f"row {n} of captions.jsonl" for n in (2, 3, 4)]
    rows, faults = built("file,caption\nm0,ein Schl\u00fcssel\nm1,b\n".encode("latin-1"))
    assert rows["m1"]["texts"] == ["b"] and not rows["m0"]["texts"] and kinds(faults) == ["not UTF-8"]
    assert faults[0]["name"] == "row 1 of captions.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,captoin\nm0,walks\n", "captions must have a column for captions among caption, .*'captoin'"),
        ("clip,caption\nm0,walks\n", "captions must have a column for files among file, .*got none"),
        ("", "captions must have a column for files"),
    ],
)
def test_tables_without_a_column_are_refused(built, content, message):
    with pytest.raises(ValueError, match=message):
        built(content)


def test_a_row_with_bad_times_says_nothing_of_the_whole(built):
    rows, faults = built(
        "file,caption,start,end\nm0,whole,,\nm0,bad,abc,2\nm1,back,2,1\nm2,late,1,9\nm2,part,0.5,1.5\n"
    )
    assert rows["m0"]["texts"] == ["whole"] and rows["m1"]["texts"] == []
    assert rows["m2_0.5-1.5"]["texts"] == ["part"] and "m2_1-9" not in rows
    assert kinds(faults) == ["bad captions"] * 3


def test_splits_and_labels_of_a_table(built, capsys):
    rows, faults = built(
        "file,caption,split,subject,take,licence,mood\nm0,a,Train,x,t1,free,glad\nm1,b,validation,,,,\nm2,c,foo,x,,,\n"
    )
    assert [rows[name]["split"] for name in ("m0", "m1")] == ["train", "val"]
    assert rows["m0"]["take"] == "t1" and rows["m0"]["licence"] == "free" and rows["m0"]["subject"] == "x"
    assert kinds(faults) == ["bad split"] and "'foo' is none of train, val, test" in faults[0]["reason"]
    assert "columns that are not read: mood" in capsys.readouterr().err
    rows, faults = built("file,caption_1,caption_2\nm0,a,b\n")
    assert rows["m0"]["texts"] == ["a", "b"] and "not read" not in capsys.readouterr().err
    rows, faults = built("file,caption,split\nm0,a,train\nm0,b,test\n")
    assert rows["m0"]["split"] == "train" and kinds(faults) == ["in two lists"]


def test_clips_of_one_subject_are_in_one_split(built):
    rows, _ = built("file,caption,subject\nm0,a,film\nm1,b,film\nm2,c,film\n")
    assert len({row["split"] for row in rows.values()}) == 1


def test_lists_are_refused_where_there_are_none(folder, tmp_path):
    with pytest.raises(ValueError, match="lists must be left out for the layout folder, got 'tokenizer_96'"):
        build_set(folder, tmp_path / "x", "folder", BuildOptions(lists="tokenizer_96"), 1)
    with pytest.raises(ValueError, match="trusted blocks must hold known keys only, got 'foo'"):
        BuildOptions(trusted=("foo",))
    with pytest.raises(ValueError, match="workers must be a whole number of at least 1, got 0"):
        build_set(folder, tmp_path / "x", "folder", workers=0)
