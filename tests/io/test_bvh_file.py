"""BVH files as tools really write them, and a campaign of damaged ones."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io import bvh_rows
from motionmillion.io.bvh import read_bvh, unwrapped, write_bvh
from motionmillion.io.bvh_file import BvhTree, parse_bvh
from motionmillion.io.bvh_rows import frame_rate, read_rows
from motionmillion.kinematics.rotations import axis_rotation
from motionmillion.motion import Motion

PROP = "ROOT prop\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"


@pytest.fixture
def text(motion: Motion, tmp_path: Path) -> str:
    return write_bvh(motion, tmp_path / "a.bvh").read_text()


def parts(text: str) -> tuple[str, list[str]]:
    """Everything up to the frame time, and the rows."""
    head, _, rows = text.partition("Frame Time: 0.0333333333\n")
    return f"{head}Frame Time: 0.0333333333\n", rows.splitlines()


def parsed(text: str | bytes) -> BvhTree:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return parse_bvh(text, "x.bvh")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("End Site", "End Site LeftToe"),
        lambda text: text.replace("End Site", "END SITE"),
        lambda text: text.replace("MOTION", "# a comment\nMOTION"),
        lambda text: "// made by hand\n" + text.replace("\nFrames", "\n; more\nFrames"),
        lambda text: text.replace("Frame Time: 0.0333333333\n", "Frame Time: 0.0333333333\n# rows\n"),
        lambda text: text + "\x00\x00\x1a",
        lambda text: text + "\x1a\r\n\n",
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(".", ","),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace(" ", "  \t"),
        lambda text: text.replace("Frame Time:", "Frame Time :"),
        lambda text: text.replace("\n", " \n"),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
    ],
)
def test_what_common_tools_read(text: str, change):
    expected, tree = parsed(text), parsed(change(text))
    assert tree.names == expected.names and tree.fps == expected.fps
    np.testing.assert_array_equal(tree.values, expected.values)
    assert tree.offsets == expected.offsets


def test_names_in_shift_jis(text: str):
    tree = parsed(text.replace("pelvis", "センター").encode("cp932"))
    assert tree.names[0] == "センター"


@pytest.mark.parametrize("count", ["0", "6", "25", "-1", "999999999999"])
def test_the_rows_that_are_there_are_read(text: str, count: str):
    with pytest.warns(UserWarning, match=f"announces {count} frames but holds 24; all 24 are read"):
        tree = parse_bvh(text.replace("Frames: 24", f"Frames: {count}"), "x.bvh")
    np.testing.assert_array_equal(tree.values, parsed(text).values)


@pytest.mark.parametrize("cut", [1, 2, 5, 300, 600])
def test_a_last_row_that_was_cut_off_is_dropped(text: str, cut: int):
    """Even if only the last digit is missing."""
    with pytest.warns(UserWarning, match="x.bvh ends within a frame; the 22 whole frames before it are read"):
        head, rows = parts(text)
        tree = parse_bvh(head + "\n".join(rows[:22]) + "\n" + rows[22][:-cut], "x.bvh")
    np.testing.assert_array_equal(tree.values, parsed(text).values[:22])


def test_no_whole_row_and_rows_of_other_lengths(text: str):
    head, rows = parts(text)
    with pytest.raises(ValueError, match="at least one frame of 69 values, got 20 values"):
        parse_bvh(head + " ".join(rows[0].split()[:20]), "x.bvh")
    with pytest.raises(ValueError, match="at least one frame of 69 values, got 0 values"):
        parse_bvh(head, "x.bvh")
    number = head.count("\n") + 3
    for row in (rows[2] + " 1", " ".join(rows[2].split()[:-1])):
        broken = head + "\n".join([*rows[:2], row, *rows[3:]])
        with pytest.raises(ValueError, match=rf"line {number}: a frame must be 69 values, got (70|68)"):
            parse_bvh(broken, "x.bvh")


def test_frames_that_are_wrapped_over_lines(text: str):
    head, rows = parts(text)
    wrapped = [" ".join(row.split()[:40]) + "\n" + " ".join(row.split()[40:]) for row in rows]
    np.testing.assert_array_equal(parsed(head + "\n".join(wrapped)).values, parsed(text).values)


@pytest.mark.parametrize("first", [True, False])
def test_props_are_left_out(text: str, first: bool):
    head, rows = parts(text)
    human, motion = head.removeprefix("HIERARCHY\n").split("MOTION", 1)
    bodies = f"{PROP}{human}" if first else f"{human}{PROP}"
    rows = [f"1 2 3 {row}" if first else f"{row} 1 2 3" for row in rows]
    with pytest.warns(UserWarning, match="has 2 hierarchies; only 'pelvis' is read, not 'prop'"):
        tree = parse_bvh(f"HIERARCHY\n{bodies}MOTION{motion}" + "\n".join(rows), "x.bvh")
    assert tree.names == parsed(text).names
    np.testing.assert_array_equal(tree.values, parsed(text).values)


@pytest.mark.parametrize(
    ("step", "fps"),
    [
        *[("0.016", 60), ("0.0166", 60), ("0.017", 60), ("0.03", 30), ("0.033", 30), ("0.04", 25), ("0.042", 24)],
        *[("0.041", 24), ("0.02", 50), ("0.01", 100), ("0.008", 120), ("0.0083", 120), ("8.333333e-03", 120)],
        *[("0.0119048", 84), ("0.0333667", 30000 / 1001), ("0.016683", 60000 / 1001), ("0.016000", 62.5)],
    ],
)
def test_rounded_frame_times(step: str, fps: float):
    assert frame_rate(step) == pytest.approx(fps, rel=1e-9)


def test_a_coarse_frame_time_gives_a_warning(text: str):
    with pytest.warns(UserWarning, match="frame time 0.016 is read as 60 frames per second.*62.5"):
        assert parse_bvh(text.replace("Time: 0.0333333333", "Time: 0.016"), "x.bvh").fps == 60.0


def test_rows_in_several_blocks(monkeypatch: pytest.MonkeyPatch):
    """Lines across the borders of blocks, against NumPy's own reader."""
    monkeypatch.setattr(bvh_rows, "_BLOCK", 5000)
    generator = np.random.default_rng(0)
    table = np.round(generator.normal(size=(50, 40)) * 100, 6)
    data = b"\n".join(b" ".join(b"%.6f" % value for value in row) for row in table)
    np.testing.assert_array_equal(read_rows(b"HEAD\n" + data, 5, 1, 40, str(len(table)), "x.bvh"), table)
    bad = data[: len(data) // 2].count(b"\n")
    broken = data.split(b"\n")
    broken[bad] = broken[bad].replace(b"1", b"x")
    with pytest.raises(ValueError, match=f"line {bad + 2}: a frame must be finite numbers"):
        read_rows(b"HEAD\n" + b"\n".join(broken), 5, 1, 40, str(len(table)), "x.bvh")


@pytest.mark.parametrize("form", ["%.6f", "%.2f", "%.0f", "%.9g", "%r", "%+.4f", "%.12f", "%e"])
def test_numbers_are_those_of_python(form: str):
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(60, 7)) * 10.0 ** generator.integers(-3, 4, size=(60, 7))
    words = [[form % value for value in row] for row in numbers.tolist()]
    data = "\n".join(" ".join(row) for row in words).encode()
    expected = np.array([[float(word) for word in row] for row in words])
    np.testing.assert_array_equal(read_rows(data + b"\n", 0, 0, 7, "60", "x.bvh"), expected)


@pytest.mark.parametrize("word", ["-", ".", "-.", "1.2.3", "1-2", "--1", "1e", "0x10", "1_0", "1f"])
def test_words_that_are_no_numbers(word: str):
    with pytest.raises(ValueError, match="line 2: a frame must be finite numbers"):
        read_rows(f"1 2 3\n1 {word} 3\n1 2 3\n".encode(), 0, 0, 3, "3", "x.bvh")
    for word in (".5", "5.", "-.5", "+5", "1e-3", "12345678901234567890", "0.1234567890123456789", "-0.0"):
        read = read_rows(f"1 {word} 3\n".encode(), 0, 0, 3, "1", "x.bvh")
        assert read[0, 1] == float(word)


def test_forward_kinematics_is_that_of_the_definition(text: str):
    tree = parsed(text)
    positions, rotations = tree.forward_kinematics()
    column = 0
    axes = {"x": 0, "y": 1, "z": 2}
    for joint, parent in enumerate(tree.parents):
        offset = np.tile(tree.offsets[joint], (24, 1))
        local = np.tile(np.eye(3), (24, 1, 1))
        for channel in tree.channels[joint]:
            value = tree.values[:, column]
            column += 1
            if channel.endswith("position"):
                offset[:, axes[channel[0]]] = value
            else:
                local = local @ axis_rotation(np.deg2rad(value), axes[channel[0]])
        if parent >= 0:
            offset = positions[:, parent] + (rotations[:, parent] @ offset[..., None])[..., 0]
            local = rotations[:, parent] @ local
        np.testing.assert_allclose(positions[:, joint], offset, atol=1e-9)
        np.testing.assert_allclose(rotations[:, joint], local, atol=1e-12)
    some = tree.forward_kinematics(slice(3, 9))
    np.testing.assert_array_equal(some[0], positions[3:9])


@pytest.mark.parametrize("step", [0.05, 1.0, 8.0])
def test_curves_are_unwrapped_frame_by_frame(step: float):
    """The same choice as one frame at a time: of both triples of angles the nearer one, by whole turns."""
    generator = np.random.default_rng(0)
    angles = np.cumsum(generator.normal(size=(200, 5, 3)) * step, axis=0)
    angles[..., 1] = np.arcsin(np.sin(angles[..., 1]))
    angles = (angles + np.pi) % (2 * np.pi) - np.pi
    expected = angles.copy()
    for frame in range(1, len(angles)):
        before = expected[frame - 1]
        both = (angles[frame], angles[frame] * [1.0, -1.0, 1.0] + np.pi)
        near = [a + 2 * np.pi * np.round((before - a) / (2 * np.pi)) for a in both]
        costs = [np.abs(choice - before).sum(-1, keepdims=True) for choice in near]
        expected[frame] = np.where(costs[0] <= costs[1], *near)
    np.testing.assert_allclose(unwrapped(angles), expected, atol=1e-9)


def _mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """One to three changes of a file."""
    for _ in range(int(generator.integers(1, 4))):
        lines = data.split(b"\n")
        kind, place = int(generator.integers(11)), int(generator.integers(len(lines)))
        other = int(generator.integers(len(lines)))
        if kind == 0:
            data = data[: int(generator.integers(len(data) + 1))]
        elif kind == 1 and data:
            at = int(generator.integers(len(data)))
            data = data[:at] + bytes([int(generator.integers(256))]) + data[at + 1 :]
        elif kind == 2:
            lines[place], lines[other] = lines[other], lines[place]
            data = b"\n".join(lines)
        elif kind == 3:
            data = b"\n".join(lines[:place] + lines[place + 1 :])
        elif kind == 4:
            data = b"\n".join([*lines[:place], lines[other], *lines[place:]])
        elif kind == 5:
            data = data.replace(b"Frames: 24", b"Frames: " + b"9" * int(generator.integers(1, 400)), 1)
        elif kind == 6:
            depth = int(generator.integers(1, 3000))
            nested = (
                b"JOINT j\n{\nOFFSET 0 1 0\nCHANNELS 0\n" * depth + b"End Site\n{\nOFFSET 0 1 0\n}\n" + b"}\n" * depth
            )
            data = data.replace(b"End Site\n", nested + b"End Site\n", 1)
        elif kind == 7:
            words = lines[place].split(b" ")
            word = [b"nan", b"1e999", b"-1e300", b"", b"{", b"}", b"1,5", b"CHANNELS", b"\xff"][
                int(generator.integers(9))
            ]
            words[int(generator.integers(len(words)))] = word
            data = b"\n".join([*lines[:place], b" ".join(words), *lines[place + 1 :]])
        elif kind == 8:
            data = data.replace(b"CHANNELS 3", b"CHANNELS " + b"9" * int(generator.integers(1, 30)), 1)
        elif kind == 9:
            data = data.replace(
                b"Frame Time: 0.0333333333",
                b"Frame Time: " + [b"1e-320", b"1e300", b"0", b"-1", b"0x1"][int(generator.integers(5))],
            )
        else:
            data = data.replace(b"left_", [b"right_", b"", b"x", b" "][int(generator.integers(4))])
    return data


@pytest.mark.parametrize("count", [40, pytest.param(4000, marks=pytest.mark.slow)])
def test_mutations_are_read_or_refused(text: str, tmp_path: Path, count: int):
    """Only `ValueError` of one line, or a motion of finite values."""
    generator = np.random.default_rng(count)
    path, refused = tmp_path / "b.bvh", 0
    for _ in range(count):
        path.write_bytes(_mutated(text.encode(), generator))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                motion = read_bvh(path)
            except ValueError as error:
                assert "\n" not in str(error)
                refused += 1
            else:
                assert bool(torch.isfinite(motion.positions()).all())
    assert 0 < refused < count
