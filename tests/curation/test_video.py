"""Videos: frame numbers, rates, damage."""

import numpy as np
import pytest

from motionmillion.curation.video import Video, VideoError, video_key, write_video


def grey(frames: int) -> list[np.ndarray]:
    """Pictures whose brightness is their number."""
    return [np.full((48, 64, 3), 2 * number, np.uint8) for number in range(frames)]


def test_any_frame_is_read_by_its_number(tmp_path):
    path = write_video(tmp_path / "a.mp4", grey(100), 29.97, crf=1)
    video = Video.open(path)
    assert (video.frames, video.width, video.height) == (100, 64, 48) and abs(video.fps - 29.97) < 0.01
    for start, stop, step in ((0, 100, 1), (37, 60, 1), (90, 100, 4), (99, 100, 1)):
        seen = [float(picture.mean()) / 2 for picture in video.read(start, stop, step)]
        assert np.abs(np.array(seen) - np.arange(start, stop, step)).max() < 1.1, (start, stop)


def test_keys_differ_by_name_and_content(tmp_path):
    paths = [
        write_video(tmp_path / name, grey(count), 30) for name, count in (("a b.mp4", 5), ("c.mp4", 5), ("d.mp4", 6))
    ]
    keys = [video_key(path) for path in paths]
    assert len(set(keys)) == 3 and keys[0].startswith("a_b-") and keys[0][-8:] == keys[1][-8:] != keys[2][-8:]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
def test_a_video_that_is_cut_off_is_an_error(tmp_path, kept):
    rough = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3)).astype(np.uint8)
    data = write_video(tmp_path / "a.mp4", rough, 30).read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: int(kept * len(data))])
    with pytest.raises(VideoError, match="video must be .*b.mp4"):
        Video.open(tmp_path / "b.mp4")


def test_a_transport_stream_that_is_damaged_is_an_error(tmp_path):
    rough = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3)).astype(np.uint8)
    data = bytearray(write_video(tmp_path / "a.ts", rough, 30).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20000] = bytes(20000)
    (tmp_path / "b.ts").write_bytes(bytes(data))
    with pytest.raises(VideoError, match="damaged frame|must be readable"):
        list(Video.open(tmp_path / "b.ts").read())


def test_what_is_no_video_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_text("words")
    with pytest.raises(VideoError, match="must be readable, got 'a.mp4'"):
        Video.open(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="at least one"):
        write_video(tmp_path / "b.mp4", [], 30)
    assert not (tmp_path / "b.mp4").exists()
