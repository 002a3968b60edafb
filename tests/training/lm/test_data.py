"""Data of a language model's recipe: shards and text features train like motions do, packed or padded."""

import itertools
import json

import pytest
import torch

from motionmillion import MotionPipeline
from motionmillion.data.sets.groups import category_weights
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.data.shards.encoding import encode_features
from motionmillion.data.shards.text_writer import encode_text
from motionmillion.data.shards.tokenize import tokenize_folder
from motionmillion.data.shards.tokens import shard_name, write_header, write_shard
from motionmillion.data.synthetic.clips import synthetic_clips
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.text.encoder import DeferredTextEncoder, TextEncoder
from motionmillion.training.lm import motions
from motionmillion.training.lm.data import evaluate_lm, lm_data
from motionmillion.training.lm.options import lm_data_options
from motionmillion.training.lm.train import train_lm
from motionmillion.training.order import SeededDataset
from motionmillion.training.recipe import load_recipe
from motionmillion.training.sharing import chosen
from tests.data.conftest import row_of, write_set


@pytest.fixture(scope="module")
def clips():
    return synthetic_clips(12, seed=0)


@pytest.fixture(scope="module")
def shards(clips, tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    rows = []
    for clip in clips:
        features = tiny_tokenizer.representation.encode(clip.motion.canonicalize())
        same = {key: getattr(clip, key) for key in ("name", "split", "subject", "category", "whole")}
        lists = dict(captions=list(clip.captions), own_captions=list(clip.own_captions))
        codes = encode_features(tiny_tokenizer, [features])[0].tolist()
        rows.append({**same, **lists, "frames": len(features), "codes": codes})
    write_shard(rows, folder / shard_name(0, 1), {"run": "r", "clips": len(rows), "codes": 0, "left_out": []})
    tokenizer = {"codebook_size": 125, "frames_per_token": tiny_tokenizer.config.frames_per_token}
    header = {"format": 1, "run": "r", "complete": True, "tokenizer": tokenizer, "source": {}, "shards": 1}
    write_header(header, folder)
    return str(folder)


@pytest.fixture(scope="module")
def texts(shards, tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text") / "features"
    encode_text([shards], folder, str(tiny_encoder), text_length=32, dtype="float32")
    return str(folder)


def sets(recipe, parts, **model):
    data = lm_data_options(recipe)
    config = MotionLMConfig(codebook_size=125, text_dim=16, **model)
    return lm_data(recipe, data, parts[0], parts[1], config, torch.device("cpu"))


@pytest.fixture(scope="module")
def parts(tiny_tokenizer, tiny_encoder):
    return tiny_tokenizer, TextEncoder(str(tiny_encoder), max_length=32)


def test_clips_of_data_sets_are_visited_by_their_mixing_weights(lm_recipe, clips, parts, tiny_tokenizer, tmp_path):
    rows = [row_of(clip, source="ab"[number % 3 == 0]) for number, clip in enumerate(clips)]
    write_set(tmp_path / "set", rows, sources={"a": {"weight": 0.2}, "b": {"weight": 0.8}})
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    codes = tokenize_folder(tmp_path / "set", tmp_path / "codes", tmp_path / "tokenizer", workers=1)
    motions = {"folder": str(tmp_path / "set"), "variants": 0, "compose": {"sequences": 1.0}}
    for data, balance in itertools.product((motions, {"tokens": str(codes)}), (0.0, 0.5)):
        found = sets(load_recipe(lm_recipe(data={"synthetic": None, **data, "balance": balance})), parts)
        of_b = torch.tensor([name == "b" for name in found.train.datasets()])
        assert found.weights is not None and 0 < int(of_b.sum()) < len(of_b)
        assert float(found.weights[of_b].sum() / found.weights.sum()) == pytest.approx(0.8)


def test_wordings_cannot_be_held_out_of_clips_with_one_caption(lm_recipe, parts):
    recipe = load_recipe(lm_recipe(data={"synthetic": 12, "held_out_captions": 1.0}))
    with pytest.raises(ValueError, match="data.held_out_captions must leave every clip a caption, .*got 1.0"):
        sets(recipe, parts)


def test_shards_hold_what_motions_give(lm_recipe, shards, texts, parts):
    from_motions = sets(load_recipe(lm_recipe(data={"variants": 0})), parts)
    from_shards = sets(load_recipe(lm_recipe(data={"synthetic": None, "tokens": shards})), parts)
    stored = sets(load_recipe(lm_recipe(data={"synthetic": None, "tokens": [shards], "text_features": texts})), parts)
    for other in (from_shards, stored):
        assert len(other.train) == len(from_motions.train) and len(other.validation) == len(from_motions.validation)
        for item in range(len(other.train)):
            torch.manual_seed(item)
            one, two = from_motions.train[item], other.train[item]
            assert torch.equal(one["codes"], two["codes"])
            captions = [from_motions.train.texts[c] for c in from_motions.train.versions[item][0].captions]
            assert any(
                c.shape == two["text"].shape and torch.allclose(c, two["text"], rtol=0.01, atol=1e-5) for c in captions
            )
    assert torch.equal(from_motions.weights, stored.weights)


@pytest.mark.parametrize("packing", [0, 96])
def test_a_model_learns_from_shards_alone(lm_recipe, shards, texts, tiny_parts, packing):
    data = {"synthetic": None, "tokens": shards, "text_features": texts, "packing": packing, "code_drop": 0.3}
    recipe = load_recipe(lm_recipe(data=data, model={"context_codes": 40}, training={"max_steps": 12}))
    figures = train_lm(recipe)
    history = json.loads(open(f"{recipe.output}/checkpoint-12/trainer_state.json").read())["log_history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[-1] < losses[0] and figures["eval_loss"] < losses[0]
    pipe = MotionPipeline.from_pretrained(f"{recipe.output}/final")
    assert pipe("a person walks", seconds=1)[0].num_frames == 30
    assert pipe.lm.config.context_codes == 40


def test_a_deferred_encoder_is_the_encoder(tiny_encoder):
    deferred, plain = DeferredTextEncoder(str(tiny_encoder), True, 12), TextEncoder(str(tiny_encoder), True, 12)
    assert (deferred.dim, deferred.max_length, deferred.device.type) == (plain.dim, 12, "cpu")
    assert deferred._loaded is None
    found, expected = deferred(["a person walks"]), plain(["a person walks"])
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_evaluation_counts_every_token_once(lm_recipe, shards, parts):
    data = sets(load_recipe(lm_recipe(data={"synthetic": None, "tokens": shards})), parts)
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    lm = MotionLM(MotionLMConfig(codebook_size=125, text_dim=16, **shape)).eval()
    figures = evaluate_lm(lm, data.validation, data.plain, seed=3)
    seeded, visits = SeededDataset(data.validation), chosen(len(data.validation), 0, seed=3)
    batch = TokenCollator(125, 126)([seeded[visit][0] for visit in visits])
    output = lm(**batch)
    counted = batch["labels"] != 126
    assert figures["loss"] == pytest.approx(float(output.loss), abs=1e-4)
    hits = (output.logits[:, :-1].argmax(-1) == batch["labels"])[counted]
    assert figures["accuracy"] == pytest.approx(float(hits.float().mean()), abs=1e-6)
    packed = evaluate_lm(lm, data.validation, PackedCollator(data.plain, 80), seed=3)
    assert packed == pytest.approx(figures, abs=1e-4)
    some, whole = (evaluate_lm(lm, data.train, data.plain, seed=3, samples=samples) for samples in (4, 0))
    assert some == evaluate_lm(lm, data.train, data.plain, seed=3, samples=4) != whole


def test_a_subset_is_part_of_the_whole():
    whole, part = chosen(50, 0, seed=1), chosen(50, 8, seed=1)
    assert [visit.index for visit in whole] == list(range(50)) and len({visit.seed for visit in whole}) == 50
    assert len(part) == 8 and set(part) < set(whole) and part == sorted(part)
    assert part != chosen(50, 8, seed=2) and chosen(50, 99, seed=1) == whole


def test_category_weights_balance_categories():
    categories = ["rare", "often", "often", "often", "often"]
    assert category_weights(categories, 0) is None
    full = category_weights(categories, 1.0)
    assert full is not None and torch.isclose(full[0], full[1:].sum())
    with pytest.raises(ValueError, match="balance must be in"):
        category_weights(categories, 2)


def test_clips_without_a_category_are_visited_like_the_average():
    weights = category_weights(["a", "a", "a", "b", None, None], 1.0)
    assert weights is not None and torch.isclose(weights[4], weights[:4].mean()) and weights[4] == weights[5]


def test_a_cache_gives_the_same_data_and_reads_no_motion(lm_recipe, parts, tmp_path, monkeypatch):
    plain = sets(load_recipe(lm_recipe(data={})), parts)
    recipe = load_recipe(lm_recipe(data={"cache": str(tmp_path / "cache")}))
    first = sets(recipe, parts)
    monkeypatch.setattr(motions, "make_sequences", None)  # would be called for a miss
    again = sets(recipe, parts)
    for item in range(len(plain.train)):
        assert again.train.versions[item] == plain.train.versions[item]
        torch.manual_seed(item)
        one = plain.train[item]
        for other in (first, again):
            torch.manual_seed(item)
            two = other.train[item]
            assert torch.equal(one["codes"], two["codes"]) and one["ends"] == two["ends"]
            assert torch.allclose(one["text"], two["text"], rtol=0.01, atol=1e-5)  # stored in 16 bits, each in others
    assert torch.equal(again.weights, plain.weights)
    with pytest.raises(TypeError):  # other versions are not in the cache
        sets(load_recipe(lm_recipe(data={"cache": str(tmp_path / "cache"), "variants": 1})), parts)


def test_composed_clips_are_trained_on(lm_recipe, parts):
    pytest.importorskip("motionmillion.data.composition.reversal")
    data = {"compose": {"sequences": 1.0}, "balance_by": "description", "caption_weights": {"composed": 1}}
    found = sets(load_recipe(lm_recipe(data=data)), parts)
    new = [number for number, own in enumerate(found.train.versions) if "composed" in own[0].sources]
    assert new and all(found.train.groups("description")[number] is None for number in new)
    assert len(found.weights) == len(found.train)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"caption_weights": {"watched": -1}}, "data.caption_weights.watched must be a number that is not negative"),
        ({"balance_by": "take"}, "data.balance_by must be one of category, description, action, got 'take'"),
        ({"compose": {"sequence": 1}}, "compose .*did you mean sequences"),
        ({"cache": 3}, "data.cache must be a folder, got 3"),
        ({"synthetic": None, "tokens": "codes", "cache": "x"}, "data.cache must be left out with data.tokens"),
    ],
)
def test_wrong_options_are_named(lm_recipe, data, message):
    with pytest.raises(ValueError, match=message):
        lm_data_options(load_recipe(lm_recipe(data=data)))


def test_text_features_of_another_encoder_are_refused(lm_recipe, shards, texts, tiny_tokenizer, tiny_encoder):
    recipe = load_recipe(lm_recipe(data={"synthetic": None, "tokens": shards, "text_features": texts}))
    other = TextEncoder(str(tiny_encoder), sentence=True, max_length=32)
    with pytest.raises(ValueError, match="text_features must be made with the sentence of .* True, got False in"):
        sets(recipe, (tiny_tokenizer, other))


def test_captions_without_features_are_found_before_the_training(lm_recipe, texts, parts):
    recipe = load_recipe(lm_recipe(data={"synthetic": 40, "text_features": texts, "variants": 0}))
    with pytest.raises(ValueError, match="data.text_features must hold every caption, got none of [0-9]+ in"):
        sets(recipe, parts)


def test_shards_of_another_codebook_are_refused(lm_recipe, shards, parts):
    recipe = load_recipe(lm_recipe(data={"synthetic": None, "tokens": shards}))
    with pytest.raises(ValueError, match="codebook_size must be that of the tokenizer of .*, 125, got 64"):
        lm_data(recipe, lm_data_options(recipe), *parts, MotionLMConfig(codebook_size=64), torch.device("cpu"))
