"""Folders as others leave them: split lists, HumanML3D's captions, encodings, stray files, small folders."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from motionmillion.data import load_clips, synthesize
from motionmillion.data.check import FolderReport, check_folder, check_listing
from motionmillion.data.clips import ClipReader, Listing, list_clips, list_folder
from motionmillion.data.folder_files import Caption, read_captions
from motionmillion.data.splits import SPLITS, split_files, split_of_subject


@pytest.fixture(scope="module")
def walk():
    return synthesize("walk", seed=0, seconds=4)


def make(folder, names, caption="a person walks\n", suffix=".npz"):
    """Empty motion files with captions; nothing is read when they are listed."""
    for name in names:
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if caption:
            path.with_suffix(".txt").write_text(caption, encoding="utf-8")


def humanml3d(folder, lists):
    for number in range(8):
        make(folder, [f"new_joint_vecs/{number:06d}"], caption="", suffix=".npy")
        (folder / "texts").mkdir(exist_ok=True)
        (folder / "texts" / f"{number:06d}.txt").write_text("a person walks\n", encoding="utf-8")
    for split, names in lists.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def test_lists_match_by_bare_name_and_unlisted_clips_stay_out(tmp_path):
    lists = {"train": [f"{n:06d}" for n in range(5)], "val": ["000006.npy"], "test": ["new_joint_vecs/000007"]}
    humanml3d(tmp_path, lists)
    listing = list_folder(tmp_path)
    assert [record.split for record in listing.records] == ["train"] * 5 + ["val", "test"]
    assert all(record.captions == ("a person walks",) for record in listing.records)
    assert listing.left_out == ["1 motions that no list names, such as 'new_joint_vecs/000005.npy'"]


def test_names_that_match_nothing_are_an_error_with_a_count(tmp_path):
    humanml3d(tmp_path, {"train": ["000001", "000002"], "test": ["M000007", "nosuch", "000003"]})
    with pytest.raises(ValueError, match="test.txt must name motion files.*2 of 3 lines.*'M000007'"):
        list_clips(tmp_path)
    assert [record.split for record in list_clips(tmp_path, skip_bad=True)] == ["train", "train", "test"]
    assert (
        "2 of 3 lines of test.txt that match no motion file, such as 'M000007'" in list_folder(tmp_path, True).left_out
    )


def test_a_name_in_two_lists_or_of_two_files_is_an_error(tmp_path):
    humanml3d(tmp_path, {"train": ["000001", "000002"], "val": ["000002"]})
    with pytest.raises(ValueError, match="val.txt must name motions of no other list, got '000002'.*train.txt"):
        list_clips(tmp_path)
    (tmp_path / "val.txt").write_text("000003\n")
    make(tmp_path, ["other/000003"])
    with pytest.raises(ValueError, match="val.txt must name each motion so that one file matches, got '000003'"):
        list_clips(tmp_path)


def test_without_a_train_list_the_rest_is_train(tmp_path):
    make(tmp_path, list("abcd"))
    (tmp_path / "val.txt").write_text("b\n")
    assert {r.name: r.split for r in list_clips(tmp_path)} == {"a": "train", "b": "val", "c": "train", "d": "train"}
    assert "because there is no train.txt" in list_folder(tmp_path).rule


def test_spans_of_humanml3d_become_clips(tmp_path, walk):
    walk.save(tmp_path / "a.npz")
    lines = "a person walks.#a/DET person/NOUN#0.0#0.0\nsomeone strolls.#someone/PRON#0.5#2.0\nhe stops.#he/X#3#99\n"
    (tmp_path / "a.txt").write_text(lines)
    clips = load_clips(tmp_path)
    assert [(clip.name, clip.captions) for clip in clips] == [
        ("a", ("a person walks.",)),
        ("a_0.5-2", ("someone strolls.",)),
        ("a_3-99", ("he stops.",)),
    ]
    assert [clip.motion.num_frames for clip in clips] == [120, 45, 30]
    assert clips[1].take == "a" and clips[1].own_captions == clips[1].captions and not clips[1].whole
    assert (clips[1].motion.rotations - walk.slice(15, 60).rotations).abs().max() < 1e-5
    (tmp_path / "a.txt").write_text("he strolls.#he/X#1.0#2.0\n")
    assert [record.name for record in list_clips(tmp_path)] == ["a_1-2"]
    (tmp_path / "a.txt").write_text("he strolls.#he/X#50#60\n")
    with pytest.raises(ValueError, match="a.npz.*seconds of a caption must lie in the motion, got 50 to 60 of 4.00 s"):
        ClipReader(tmp_path)(list_clips(tmp_path)[0])


@pytest.mark.parametrize(
    ("line", "caption"),
    [
        ("a person walks", Caption("a person walks")),
        ("number #1 walks", Caption("number #1 walks")),
        ("a#b#c#d", Caption("a#b#c#d")),
        ("walks.#walk/VERB#nan#nan", Caption("walks.")),
        ("walks #2.#walk/VERB#0.0#1.5", Caption("walks #2.", (0.0, 1.5))),
    ],
)
def test_lines_of_captions(tmp_path, line, caption):
    (tmp_path / "a.txt").write_text(line)
    assert list(read_captions(tmp_path / "a.txt")) == [caption]


@pytest.mark.parametrize("line", ["walks.#x#3#1", "walks.#x#-1#2", "#x#0.0#0.0", "walks.#x#1#0", "walks.#x#0#inf"])
def test_damaged_lines_of_humanml3d_are_named(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"fine\n{line}\n")
    with pytest.raises(ValueError, match="got line 2 of '.*a.txt'"):
        list(read_captions(tmp_path / "a.txt"))


def test_text_is_utf8_on_every_platform(tmp_path):
    make(tmp_path, ["é", "b"], caption="a café dancer turns\n")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfa person walks\r\n")
    (tmp_path / "train.txt").write_bytes("\ufeffé\r\nb\r\n".encode())
    script = (
        "from motionmillion.data.clips import list_clips\n"
        f"print(ascii([(r.captions, r.split) for r in list_clips({str(tmp_path)!r})]))"
    )
    environment = dict(os.environ, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C")
    command = [
        sys.executable,
        "-X",
        "warn_default_encoding",
        "-W",
        "error::EncodingWarning:motionmillion",
        "-c",
        script,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.stdout.strip() == ascii([(("a person walks",), "train"), (("a café dancer turns",), "train")]), (
        done.stderr
    )


@pytest.mark.parametrize("name", ["a.txt", "val.txt"])
def test_text_of_another_encoding_is_named(tmp_path, name):
    make(tmp_path, ["a"])
    (tmp_path / name).write_bytes("café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=f"UTF-8, got '.*{name}', which is not .byte 3."):
        list_clips(tmp_path)


def test_stray_files_are_left_out_with_a_count(tmp_path):
    make(tmp_path, ["CMU/01/01_01_poses", "CMU/01/01_02_poses", "CMU/02/02_01_poses"])
    make(tmp_path, ["CMU/01/shape", "CMU/02/shape", "CMU/01/._01_01_poses", ".hidden/x"], caption="")
    make(tmp_path, ["Mean", "Std"], caption="", suffix=".npy")
    listing = list_folder(tmp_path)
    assert [record.name for record in listing.records] == [
        "CMU/01/01_01_poses",
        "CMU/01/01_02_poses",
        "CMU/02/02_01_poses",
    ]
    assert listing.left_out == [
        "2 hidden files",
        "2 shape.npz, which is no motion",
        "1 Mean.npy, which is no motion",
        "1 Std.npy, which is no motion",
    ]


def test_joints_of_humanml3d_are_not_clips_of_their_own(tmp_path):
    humanml3d(tmp_path, {})
    make(tmp_path, ["new_joints/000001"], caption="", suffix=".npy")
    assert len(list_clips(tmp_path)) == 8
    assert "1 files of new_joints, which hold the clips of new_joint_vecs" in list_folder(tmp_path).left_out


def test_bad_clips_are_skipped_on_request(tmp_path, walk):
    for name in "abc":
        walk.save(tmp_path / f"{name}.npy")
        (tmp_path / f"{name}.txt").write_text("a person walks\n")
    features = np.load(tmp_path / "b.npy")
    features[3, 7] = np.nan
    np.save(tmp_path / "b.npy", features)
    with pytest.raises(ValueError, match="b.npy.*NaN"):
        load_clips(tmp_path)
    said = []
    assert [clip.name for clip in load_clips(tmp_path, skip_bad=True, report=said.append)] == ["a", "c"]
    assert len(said) == 1 and said[0].startswith("left out 'b': ") and "b.npy" in said[0]
    (tmp_path / "a.npy").write_text("")
    (tmp_path / "c.npy").write_text("")
    with pytest.raises(ValueError, match="folder must hold a motion that can be read, got 3 that cannot"):
        load_clips(tmp_path, skip_bad=True)


@pytest.mark.parametrize("count", [3, 4, 7, 8, 10, 30])
@pytest.mark.parametrize("folder", ["", "captures/"])
def test_a_small_flat_folder_has_clips_in_every_split(count, folder):
    paths = [Path(f"{folder}take_{n:02d}.bvh") for n in range(count)]
    subjects = {path: "captures" if folder else path.stem for path in paths}
    chosen, rule = split_files(subjects, dict.fromkeys(paths, True))
    counts = [list(chosen.values()).count(split) for split in SPLITS]
    assert min(counts) >= (2 if count >= 20 else 1) and counts[0] >= count / 2 - 1, counts
    assert "by take" in rule
    assert split_files(dict(reversed(subjects.items())), dict.fromkeys(paths, True))[0] == chosen


def test_clips_with_captions_count(tmp_path):
    paths = [Path(f"{n}.bvh") for n in range(40)]
    captioned = {path: int(path.stem) < 5 for path in paths}
    chosen, _ = split_files({path: path.stem for path in paths}, captioned)
    assert {chosen[path] for path in paths if captioned[path]} == set(SPLITS)


def test_subjects_are_never_cut_if_there_are_enough():
    paths = [Path(f"{name}/{n}.bvh") for name in ("anna", "ben", "cleo") for n in range(4)]
    chosen, rule = split_files({path: path.parts[0] for path in paths}, dict.fromkeys(paths, False))
    assert {len({chosen[path] for path in paths if path.parts[0] == name}) for name in ("anna", "ben", "cleo")} == {1}
    assert set(chosen.values()) == set(SPLITS) and "by subject" in rule
    large = [Path(f"{name}/x.bvh") for name in range(500)]
    chosen, _ = split_files({path: path.parts[0] for path in large}, dict.fromkeys(large, True))
    assert all(chosen[path] == split_of_subject(path.parts[0]) for path in large)


def test_what_is_missing_is_named_before_a_motion_is_read(tmp_path):
    make(tmp_path, [f"take_{n}" for n in range(10)], caption="")
    assert "10 clips" in check_listing([tmp_path], {"train": 1, "val": 1}, captioned=False)[0]
    with pytest.raises(ValueError, match="clips must have captions, got none for all 10 clips.*'take_0.txt'"):
        check_listing([tmp_path], {"train": 1}, captioned=True)
    make(tmp_path, ["take_3"])
    with pytest.raises(ValueError, match="at least 1 clips with captions of the split 'val', got 0 of 1.*val.txt"):
        check_listing([tmp_path], {"train": 1, "val": 1}, captioned=True)
    make(tmp_path, ["take_4", "take_5"])
    line = check_listing([tmp_path], {"train": 1, "val": 1}, captioned=True)[0]
    assert "3 with captions" in line and "by take" in line


def test_a_folder_is_checked(run, tmp_path, walk):
    for name in "abcd":
        walk.save(tmp_path / f"{name}.bvh")
        (tmp_path / f"{name}.txt").write_text("a person walks\n")
    walk.resample(20).save(tmp_path / "e.npz")
    (tmp_path / "Mean.npy").touch()
    code, out, _ = run("data", "check", tmp_path)
    assert code == 0, out
    for words in ("5 clips: 3 train, 1 val, 1 test", "4 with captions", "1 Mean.npy", "4 .bvh with 22 joints (pelvis"):
        assert words in out
    assert "4 at 30, 1 at 20 frames per second" in out and "4.0 to 4.0 s, median 4.0 s" in out
    (tmp_path / "a.bvh").write_text("no motion")
    code, out, _ = run("data", "check", tmp_path)
    assert code == 1 and "problem      a cannot be read" in out and "1 clip, left out with data.skip_bad" in out
    assert check_folder(tmp_path, limit=2).read <= 2


def test_a_check_lists_every_fault_of_lists_and_captions(run, tmp_path, walk):
    for name in "abcd":
        walk.save(tmp_path / f"{name}.npz")
        (tmp_path / f"{name}.txt").write_text("a person walks\n")
    (tmp_path / "a.txt").write_bytes("ein Mann läuft".encode("cp1252"))
    (tmp_path / "train.txt").write_text("a\nb\nc\nnothing\n")
    (tmp_path / "val.txt").write_text("c\nd\n")
    code, out, _ = run("data", "check", tmp_path)
    assert code == 1 and out.count("problem ") == 3
    for words in ("a.txt', which is not", "1 of 4 lines of train.txt", "'c', which train.txt names too"):
        assert words in out
    assert "note         no clip is in the split test" in out and "4 .npz" in out
    # the same faults end a training, or are left out
    with pytest.raises(ValueError, match="UTF-8"):
        list_folder(tmp_path)
    records = list_folder(tmp_path, skip_bad=True).records
    assert {record.name: (record.split, bool(record.captions)) for record in records} == {
        "a": ("train", False),
        "b": ("train", True),
        "c": ("train", True),
        "d": ("val", True),
    }


def test_a_check_names_the_joints_that_a_rig_lacks(tmp_path, walk):
    text = walk.save(tmp_path / "whole.bvh").read_text()
    # without the toes of the right foot, the last but one leaf before the spine
    joints = re.findall(r"(?:ROOT|JOINT) (\S+)", text)
    header, rows = text.split("Frame Time:")
    header = re.sub(r"JOINT right_foot\s*\{[^{]*End Site\s*\{[^}]*\}\s*\}", "", header)
    first, *frames = rows.splitlines()
    start = 3 + 3 * joints.index("right_foot")
    frames = [" ".join(numbers[:start] + numbers[start + 3 :]) for numbers in map(str.split, frames)]
    (tmp_path / "toeless.bvh").write_text("\n".join([f"{header}Frame Time:{first}", *frames]))
    out = check_folder(tmp_path).text()
    assert "1 .bvh with 22 joints (pelvis, left_hip, left_knee, ...), all joints of SMPL22 found" in out
    assert "1 .bvh with 21 joints (pelvis, left_hip, left_knee, ...), no right_foot; export --show-mapping" in out


def test_a_wrong_vertical_axis_is_noticed(tmp_path):
    report = FolderReport("x", Listing([], [], ""), heights=[0.4, 0.5, 1.6])
    assert any("vertical axis" in problem for problem in report.problems)
    report.heights = [0.4, 1.5, 1.6]
    assert not any("vertical axis" in problem for problem in report.problems)
