"""Sources of a data set on disk: what its manifest says of trust, texts and mixing is what training does."""

import math

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.rewriting import merge_sets
from motionmillion.data.sets.flow_pairs import collate_flow
from motionmillion.features import get
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.dit.sources import dit_data_options, dit_sources, source_settings
from motionmillion.training.dit.train import dit_data_sets, visits
from motionmillion.training.order import Visits
from motionmillion.training.recipe import Recipe
from tests.data.conftest import row_of, write_set

LAYOUT = get("rot276").layout
SHAPE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, frequency_dim=16)


def clips(name, count):
    return [
        MotionClip(f"{name} {i}", synthesize("walk", i, seconds=2), (f"walk {i}",), "val" if i == 0 else "train")
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """Six training clips of motion capture and two of videos, one of which has a mask of its own, mixed 1 to 3."""
    folder = tmp_path_factory.mktemp("sets")
    real = [row_of(clip, source="mocap") for clip in clips("real", 7)]
    film = [row_of(clip, source="films") for clip in clips("film", 3)]
    film[2] = film[2].__class__(**{**vars(film[2]), "trusted": ("positions",)})
    write_set(folder / "real", real)
    write_set(folder / "film", film, sources={"films": {"text_share": 1.0, "trusted_text": ["rotations"]}})
    merge_sets([folder / "real", folder / "film"], folder / "both", {"mocap": 1.0, "films": 3.0})
    return folder


def recipe_of(tiny_encoder, **data):
    data = {"text_encoder": str(tiny_encoder), "text_length": 20, "variants": 0, "text_share": 0.5, **data}
    return Recipe("run", 0, data, {}, {})


def train_set(tiny_encoder, **data):
    recipe = recipe_of(tiny_encoder, **data)
    options = dit_data_options(recipe)
    torch.manual_seed(0)
    encoder = TextEncoder(str(tiny_encoder), max_length=20)
    model = MotionDiT(MotionDiTConfig(**SHAPE, num_reference_layers=1, patch=4, max_frames=40, text_dim=encoder.dim))
    return dit_data_sets(recipe, options, dit_sources(recipe, options), encoder, model)[0], options, model


def test_sources_are_those_of_the_manifest(merged, tiny_encoder):
    recipe = recipe_of(tiny_encoder, folder=str(merged / "both"))
    training, validation = dit_sources(recipe, dit_data_options(recipe))
    found = {(source.name, source.trusted_text and tuple(source.trusted_text)): source for source in training}
    assert {key: len(source.clips) for key, source in found.items()} == {
        ("mocap", None): 6,
        ("films", ("rotations",)): 1,
        ("films", ("positions",)): 1,
    }
    assert [source.text_share for source in training] == [0.5, 1.0, 1.0]
    assert sum(len(source.clips) for source in validation) == 2


def test_an_untrusted_block_contributes_no_loss(merged, tiny_encoder):
    train, _, model = train_set(tiny_encoder, folder=str(merged / "both"))
    names = [train.name(item) for item in range(len(train))]
    batch = collate_flow([train[item] for item in range(len(train))])
    output = model(**batch)
    (slopes,) = torch.autograd.grad(output.loss, output.velocity)  # [B, T, D]
    for name, slope in zip(names, slopes, strict=True):
        moved = {block for block in LAYOUT if slope[:, LAYOUT[block]].any()}
        wanted = {"film 1": {"rotations"}, "film 2": {"positions"}}.get(name, set(LAYOUT))
        assert moved == wanted, name


def test_clips_are_visited_by_the_mixing_weights(merged, tiny_encoder):
    train, options, _ = train_set(tiny_encoder, folder=str(merged / "both"))
    weights = visits(train, options)
    films = torch.tensor([train.name(item).startswith("film") for item in range(len(train))])
    assert weights is not None and float(weights[films].sum() / weights.sum()) == pytest.approx(0.75)
    torch.testing.assert_close(weights[~films], weights[~films][:1].expand(6))
    order = Visits(len(train), 0, weights)
    drawn: list[int] = []
    for order.epoch in range(100):
        drawn += [visit.index for visit in order]
    share = sum(bool(films[index]) for index in drawn) / len(drawn)
    assert share == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 800))


def test_an_entry_of_the_recipe_is_over_the_manifest(merged, tiny_encoder):
    entries = [
        {"folder": str(merged / "both"), "share": 0.2, "text_share": 0.3},
        {"folder": str(merged / "real"), "splits": ["train", "val"]},
    ]
    train, options, _ = train_set(tiny_encoder, sources=entries)
    assert {source.text_share for source in train.sources[:8]} == {0.3} and len(train) == 8 + 7
    weights = visits(train, options)
    assert weights is not None
    names = [source.name for source in train.sources]
    first = torch.arange(len(train)) < 8
    of_films = torch.tensor([name == "films" for name in names])
    assert float(weights[first].sum()) == pytest.approx(0.2)
    assert float(weights[of_films].sum()) == pytest.approx(0.15)


def test_balance_and_weights_go_together(merged, tiny_encoder):
    train, options, _ = train_set(tiny_encoder, folder=[str(merged / "both")], balance=1.0, balance_by="description")
    weights = visits(train, options)
    films = torch.tensor([source.name == "films" for source in train.sources])
    assert weights is not None and float(weights[films].sum() / weights.sum()) == pytest.approx(0.75)


def test_unknown_blocks_and_bad_values_of_a_manifest_are_named(tmp_path, tiny_encoder):
    rows = [row_of(clip) for clip in clips("c", 2)]
    write_set(tmp_path / "a", rows, sources={"made": {"trusted_text": ["rotation"]}})
    write_set(tmp_path / "b", rows, sources={"made": {"text_share": 2}})
    with pytest.raises(ValueError, match="trusted blocks must hold known keys only, got 'rotation'"):
        source_settings({"folder": str(tmp_path / "a")}, MotionDiTConfig(**SHAPE))
    recipe = recipe_of(tiny_encoder, folder=str(tmp_path / "b"))
    with pytest.raises(ValueError, match="text_share must be in .* in the manifest of '.*b'"):
        dit_sources(recipe, dit_data_options(recipe))
