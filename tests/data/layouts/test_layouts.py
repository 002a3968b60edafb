"""Every layout, on a small folder of exactly the published form: clips, texts, splits, takes, sources."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.layouts import Layout, find_layout, layout_class, layout_names, register
from motionmillion.data.layouts.base import BuildOptions, Draft, Facts
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.features import get

PLAIN = BuildOptions(quality=False)


def features(seed: int, name: str = "rot272", seconds: float = 2.0) -> np.ndarray:
    return get(name).encode(synthesize("walk", seed, seconds=seconds)).numpy()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def pack(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def built(source: Path, /, overwrite: bool = False, **changes) -> tuple[dict, dict[str, dict]]:
    """The header, and the rows without motion by name."""
    options = BuildOptions(**{"quality": False, **changes})
    header = build_set(source, source.parent / "built", options=options, workers=1, overwrite=overwrite)
    table = MotionTable(source.parent / "built")
    rows = [row for file in range(len(table.files)) for row in table.table(file).drop(["poses", "trans"]).to_pylist()]
    assert not (source.parent / "built" / ".work").exists()
    return header, {row["name"]: row for row in rows}


def faults(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "faults.jsonl").read_text(encoding="utf-8").splitlines()
    return [(fault["kind"], fault["name"]) for fault in map(json.loads, lines)]


def test_motionmillion_as_on_the_hub(tmp_path):
    source = tmp_path / "hub"
    inner = {f"folder0/{name}.npy": npy(features(i)) for i, name in enumerate(("000001", "000002", "000003"))}
    pack(source / "motion_272rpr/MotionGV/folder0.tar.gz", inner)
    pack(source / "motion_272rpr/Mirror_MotionGV/folder0.tar.gz", {"folder0/000001.npy": npy(features(5))})
    pack(source / "motion_272rpr/BABEL.tar.gz", {"BABEL/new_joint_vecs_prefix/M043161.npy": npy(features(6))})
    texts = {"texts/MotionGV/folder0/000001.txt": b"a person walks\n\nsomeone goes\n"}
    texts |= {"texts/Mirror_MotionGV/folder0/000001.txt": b"a person goes left", "texts/MotionGV/x.txt": b"lost"}
    pack(source / "texts.tar.gz", texts)
    lists = {"train": "MotionGV/folder0/000001\nMotionGV/folder0/000002\nMotionGV/folder0/000009\n"}
    lists |= {"val": "Mirror_MotionGV/folder0/000001\n", "test": "BABEL/new_joint_vecs_prefix/M043161\n", "all": "x"}
    members = {f"split/version1/t2m_60_300/{split}.txt": text.encode() for split, text in lists.items()}
    members["split/version1/tokenizer_96/train.txt"] = b"MotionGV/folder0/000003\n"
    pack(source / "split.tar.gz", members)
    np.save(source / "Mean.npy", np.zeros(272))
    assert find_layout(source).name == "motionmillion"
    header, rows = built(source)
    assert {name: row["split"] for name, row in rows.items()} == {
        "MotionGV/folder0/000001": "train",
        "MotionGV/folder0/000002": "train",
        "Mirror_MotionGV/folder0/000001": "val",
        "BABEL/new_joint_vecs_prefix/M043161": "test",
    }
    row = rows["MotionGV/folder0/000001"]
    assert row["texts"] == ["a person walks", "someone goes"] and row["text_origins"] == ["published"] * 2
    assert row["file"] == "motion_272rpr/MotionGV/folder0.tar.gz!folder0/000001.npy"
    assert rows["Mirror_MotionGV/folder0/000001"]["take"] == row["take"] == "MotionGV/folder0/000001"
    assert rows["BABEL/new_joint_vecs_prefix/M043161"]["take"] == "BABEL/new_joint_vecs_prefix/043161"
    assert set(header["sources"]) == {"MotionMillion/MotionGV", "MotionMillion/Mirror_MotionGV", "MotionMillion/BABEL"}
    assert header["sources"]["MotionMillion/BABEL"]["licence"] == "CC BY-NC-SA 4.0"
    assert header["published"]["motion arrays"] == 1_729_132
    found = faults(tmp_path / "built")
    assert ("in no list", "motion_272rpr/MotionGV/folder0.tar.gz!folder0/000003.npy") in found
    assert ("caption without motion", "MotionGV/x") in found
    assert ("list entry without motion", "MotionGV/folder0/000009") in found
    motion = MotionTable(tmp_path / "built").clip([*rows].index("MotionGV/folder0/000001")).motion
    expected = get("rot272").decode(torch.from_numpy(features(0)))
    assert (motion.positions() - expected.positions()).norm(dim=-1).max() < 1e-3


def test_motionmillion_unpacked_with_other_lists(tmp_path):
    source = tmp_path / "code"
    for name in ("a/000001", "a/000002"):
        path = source / "motion_data/vector_272" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, features(int(name[-1])))
    (source / "texts/a").mkdir(parents=True)
    (source / "texts/a/000001.txt").write_bytes(b"caf\xe9")
    (source / "split/version1/tokenizer_96").mkdir(parents=True)
    (source / "split/version1/tokenizer_96/val.txt").write_text("a/000001\na/000002\n")
    header, rows = built(source, lists="tokenizer_96")
    assert header["splits"] == {"val": 2} and header["faults"]["not UTF-8"] == 1 and rows["a/000001"]["texts"] == []


def test_motionmillion_without_lists(tmp_path):
    source = tmp_path / "hub"
    pack(source / "motion_272rpr/Dance.tar.gz", {"Dance/1.npy": npy(features(1))})
    pack(source / "texts.tar.gz", {"texts/Dance/1.txt": b"a dance"})
    header, rows = built(source)
    assert [*rows] == ["Dance/1"] and rows["Dance/1"]["texts"] == ["a dance"]
    assert header["faults"]["no split lists"] == 1


@pytest.mark.parametrize(
    ("kind", "folder", "lists"), [("hml263", "new_joint_vecs", "."), ("rot272", "motion_data", "split")]
)
def test_humanml3d(tmp_path, kind, folder, lists):
    source = tmp_path / "HumanML3D"
    for name in (folder, "texts", lists):
        (source / name).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(("000001", "M000001", "000002")):
        np.save(source / folder / f"{name}.npy", features(number, kind, 4.0))
        (source / "texts" / f"{name}.txt").write_text("a person walks.#a/DET walk/VERB#0.0#0.0\n")
    (source / "texts/000002.txt").write_text("turns#turn/VERB#0.5#2.0\n")
    for split, names in {"train": "000001\nM000001", "val": "000002", "test": "000007"}.items():
        (source / lists / f"{split}.txt").write_text(names)
    header, rows = built(source)
    assert {name: row["split"] for name, row in rows.items()} == {
        "000001": "train",
        "M000001": "train",
        "000002_0.5-2": "val",
    }
    assert rows["M000001"]["take"] == "000001" and rows["000002_0.5-2"]["texts"] == ["turns"]
    assert rows["000002_0.5-2"]["frames"] == round(1.5 * get(kind).fps) and not rows["000002_0.5-2"]["whole"]
    assert header["faults"]["bad list"] == 1 and header["layout"] == (
        "humanml3d" if kind == "hml263" else "humanml3d-272"
    )


def test_amass_with_babel(tmp_path):
    source = tmp_path / "AMASS"
    motion = synthesize("walk", 0, seconds=5)
    for name in ("KIT/3/kick_high_left02_poses", "SFU/0005/0005_Walking001_poses", "CMU/01/01_01_stageii"):
        motion.save(source / f"{name}.npz")
    np.savez(source / "KIT/3/shape.npz", betas=np.zeros(16))
    members = {"ACCAD/s1/B3_poses.npz": (source / "CMU/01/01_01_stageii.npz").read_bytes()}
    pack(source / "ACCAD.tar.bz2", members, "w:bz2")
    label = {"raw_label": "kick", "proc_label": "kick", "seg_id": "1"}
    frames = [
        {**label, "start_t": 1.0, "end_t": 2.5},
        {**label, "raw_label": "transition", "start_t": 2.5, "end_t": 3},
    ]
    frames.append({**label, "raw_label": "late", "start_t": 8, "end_t": 9})
    entry = {"feat_p": "KIT/KIT/3/kick_high_left02_poses.npz", "dur": 5, "seq_ann": {"labels": [label]}}
    babel = {"1": {**entry, "frame_ann": {"labels": frames}}}
    (source / "babel_v1.0_release").mkdir()
    (source / "babel_v1.0_release/val.json").write_text(json.dumps(babel))
    (source / "babel_v1.0_release/test.json").write_text("{broken")
    header, rows = built(source)
    kick, others = "KIT/3/kick_high_left02_poses", ("SFU/0005/0005_Walking001_poses", "CMU/01/01_01_stageii")
    assert set(rows) == {kick, f"{kick}_1-2.5", *others, "ACCAD/s1/B3_poses"}
    assert rows[kick]["split"] == rows[f"{kick}_1-2.5"]["split"] == "val" and rows[kick]["texts"] == ["kick"]
    assert rows[f"{kick}_1-2.5"]["frames"] == 45 and rows[f"{kick}_1-2.5"]["text_origins"] == ["babel segment"]
    assert rows["SFU/0005/0005_Walking001_poses"]["split"] == "val" and rows["ACCAD/s1/B3_poses"]["split"] == "train"
    assert rows[kick]["subject"] == "KIT/3" and header["sources"]["AMASS/CMU"]["clips"] == 1
    assert header["faults"]["bad captions"] == 2  # the broken list, and the label after the end


def test_vimogen(tmp_path):
    source = tmp_path / "ViMoGen-228K"
    (source / "motions").mkdir(parents=True)
    array = torch.from_numpy(features(1, "rot276"))
    torch.save(array, source / "motions/a.pt")
    video = {"motion": array, "extrinsic": torch.zeros(len(array), 9), "intrinsic": torch.zeros(3, 3)}
    torch.save(video, source / "motions/b.pt")
    torch.save({"motion": array[:, :200]}, source / "motions/c.pt")
    entry = {"subset": "x", "split": "train", "motion_text_annot": "walks", "video_text_annot": ["a woman walks"]}
    entries = [{**entry, "id": name, "motion_path": f"motions/{name}.pt"} for name in "abcde"]
    entries[4]["subset"] = "HumanML3D"
    torch.save(array, source / "motions/e.pt")
    (source / "ViMoGen-228K.json").write_text(json.dumps(entries))
    (source / "optical_mocap_data.json").write_text(json.dumps(entries[:1]))
    (source / "in_the_wild_video_data.json").write_text(json.dumps(entries[1:2]))
    header, rows = built(source)
    assert rows["a"]["trusted"] is None and rows["b"]["trusted"] == ["rotations"] and rows["b"]["fps"] == 20
    assert rows["a"]["texts"] == ["walks", "a woman walks"] and rows["a"]["text_origins"] == ["motion", "video"]
    assert header["sources"]["ViMoGen/in-the-wild"]["trusted_text"] == ["rotations"]
    assert header["sources"]["ViMoGen/in-the-wild"]["kind"] == "video"
    assert header["sources"]["ViMoGen/optical"]["text_share"] == 0.4 and rows["e"]["source"] == "ViMoGen/humanml3d"
    assert header["sources"]["ViMoGen/humanml3d"]["text_share"] == 0.8 and rows["e"]["trusted"] is None
    assert header["faults"] == {"caption without motion": 2, "wrong shape": 1}


def test_what_may_be_said_of_a_source_is_checked():
    with pytest.raises(ValueError, match="kind must be one of mocap, video, synthetic, got 'film'"):
        BuildOptions(kind="film")
    with pytest.raises(ValueError, match="text_share must be"):
        BuildOptions(text_share=2.0)


def bvh(seed: int, tmp_path: Path, seconds: float = 3.0) -> bytes:
    return synthesize("walk", seed, seconds=seconds).save(tmp_path / "one.bvh").read_bytes()


def test_100style(tmp_path):
    source = tmp_path / "download"
    for code in ("FW", "TR1"):
        path = source / f"100STYLE/OldMan/OldMan_{code}.bvh"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bvh(1, tmp_path))
    (source / "100STYLE/Frame_Cuts.csv").write_text(
        "STYLE_NAME,FW_START,FW_STOP,TR1_START,TR1_STOP\nOldMan,10,50,N/A,N/A\n"
    )
    (source / "100STYLE/Dataset_List.csv").write_text("Style Name,Description\nOldMan,Bent over with a stick\n")
    _, rows = built(source)
    assert rows["OldMan_FW"]["frames"] == 40 and rows["OldMan_TR1"]["frames"] == 90
    assert rows["OldMan_FW"]["texts"] == [
        "a person walks forwards in the style old man",
        "a person walks forwards, bent over with a stick",
    ]


def test_bones_seed(tmp_path):
    source = tmp_path / "seed"
    members = {f"soma_uniform/bvh/210101/jump_001__A001{end}.bvh": bvh(1, tmp_path) for end in ("", "_M")}
    pack(source / "soma_uniform.tar.gz", members)
    pack(source / "soma_proportional.tar.gz", {"soma_proportional/bvh/x.bvh": b""})
    (source / "metadata").mkdir()
    (source / "metadata/seed_metadata_v004.csv").write_text(
        "filename,category,content_natural_desc_1,content_natural_desc_2,content_technical_description\n"
        'jump_001__A001,Locomotion,"A person jumps, twice.",He jumps.,Jump x2\n'
    )
    header, rows = built(source)
    assert rows["jump_001__A001"]["texts"] == ["A person jumps, twice.", "He jumps.", "Jump x2"]
    assert rows["jump_001__A001"]["text_origins"] == ["natural", "natural", "technical"]
    assert rows["jump_001__A001_M"]["take"] == "jump_001__A001" and rows["jump_001__A001_M"]["subject"] == "A001"
    assert rows["jump_001__A001"]["split"] == rows["jump_001__A001_M"]["split"] and header["clips"] == 2


def test_lafan1_in_its_zip(tmp_path):
    source = tmp_path / "lafan1"
    members = {f"{name}.bvh": bvh(i, tmp_path) for i, name in enumerate(("walk1_subject1", "walk1_subject5"))}
    pack(source / "lafan1.zip", members)
    _, rows = built(source, cut=1.5)
    assert rows["walk1_subject5_001"]["split"] == "test" and rows["walk1_subject1_000"]["split"] != "test"
    assert [rows[f"walk1_subject1_00{i}"]["frames"] for i in range(2)] == [45, 45]
    assert [rows[f"walk1_subject1_00{i}"]["ends"] for i in range(2)] == [False, True]
    assert rows["walk1_subject1_000"]["texts"] == ["a person walks"] and rows["walk1_subject1_000"]["take"] == "walk1"
    assert rows["walk1_subject1_000"]["text_own"] == [False]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".tsv"])
def test_a_folder_with_a_table_of_captions(tmp_path, suffix):
    source = tmp_path / "mine"
    for number in range(3):
        synthesize("walk", number, seconds=4).save(source / f"s{number}" / f"take {number}.npz")
    rows = [
        {"file": "s0/take 0.npz", "caption": "walks, slowly", "split": "val"},
        {"file": "take 1", "caption": "goes", "start": 1, "end": 3},
        {"file": "take 1", "caption": "strolls"},
        {"file": "gone", "caption": "lost"},
    ]
    if suffix == ".jsonl":
        text = "\n".join(map(json.dumps, rows))
    else:
        lines = [",".join(("file", "caption", "split", "start", "end"))]
        for row in rows:
            lines.append(",".join(f'"{row.get(key, "")}"' for key in ("file", "caption", "split", "start", "end")))
        text = "\n".join(lines)
    if suffix == ".tsv":
        text = text.replace('","', '"\t"').replace("file,caption,split,start,end", "file\tcaption\tsplit\tstart\tend")
    (tmp_path / f"table{suffix}").write_text(text)
    header, found = built(source, captions=str(tmp_path / f"table{suffix}"), source="mine", licence="mine alone")
    assert found["s0/take 0"]["texts"] == ["walks, slowly"] and found["s0/take 0"]["split"] == "val"
    assert found["s1/take 1"]["texts"] == ["strolls"] and found["s1/take 1_1-3"]["frames"] == 60
    assert header["sources"]["mine"]["licence"] == "mine alone"
    noted = dict(kind="synthetic", made_by="a teacher", trusted=("rotations",), text_share=0.4)
    header, found = built(source, captions=str(tmp_path / f"table{suffix}"), source="mine", overwrite=True, **noted)
    assert header["sources"]["mine"]["kind"] == "synthetic" and header["sources"]["mine"]["text_share"] == 0.4
    assert header["sources"]["mine"]["trusted_text"] == found["s1/take 1_1-3"]["trusted"] == ["rotations"]
    assert faults(tmp_path / "built") == [("caption without motion", "gone"), ("no captions", "s2/take 2")]


def test_captions_without_a_motion_and_warnings_of_readers_are_named(tmp_path):
    source = tmp_path / "in"
    (source / "split").mkdir(parents=True)
    motion = synthesize("walk", seed=0, seconds=3)
    for name in ("whole", "cut"):
        motion.save(source / f"{name}.bvh")
        (source / f"{name}.txt").write_text("a person walks\n")
    content = (source / "cut.bvh").read_bytes()
    (source / "cut.bvh").write_bytes(content[: int(len(content) * 0.7)])
    for name in ("lonely.txt", "README.txt", "split/other.txt"):
        (source / name).write_text("a person walks\n")
    build_set(source, tmp_path / "out", None, BuildOptions(), workers=1)
    faults = [json.loads(line) for line in (tmp_path / "out" / "faults.jsonl").read_text().splitlines()]
    kinds = {(fault["kind"], fault["name"]) for fault in faults}
    assert ("caption without motion", "lonely.txt") in kinds and ("read with a warning", "cut.bvh") in kinds
    assert len(kinds) == 2, kinds
    (warning,) = [fault["reason"] for fault in faults if fault["name"] == "cut.bvh"]
    assert "cut.bvh ends within a frame" in warning or "frames" in warning
    assert sorted(MotionTable(tmp_path / "out").column("name")) == ["cut", "whole"]


def test_a_layout_of_ones_own(tmp_path):
    class Mine(Layout):
        name = "mine"
        facts = Facts("Mine", "free", "")
        indexed = False

        @classmethod
        def recognises(cls, source):
            return (source / "mine.txt").exists()

        def drafts(self, member, index):
            yield Draft(member.name, synthesize("walk", 0), ("a person walks",))

    register(Mine)
    try:
        source = tmp_path / "own"
        source.mkdir()
        (source / "mine.txt").touch()
        np.save(source / "x.npy", np.zeros(3))
        header, rows = built(source)
        assert header["layout"] == "mine" and [*rows] == ["x.npy"]
        with pytest.raises(ValueError, match="name must be that of no other layout, got 'mine'"):
            register(Mine)
    finally:
        from motionmillion.data import layouts

        layouts._LAYOUTS.pop("mine")
    with pytest.raises(ValueError, match="layout must be one of motionmillion, .*, got 'mine'"):
        layout_class("mine")
    assert all(layout_class(name).name == name for name in layout_names())
