"""Data sets and collators reach workers that are started anew (spawn: Windows, macOS), and draw the same there."""

import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from motionmillion import features
from motionmillion.data import synthetic_clips
from motionmillion.data.sets.flow_pairs import FlowPairs, Source, collate_flow
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.pairs import PairDataset, collate_pairs
from motionmillion.data.sets.texts import TextBank
from motionmillion.data.sets.tokens import TokenCollator, TokenDataset
from motionmillion.data.sets.windows import FeatureWindows, WholeClips, collate_features
from motionmillion.training.order import SeededCollator, SeededDataset, Visit, Visits


@pytest.fixture(scope="module")
def clips():
    return synthetic_clips(4, seed=0)


def same(ours: object, theirs: object) -> bool:
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(same(value, theirs[key]) for key, value in ours.items())
    return torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


@pytest.fixture(scope="module")
def kinds(clips, text_encoder, tiny_tokenizer):
    """Each data set of the trainers with its collator."""
    rot272, rot276 = features.get("rot272"), features.get("rot276")
    texts = TextBank([caption for clip in clips for caption in clip.captions], text_encoder)
    tokens = TokenDataset(clips, tiny_tokenizer, text_encoder)
    plain = TokenCollator(end=125, pad=126, caption_dropout=0.5)
    return {
        "windows": (FeatureWindows(clips, rot272, frames=32), collate_features),
        "whole clips": (WholeClips(clips, rot272), collate_features),
        "pairs": (PairDataset(clips, rot272, text_encoder, texts=texts), collate_pairs),
        "flow pairs": (FlowPairs([Source(clips)], rot276, text_encoder, text_dropout=0.5, texts=texts), collate_flow),
        "tokens": (tokens, plain),
        "packed tokens": (tokens, PackedCollator(plain, row=200)),
    }


NAMES = ["windows", "whole clips", "pairs", "flow pairs", "tokens", "packed tokens"]


@pytest.mark.parametrize("name", NAMES)
def test_they_can_be_sent_to_a_new_process(name, kinds):
    dataset, collate = SeededDataset(kinds[name][0]), SeededCollator(kinds[name][1])
    there, collate_there = pickle.loads(pickle.dumps((dataset, collate)))
    visits = [Visit(index, 7 + index) for index in range(2)]
    ours, theirs = [dataset[visit] for visit in visits], [there[visit] for visit in visits]
    assert same(collate(ours), collate_there(theirs))


@pytest.mark.slow
def test_workers_that_are_spawned_give_the_same_batches(kinds):
    dataset: Dataset = SeededDataset(kinds["pairs"][0])

    def batches(**workers):
        loader = DataLoader(
            dataset,
            batch_size=2,
            sampler=Visits(len(kinds["pairs"][0]), seed=0),
            collate_fn=SeededCollator(collate_pairs),
            **workers,
        )
        return list(loader)

    here, spawned = batches(), batches(num_workers=1, multiprocessing_context="spawn")
    assert len(here) == len(spawned) > 0
    assert all(same(ours, theirs) for ours, theirs in zip(here, spawned, strict=True))
