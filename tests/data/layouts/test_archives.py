"""Archives: hostile, cut-off, missing and doubled content is named and counted, and never escapes its folder."""

import gzip
import io
import random
import tarfile
import zipfile

import pytest

from motionmillion.data.layouts.archives import Member, find_units, read_texts, read_unit
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import Fault
from tests.data.layouts.test_layouts import pack


def wanted(name: str) -> bool:
    return name.endswith(".npy")


def read(folder, scratch, skip=0):
    """Contents of members by name, and the faults, of all units."""
    scratch.mkdir(exist_ok=True)
    found, faults = {}, []
    for unit in find_units(folder, wanted):
        for each in read_unit(unit, folder, wanted, scratch, skip):
            if isinstance(each, Fault):
                faults.append((each.kind, each.name))
            else:
                assert isinstance(each, Member)
                found[each.name] = each.path.read_bytes()
    return found, faults


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.zip"])
def test_all_kinds_and_skipping(tmp_path, name):
    mode = {"a.tar": "w", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz"}.get(name, "w:gz")
    pack(tmp_path / "in" / name, {f"d/{i}.npy": bytes([i]) * 1000 for i in range(5)} | {"d/note.txt": b"x"}, mode)
    (tmp_path / "in/.cache").mkdir()
    (tmp_path / "in/.cache/y.npy").write_bytes(b"hidden")
    (tmp_path / "in/z.npy").write_bytes(b"loose")
    found, faults = read(tmp_path / "in", tmp_path / "scratch")
    assert list(found) == [*(f"{name}!d/{i}.npy" for i in range(5)), "z.npy"] and faults == []
    assert found[f"{name}!d/3.npy"] == b"\3" * 1000 and found["z.npy"] == b"loose"
    assert [*read(tmp_path / "in", tmp_path / "scratch", skip=4)[0]] == [f"{name}!d/4.npy"]


def test_paths_out_of_the_folder_and_links_are_refused(tmp_path):
    path = tmp_path / "in" / "a.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../up.npy", "/tmp/abs.npy", "a/../../b.npy", "C:/x.npy", "good.npy"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
        link = tarfile.TarInfo("link.npy")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(tmp_path / "in" / "b.zip", "w") as archive:
        archive.writestr("..\\up.npy", b"x")
        info = zipfile.ZipInfo("link.npy")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    found, faults = read(tmp_path / "in", tmp_path / "scratch")
    assert [*found] == ["a.tar.gz!good.npy"] and [kind for kind, _ in faults] == ["unsafe path"] * 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "scratch"]
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["member.npy"]


def test_bombs_are_refused_quickly(tmp_path, monkeypatch):
    monkeypatch.setattr("motionmillion.data.layouts.archives._FREE", 1 << 20)
    monkeypatch.setattr("motionmillion.data.layouts.archives.LARGEST", 1 << 24)
    zeros = bytes(1 << 23)
    pack(tmp_path / "in" / "a.tar.gz", {"0.npy": b"good", "1.npy": zeros, "2.npy": zeros})
    with zipfile.ZipFile(tmp_path / "in" / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.npy", zeros)
        archive.writestr("2.npy", b"good")
    pack(tmp_path / "in" / "c.tar", {"1.npy": bytes((1 << 24) + 1), "2.npy": b"good"}, "w")
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "in" / "d.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    found, faults = read(tmp_path / "in", tmp_path / "scratch")
    assert [*found] == ["a.tar.gz!0.npy", "b.zip!2.npy", "c.tar!2.npy"]
    assert faults == [
        ("archive cut off or damaged", "a.tar.gz"),
        ("too large", "b.zip!1.npy"),
        ("too large", "c.tar!1.npy"),
        ("archive cut off or damaged", "d.tar"),
    ]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.8])
def test_cut_off_archives_give_what_they_have(tmp_path, name, keep):
    draw = random.Random(0)
    members = {f"{i}.npy": draw.randbytes(3000) for i in range(6)}
    path = pack(tmp_path / "in" / name, members, "w" if name == "a.tar" else "w:gz")
    data = path.read_bytes()
    used = 6 * (512 + 3072) if name == "a.tar" else len(data)  # a tar ends with kilobytes of zeros
    size = 512 * int(used * keep / 512) if name == "a.tar" else int(used * keep)
    path.write_bytes(data[:size])
    found, faults = read(tmp_path / "in", tmp_path / "scratch")
    assert faults[-1] == ("archive cut off or damaged", name) and len(found) < 6
    assert all(content == members[member.split("!")[1]] for member, content in found.items())


def test_pointers_of_git_lfs_and_damaged_bytes(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.tar.gz", "b.npy"):
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    pack(folder / "c.tar.gz", {"1.npy": b"x" * 9000})
    data = bytearray((folder / "c.tar.gz").read_bytes())
    data[-6] ^= 255  # the checksum
    (folder / "c.tar.gz").write_bytes(data)
    (folder / "d.tar.gz").write_bytes(gzip.compress(b"no archive"))
    (folder / "e.zip").write_bytes(b"PK")
    found, faults = read(folder, tmp_path / "scratch")
    assert [*found] == ["c.tar.gz!1.npy"]
    assert faults == [
        ("not downloaded", "a.tar.gz"),
        ("not downloaded", "b.npy"),
        ("archive cut off or damaged", "c.tar.gz"),
        ("archive cut off or damaged", "d.tar.gz"),
        ("archive cut off or damaged", "e.zip"),
    ]
    assert list(read_texts(folder / "a.tar.gz", wanted))[0].kind == "not downloaded"
    assert [found for found in read_texts(folder / "e.zip", wanted)][0].kind == "archive cut off or damaged"


def test_units_are_stable_and_stamped(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.npy").write_bytes(b"x")
    units = find_units(tmp_path, wanted, size=2)
    assert [unit.files for unit in units] == [("0.npy", "1.npy"), ("2.npy", "3.npy"), ("4.npy",)]
    (tmp_path / "3.npy").write_bytes(b"longer")
    again = find_units(tmp_path, wanted, size=2)
    assert [a.key == b.key for a, b in zip(units, again, strict=True)] == [True] * 3
    assert [a.stamp == b.stamp for a, b in zip(units, again, strict=True)] == [True, False, True]


def test_index(tmp_path):
    with IndexWriter(tmp_path / "i.sqlite") as writer:
        assert (
            writer.add("text", "a", "one") and not writer.add("text", "a", "two") and writer.add("split", "b", "val")
        )
        assert writer.get("text", "a") == "one"
    index = Index(tmp_path / "i.sqlite")
    assert index.get("text", "a") == "one" and index.get("text", "b") is None
    assert index.has("split") and not index.has("cut") and list(index.unmatched("text", ["b"])) == ["a"]
    assert list(index.unmatched("text", ["a", "a"])) == []
    with pytest.raises(RuntimeError), IndexWriter(tmp_path / "j.sqlite"):
        raise RuntimeError
    assert not (tmp_path / "j.sqlite").exists() and len(list(tmp_path.iterdir())) == 1
