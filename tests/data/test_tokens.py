"""Token sequences for the LM: codes of the real tokenizer, features of the real text encoder."""

import pytest
import torch

from motionmillion.data import synthetic_clips
from motionmillion.data.tokens import TokenCollator, TokenDataset


@pytest.fixture(scope="module")
def dataset(tiny_pipeline):
    return TokenDataset(synthetic_clips(6, seed=0), tiny_pipeline.tokenizer, tiny_pipeline.text_encoder, variants=3)


def test_items_hold_codes_of_a_variant_and_features_of_a_true_caption(dataset, tiny_pipeline):
    sample = dataset[2]
    assert any(torch.equal(sample["codes"], codes) for codes in dataset.codes[2])
    captions = {c for version in dataset.versions[2] for c in version.captions}
    assert any(torch.equal(sample["text"], dataset.texts[c]) for c in captions)
    text = sorted(captions)[0]
    features, mask = tiny_pipeline.text_encoder([text])
    assert torch.allclose(dataset.texts[text], features[0][mask[0]], atol=1e-5)


def test_collation_pads_and_ends_every_row(dataset):
    batch = TokenCollator(end=125, pad=126)([dataset[i] for i in range(6)])
    for row, label in enumerate(batch["labels"].tolist()):
        assert label.count(125) == 1
        assert set(label[label.index(125) + 1 :]) <= {126}
        assert batch["text_mask"][row].any()
    assert torch.equal(batch["input_ids"], batch["labels"])


def test_caption_dropout_and_corruption_touch_what_they_should(dataset):
    torch.manual_seed(0)
    samples = [dataset[i % 6] for i in range(300)]
    batch = TokenCollator(end=125, pad=126, caption_dropout=0.2, corruption=0.3)(samples)
    dropped = (~batch["text_mask"].any(1)).float().mean()
    assert 0.1 < dropped < 0.3
    codes = batch["labels"] < 125
    changed = (batch["input_ids"] != batch["labels"]) & codes
    assert 0.25 < changed.sum() / codes.sum() < 0.35
    assert torch.equal(batch["input_ids"][~codes], batch["labels"][~codes])
    assert (batch["input_ids"][codes] < 125).all()


def test_own_captions_are_drawn_for_windows(dataset):
    clip = dataset.versions[0][0].replace(whole=False, captions=("take", "own"), own_captions=("own",))
    dataset.own_caption_share = 1.0
    assert {dataset.caption(clip) for _ in range(20)} == {"own"}
    dataset.own_caption_share = 0.0
    assert {dataset.caption(clip) for _ in range(60)} == {"take", "own"}


def test_bad_input_is_named(tiny_pipeline):
    with pytest.raises(ValueError, match="clips must have captions"):
        bare = [c.replace(captions=()) for c in synthetic_clips(2, seed=0)]
        TokenDataset(bare, tiny_pipeline.tokenizer, tiny_pipeline.text_encoder)
    with pytest.raises(ValueError, match="corruption must be in"):
        TokenCollator(1, 2, corruption=1.0)
