"""Packing: nothing is lost, rows are short enough, and the loss is that of padding."""

import pytest
import torch

from motionmillion.data.sets.packing import PackedCollator, spread
from motionmillion.data.sets.tokens import TokenCollator


def samples(count: int, seed: int = 0) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 30, (count, 2), generator=generator).tolist()
    return [
        {
            "codes": torch.randint(125, (motion,), generator=generator),
            "text": torch.randn(text, 384, generator=generator),
        }
        for text, motion in lengths
    ]


@pytest.mark.parametrize("row", [40, 128, 512])
def test_every_sample_is_in_one_row_and_rows_are_short_enough(row):
    drawn = samples(40)
    texts, motions = [len(s["text"]) for s in drawn], [len(s["codes"]) + 1 for s in drawn]
    rows = spread(texts, motions, row)
    assert sorted(i for members in rows for i in members) == list(range(40))
    width = max(sum(texts[i] for i in members) for members in rows)
    width += max(sum(motions[i] for i in members) for members in rows)
    assert width <= row or len(rows) == 40
    if row == 512:
        assert (sum(texts) + sum(motions)) / (len(rows) * width) > 0.85  # little padding


def test_a_packed_batch_holds_the_samples_of_a_padded_one():
    drawn = samples(12)
    batch = PackedCollator(TokenCollator(end=125, pad=126), row=128)(drawn)
    found = []
    for row in range(len(batch["labels"])):
        for number in range(1, int(batch["segments"][row].max()) + 1):
            codes = batch["labels"][row][batch["segments"][row] == number]
            text = batch["text_features"][row][batch["text_segments"][row] == number]
            assert codes[-1] == 125
            found.append((tuple(codes[:-1].tolist()), tuple(text[:, 0].tolist())))
    expected = [(tuple(s["codes"].tolist()), tuple(s["text"][:, 0].tolist())) for s in drawn]
    assert sorted(found) == sorted(expected)
    assert torch.equal(batch["text_mask"], batch["text_segments"] > 0)


def test_packed_and_padded_batches_have_the_same_loss(tiny_lm):
    drawn = samples(10)
    plain = TokenCollator(end=125, pad=126)
    with torch.no_grad():
        padded = tiny_lm(**plain(drawn))
        packed = tiny_lm(**PackedCollator(plain, row=100)(drawn))
    assert torch.allclose(packed.loss, padded.loss, atol=1e-5)
    assert torch.allclose(packed.token_losses.sort().values, padded.token_losses.sort().values, atol=1e-4)
    assert packed.token_hits.sum() == padded.token_hits.sum()


def test_samples_without_text_keep_a_place_and_the_loss_of_no_text(tiny_lm):
    drawn = samples(6)
    torch.manual_seed(3)
    padded = TokenCollator(end=125, pad=126, caption_dropout=0.5)(drawn)
    torch.manual_seed(3)
    packed = PackedCollator(TokenCollator(end=125, pad=126, caption_dropout=0.5), row=100)(drawn)
    dropped = int((~padded["text_mask"].any(1)).sum())
    assert 0 < dropped < 6 and int((packed["text_segments"].bool() & ~packed["text_mask"]).sum()) == dropped
    with torch.no_grad():
        assert torch.allclose(tiny_lm(**packed).loss, tiny_lm(**padded).loss, atol=1e-5)


def test_a_row_must_have_positions():
    with pytest.raises(ValueError, match="row must be a whole number of at least 1"):
        PackedCollator(TokenCollator(1, 2), row=0)


def test_fixed_shapes_are_few_and_change_no_loss(tiny_lm):
    config = tiny_lm.config
    plain = TokenCollator(config.end_token_id, config.padding_token_id, longest=20)
    shapes, generator = set(), torch.Generator().manual_seed(0)
    for _ in range(20):
        sizes = torch.randint(3, 20, (9, 2), generator=generator).tolist()
        samples = [
            {
                "codes": torch.randint(config.codebook_size, (n,), generator=generator),
                "text": torch.randn(t % 8 + 1, 384),
            }
            for n, t in sizes
        ]
        fixed = PackedCollator(plain, 96, fixed=True)(samples)
        shapes.add((tuple(fixed["labels"].shape), tuple(fixed["text_features"].shape)))
        loose = PackedCollator(plain, 96)(samples)
        with torch.no_grad():
            losses = [tiny_lm(**batch).token_losses.double().sum() for batch in (fixed, loose)]
        assert torch.allclose(*losses, rtol=1e-5) and torch.isfinite(losses[0])
    assert len(shapes) == 1, shapes
    wide = PackedCollator(plain, 16, fixed=True)(samples)  # samples that need more than a row
    assert wide["labels"].shape[1] % 12 == 0 and wide["text_features"].shape[1] % 4 == 0
