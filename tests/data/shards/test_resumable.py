"""A folder of shards: what is whole is kept, what is another's is refused, and no foreign file is touched."""

import json

import pytest

from motionmillion.data.shards.resumable import ResumableFolder, ShardFiles

FILES = ShardFiles("list.json", "part-{:05d}-of-{:05d}.txt", 1, "make", ("size",), ("index.csv",))
MADE_BY = {"size": 4, "model": {"name": "a", "width": 16}}


def folder_of(path, shards=3, **changes) -> ResumableFolder:
    return ResumableFolder(path, FILES, {**MADE_BY, **changes}, shards=shards)


def write(folder: ResumableFolder, *numbers: int) -> None:
    for number in numbers:
        folder.path(number).write_text(folder.run)


def whole(folder: ResumableFolder):
    return lambda path, number: number if path.read_text() == folder.run else None


def test_an_equal_run_completes_what_is_there(tmp_path):
    folder = folder_of(tmp_path / "out")
    folder.check(overwrite=False)
    assert folder.start(whole(folder)) == {} and not FILES.read_header(folder.folder)["complete"]
    write(folder, 0, 2)
    folder.path(1).write_text("of another run")
    for name in (".part-00001-of-00003-abc.txt", ".list-abc.json", ".index-abc.csv", ".part-abc.csv"):
        (folder.folder / name).write_text("half")
    again = folder_of(tmp_path / "out")
    again.check(overwrite=False)
    assert again.run == folder.run and again.start(whole(again)) == {0: 0, 2: 2}  # a note of 0 is one, too
    assert [path.name for path in folder.folder.glob(".*")] == [".part-abc.csv"]  # none of ours
    write(again, 1)
    again.finish(clips=9)
    header = FILES.read_header(folder.folder)
    assert header == {"format": 1, "run": folder.run, "complete": True, **MADE_BY, "shards": 3, "clips": 9}
    assert len(again.start(whole(again))) == 3 and FILES.read_header(folder.folder) == header  # nothing to do
    folder.path(1).unlink()
    again.start(whole(again))
    assert not FILES.read_header(folder.folder)["complete"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 5}, "a difference in size: 4 there, 5 now; choose another output, or start over with --overwrite"),
        ({"model": {"name": "a", "width": 17}}, "a difference in model: width 16 there, 17 now"),
        ({"model": {"name": "a"}}, "a difference in model: width 16 there, None now"),
        ({"more": 1}, "a difference in more: None there, 1 now"),
    ],
)
def test_another_run_is_refused_or_removed(tmp_path, changes, message):
    folder = folder_of(tmp_path)
    folder.start(whole(folder))
    write(folder, 0, 1, 2)
    (tmp_path / "index.csv").write_text("")
    (tmp_path / "notes.txt").write_text("mine")
    other = folder_of(tmp_path, shards=1, **changes)
    assert other.run != folder.run
    with pytest.raises(ValueError, match=f"output must be new or of the same run, got .* with {message}"):
        other.check(overwrite=False)
    assert len(list(tmp_path.iterdir())) == 6
    other.check(overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / ".list-abc.json").write_text("half")  # killed while the first header was written
    folder_of(tmp_path).check(overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="output must be a new folder or of an earlier run, got .* with other files"):
        folder_of(tmp_path).check(overwrite=False)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": 2}), json.dumps({"format": 1, "run": "x"})])
def test_damaged_headers_are_named(tmp_path, content):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(ValueError, match="list.json must be whole and of format 1.*make --overwrite makes it again"):
        folder_of(tmp_path).check(overwrite=False)
