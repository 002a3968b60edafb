"""Weights of checkpoints that are mapped: what is read, and how often a file is opened for it."""

import pytest
import torch

from motionmillion.checkpoints import MappedState, open_state


def test_a_mapping_is_opened_again_only_after_many_bytes(tmp_path):
    weights = {f"layer{n}": torch.randn(100) for n in range(10)}  # 400 bytes each
    torch.save({"trans": weights}, tmp_path / "net.pth")
    opened = []

    def open_again():
        opened.append(1)
        return open_state(tmp_path / "net.pth", "trans")

    state = MappedState(open_again, most=1500)
    kept = {name: state[name] for name in weights}
    assert all(torch.equal(kept[name], weights[name]) for name in weights)
    assert len(opened) == 3  # four of them are more than 1500 bytes
    with pytest.raises(KeyError, match="layer99"):
        state["layer99"]
