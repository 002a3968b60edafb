"""Pickles are read as plain data: what comes back, what is refused, and that nothing runs or fills the memory."""

import builtins
import bz2
import collections
import gzip
import lzma
import os
import pickle
import resource
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io.pickle_machine import LIMIT
from motionmillion.io.pickles import load_checkpoint, load_pickle, load_value, read_pickle

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
PLAIN = {
    "array": ARRAY,
    "fortran": np.asfortranarray(ARRAY),
    "big endian": ARRAY.astype(">f8"),
    "empty": np.zeros((0, 3)),
    "text": np.array(["ab", "c"]),
    "scalar": np.int64(3),
    "tuple": (1, 2.5, True, False, None, "x", b"y", 2**70, 1j),
    "list": [ARRAY, [ARRAY]],
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, {1: 2}),
    "set": {1, 2},
    3: {"nested": {}},
}


def same(one: object, other: object) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)  # type: ignore[index]
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)  # type: ignore[call-overload]
        return type(one) is type(other) and all(same(a, b) for a, b in pairs)
    return np.array_equal(one, other)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back(protocol: int):
    assert same(read_pickle(pickle.dumps(PLAIN, protocol=protocol), "x"), PLAIN)
    objects = np.array([{"a": ARRAY}, None], dtype=object)
    again = read_pickle(pickle.dumps(objects, protocol=protocol), "x")
    assert again.shape == (2,) and same(again[0], {"a": ARRAY}) and again[1] is None
    tensor = torch.arange(6.0).reshape(2, 3).T
    assert same(read_pickle(pickle.dumps([tensor], protocol=protocol), "x"), [tensor.numpy()])


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_files_of_joblib(tmp_path: Path, compress):
    joblib = pytest.importorskip("joblib")
    content = {**PLAIN, "objects": np.array([{"a": ARRAY}, 1], dtype=object)}
    joblib.dump(content, tmp_path / "a.pkl", compress=compress)
    again = load_pickle(tmp_path / "a.pkl")
    assert same(again.pop("objects")[0]["a"], ARRAY) and same(again, PLAIN)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("extra", [{}, {"array": ARRAY}])
def test_files_of_torch(tmp_path: Path, zipped: bool, extra: dict):
    halves = torch.tensor([1.0, -2.5], dtype=torch.bfloat16)
    content = {"a": torch.arange(6.0).reshape(2, 3).T, "b": {"c": halves}}
    if extra and not zipped:
        pytest.skip("neither torch's restricted reader nor ours reads arrays in the old layout")
    torch.save({**content, **extra}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    again = load_checkpoint(tmp_path / "a.pt")
    assert same(again["a"], content["a"].numpy()) and same(again["b"]["c"], np.array([1.0, -2.5]))
    assert same(again.get("array"), extra.get("array"))


def test_pickled_npy(tmp_path: Path):
    np.save(tmp_path / "a.npy", {"motion": ARRAY}, allow_pickle=True)  # type: ignore[arg-type]
    assert same(load_value(tmp_path / "a.npy").item().item()["motion"], ARRAY)
    np.save(tmp_path / "b.npy", ARRAY)
    assert same(load_value(tmp_path / "b.npy"), ARRAY)


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class State:
    def __init__(self) -> None:
        self.a = 1


CALLS = {
    "system": lambda to: Call(os.system, f"touch {to}"),
    "eval": lambda to: Call(builtins.eval, f"open({to!r}, 'w').close()"),
    "exec": lambda to: Call(builtins.exec, f"open({to!r}, 'w').close()"),
    "open": lambda to: Call(builtins.open, to, "w"),
    "getattr": lambda to: Call(builtins.getattr, os, "system"),
    "loads": lambda to: Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {to}"))),
    "numpy": lambda to: Call(np.load, to, None, True),
    "torch": lambda to: Call(torch.load, to),
    "array": lambda to: np.array([Call(os.system, f"touch {to}")], dtype=object),
    "key": lambda to: {"a": Call(os.mkdir, to)},
    "path": lambda to: Path(to),
    "state": lambda to: State(),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".npy", ".zip.pt"])
def test_hostile_files_run_nothing(tmp_path: Path, name: str, suffix: str):
    hit, path = tmp_path / "hit", tmp_path / f"a{suffix}"
    try:
        value = CALLS[name](str(hit))
        if suffix == ".zip.pt":
            torch.save({"a": value}, path)
        elif suffix == ".npy":
            np.save(path, np.array([value, 1], dtype=object), allow_pickle=True)
        else:
            path.write_bytes(pickle.dumps({"a": value}, protocol=2))
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        pytest.skip(f"cannot be pickled: {error}")
    read = {".pkl": load_pickle, ".npy": load_value}.get(path.suffix, load_checkpoint)
    with pytest.raises(ValueError) as refused:
        read(path)
    assert not hit.exists() and "\n" not in str(refused.value) and len(str(refused.value)) < 500
    if suffix == ".pkl":
        assert "must hold plain numbers, text and arrays" in str(refused.value)


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


ARRAY_NAME = b"cnumpy.core.multiarray\n_reconstruct\n"
BOMBS = {
    "memo": b"\x80\x04Nr\xff\xff\xff\xff.",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".",
    "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "builtin bytes": b"cbuiltins\nbytes\n(I10000000000\ntR.",
    "builtin bytearray": b"cbuiltins\nbytearray\n(I10000000000\ntR.",
    "deep lists": b"(l" * 20_000 + b"a" * 19_999 + b".",
    "deep tuples as keys": b"}" + b"(" * 20_000 + b"t" * 20_000 + b"Ns.",
    "text that is no number": b"I" + b"9" * 100_000 + b"\n.",
    "shape": ARRAY_NAME + b"(I0\ntR(I1\n(I1000000000000\ntcnumpy\ndtype\n(" + text("f8") + b"tRI00\nC\x01atb.",
    "dtype": ARRAY_NAME + b"(I0\ntR(I1\n(I1\ntcnumpy\ndtype\n(" + text("(99999999,)f8") + b"tRI00\nC\x01atb.",
    "own list": b"(lp0\ng0\na.",
    "underflow": b"000000.",
    "mark": b"tttt.",
    "stack": b"\x80\x02(R.",
    "persistent": b"P123\n.",
    "extension": b"\x80\x02\x82\x01.",
    "no end": b"\x80\x04N",
    "nothing": b"",
    "instance": b"(S'true'\nios\nsystem\n.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_bounded(name: str):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if name in ("deep lists", "own list", "memo"):
        assert read_pickle(BOMBS[name], "x") is not False  # harmless
    else:
        with pytest.raises(ValueError, match="^x must"):
            read_pickle(BOMBS[name], "x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # kilobytes


def test_copies_are_counted():
    copy = b"cbuiltins\nbytes\n(g0\ntR"
    data = b"B" + struct.pack("<I", 2**20) + bytes(2**20) + b"p0\n" + (copy + b"0") * (LIMIT // 2**20 + 1) + b"N."
    with pytest.raises(ValueError, match="got more than 1073741824 bytes"):
        read_pickle(data, "x")


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack):
    monkeypatch.setattr("motionmillion.io.pickles.LIMIT", 2**16)
    (tmp_path / "a.pkl").write_bytes(pack(bytes(2**20)))
    with pytest.raises(ValueError, match="must hold at most"):
        load_pickle(tmp_path / "a.pkl")


def test_a_tensor_that_is_larger_than_its_data(tmp_path: Path):
    torch.save({"a": torch.zeros(1).expand(10**12)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="must be a whole pickle|must be a whole file"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_zip_of_something_else(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("x/other", "x")
    with pytest.raises(ValueError, match="no data.pkl"):
        load_checkpoint(tmp_path / "a.pt")
