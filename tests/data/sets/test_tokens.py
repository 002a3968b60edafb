"""Token sequences for the LM: codes of the real tokenizer, features of the real text encoder."""

import pytest
import torch

from motionmillion.data import synthetic_clips
from motionmillion.data.sets.latents import LatentCollator
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.sequences import Sequences
from motionmillion.data.sets.tokens import ShardDataset, TokenCollator, TokenDataset
from motionmillion.data.shards.tokens import load_token_shards, shard_name, write_header, write_shard


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
    torch.manual_seed(0)
    samples = [dataset[i] for i in (*range(6), *range(6))]
    assert {sample["ends"] for sample in samples} == {True, False}
    batch = TokenCollator(end=125, pad=126)(samples)
    for row, (label, sample) in enumerate(zip(batch["labels"].tolist(), samples, strict=True)):
        codes = len(sample["codes"])
        assert label[:codes] == sample["codes"].tolist()
        assert label[codes : codes + 1] == [125] * sample["ends"] + [126] * (not sample["ends"]) or len(label) == codes
        assert set(label[codes + 1 :]) <= {126} and label.count(125) == sample["ends"]
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


def test_one_code_is_dropped_at_an_end():
    torch.manual_seed(0)
    codes = torch.arange(10)
    collate = TokenCollator(end=125, pad=126, code_drop=1 / 3)
    drawn = [tuple(collate.tokens(codes).tolist()) for _ in range(600)]
    whole, first, last = (tuple(range(10)), tuple(range(1, 10)), tuple(range(9)))
    assert set(drawn) == {(*kept, 125) for kept in (whole, first, last)}
    assert 0.6 < drawn.count((*whole, 125)) / 600 < 0.73
    assert TokenCollator(125, 126, code_drop=0.9).tokens(codes[:1]).tolist() == [0, 125]  # never the last one


def test_samples_beyond_the_context_are_cut_and_end_only_at_their_end():
    torch.manual_seed(0)
    collate = TokenCollator(end=125, pad=126, longest=8)
    drawn = {tuple(collate.tokens(torch.arange(10)).tolist()) for _ in range(60)}
    assert drawn == {tuple(range(8)), tuple(range(1, 9)), (*range(2, 10), 125)}
    assert collate.tokens(torch.arange(8)).tolist() == [*range(8), 125]


def test_only_motions_that_end_get_an_end():
    collate, codes = TokenCollator(end=125, pad=126), torch.arange(5)
    assert collate.tokens(codes, ends=False).tolist() == [*range(5)]
    samples = [{"codes": codes, "text": torch.zeros(1, 3)} | extra for extra in ({}, {"ends": True}, {"ends": False})]
    assert collate(samples)["labels"][:, -1].tolist() == [125, 125, 126]
    packed = PackedCollator(collate, row=64)(samples)["labels"]
    assert int((packed == 125).sum()) == 2 and int((packed < 125).sum()) == 15
    latents = [{**sample, "codes": torch.zeros(2, 4)} for sample in samples]
    assert LatentCollator()(latents)["labels"].isposinf().all(-1).sum(1).tolist() == [1, 1, 0]


def test_captions_are_drawn_by_source(dataset):
    said = dataset.versions[0][0].replace(captions=("a", "b", "c"), sources=("watched", "wording", "wording"))
    dataset = TokenDataset.of(
        Sequences(dataset.codes[:1], [[said]], {}), dict.fromkeys("abc"), caption_weights={"watched": 1}
    )
    assert {dataset.caption(said) for _ in range(20)} == {"a"}
    with pytest.raises(ValueError, match="caption_weights must name sources that the captions have, got wached"):
        TokenDataset.of(Sequences([], [[said]], {}), {}, caption_weights={"wached": 1})


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    rows = [
        dict(name=f"clip{i}", split="train" if i else "val", subject="", category="ab"[i % 2], captions=["walk", "go"])
        | dict(own_captions=["own"], whole=i % 2 == 0, frames=4 * (i + 1), codes=list(range(i + 1)))
        for i in range(6)
    ]
    rows.append({**rows[1], "name": "bare", "captions": []})
    note = {"run": "r", "clips": len(rows), "codes": 0, "left_out": []}
    write_shard(rows, folder / shard_name(0, 1), note)
    tokenizer = {"codebook_size": 125, "frames_per_token": 4}
    header = {"format": 1, "run": "r", "complete": True, "tokenizer": tokenizer, "source": {}, "shards": 1}
    write_header(header, folder)
    return folder


def test_shards_give_codes_with_a_true_caption(shards):
    texts = {"walk": torch.zeros(2, 3), "go": torch.ones(1, 3), "own": torch.full((4, 3), 2.0)}
    dataset = ShardDataset([shards], "train", 125, texts, own_caption_share=1.0)
    assert len(dataset) == 5 and dataset.groups() == ["b", "a", "b", "a", "b"]  # one without captions is left out
    torch.manual_seed(0)
    for item in range(5):
        drawn = [dataset[item] for _ in range(20)]
        assert all(torch.equal(d["codes"], torch.arange(item + 2)) for d in drawn)
        kinds = {float(d["text"][0, 0]) for d in drawn}
        assert kinds == ({2.0} if item % 2 == 0 else {0.0, 1.0})  # windows have captions of their own
    assert len(ShardDataset([shards, shards], "train", 125, texts)) == 10
    assert len(ShardDataset([shards], "val", None, texts)) == 1


def test_shards_with_sources_and_ends(shards, tmp_path):
    row = dict(name="x", split="train", subject="", category="a", captions=["Title", "own"], own_captions=["own"])
    row |= dict(whole=True, frames=4, codes=[3], sources=["cmu_index", "watched"], ends=False)
    write_shard([row], tmp_path / shard_name(0, 1), {"run": "r", "clips": 1})
    (tmp_path / "tokens.json").write_text((shards / "tokens.json").read_text())
    texts = {"Title": torch.zeros(1, 3), "own": torch.ones(1, 3), "walk": torch.zeros(1, 3), "go": torch.zeros(1, 3)}
    both = ShardDataset([tmp_path, shards], "train", 125, texts, caption_weights={"watched": 1})
    assert all(float(both[0]["text"][0, 0]) == 1.0 for _ in range(10))
    assert not both[0]["ends"] and both[1]["ends"]
    assert both.groups("description") == ["title", "b", "a", "b", "a", "b"]
    clip = next(iter(load_token_shards(tmp_path)))
    assert (clip.sources, clip.ends) == (("cmu_index", "watched"), False)


def test_text_features_of_shards_are_made_where_there_are_none(shards, tiny_pipeline):
    dataset = ShardDataset([shards], "train", 125, encoder=tiny_pipeline.text_encoder, own_caption_share=0.0)
    sample = dataset[0]
    assert any(torch.equal(sample["text"], dataset.texts[caption]) for caption in ("walk", "go"))


def test_shards_that_do_not_fit_are_named(shards):
    with pytest.raises(ValueError, match="codebook_size must be that of the tokenizer.*125, got 64"):
        ShardDataset([shards], "train", 64, {})
    with pytest.raises(ValueError, match="tokens must hold clips with captions in the split 'test'"):
        ShardDataset([shards], "test", 125, {})
    with pytest.raises(ValueError, match="caption_weights must name sources .* got watched; the data has none"):
        ShardDataset([shards], "train", 125, {}, caption_weights={"watched": 1})
    with pytest.raises(ValueError, match="texts must be given where there is no encoder"):
        ShardDataset([shards], "train", 125)
