"""Pictures for judges: how many, how large, and without the caption."""

import base64
import io

import numpy as np
import pytest

from motionmillion.chat.endpoint import jpeg
from motionmillion.data.synthetic.clips import synthesize
from motionmillion.eval.judges.pictures import Rendering
from motionmillion.motion import Motion

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def wave() -> Motion:
    return synthesize("wave", seed=0, seconds=2)


def test_frames(wave):
    shown = Rendering(fps=5, size=64).show(wave)
    assert len(shown.pictures) == 10 and {picture.size for picture in shown.pictures} == {(64, 64)}
    assert "10 pictures" in shown.note and "2.0 seconds, 5 a second" in shown.note
    still = Rendering(size=64).show(wave.slice(0, 1))
    assert len(still.pictures) == 1
    slow = Rendering(fps=5, size=64).show(wave.resample(2))  # is not shown more often than it has frames
    assert len(slow.pictures) == 4 and "2 a second" in slow.note


def test_a_long_motion_is_shown_in_fewer_frames(wave):
    shown = Rendering(fps=30, size=64, most=7).show(wave)
    assert len(shown.pictures) == 7


def test_a_sheet_is_one_picture(wave):
    shown = Rendering(size=128, sheet=True).show(wave)
    assert len(shown.pictures) == 1 and shown.pictures[0].size[0] > 6 * 64 and "row by row" in shown.note
    assert Rendering(size=128, sheet=True).show(wave.slice(0, 1)).pictures[0].size[0] < 2 * 80


@pytest.mark.parametrize("sheet", [False, True])
def test_captions_are_never_drawn(wave, sheet):
    rendering = Rendering(size=64, sheet=sheet)
    plain, titled = rendering.show(wave), rendering.show(wave.replace(caption="a person waves"))
    for first, second in zip(plain.pictures, titled.pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_pictures_travel_as_jpeg(wave):
    picture = Rendering(size=64).show(wave).pictures[0]
    with Image.open(io.BytesIO(base64.b64decode(jpeg(picture)))) as read:
        assert read.format == "JPEG" and read.size == (64, 64)
        assert np.abs(np.asarray(read).astype(int) - np.asarray(picture)).mean() < 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps must be 0.1 to 60"),
        ({"fps": float("nan")}, "fps must be a number"),
        ({"size": 8}, "size must be 64 to 2048"),
        ({"size": 99.5}, "size must be a whole number"),
        ({"most": 0}, "most must be a whole number"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Rendering(**options)
