"""Boxes, confidence and transitions, on tracks that are made for the purpose."""

import numpy as np
import pytest

from motionmillion.curation.boxes import filled, overlaps, read_mot, without_doubles
from motionmillion.curation.clips import Clip, Verdict
from motionmillion.curation.confidence import Confidence, ConfidenceOptions
from motionmillion.curation.transitions import TransitionOptions, Transitions, box_moves, sudden
from motionmillion.curation.video import Video, write_video


def test_overlaps_and_doubles():
    boxes = np.array([[0, 0, 10, 10, 0.5], [1, 0, 11, 10, 0.9], [20, 0, 30, 10, 0.4]], float)
    assert np.allclose(overlaps(boxes, boxes), [[1, 9 / 11, 0], [9 / 11, 1, 0], [0, 0, 1]])
    assert without_doubles(boxes)[:, 4].tolist() == [0.9, 0.4]
    assert without_doubles(boxes[:0]).shape == (0, 5)


def test_boxes_of_other_trackers_are_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1,7,10,20,30,40,0.8,-1,-1,-1\n3,7,14,20,30,40,1,-1,-1,-1\n")
    boxes = read_mot(path, 4)[7]
    assert boxes[0].tolist() == [10, 20, 40, 60, 0.8] and np.isnan(boxes[1, 0]) and boxes[1, 4] == 0
    whole = filled(boxes)
    assert whole[1].tolist() == [12, 20, 42, 60, 0] and whole[3].tolist() == [14, 20, 44, 60, 0]
    for line, message in (("1,7,10", "boxes must be numbers"), ("5,1,0,0,1,1,1", "must be 1 to 4, got 5")):
        path.write_text(line + "\n")
        with pytest.raises(ValueError, match=message):
            read_mot(path, 4)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Video:
    """Sixty frames: a bright square in the left half, after frame 40 a dark one in the right half."""
    pictures = []
    for number in range(60):
        picture = np.full((80, 160, 3), 128, np.uint8)
        left = 20 + number // 4 if number < 40 else 100
        picture[20:60, left : left + 30] = 230 if number < 40 else 20
        pictures.append(picture)
    return Video.open(write_video(tmp_path_factory.mktemp("video") / "v.mp4", pictures, 30))


def track(video: Video, scores: np.ndarray | float = 0.9, jump: bool = False) -> Clip:
    boxes = np.tile([20.0, 20, 50, 60, 0], (60, 1))
    boxes[:, [0, 2]] += (np.arange(60) // 4)[:, None]
    if jump:
        boxes[40:, :4] = (100, 20, 130, 60)
    boxes[:, 4] = scores
    return Clip(video.key, 0, 60, video.fps).with_boxes(1, boxes)


def reasons(verdict: Verdict) -> dict[str, int]:
    return dict(verdict.reasons())


def test_only_certain_frames_are_kept(video, tmp_path):
    scores = np.full(60, 0.9)
    scores[10:12], scores[45:50] = 0.1, 0.1
    stage = Confidence(ConfidenceOptions(height=0.3), tmp_path)
    verdict = stage(video, [track(video, scores)])
    assert [(clip.start, clip.stop) for clip in verdict.kept] == [(0, 45)]
    assert reasons(verdict) == {"low confidence": 1, "too short": 1}
    assert reasons(stage(video, [track(video, 0.35)])) == {"low confidence": 1}
    assert reasons(Confidence(ConfidenceOptions(height=0.6), tmp_path)(video, [track(video)])) == {"too small": 1}
    below = Clip(video.key, 0, 60, video.fps).with_boxes(1, np.tile([20.0, 30, 50, 80, 0.9], (60, 1)))
    assert reasons(stage(video, [below])) == {"cut off by the picture": 1}


def test_clips_are_divided_at_jumps(video, tmp_path):
    stage = Transitions(TransitionOptions(shortest=0.5), tmp_path)
    verdict = stage(video, [track(video, jump=True)])
    assert [(clip.start, clip.stop) for clip in verdict.kept] == [(0, 40), (40, 60)]
    assert set(reasons(verdict)) == {"box jumps", "picture changes"}
    assert verdict.kept[1].boxes == verdict.kept[1].part(0, 20).boxes and len(verdict.kept[1].boxes) == 20
    # the same boxes, while the picture in them changes
    still = stage(video, [track(video)])
    assert [(clip.start, clip.stop) for clip in still.kept] == [(0, 40), (40, 60)]
    assert set(reasons(still)) == {"picture changes"}


def test_steady_speed_is_no_jump():
    boxes = np.tile([0.0, 0, 10, 20, 1], (30, 1))
    boxes[:, [0, 2]] += 8.0 * np.arange(30)[:, None]  # a run: fast, but steadily
    assert np.allclose(box_moves(boxes), 0.4)
    assert not sudden(box_moves(boxes), 0.25, 4.0).any()


def test_results_survive_json(video):
    verdict = Verdict([track(video)], [], "")
    assert Verdict.from_json(verdict.to_json()) == verdict
