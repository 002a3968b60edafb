"""Files appear whole or not at all, and errors say what to do."""

import os
from pathlib import Path

import pytest

from motionmillion.io.files import (
    MissingFileError,
    PathError,
    atomic_folder,
    atomic_path,
    existing_file,
    write_text,
)


def test_write_creates_folders_and_leaves_only_the_file(tmp_path: Path):
    path = write_text("motion\n", tmp_path / "a" / "b" / "wave.bvh")
    assert path.read_bytes() == b"motion\n"
    assert [p.name for p in path.parent.iterdir()] == ["wave.bvh"]


def test_temporary_path_is_in_the_same_folder_with_the_same_suffix(tmp_path: Path):
    with atomic_path(tmp_path / "wave.bvh") as temporary:
        assert temporary.parent == tmp_path.resolve() and temporary.suffix == ".bvh"
        assert not (tmp_path / "wave.bvh").exists()
        temporary.write_text("x")
    assert os.listdir(tmp_path) == ["wave.bvh"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = write_text("old", tmp_path / "wave.bvh")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["wave.bvh"]


def test_failure_removes_the_folders_it_made(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a" / "b" / "wave.bvh") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(PathError, match="got nothing"), atomic_path(tmp_path / "wave.bvh"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_link_keeps_pointing_at_the_new_content(tmp_path: Path):
    target = write_text("old", tmp_path / "store" / "wave.bvh")
    link = tmp_path / "wave.bvh"
    link.symlink_to(target)
    write_text("new", link)
    assert link.is_symlink() and target.read_text() == "new"


@pytest.mark.parametrize("name", ["file.txt/wave.bvh", "file.txt/deeper/wave.bvh"])
def test_a_file_in_place_of_a_folder(tmp_path: Path, name: str):
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(PathError, match="is not a folder; choose another folder") as error:
        write_text("motion", tmp_path / name)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_folder_in_place_of_a_file(tmp_path: Path):
    with pytest.raises(PathError, match="add a file name"):
        write_text("motion", tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody can write")
def test_a_folder_that_cannot_be_created():
    with pytest.raises(PathError, match="writable|cannot be created"):
        write_text("motion", "/proc/self/motions/wave.bvh")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="every folder is writable for this user")
def test_a_folder_without_write_permission(tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PathError, match="is not writable"):
            write_text("motion", tmp_path / "wave.bvh")
    finally:
        tmp_path.chmod(0o700)
    assert os.listdir(tmp_path) == []


def test_path_errors_are_both_os_and_value_errors(tmp_path: Path):
    with pytest.raises(MissingFileError, match="check the spelling") as error:
        existing_file(tmp_path / "no.bvh")
    assert isinstance(error.value, FileNotFoundError) and isinstance(error.value, ValueError)
    with pytest.raises(PathError, match="add a file name"):
        existing_file(tmp_path)


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_appears_whole(tmp_path: Path, there: bool):
    target = tmp_path / "a" / "model"
    if there:
        target.mkdir(parents=True)
    with atomic_folder(target) as folder:
        (folder / "config.json").write_text("x")
        assert folder.parent == target.parent.resolve() and not list(target.glob("*"))
    assert os.listdir(target) == ["config.json"] and os.listdir(target.parent) == ["model"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "a" / "model") as folder:
        (folder / "config.json").write_text("x")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_folder_with_files_or_a_file_is_not_replaced(tmp_path: Path):
    path = write_text("x", tmp_path / "model" / "config.json")
    for target, message in ((tmp_path / "model", "new or empty folder"), (path, "must be a folder, got the file")):
        with pytest.raises(PathError, match=message), atomic_folder(target):
            pass
    assert path.read_text() == "x"
