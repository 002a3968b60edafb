"""Samples of MotionDiT: branches and their shares, what is trusted, windows, padding, and every check."""

import math

import pytest
import torch

from motionmillion.data import MotionClip, synthetic_clips
from motionmillion.data.sets.flow_pairs import FlowPairs, Source, collate_flow
from motionmillion.data.sets.references import Corruption
from motionmillion.features import get
from motionmillion.features.stats import FeatureStats, feature_stats

ROT276 = get("rot276")
REFERENCE = ("rotations", "root_rotation", "heading_change")


@pytest.fixture(scope="module")
def clips() -> list[MotionClip]:
    return [clip for clip in synthetic_clips(12, 0) if clip.captions]


class Words(dict):
    """Text features by caption: as many words as it has, each the caption's own number."""

    def __missing__(self, text: str) -> torch.Tensor:
        return torch.full((len(text.split()), 3), float(len(text)))


def pairs(sources: list[Source], **options) -> FlowPairs:
    options = {"reference_blocks": REFERENCE, "texts": Words(), **options}
    dataset = FlowPairs(sources, ROT276, None, **options)  # type: ignore[arg-type]
    dataset.normalize(feature_stats((f for own in dataset.features for f in own), ROT276.layout))
    return dataset


def draws(dataset: FlowPairs, count: int, item: int = 0) -> list[dict]:
    torch.manual_seed(0)
    return [dataset[item] for _ in range(count)]


def share(values: list[bool]) -> float:
    return sum(values) / len(values)


def test_branches_and_dropout_have_their_shares(clips):
    few, many = Source(clips[:2], text_share=0.3), Source(clips[2:4], text_share=0.9)
    dataset = pairs([few, many], text_dropout=0.25)
    for item, expected in ((0, 0.3), (3, 0.9)):
        found = draws(dataset, 600, item)
        told = [not sample["use_reference"] for sample in found]
        assert share(told) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 600))
        dropped = [not len(sample["text"]) for sample, by_text in zip(found, told, strict=True) if by_text]
        assert share(dropped) == pytest.approx(0.25, abs=4 * math.sqrt(0.19 / len(dropped)))
        for sample, by_text in zip(found, told, strict=True):
            assert sample["reference"].any() == (not by_text)
            assert by_text or not len(sample["text"])  # one condition at a time


def test_a_reference_is_the_motion_itself_spoiled(clips):
    clean = pairs([Source(clips[:1], text_share=0.0)])
    sample = clean[0]
    blocks = torch.cat([sample["labels"][:, ROT276.layout[name]] for name in REFERENCE], dim=1)
    assert torch.equal(sample["reference"], blocks) and blocks.shape[1] == 138
    spoiled = pairs([Source(clips[:1], text_share=0.0)], corruption=Corruption())
    found = draws(spoiled, 20)
    assert all(torch.equal(each["labels"], sample["labels"]) for each in found)  # never the target
    assert sum(not torch.equal(each["reference"], blocks) for each in found) == 20


def test_every_source_is_trusted_for_its_own_blocks(clips):
    video = Source(clips[:1], 0.5, trusted_text=["rotations"], trusted_reference=["positions", "root_velocity"])
    dataset = pairs([video, Source(clips[1:2], 0.5)])
    kinds = set()
    for sample in draws(dataset, 40):
        trusted = sample["feature_mask"].nonzero().flatten().tolist()
        kinds.add(sample["use_reference"])
        expected = [*range(126, 192), *range(273, 276)] if sample["use_reference"] else [*range(126)]
        assert trusted == expected
    assert kinds == {True, False}
    assert all(sample["feature_mask"].all() for sample in draws(dataset, 10, item=1))


def test_a_model_of_texts_alone_has_no_references(clips):
    dataset = pairs([Source(clips[:3], text_share=0.0)], reference_blocks=())
    samples = draws(dataset, 10)
    assert all("reference" not in sample and len(sample["text"]) for sample in samples)
    assert "use_reference" not in collate_flow(samples)


def test_long_clips_give_windows_that_begin_like_motions(clips):
    long = max(clips, key=lambda clip: clip.motion.num_frames)
    whole = ROT276.encode(long.motion.canonicalize())
    dataset = pairs([Source([long])], longest=25)
    stats = dataset.stats
    windows = torch.stack([ROT276.window(whole, start, start + 25) for start in range(len(whole) - 24)])
    starts = set()
    for sample in draws(dataset, 40):
        window = sample["labels"] * stats.std + stats.mean
        assert window.shape == (25, 276)
        assert ROT276.layout.split(window)["positions"][0, :2].abs().max() < 1e-4  # the pelvis above the origin
        distance = (windows - window).abs().amax(dim=(1, 2))
        assert float(distance.min()) < 1e-4
        starts.add(int(distance.argmin()))
    assert len(starts) > 10 and min(starts) < 10 and max(starts) > len(whole) - 40
    short = pairs([Source([long])], longest=len(whole))
    assert torch.equal(short[0]["labels"], short.features[0][0])


def test_short_clips_are_left_out(clips):
    cut = [clip.replace(motion=clip.motion.slice(0, 45)) for clip in clips[:2]]  # 1.5 s, 30 frames at 20 a second
    other = Source(clips[2:3])
    assert len(pairs([Source(cut), other], shortest=30)) == 3
    dataset = pairs([Source(cut), other], shortest=31)
    assert len(dataset) == 1 and dataset.sources == [other]
    with pytest.raises(ValueError, match="clips must have at least 31 frames at 20 per second, got none"):
        pairs([Source(cut)], shortest=31)


def test_a_batch_is_padded_and_says_where(clips):
    order = sorted(clips[:3], key=lambda clip: clip.motion.num_frames)
    dataset = pairs([Source(order, text_share=1.0)])
    samples = [dataset[item] for item in range(3)]
    samples[1]["text"] = samples[1]["text"][:0]
    batch = collate_flow(samples)
    for row, sample in enumerate(samples):
        frames, words = len(sample["labels"]), len(sample["text"])
        assert int(batch["frame_mask"][row].sum()) == frames and int(batch["text_mask"][row].sum()) == words
        assert torch.equal(batch["labels"][row, :frames], sample["labels"]) and not batch["labels"][row, frames:].any()
        assert torch.equal(batch["text"][row, :words], sample["text"]) and not batch["text"][row, words:].any()
        assert torch.equal(batch["reference"][row, :frames], sample["reference"])
    assert batch["use_reference"].dtype == torch.bool and not batch["use_reference"].any()
    for sample in samples:
        sample["text"] = sample["text"][:0]
    empty = collate_flow(samples)
    assert empty["text"].shape == (3, 1, 3) and not empty["text_mask"].any()


def test_the_same_seed_draws_the_same(clips):
    dataset = pairs([Source(clips[:3], text_share=0.5)], text_dropout=0.5, corruption=Corruption(), variants=2)
    first, again = draws(dataset, 10), draws(dataset, 10)
    assert all(
        torch.equal(a["labels"], b["labels"]) and torch.equal(a["reference"], b["reference"])
        for a, b in zip(first, again, strict=True)
    )
    assert len({len(sample["labels"]) for sample in first}) > 1  # versions of other speeds


def test_captions_by_source_and_groups_by_title(clips):
    title = clips[0].replace(captions=("Title", "one two three"), sources=("cmu_index", "watched"))
    composed = clips[1].replace(sources=("composed",) * len(clips[1].captions))
    weights = {"watched": 1, "composed": 1}
    dataset = pairs([Source([title, composed])], reference_blocks=(), caption_weights=weights)
    assert {len(sample["text"]) for sample in draws(dataset, 20)} == {3}
    assert dataset.groups("description") == ["title", None] and dataset.groups() == [title.category, None]
    with pytest.raises(ValueError, match="caption_weights must name sources that the captions have, got kinematic"):
        pairs([Source([title])], caption_weights={"kinematic": 1})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: Source(c, text_share=1.5), r"text_share must be in \[0, 1\], got 1.5"),
        (lambda c: Source(c, text_share=-0.5), "text_share must be a number that is not negative"),
        (
            lambda c: pairs([Source(c, trusted_text=["rotation"])]),
            "trusted blocks .*'rotation'; did you mean rotations",
        ),
        (
            lambda c: pairs([Source(c, trusted_reference=["feet"])]),
            "trusted blocks must hold known keys only, got 'feet'",
        ),
        (lambda c: pairs([Source([c[0].replace(captions=())])]), "clips must have captions to train on, got none"),
        (lambda c: pairs([Source(c)], longest=0), "longest must be a whole number of at least 1"),
        (lambda c: pairs([Source(c)], shortest=1), "shortest must be a whole number of at least 2"),
        (
            lambda c: FlowPairs([Source(c)], ROT276, None, texts=Words(), longest=3)[0],  # type: ignore[arg-type]
            "features must be normalised before an item is drawn, got none; call normalize",
        ),
    ],
)
def test_mistakes_are_named(clips, make, message):
    with pytest.raises(ValueError, match=message):
        make(clips[:1])


def test_statistics_are_those_that_it_was_given(clips):
    dataset = FlowPairs([Source(clips[:1])], ROT276, None, texts=Words())  # type: ignore[arg-type]
    raw = dataset.features[0][0]
    stats = FeatureStats(torch.full((276,), 2.0), torch.full((276,), 4.0))
    dataset.normalize(stats)
    assert torch.allclose(dataset.features[0][0], (raw - 2) / 4)
