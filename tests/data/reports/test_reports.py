"""Checks, numbers and the page of a data set: every fault that is put into one is found."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.reports.overview import overview_of_table
from motionmillion.data.reports.page import near_duplicates, write_audit
from motionmillion.data.reports.verify import verify_download, verify_set
from motionmillion.data.shards.motion_table import MotionTable
from tests.data.conftest import row_of, write_set


def test_a_good_set_passes(table):
    report = verify_set(table.folder, workers=1)
    assert report.problems == [] and "no take is in several splits" in report.text()
    assert any("subjects are in several splits" in note for note in report.notes)  # s2 is in train and val


def test_damage_is_found(table, tmp_path):
    folder = shutil.copytree(table.folder, tmp_path / "copy")
    path = folder / table.files[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (folder / table.files[1]).unlink()
    text = verify_set(folder, workers=1).text()
    assert "has another SHA-256" in text and f"{table.files[1]} is missing" in text


def rows():
    clips = [MotionClip(f"c{i}", synthesize("walk", i, seconds=2), ("walks",), sources=("x",)) for i in range(4)]
    return [row_of(clip) for clip in clips]


def change(row, **changes):
    return row.__class__(**{**vars(row), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda r: change(r[1], name="c0"), "1 names occur twice, such as 'c0'"),
        (
            lambda r: change(r[1], take="c0", split="val"),
            "1 takes are in several splits, such as 'c0' in train and val",
        ),
        (lambda r: change(r[1], motion=r[0].motion, split="test"), "1 contents are in several splits"),
        (
            lambda r: change(r[1], motion=r[1].motion.replace(translation=r[1].motion.translation * 2000)),
            "m away from",
        ),
    ],
)
def test_faults_are_found(tmp_path, changes, message):
    own = rows()
    own[1] = changes(own)
    report = verify_set(write_set(tmp_path, own).folder, workers=1)
    assert len(report.problems) == 1 and message in report.problems[0]


def test_lying_bodies_and_copies(tmp_path):
    own = rows()
    turn = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])

    def lay(motion):
        rotations = motion.rotations.clone()
        rotations[:, 0] = turn @ rotations[:, 0]
        return motion.replace(rotations=rotations, translation=motion.translation @ turn.mT)

    lying = [change(row, motion=lay(row.motion)) for row in own]
    report = verify_set(write_set(tmp_path / "a", lying).folder, workers=1)
    assert any("stand upright about y" in line for line in report.problems)
    copies = [*own, change(own[0], name="copy")]
    report = verify_set(write_set(tmp_path / "b", copies).folder, workers=1)
    assert any("1 clips are copies of others" in line for line in report.notes)


def test_a_download_is_compared_with_the_hubs_checksums(tmp_path):
    notes = tmp_path / ".cache/huggingface/download"
    notes.mkdir(parents=True)
    (tmp_path / "a.tar").write_bytes(b"whole")
    (tmp_path / "b.tar").write_bytes(b"half")
    for name, content in (("a.tar", b"whole"), ("b.tar", b"whole"), ("c.tar", b"gone")):
        (notes / f"{name}.metadata").write_text(f"commit\n{hashlib.sha256(content).hexdigest()}\n1.0\n")
    report = verify_download(tmp_path)
    assert [line.split()[0] for line in report.problems] == ["b.tar", "c.tar"]
    (notes / "d.tar.abc.incomplete").write_bytes(b"")
    (tmp_path / "e.tar").write_bytes(b"")
    report = verify_download(tmp_path)
    assert any("not whole; download it again" in line for line in report.problems)
    assert any("1 files have no checksum beside them, such as e.tar" in line for line in report.notes)
    assert any("nothing was compared" in line for line in verify_download(notes).problems)
    with pytest.raises(ValueError, match="folder must be a data set or a download, got .*typo"):
        verify_download(tmp_path / "typo")


def test_numbers(table):
    facts = overview_of_table(table).numbers()
    assert facts["clips"] == 10 and facts["splits"] == {"train": 8, "val": 1, "test": 1}
    assert facts["captions"]["texts"] == 14 and facts["captions"]["clips_without"] == 3
    assert facts["captions"]["different"] == 8 and facts["captions"]["origins"] == {"human": 7, "rule": 7}
    assert facts["quality"]["lowest"]["50%"] == pytest.approx(0.2, abs=0.02)
    json.dumps(facts)


def test_verbs_are_counted_by_clip(tmp_path):
    texts = ("a person walks", "walking and waving", "he jumps")
    row = row_of(MotionClip("a", synthesize("walk", 0), texts, sources=("x",) * 3))
    verbs = overview_of_table(write_set(tmp_path, [row])).numbers()["verbs"]
    assert verbs["clips"].get("walk") == 1 and verbs["clips_with_one"] == 1 and {"wave", "jump"} <= set(verbs["clips"])


def test_the_page_of_the_audit(table, tmp_path):
    overview = write_audit(table.folder, tmp_path / "audit.html", limit=4)
    page = (tmp_path / "audit.html").read_text()
    assert len(overview.seconds) == 4 and "<svg" in page and "Near duplicates" in page
    assert (
        'src="audit_files/most-jerk.html"' in page and (tmp_path / "audit_files/most-jerk.html").stat().st_size > 1e5
    )


def test_the_audit_names_sources_and_what_made_them(tmp_path):
    own = [change(row, source="films" if i else "studio") for i, row in enumerate(rows())]
    sources = {"films": {"kind": "synthetic", "made_by": "a teacher, seed 0"}, "studio": {"licence": "own"}}
    folder = write_set(tmp_path / "set", own, sources=sources).folder
    overview = write_audit(folder, tmp_path / "audit.html")
    assert overview.sources == {"films": 3, "studio": 1}
    assert overview.made == {"films": "synthetic, made by a teacher, seed 0"}
    assert "films: synthetic, made by a teacher, seed 0" in (tmp_path / "audit.html").read_text()
    assert overview_of_table(MotionTable(folder)).numbers()["made"] == overview.made
    synthesize("walk", 0).save(tmp_path / "loose" / "a.npz")
    assert write_audit(tmp_path / "loose", tmp_path / "loose.html").sources == {"loose": 1}


def test_near_duplicates():
    poses = np.random.default_rng(0).normal(size=(20, 8 * 22 * 3))
    poses[7] = poses[3] + 0.005
    poses[12] = poses[4] + 0.2
    assert [(a, b) for a, b, _ in near_duplicates(poses)] == [(3, 7)]
