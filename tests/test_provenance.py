"""Hashes that tell apart what differs, and nothing else."""

import hashlib
import os

import torch

from motionmillion.provenance import (
    command_line,
    ends_hash,
    file_hashes,
    file_stamps,
    files_hash,
    fingerprint,
    tensors_hash,
)


def test_files_one_after_another(tmp_path):
    for name, content in (("a", b"one"), ("b", b""), ("c", b"x" * 300_000)):
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in "abc"]
    assert files_hash(files) == hashlib.sha256(b"one" + b"x" * 300_000).hexdigest()
    assert files_hash(files[::-1]) != files_hash(files)
    assert files_hash([]) == hashlib.sha256().hexdigest()
    assert file_hashes(tmp_path, "*") == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_stamps_change_with_files(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"123")
    os.utime(path, ns=(5, 7))
    assert file_stamps([path]) == [["a", 3, 7]]


def test_ends_of_large_files(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    data = bytearray(200_000)
    for place, same in ((None, True), (0, False), (100_000, True), (199_999, False)):  # the middle is not read
        (tmp_path / "model.safetensors").write_bytes(data)
        before = ends_hash(tmp_path)
        changed = data.copy()
        if place is not None:
            changed[place] = 1
        (tmp_path / "model.safetensors").write_bytes(changed)
        assert (ends_hash(tmp_path) == before) is same
    before = ends_hash(tmp_path)
    (tmp_path / "notes.txt").write_text("not part of a model")
    assert ends_hash(tmp_path) == before and len(before) == 16
    (tmp_path / "config.json").write_text("[]")
    assert ends_hash(tmp_path) != before


def test_json_and_tensors_without_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
    a, b = torch.arange(4.0), torch.zeros(0, 2)
    assert tensors_hash({"a": a, "b": b}) == tensors_hash({"b": b, "a": a})
    others = [{"a": a.half(), "b": b}, {"a": a[None], "b": b}, {"a": a, "c": b}, {"a": a, "b": b.T}]
    assert len({tensors_hash(tensors) for tensors in ({"a": a, "b": b}, *others)}) == 5


def test_commands_are_shown_without_local_paths(monkeypatch):
    given = ["--data", "/home/ada/my clips", "--output", "runs/a"]
    shown = "python recipes/check.py --data 'my clips' --output runs/a"
    assert command_line("recipes/check.py", given) == shown
    monkeypatch.setattr("sys.argv", ["/home/ada/recipes/check.py", *given])
    assert command_line("recipes/check.py") == shown
