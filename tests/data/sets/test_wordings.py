"""Captions that are held out are never drawn in training, and alone in their evaluation."""

from typing import Any

import torch

from motionmillion.data.sets.sequences import Sequences, Version
from motionmillion.data.sets.tokens import TokenDataset
from motionmillion.data.sets.wordings import Wordings


class Echo:
    """Features of a caption that tell which one it is."""

    def __init__(self, captions: list[str]) -> None:
        self.numbers = {text: number for number, text in enumerate(captions)}

    def __getitem__(self, text: str) -> torch.Tensor:
        return torch.tensor([[self.numbers[text]]])


def data_set() -> tuple[TokenDataset, list[str]]:
    """Thirty clips of two versions with captions of their own and one in common, and a clip with a single caption."""
    versions = []
    for clip in range(30):
        for_clip = [(f"walk {clip} {n}", f"step {clip} {n}", "a person moves") for n in range(2)]
        whole = clip % 2 == 0
        part = () if whole else (f"part {clip}",)
        versions.append([Version(own, part, ("a", "b", "a"), whole) for own in for_clip])
    versions.append([Version(("alone",), (), ("a",))])
    captions = list(dict.fromkeys(text for own in versions for v in own for text in (*v.captions, *v.own_captions)))
    codes = [[torch.arange(3)] * len(own) for own in versions]
    groups = {"category": [None] * len(versions)}
    sequences = Sequences(codes, versions, groups, [str(n) for n in range(len(versions))])
    return TokenDataset.of(sequences, Echo(captions), 0.5, {"a": 1.0, "b": 1.0}), captions


def drawn(dataset: Any, captions: list[str]) -> set[str]:
    torch.manual_seed(0)
    samples = (dataset[item] for _ in range(300) for item in range(len(dataset)))
    return {captions[int(sample["text"])] for sample in samples}


def test_what_is_held_out_is_drawn_in_its_evaluation_alone():
    dataset, captions = data_set()
    assert drawn(dataset, captions) == set(captions)
    wordings = Wordings.of(dataset, 0.3, seed=1)
    dataset.wordings = wordings
    held_out = {text for text in captions if wordings.held_out(text)}
    assert 0.15 < len(held_out) / len(captions) < 0.45
    assert drawn(dataset, captions) == set(captions) - held_out
    assert drawn(wordings.unseen(dataset, 0), captions) == held_out
    assert len(wordings.unseen(dataset, 5)) == 5


def test_a_clip_keeps_a_caption():
    dataset, captions = data_set()
    wordings = Wordings.of(dataset, 1.0, seed=0)
    assert not any(map(wordings.held_out, captions))  # all would be held out of all clips
    assert all(Wordings.of(dataset, share, 0).held_out("alone") is False for share in (0.2, 0.6, 0.9))


def test_seeds_hold_out_other_captions():
    dataset, captions = data_set()
    chosen = [{text for text in captions if Wordings.of(dataset, 0.3, seed).held_out(text)} for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
