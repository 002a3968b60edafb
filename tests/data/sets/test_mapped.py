"""Windows of clips on disk: the features of clips in memory, whatever is read of them; weights and files."""

import numpy as np
import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.sets.mapped import MappedClips, MappedWindows
from motionmillion.data.sets.windows import FeatureWindows, WholeClips
from motionmillion.features import get
from tests.data.conftest import row_of, write_set

CODEC = get("rot272")


def test_a_window_is_one_of_those_in_memory(table):
    windows = MappedWindows([table], CODEC, frames=16, copies=1)
    plain = FeatureWindows([table.clip(i) for i in range(8)], CODEC, frames=16, copies=1)
    torch.manual_seed(0)
    for item in range(len(windows)):
        features = windows[item]["features"]
        clip = int(windows.name(item).split()[1])
        ways = plain.clips[clip].unfold(0, 16, 1).mT  # [starts, 16, D]
        assert features.shape == (16, 272)
        assert (ways - features).abs().amax((1, 2)).min() < 2e-4  # one begins in the same frame
    assert len(windows) == sum(-(-table.clip(i).motion.num_frames // 16) for i in range(8))


def test_windows_are_drawn_by_torch_alone(table):
    windows = MappedWindows([table], CODEC, frames=16, copies=4, mixed=2)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(torch.cat([windows[item]["features"] for item in range(12)]))
    assert torch.equal(*draws) and torch.isfinite(draws[0]).all()
    torch.manual_seed(4)
    assert not torch.equal(windows[0]["features"], draws[0][:16])


@pytest.mark.parametrize("name", ["rot272", "rot276"])
def test_short_clips_and_other_frame_rates(tmp_path, name):
    motions = [synthesize("walk", 0, seconds=4).resample(60), synthesize("jump", 1).slice(0, 30)]
    table = write_set(tmp_path, [row_of(MotionClip(str(i), motion)) for i, motion in enumerate(motions)])
    windows = MappedWindows([table], get(name), frames=40)
    lengths = [windows[item]["features"].shape[0] for item in range(len(windows))]
    assert set(lengths[:-1]) == {40} and lengths[-1] < 40


def test_whole_clips_and_statistics(table):
    clips = [table.clip(i) for i in range(10)]
    mapped, plain = MappedClips([table], CODEC, "val"), WholeClips([clips[8]], CODEC)
    assert len(mapped.features) == 1 and torch.allclose(mapped.features[0], plain.features[0], atol=2e-4)
    windows = MappedWindows([table], CODEC, frames=16, copies=2, samples=3)
    found = list(windows.clips)
    assert len(found) == 6 and all(torch.equal(a, b) for a, b in zip(found, windows.clips, strict=True))
    assert all(
        features[:, CODEC.layout["positions"]].unflatten(1, (22, 3))[..., 1].min() > -1e-4 for features in found
    )
    with pytest.raises(ValueError, match="data must hold clips of the split 'vla', got none"):
        MappedClips([table], CODEC, "vla")


def test_files_are_blocks_and_sources_have_weights(table, tmp_path):
    windows = MappedWindows([table, table], CODEC, frames=16)
    assert windows.blocks[-1] == len(windows) and (np.diff(windows.blocks) > 0).all() and len(windows.blocks) == 6
    assert windows.weights() is None and windows.origin == [table.header["content"]] * 2
    rows = [row_of(MotionClip(str(i), synthesize("walk", i)), source="ab"[i % 2]) for i in range(5)]
    other = write_set(tmp_path, rows, sources={"a": {"weight": 3.0}, "b": {"weight": 1.0}})
    weights = MappedWindows([other], CODEC, frames=16).weights()
    of_a = np.repeat([True, False, True, False, True], np.diff(MappedWindows([other], CODEC, 16).ends, prepend=0))
    assert weights is not None and weights[torch.from_numpy(of_a)].sum() == pytest.approx(3)
    assert weights.sum() == pytest.approx(4)
