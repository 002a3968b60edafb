"""Where to go, with a language model: candidates and correction onto the path; what cannot be asked."""

import pytest
import torch

from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.kinematics.path_following import covered
from motionmillion.motion import Motion
from motionmillion.pipeline.ways import Way, on_way

CORNER = [(0, 0), (0, 2), (1.5, 3)]


@pytest.mark.filterwarnings("ignore:the model moves")
def test_a_motion_on_a_path(tiny_pipeline):
    motion = tiny_pipeline("a person walks", seconds=2, path=CORNER, candidates=2)[0]
    assert motion.num_frames == 60 and motion.caption == "a person walks"
    free = tiny_pipeline("a person walks", seconds=2)[0]  # of random weights: it shakes more than it walks
    errors = [path_error(each, FloorPath.of(CORNER)).mean for each in (motion, free)]
    assert errors[0] < 0.15 and errors[0] < 0.2 * errors[1]
    again = tiny_pipeline.sample(["a person walks", "a person runs"], [0, 1], 2, path=CORNER, candidates=2)
    # the company in a batch changes nothing
    assert torch.equal(again[0].rotations, motion.rotations)


@pytest.mark.filterwarnings("ignore:the model moves")
def test_lengths(tiny_pipeline):
    timed = tiny_pipeline("a person walks", path=[(0, 0, 0), (1.5, 0, 1)], candidates=1)[0]
    assert timed.num_frames == 45
    walked = tiny_pipeline("a person walks", path=[(0, 0), (0, 1.3)], candidates=1)[0]
    assert walked.num_frames == 30
    straight = tiny_pipeline("a person walks", seconds=2, speed=1.0, candidates=1)[0]
    assert float(straight.translation[-1, 2]) == pytest.approx(2.0, abs=0.1)
    left = tiny_pipeline("a person walks", seconds=2, speed=1.0, turn=90, candidates=1)[0]
    assert float(left.translation[-1, 0]) > 1.0


def test_the_bundled_model_on_a_path(text_encoder):
    """The error to the path before and after, in metres, and feet that stay on the floor."""
    from motionmillion.kinematics.faults import find_faults
    from motionmillion.pipeline import MotionPipeline

    pipe = MotionPipeline.from_pretrained("mini")
    path = FloorPath.of([(0, 0), (0, 2.5), (2.5, 3.0)])
    free = pipe("a person walks forward", seconds=4)[0]
    held = pipe("a person walks forward", seconds=4, path=path, candidates=4)[0]
    assert path_error(held, path).mean < 0.05 < 0.3 < path_error(free, path).mean
    assert find_faults(held).sliding < find_faults(free).sliding


def test_a_path_far_from_what_the_model_does_warns():
    still = Motion(torch.eye(3).repeat(60, 22, 1, 1), torch.tensor([[0.0, 0.95, 0.0]]).repeat(60, 1))
    way = Way.of(path=[(0, 0), (0, 4)], seconds=2)
    assert way is not None and covered(still) < 0.01
    with pytest.warns(UserWarning, match=r"the model moves 0\.0 m in 2 s where the path is 4\.0 m long, so feet may"):
        on_way([still], way)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"path": [(0, 0), (0, 40)], "seconds": 3},
            r"got 40\.0 m in 3 s, which needs 13\.3 m/s \(at most 7\); give it 5",
        ),
        ({"path": [(0, 0, 0), (9, 1, 1)], "seconds": 3}, "seconds must be left out with a path that has times"),
        ({"path": CORNER, "turn": 90}, "turn must be left out with path"),
        ({"path": CORNER, "speed": 1, "seconds": 3}, "speed must be left out with path and seconds"),
        ({"path": [(0, 0), (0, 900)]}, "seconds must be above 0 and at most 60"),
        ({"speed": 12}, "speed must be at most 7 m/s, got 12"),
        ({"speed": "fast"}, "speed must be"),
        ({"turn": float("nan"), "speed": 1}, "turn must be a number of degrees"),
        ({"turn": 90}, "turn must come with a speed above 0 for a language model"),
        ({"facing": 90}, "facing must be left out for a language model, got 90"),
        ({"path": CORNER, "candidates": 0}, "candidates must be"),
    ],
)
def test_what_cannot_be_asked(tiny_pipeline, asked: dict, message: str):
    with pytest.raises(ValueError, match=message):
        tiny_pipeline("a person walks", **asked)


def test_a_prefix_has_its_own_way(tiny_pipeline):
    still = Motion(torch.eye(3).repeat(60, 22, 1, 1), torch.tensor([[0.0, 0.95, 0.0]]).repeat(60, 1))
    with pytest.raises(ValueError, match="path, speed and turn must be left out with prefix"):
        tiny_pipeline("a person walks", prefix=still, path=CORNER)


def test_no_way():
    assert Way.of() is None
    way = Way.of(turn=90.0, seconds=2.0)
    assert way is not None and way.path is None and way.turns
    assert way.places(41, 20.0)[1][-1] == pytest.approx(1.5708, abs=0.05)
