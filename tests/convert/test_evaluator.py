"""A converted evaluator gives the embeddings of the published architecture, which is written down here naively."""

import collections
import math

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from motionmillion.cli.app import app
from motionmillion.convert import convert_evaluator, load_upstream_evaluator
from motionmillion.eval.evaluator.model import TextMotionEvaluator

WIDTH, TEXT, FRAMES, WORDS = 32, 24, 14, 6


class Side(nn.Module):
    """Two learned tokens before a sequence, sinusoidal positions, a transformer in the order [sequence, batch]."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.mu_token, self.logvar_token = (nn.Parameter(torch.randn(WIDTH)) for _ in range(2))
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 48, 0.1, "gelu")
        self.seqTransEncoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.sequence_pos_encoding = nn.Module()
        table = torch.zeros(500, 1, WIDTH)
        for position in range(500):
            for pair in range(WIDTH // 2):
                angle = position / 10000 ** (2 * pair / WIDTH)
                table[position, 0, 2 * pair], table[position, 0, 2 * pair + 1] = math.sin(angle), math.cos(angle)
        self.sequence_pos_encoding.register_buffer("pe", table)

    def embed(self, x, length):
        tokens = torch.stack([self.mu_token, self.logvar_token])
        sequence = torch.cat([tokens, x[:length]])[:, None]
        return self.seqTransEncoder(sequence + self.sequence_pos_encoding.pe[: len(sequence)])[0, 0]


class Published(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.motionencoder, self.textencoder = Side(3), Side(2)
        self.motionencoder.skel_embedding = nn.Linear(272, WIDTH)
        self.textencoder.projection = nn.Sequential(nn.ReLU(), nn.Linear(TEXT, WIDTH))
        self.textencoder.text_model = nn.Linear(3, 3)  # the frozen encoder
        self.motiondecoder = nn.Linear(2, 2)


class Settings(collections.OrderedDict):
    """Stands for what training code puts into a checkpoint beside the weights."""


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    return Published().eval()


@pytest.fixture(scope="module")
def checkpoint(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluator") / "epoch=199.ckpt"
    state = {"state_dict": published.state_dict(), "hyper_parameters": Settings(width=WIDTH), "epoch": 199}
    torch.save(state, path)
    return path


def test_embeddings_are_those_of_the_published_architecture(published, checkpoint):
    evaluator = load_upstream_evaluator(checkpoint)
    motions, texts = torch.randn(2, FRAMES, 272), torch.randn(2, WORDS, TEXT)
    lengths, words = torch.tensor([FRAMES, 9]), torch.tensor([4, WORDS])
    with torch.no_grad():
        found = evaluator.encode_motion(motions, lengths).mean
        found_text = evaluator.encode_text(texts, torch.arange(WORDS) < words[:, None]).mean
        for row in range(2):
            own = published.motionencoder.embed(published.motionencoder.skel_embedding(motions[row]), lengths[row])
            assert torch.allclose(found[row], own, atol=1e-5)
            own = published.textencoder.embed(published.textencoder.projection(texts[row]), words[row])
            assert torch.allclose(found_text[row], own, atol=1e-5)
    embedding = evaluator.encode_motion(motions, lengths)
    assert torch.equal(evaluator.place(embedding), embedding.mean)
    assert evaluator.config.text_encoder == "distilbert-base-uncased" and not evaluator.config.sentence


def test_statistics_make_it_take_physical_units(checkpoint):
    mean, std = torch.randn(272), torch.rand(272) + 0.5
    plain, scaled = load_upstream_evaluator(checkpoint), load_upstream_evaluator(checkpoint, mean, std)
    clip = torch.randn(FRAMES, 272)
    assert torch.allclose(plain.embed_features([clip]), scaled.embed_features([clip * std + mean]), atol=1e-5)


def test_the_command_writes_a_folder_that_loads(checkpoint, tmp_path, capsys):
    for name in ("mean", "std"):
        np.save(tmp_path / f"{name}.npy", np.ones(272, dtype=np.float32))
    files = ["--mean", str(tmp_path / "mean.npy"), "--std", str(tmp_path / "std.npy")]
    command = ["convert", "evaluator", str(checkpoint), "-o", str(tmp_path / "own"), *files]
    result = CliRunner().invoke(app, [*command, "--text-encoder", "my-encoder"], catch_exceptions=False)
    assert result.exit_code == 0
    evaluator = TextMotionEvaluator.from_pretrained(tmp_path / "own")
    assert evaluator.config.text_encoder == "my-encoder"
    convert_evaluator(checkpoint, tmp_path / "plain")
    assert "expects normalised features" in capsys.readouterr().err


def test_objects_beside_the_weights_are_never_made(tmp_path, published):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"state_dict": published.state_dict(), "callbacks": Trap()}, tmp_path / "trap.ckpt")
    assert load_upstream_evaluator(tmp_path / "trap.ckpt").config.width == WIDTH
    assert not (tmp_path / "trapped").exists()


def test_what_does_not_fit_is_named(tmp_path, published, checkpoint):
    state = published.state_dict()
    for change, message in (
        ({"motionencoder.seqTransEncoder.layers.1.norm1.weight": None}, "1 weights missing"),
        ({"motionencoder.extra": torch.ones(1)}, "1 weights left over"),
        ({"motionencoder.skel_embedding.weight": torch.randn(WIDTH, 263)}, "must read 272 features, got 263"),
        ({"textencoder.projection.1.weight": None}, "must hold a motion encoder and a text encoder"),
    ):
        changed = {name: value for name, value in {**state, **change}.items() if value is not None}
        torch.save({"state_dict": changed}, tmp_path / "changed.ckpt")
        with pytest.raises(ValueError, match=message):
            load_upstream_evaluator(tmp_path / "changed.ckpt")
    with pytest.raises(ValueError, match="must be an existing file"):
        load_upstream_evaluator(tmp_path / "none.ckpt")
    with pytest.raises(ValueError, match="add std"):
        load_upstream_evaluator(checkpoint, torch.zeros(272))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be a folder"):
        convert_evaluator(checkpoint, tmp_path / "file")
