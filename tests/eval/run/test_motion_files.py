"""Folders of foreign motions: names, formats, frame rates, and every check."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.eval.run.motion_files import MotionFolder
from motionmillion.motion import Motion

IDS = ["000", "001", "017"]


@pytest.fixture(scope="module")
def motion() -> Motion:
    return synthesize("walk", seed=1, seconds=2).canonicalize()


def folder_of(motion: Motion, folder: Path, *names: str) -> Path:
    """A folder with the same motion under each of the names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        motion.save(path)
    return folder


def test_files_named_by_id_anywhere_below(motion: Motion, tmp_path: Path):
    folder_of(motion, tmp_path, "017.npz", "a/000.bvh", "b/c/001.npy", "mean.npy", ".hidden/000.npz")
    (tmp_path / "000.txt").write_text("a person walks")
    folder = MotionFolder(tmp_path)
    assert folder.names() == ["017.npz", "a/000.bvh", "b/c/001.npy", "mean.npy"]
    assert folder.find(IDS) == {"000": ("a/000.bvh",), "001": ("b/c/001.npy",), "017": ("017.npz",)}
    for name in folder.names():
        sample = folder.read(name)
        assert sample.name == name and sample.motion.fps == pytest.approx(30, abs=1e-3)
        assert sample.positions.shape == (60, 22, 3)
        assert (sample.positions - motion.positions()).norm(dim=-1).mean() < 0.01


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["0.npz", "1.npz", "17.npz", "500.npz"], [("0.npz",), ("1.npz",), ("17.npz",)]),
        (["x-0000.npz", "x-0001.npz", "x-0002.npz"], [("x-0000.npz",), ("x-0001.npz",), ("x-0002.npz",)]),
        (
            ["000_0.npz", "000_1.npz", "000_10.npz", "000_2.npz", "1_0.npz", "017.npz"],
            [("000_0.npz", "000_1.npz", "000_2.npz", "000_10.npz"), ("1_0.npz",), ("017.npz",)],
        ),
    ],
)
def test_numbers_and_samples(motion: Motion, tmp_path: Path, names: list[str], found: list[tuple[str, ...]]):
    folder = MotionFolder(folder_of(motion, tmp_path, *names))
    assert folder.find(IDS) == dict(zip(IDS, found, strict=True))


def test_ids_that_are_no_numbers(motion: Motion, tmp_path: Path):
    ids = ["walk", "walk_1", "sit-0001"]
    exact = MotionFolder(folder_of(motion, tmp_path / "a", "walk.npz", "walk_1.npz", "sit-0001.npz"))
    assert exact.find(ids) == {"walk": ("walk.npz",), "walk_1": ("walk_1.npz",), "sit-0001": ("sit-0001.npz",)}
    places = MotionFolder(folder_of(motion, tmp_path / "b", "0.npz", "1.npz", "2.npz"))
    assert list(places.find(ids).values()) == [("0.npz",), ("1.npz",), ("2.npz",)]
    assert places.find(["sit-0001"], order=ids) == {"sit-0001": ("2.npz",)}


def test_joints_with_a_frame_rate_and_an_axis(motion: Motion, tmp_path: Path):
    x, y, z = motion.resample(20).positions().numpy().transpose(2, 0, 1)
    np.save(tmp_path / "000.npy", np.stack([x, -z, y], axis=-1))
    sample = MotionFolder(tmp_path, fps=20, up="z").read("000.npy")
    assert sample.motion.fps == 20
    assert torch.allclose(sample.positions, motion.resample(20).positions(), atol=1e-6)
    assert torch.allclose(sample.motion.positions(), sample.positions, atol=1e-4)


@pytest.mark.parametrize("representation", ["rot272", "rot276", "hml263"])
def test_features_by_their_own_positions_or_by_rotations(motion: Motion, tmp_path: Path, representation: str):
    path = motion.save(tmp_path / "000.npy", representation=representation)
    array = np.load(path)
    array[:, {"rot272": 9, "rot276": 126 + 2, "hml263": 3}[representation]] += 0.1  # height of the pelvis
    np.save(path, array)
    given = MotionFolder(tmp_path).read("000.npy")
    by_rotations = MotionFolder(tmp_path, route="rotations").read("000.npy")
    assert torch.equal(by_rotations.positions, by_rotations.motion.positions())
    height = motion.resample(given.motion.fps).positions()[: given.motion.num_frames, 0, 1]
    assert torch.allclose(given.positions[:, 0, 1], height + 0.1, atol=1e-5)
    if representation == "rot276":  # its rotations come with a translation of their own
        assert torch.allclose(by_rotations.positions[:, 0, 1], height, atol=1e-5)


def test_the_representation_may_be_named(motion: Motion, tmp_path: Path):
    motion.save(tmp_path / "000.npy", representation="rot276")
    direct = MotionFolder(tmp_path).read("000.npy")
    summed = MotionFolder(tmp_path, representation="rot276_velocity").read("000.npy")
    assert torch.allclose(direct.positions, summed.positions, atol=1e-5)
    with pytest.raises(ValueError, match=r"must have shape \[T, 263\] for hml263, got \(.*, 276\)"):
        MotionFolder(tmp_path, representation="hml263").read("000.npy")


def test_rates_may_differ_where_each_file_says_its_own(motion: Motion, tmp_path: Path):
    motion.resample(20).save(tmp_path / "000.npz")
    motion.save(tmp_path / "001.npy")
    folder = MotionFolder(tmp_path)
    assert [folder.read(name).motion.fps for name in folder.names()] == [20, 30]


def test_a_rate_for_files_without_one(motion: Motion, tmp_path: Path):
    path = motion.save(tmp_path / "000.npz")
    arrays = {key: value for key, value in np.load(path).items() if key != "mocap_framerate"}
    np.savez(path, **arrays)
    assert MotionFolder(tmp_path, fps=30).read("000.npz").motion.fps == 30
    with pytest.raises(ValueError, match=r"000\.npz' must hold its frame rate .* pass fps="):
        MotionFolder(tmp_path).read("000.npz")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["000.npz", "001.npz"],
            "cover all 3 prompts, got no file for 1 of them in .*: '017'; name files .*017.npz, or",
        ),
        (
            ["x.npz"],
            "got no file for 3 of them in .*: '000', '001', '017'; name files by the prompt's id, such as 000.npz$",
        ),
        (["000.npz", "000.bvh"], "must have one file for prompt '000', got '000.bvh' and '000.npz' in .*; remove one"),
        (["000.npz", "0.npz"], "must have one file for prompt '000', got '0.npz' and '000.npz'"),
        (["000.npz", "000_0.npz"], "must have one file for prompt '000', got '000.npz' and '000_0.npz'"),
        (["a/000_1.npz", "b/000_1.npz"], "one file for prompt '000', got 'a/000_1.npz' and 'b/000_1.npz'"),
        (["x-0000.npz", "y-0000.npz"], "one file for prompt '000', got 'x-0000.npz' and 'y-0000.npz'"),
        (["x-0003.npz"], "must be one per prompt, got number 3 in 'x-0003' for 3 prompts; name several samples"),
    ],
)
def test_names_that_do_not_fit(motion: Motion, tmp_path: Path, names: list[str], message: str):
    folder = MotionFolder(folder_of(motion, tmp_path, *names))
    with pytest.raises(ValueError, match=message) as error:
        folder.find(IDS)
    assert "\n" not in str(error.value)


def test_missing_motions_may_be_allowed(motion: Motion, tmp_path: Path):
    folder = MotionFolder(folder_of(motion, tmp_path, "001.npz"))
    assert folder.find(IDS, allow_missing=True) == {"001": ("001.npz",)}
    with pytest.raises(ValueError, match="got no file for 1 of them"):
        folder.find(["000"], allow_missing=True)
    with pytest.raises(
        ValueError, match="got no file for 99 of them in .*: '100', '101', '102', '103', '104', ...; name"
    ):
        folder.find([str(number) for number in range(100, 199)])


def test_folders_that_are_none(tmp_path: Path):
    with pytest.raises(ValueError, match="motions must be a folder of motion files, got '.*nowhere'"):
        MotionFolder(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="motions must hold files that end in one of .*'.npz'.* got none"):
        MotionFolder(tmp_path)
    with pytest.raises(ValueError, match="route must be"):
        MotionFolder(tmp_path, route="both")  # type: ignore[arg-type]


def test_files_that_cannot_be_scored(motion: Motion, tmp_path: Path):
    motion.save(tmp_path / "joints.npy", representation="joints")
    motion.save(tmp_path / "ours.npy")
    motion.save(tmp_path / "ours.bvh")
    array = np.load(tmp_path / "ours.npy")
    array[5, 0] = np.nan
    np.save(tmp_path / "broken.npy", array)
    poses = dict(np.load(motion.save(tmp_path / "broken.npz")))
    poses["trans"][3] = np.inf
    np.savez(tmp_path / "broken.npz", **poses)
    (tmp_path / "broken.bvh").write_text((tmp_path / "ours.bvh").read_text().replace("Frame Time", "Frame"))

    def refused(message: str, name: str, **options) -> None:
        with pytest.raises(ValueError, match=message) as error:
            MotionFolder(tmp_path, **options).read(name)
        assert name in str(error.value) and "\n" not in str(error.value)

    refused("fps must be given for joint positions", "joints.npy")
    refused("finite, got NaN or infinity in frame 5", "broken.npy")
    refused("finite, got NaN or infinity in frame 3", "broken.npz")
    refused("Frame", "broken.bvh")
    refused("path must name an existing file", "gone.npz")
    refused("fps must be 30 for rot272 features, got 20", "ours.npy", fps=20)
    refused("fps must be the frame rate of every file where it is given, got 20 and 30", "ours.bvh", fps=20)
    refused("up must be left out for rot272 features", "ours.npy", up="y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"representation": "foo"}, "representation must be one of .*rot272.*, joints, got 'foo'; leave it out"),
        ({"up": "x"}, "up must be .*, got 'x'; leave it out"),
        ({"fps": 0}, "fps must be a positive number of frames per second, got 0"),
        ({"fps": -20.0}, "fps must be a positive number .*, got -20"),
        ({"fps": float("nan")}, "fps must be a positive number .*, got nan"),
        ({"fps": "20"}, "fps must be a positive number .*, got '20'"),
    ],
)
def test_options_are_checked_whatever_the_files(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message) as error:
        MotionFolder(folder_of(motion, tmp_path, "000.npz"), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("representation", ["rot272", "rot276", "hml263"])
def test_features_that_are_still_normalised_are_refused(motion: Motion, tmp_path: Path, representation: str):
    path = motion.save(tmp_path / "000.npy", representation=representation)
    features = np.load(path)
    noise = np.random.default_rng(0).normal(size=features.shape)
    for values in (noise, (features - features.mean(0)) / (features.std(0) + 1e-3)):
        np.save(path, values.astype(np.float32))
        with pytest.raises(ValueError, match="000.npy' must be in physical units, .* add the mean$") as error:
            MotionFolder(tmp_path).read("000.npy")
        assert "\n" not in str(error.value)


def lying(motion: Motion) -> Motion:
    """On the back: turned about x, a right angle backwards."""
    turn = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(rotations=rotations)


def read_all(folder: MotionFolder) -> list[str]:
    """Warnings of reading everything in a folder."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in folder.names():
            folder.read(name)
        folder.warn_of_axis()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("up", "options"), [("z", {"up": "y"}), ("y", {"up": "z"})])
def test_most_bodies_along_another_axis_are_a_warning(motion: Motion, tmp_path: Path, up: str, options: dict):
    x, y, z = motion.positions().numpy().transpose(2, 0, 1)
    for number in range(3):
        np.save(tmp_path / f"00{number}.npy", np.stack([x, -z, y] if up == "z" else [x, y, z], axis=-1))
    (message,) = read_all(MotionFolder(tmp_path, fps=30, **options))
    assert f"in 3 of 3 the body extends along the other one; read them with --up {up}" in message
    assert "\n" not in message and read_all(MotionFolder(tmp_path, fps=30, up=up)) == []


def test_bodies_that_stand_about_another_axis_are_read_by_it(motion: Motion, tmp_path: Path):
    x, y, z = motion.positions().numpy().transpose(2, 0, 1)
    np.save(tmp_path / "000.npy", np.stack([x, -z, y], axis=-1))
    (message,) = read_all(MotionFolder(tmp_path, fps=30))
    assert "000.npy' stands along the z axis" in message and "\n" not in message


def test_some_people_lie(motion: Motion, tmp_path: Path):
    folder_of(motion, tmp_path, "000.npz", "001.npz")
    folder_of(lying(motion), tmp_path, "002.npz", "003.npz")
    assert read_all(MotionFolder(tmp_path)) == []
    folder_of(lying(motion), tmp_path, "004.npz")
    (message,) = read_all(MotionFolder(tmp_path))
    assert "in 3 of 5 the body extends along the other one" in message


def test_motions_too_short_for_accelerations_are_named(motion: Motion, tmp_path: Path):
    folder_of(motion.slice(0, 3), tmp_path, "000.npz")
    folder_of(motion.slice(0, 4), tmp_path, "001.npz")
    (message,) = read_all(MotionFolder(tmp_path))
    assert "000.npz' has 3 of the 4 frames that accelerations and jerks need" in message and "\n" not in message
