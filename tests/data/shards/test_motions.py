"""Data sets on disk: what is written is read, through every reader of clips; damage is named."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from motionmillion.data import MotionClip, load_clips, synthesize
from motionmillion.data.check import check_folder, check_listing
from motionmillion.data.clips import ClipReader, list_clips, list_folder
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motions import (
    FILES,
    Row,
    content_hash,
    encode_poses,
    map_motions,
    motion_of,
    read_note,
    write_motions,
)
from motionmillion.motion import rotation_y
from tests.data.conftest import row_of, write_set


def test_clips_come_back(clips, table):
    assert len(table) == 10 and table.files[1] == "motions-0003-00000.arrow"
    for index, clip in enumerate(clips):
        back = table.clip(index)
        for name in ("name", "captions", "split", "subject", "category", "whole", "own_captions", "sources", "ends"):
            assert getattr(back, name) == getattr(clip, name), name
        assert back.motion.fps == clip.motion.fps and back.motion.caption == "".join(clip.captions[:1])
        assert torch.equal(back.motion.translation, clip.motion.translation)
        assert (back.motion.positions() - clip.motion.positions()).norm(dim=-1).max() < 2e-4
    with pytest.raises(IndexError, match=r"index must be in 0..9, got 10"):
        table.clip(10)


def test_parts_of_a_motion_are_read_alone(table):
    whole = table.motion(7)
    part = table.motion(7, 20, 30)
    assert torch.equal(part.rotations, whole.rotations[20:30])
    assert torch.equal(part.translation, whole.translation[20:30])
    assert table.motion(7, 100, 10_000).num_frames == whole.num_frames - 100


def test_rows_columns_and_counts(clips, table):
    assert table.rows(("train",)).tolist() == list(range(8)) and table.rows(("val", "test")).tolist() == [8, 9]
    assert table.rows(captioned=True).tolist() == [1, 2, 3, 5, 6, 7, 9]
    assert table.column("frames").tolist() == [clip.motion.num_frames for clip in clips]
    assert table.column("quality.lowest").min() == pytest.approx(0.2, abs=0.02)
    header = table.header
    assert header["splits"] == {"train": 8, "val": 1, "test": 1} and header["clips"] == 10 and header["texts"] == 14
    assert header["hours"] == pytest.approx(sum(clip.motion.seconds for clip in clips) / 3600, abs=1e-6)
    assert pickle.loads(pickle.dumps(table)).name(4) == "clip 4"


def test_every_reader_of_folders_reads_it(clips, table):
    folder = table.folder
    assert [clip.name for clip in load_clips(folder, ["val", "train"])] == [clip.name for clip in clips[:9]]
    records = list_clips(folder)
    assert [record.name for record in records[2:5]] == ["clip 2", "clip 3", "clip 4"]
    assert records[9].facts() == list(records)[9].facts() and records[9].row == 9
    assert ClipReader(folder)(records[3]).captions == clips[3].captions
    lines = check_listing([folder], {"train": 6, "val": 0}, captioned=True)
    assert "10 clips: 8 train, 1 val, 1 test (of the data set); 7 with captions" in lines[0]
    with pytest.raises(ValueError, match="at least 1 clips with captions of the split 'val', got 0 of 7"):
        check_listing([folder], {"val": 1}, captioned=True)
    report = check_folder(folder)
    assert report.read == 10 and "30" in report.text()
    assert list_folder(folder).records[:3].counts().clips["train"] == 3


def test_the_library_datasets_reads_it(table):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_from_disk(str(table.folder))
    assert loaded.num_rows == 10 and loaded[4]["name"] == "clip 4"
    poses = np.array(loaded[4]["poses"], np.int16).reshape(-1, 22, 3)
    assert np.array_equal(poses, encode_poses(table.motion(4)))


def test_content_is_alike_for_moved_and_turned_copies(clips):
    motion = clips[0].motion
    turn = rotation_y(torch.tensor(0.7))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = motion.replace(rotations=rotations, translation=motion.translation @ turn.mT + 3)

    def key(of):
        return content_hash(encode_poses(of), of.fps)

    assert key(moved) == key(motion) != key(motion.mirror())
    assert key(motion.replace(fps=29)) != key(motion) != key(motion.slice(0, 20))


def test_optional_values(tmp_path):
    motion = synthesize("walk", 0)
    write_motions([Row("a", motion), Row("b", motion, trusted=("rotations",))], tmp_path / "x.arrow", {"run": "r"})
    table = map_motions(tmp_path / "x.arrow")
    assert table["trusted"].to_pylist() == [None, ["rotations"]] and table["quality"][0]["jerk"].as_py() is None
    assert motion_of(table, 0).caption == "" and read_note(tmp_path / "x.arrow") == {"run": "r", "clips": 2}
    write_motions([], tmp_path / "y.arrow", {})
    assert map_motions(tmp_path / "y.arrow").num_rows == 0 and read_note(tmp_path / "y.arrow")["clips"] == 0


@pytest.mark.parametrize("keep", [0, 10, 2000, -1])
def test_a_truncated_file_is_named(table, tmp_path, keep):
    folder = shutil.copytree(table.folder, tmp_path / "copy")
    path = folder / table.files[1]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 9 // 10] if keep < 0 else data[:keep])
    broken = MotionTable(folder)
    assert broken.clip(0).name == "clip 0"
    with pytest.raises(ValueError, match="file must be a whole file of a data set, got '.*motions-0003"):
        broken.clip(4)
    path.unlink()
    with pytest.raises(ValueError, match="file must exist"):
        MotionTable(folder).clip(4)


def test_unfinished_and_wrong_sets_are_named(table, tmp_path):
    folder = shutil.copytree(table.folder, tmp_path / "copy")
    header = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**header, "complete": False}))
    with pytest.raises(ValueError, match="folder must be a finished data set, got an interrupted one"):
        MotionTable(folder)
    files = [{**entry, "clips": entry["clips"] + 1} for entry in header["files"]]
    (folder / "dataset.json").write_text(json.dumps({**header, "files": files}))
    with pytest.raises(ValueError, match="file must have the clips that dataset.json says, got 3"):
        MotionTable(folder).clip(0)
    with pytest.raises(ValueError, match="split must be one of"):
        Row("a", synthesize("walk", 0), split="trian")
    with pytest.raises(ValueError, match="texts must have one origin each, got 1 texts, 0 origins"):
        Row("a", synthesize("walk", 0), texts=("x",))
    assert FILES.of_any_run(folder)


def test_sources_keep_what_is_known_of_them(tmp_path):
    rows = [row_of(MotionClip(str(i), synthesize("walk", i)), source="ab"[i % 2]) for i in range(5)]
    table = write_set(tmp_path, rows, sources={"a": {"licence": "free", "weight": 2.0}, "c": {"licence": "none"}})
    assert set(table.header["sources"]) == {"a", "b"}
    assert table.header["sources"]["a"]["clips"] == 3 and table.header["sources"]["a"]["licence"] == "free"
