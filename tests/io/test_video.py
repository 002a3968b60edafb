"""Videos and contact sheets hold a figure that moves, in the size that was asked for."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from motionmillion.io.actors import make_actor
from motionmillion.io.capsules import shade_capsules
from motionmillion.io.figure import COLORS, Figure
from motionmillion.io.render import Camera, _cast_shadow, draw_scene
from motionmillion.io.triangles import shade_triangles
from motionmillion.io.video import write_mp4, write_png
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

Image = pytest.importorskip("PIL.Image")


def colored(pixels: np.ndarray) -> tuple[int, int]:
    """Pixels of the body's warm left and of its cool right."""
    red, blue = pixels[..., 0].astype(int), pixels[..., 2].astype(int)
    return int((red - blue > 60).sum()), int((blue - red > 60).sum())


def test_figure_is_symmetric_and_begins_with_the_joints(motion: Motion):
    figure = Figure.of(SMPL22)
    points = figure.points(motion)
    np.testing.assert_allclose(points[:, :22], motion.positions().numpy(), atol=1e-5)
    sides = [limb.side for limb in figure.limbs]
    assert sides.count("left") == sides.count("right") > 5 and set(sides) <= set(COLORS)


def test_a_limb_seen_from_the_side_covers_its_outline():
    """Against the area of a capsule in closed form."""
    from motionmillion.io.figure import Limb

    figure = Figure(((0, (0.0, 0.0, 0.0)),), (Limb(0, 1, 0.1, 0.1, "left"),))
    camera = Camera((0.0, 1.0, 0.0), 0.0, 0.0, 10.0, (400, 400))
    points = np.array([[-0.3, 1.0, 0.0], [0.3, 1.0, 0.0]])
    _, covered, _ = shade_capsules(points, figure, camera)
    scale = camera.project(points, 2)[0, 3]
    expected = (0.6 * 0.2 + np.pi * 0.1**2) * scale**2
    assert abs((covered > 0).sum() - expected) < 0.02 * expected


def test_the_nearer_limb_hides_the_farther():
    from motionmillion.io.figure import Limb

    limbs = (Limb(0, 1, 0.1, 0.1, "left"), Limb(2, 3, 0.1, 0.1, "right"))
    figure = Figure(((0, (0.0, 0.0, 0.0)),) * 4, limbs)
    camera = Camera((0.0, 1.0, 0.0), 0.0, 0.0, 10.0, (100, 100))  # looks along -z
    points = np.array([[-0.3, 1, 0.5], [0.3, 1, 0.5], [-0.3, 1, -0.5], [0.3, 1, -0.5]])
    warm, cool = colored(shade_capsules(points, figure, camera)[0])
    assert warm > 100 and cool == 0


def test_a_triangle_covers_its_area_and_the_nearer_hides_the_farther():
    camera = Camera((0.0, 1.0, 0.0), 0.0, 0.0, 10.0, (400, 400))  # looks along -z
    near = np.array([[-0.3, 0.8, 0.2], [0.3, 0.8, 0.2], [0.0, 1.4, 0.2]])
    far = np.array([[-0.6, 0.7, -0.4], [0.6, 0.7, -0.4], [0.0, 1.9, -0.4]])
    vertices, faces = np.concatenate([near, far]), np.array([[0, 1, 2], [3, 4, 5]])
    normals, colors = np.tile([0.0, 0.0, 1.0], (6, 1)), np.array([[200.0, 60, 60], [60, 60, 200]])
    color, covered, _ = shade_triangles(vertices, normals, faces, colors, camera)
    width, height = (camera.project(far, 2)[:, axis] for axis in (0, 1))
    expected = (width.max() - width.min()) * (height.max() - height.min()) / 2
    assert abs((covered > 0).sum() - expected) < 0.01 * expected
    warm, cool = colored(color)
    scale = camera.project(near, 2)[0, 3]
    assert abs(warm - 0.6 * 0.6 / 2 * scale**2) < 0.02 * warm and cool == (covered > 0).sum() - warm
    # the other way round, both face away
    assert not shade_triangles(vertices, normals, faces[:, ::-1], colors, camera)[1].any()


def test_a_surface_bulges_in_the_light():
    """Brighter where its normal points up to the left, where the light is, than down to the right."""
    camera = Camera((0.0, 1.0, 0.0), 0.0, 0.0, 10.0, (100, 100))
    corners = np.array([[-0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.5, 1.5, 0.0], [-0.5, 1.5, 0.0]])
    normals = (corners - [0.0, 1.0, -1.0]) / np.linalg.norm(corners - [0.0, 1.0, -1.0], axis=1, keepdims=True)
    faces, colors = np.array([[0, 1, 2], [0, 2, 3]]), np.full((2, 3), 120.0)
    color, covered, _ = shade_triangles(corners, normals, faces, colors, camera)
    rows, columns = np.nonzero(covered)
    picture = color[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0].astype(float)
    half, middle = picture.shape[0] // 4, picture.shape[1] // 4
    assert picture[:half, :middle].mean() > picture[-half:, -middle:].mean() + 20


def test_the_human_stands_where_the_mannequin_stands(motion: Motion):
    human, mannequin = make_actor(motion), make_actor(motion, "mannequin")
    camera = Camera.around(motion, mannequin.points, mannequin.points[:, 0], (160, 200))
    pictures = []
    for actor in (human, mannequin):
        _, covered, (left, top) = actor.shade(0, camera)
        picture = np.zeros((400, 320), dtype=bool)
        picture[top : top + covered.shape[0], left : left + covered.shape[1]] = covered > 0
        pictures.append(picture)
    both, either = np.logical_and(*pictures).sum(), np.logical_or(*pictures).sum()
    assert both > 0.6 * either
    assert draw_scene(human, 0, camera).size == (160, 200)
    with pytest.raises(ValueError, match="body must be"):
        make_actor(motion, "robot")


def test_the_shadow_is_that_of_the_body(motion: Motion):
    """On the floor it lies where the sun puts the limbs: raised arms lengthen it, and a jump moves it away."""
    actor = make_actor(motion, "mannequin")
    camera = Camera.around(motion, actor.points, actor.points[:, 0], (240, 240), azimuth=0.0)

    def shadow(points: np.ndarray) -> np.ndarray:
        image = Image.new("RGB", (480, 480), (255, 255, 255))
        _cast_shadow(image, points, actor.figure, camera.at(points[0]))
        return np.asarray(image)[..., 0] < 240

    feet = actor.points[0]
    low, high = shadow(feet), shadow(feet + np.array([0.0, 0.5, 0.0]))
    assert 500 < low.sum() and abs(int(high.sum()) - int(low.sum())) < 0.3 * low.sum()
    # to the right, and up in the picture, which is away on the floor
    middle = [np.argwhere(mask).mean(0) for mask in (low, high)]
    assert middle[1][1] > middle[0][1] + 20 and middle[1][0] < middle[0][0] - 5
    # there is a gap between the shadows of two legs apart
    apart = feet.copy()
    legs = [SMPL22.index(name) for name in ("left_knee", "left_ankle", "left_foot")]
    apart[legs] += (apart[SMPL22.index("left_hip")] - apart[SMPL22.index("right_hip")]) * 4
    rows = shadow(apart)
    runs = (np.diff(rows.astype(int), axis=1) == 1).sum(1)
    assert (runs >= 2).sum() > 5


def test_contact_sheet(motion: Motion, tmp_path: Path):
    path = write_png(motion, tmp_path / "wave.png", columns=4, rows=2, cell=(120, 150), body="mannequin")
    assert os.listdir(tmp_path) == ["wave.png"]
    sheet = np.asarray(Image.open(path).convert("RGB"))
    assert sheet.shape[1] == 4 * 122 + 2 and sheet.shape[0] > 2 * 152
    cells = [sheet[-304 + 152 * row :][:150, 2 + 122 * column :][:, :120] for row in (0, 1) for column in range(4)]
    for cell in cells:
        assert min(colored(cell)) > 60
    for first, second in zip(cells, cells[1:], strict=False):
        assert np.abs(first.astype(int) - second).mean() > 0.5


def test_contact_sheet_of_one_frame_and_of_a_long_caption(motion: Motion, tmp_path: Path):
    path = write_png(motion.slice(0, 1), tmp_path / "wave.png", cell=(100, 100), caption="long words " * 200)
    with Image.open(path) as sheet:
        assert sheet.size[0] > 100


def test_video(motion: Motion, tmp_path: Path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = write_mp4(motion, tmp_path / "wave.mp4", size=(160, 128), fps=10, body="mannequin")
    assert os.listdir(tmp_path) == ["wave.mp4"]
    reader = ffmpeg.read_frames(str(path))
    meta = next(reader)
    frames = [np.frombuffer(frame, np.uint8).reshape(128, 160, 3) for frame in reader]
    assert meta["size"] == (160, 128) and meta["fps"] == 10 and len(frames) == 8
    assert all(min(colored(frame)) > 40 for frame in frames)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (161, 128)}, "size must be two even numbers"),
        ({"size": (16, 16)}, "size must be two even numbers"),
        ({"size": (128,)}, "size must be two even numbers"),
        ({"fps": 0}, "fps must be"),
    ],
)
def test_wrong_video_options_leave_no_file(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_mp4(motion, tmp_path / "wave.mp4", **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"columns": 0}, "columns and rows"), ({"rows": 999}, "columns and rows"), ({"cell": (8, 8)}, "cell must be")],
)
def test_wrong_sheet_options_leave_no_file(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_png(motion, tmp_path / "wave.png", **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("missing", "suffix"), [("PIL.Image", ".png"), ("PIL.Image", ".mp4"), ("imageio_ffmpeg", ".mp4")]
)
def test_missing_packages_are_named_with_the_remedy(
    motion: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, suffix: str
):
    monkeypatch.setitem(sys.modules, missing, None)  # what Python itself does for a package that cannot be imported
    with pytest.raises(ImportError, match=r'must be installed .* pip install "motionmillion\[demo\]"') as error:
        motion.slice(0, 2).save(tmp_path / f"wave{suffix}")
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []
