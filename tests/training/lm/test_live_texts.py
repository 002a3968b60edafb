"""Text features computed in training: those of stored ones, padded and packed, and the same training."""

import pytest
import torch

from motionmillion.data.sets.live_texts import LiveTexts
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.texts import TextBank
from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe

CAPTIONS = ["a person walks", "a person waves the left hand twice", "jump"]
CAPTIONS += ["a person walks forward", "someone turns", "a man squats and jumps", "a person turns left", "wave"]


@pytest.mark.parametrize("sentence", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_features_are_those_of_each_caption_alone(tiny_encoder, sentence, packed, dropout):
    encoder = TextEncoder(str(tiny_encoder), sentence=sentence, max_length=32)
    live, bank = LiveTexts(encoder), TextBank(CAPTIONS, encoder)
    collate = TokenCollator(125, 126, caption_dropout=dropout)
    if packed:
        collate = PackedCollator(collate, 60)
    batches = []
    for texts in (live, bank):
        torch.manual_seed(4)
        batches.append(collate([{"codes": torch.arange(3 + n), "text": texts[c]} for n, c in enumerate(CAPTIONS)]))
    made, stored = live.encoded(batches[0]), batches[1]
    assert set(made) == set(stored) and torch.equal(made["text_mask"], stored["text_mask"])
    kept = stored["text_mask"][..., None]
    assert bool(kept.any())
    torch.testing.assert_close(made["text_features"] * kept, stored["text_features"] * kept, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("data", [{"packing": 64, "caption_dropout": 0.2}, {"sentence": True}])
def test_training_is_that_on_stored_features(lm_recipe, log_of, tmp_path, data):
    logs = []
    for live in (False, True):
        recipe = load_recipe(lm_recipe(data={**data, "live_texts": live}), [f"output={tmp_path / str(live)}"])
        train_lm(recipe)
        logs.append([entry["loss"] for entry in log_of(tmp_path / str(live)).values()])
    assert logs[1] == pytest.approx(logs[0], rel=0.02) and len(logs[0]) == 6


def test_stored_and_live_features_exclude_each_other(lm_recipe):
    with pytest.raises(ValueError, match="data.text_features must be left out with data.live_texts, got 'texts'"):
        train_lm(load_recipe(lm_recipe(data={"live_texts": True, "text_features": "texts"})))
