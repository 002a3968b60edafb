"""ViMoGen's transformer: the same numbers, every weight in its place, whole pipelines, and every check."""

import functools
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from motionmillion.checkpoints import StoredWeight
from motionmillion.cli.app import app
from motionmillion.convert import RELEASED_DIT_OPTIONS, convert_dit, load_upstream_dit
from motionmillion.convert.dit import PUBLISHED_SAMPLING, dit_names
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline import MotionPipeline

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "vimogen_dit"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the golden arrays of the upstream projects")
SMALL = {**RELEASED_DIT_OPTIONS, "dim": 32, "ffn_dim": 48, "freq_dim": 16, "text_dim": 16, "num_heads": 2}
SMALL["num_layers"] = 2


def golden() -> tuple[Path, dict, dict[str, Tensor]]:
    options = json.loads((GOLDEN / "options.json").read_text())
    return GOLDEN / "model.pt", options, load_file(GOLDEN / "expected.safetensors")


def write_checkpoint(path: Path, reference_layers: int = 1, prefix: str = "", key: str | None = None) -> MotionDiT:
    """A random model of ours under the upstream's names, with the tables that its checkpoints carry along."""
    torch.manual_seed(0)
    config = MotionDiTConfig(
        text_dim=16,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_reference_layers=reference_layers,
        num_attention_heads=2,
        frequency_dim=16,
        text_padding="attended",
        prediction="velocity",
    )
    dit = MotionDiT(config).eval()
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    names, weights = dit_names(2, reference_layers), dict(dit.named_parameters())
    assert set(weights) <= set(names)
    state = {prefix + names[name]: value.detach() for name, value in weights.items()}
    state |= {f"{prefix}{name}": torch.zeros(5) for name in ("motion_pos_embedding.pe", "ref_motion_pos_embedding.pe")}
    torch.save(state if key is None else {key: state}, path)
    return dit


def same_numbers(a: MotionDiT, b: MotionDiT) -> bool:
    ours, theirs = dict(a.named_parameters()), dict(b.named_parameters())
    return set(ours) == set(theirs) and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@needs_golden
def test_it_gives_the_upstream_velocity():
    path, options, expected = golden()
    dit = load_upstream_dit(path, options)
    assert dit.config.text_padding == "attended" and dit.config.text_length == 226
    output, valid = expected.pop("output"), expected["frame_mask"].bool()
    with torch.no_grad():
        velocity = dit(**expected)
        assert (velocity - output)[valid].abs().max() < 1e-5 and output[valid].abs().max() > 0.1
        for row in range(3):  # alone, without padding
            frames = int(valid[row].sum())
            own = {name: value[row : row + 1] for name, value in expected.items() if "mask" not in name}
            own["x"], own["reference"] = own["x"][:, :frames], own["reference"][:, :frames]
            assert (dit(**own)[0] - output[row, :frames]).abs().max() < 1e-5


@pytest.mark.parametrize(("prefix", "key"), [("", None), ("module.", "model"), ("", "state_dict")])
@pytest.mark.parametrize("reference_layers", [1, 0])
def test_every_number_is_kept(tmp_path, prefix, key, reference_layers):
    dit = write_checkpoint(tmp_path / "model.pt", reference_layers, prefix, key)
    loaded = load_upstream_dit(tmp_path / "model.pt", SMALL)
    assert same_numbers(loaded, dit) and loaded.config.num_reference_layers == reference_layers
    assert not loaded.mean.any() and bool((loaded.std == 1).all()) and not loaded.training
    weights = torch.ones(276)
    weights[258:] = 3  # as in its training
    assert torch.equal(loaded._block_weights(torch.zeros(1)), weights)
    mean, std = torch.linspace(-1, 1, 276), torch.linspace(0.1, 2, 276)
    loaded = load_upstream_dit(tmp_path / "model.pt", SMALL, mean, std)
    assert torch.equal(loaded.mean, mean) and torch.equal(loaded.std, std)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_converted_folder_is_loaded_again(tmp_path, capsys, dtype):
    dit = write_checkpoint(tmp_path / "model.pt")
    (tmp_path / "options.json").write_text(json.dumps(SMALL))
    folder = convert_dit(tmp_path / "model.pt", tmp_path / "dit", tmp_path / "options.json", dtype=dtype)
    kind = getattr(torch, dtype)
    loaded = MotionDiT.from_pretrained(folder)
    assert loaded.dtype == kind and loaded.mean.dtype == torch.float32
    assert same_numbers(loaded, dit.to(kind))
    note = capsys.readouterr().err.strip().splitlines()
    assert len(note) == 1 and "this transformer expects normalised features; add --mean and --std" in note[0]


@pytest.fixture
def encoder(tmp_path) -> Path:
    """A umT5 of width 16 with the files of the released one."""
    sentencepiece = pytest.importorskip("sentencepiece", reason='needs pip install "motionmillion[train]"')
    from transformers import UMT5Config, UMT5EncoderModel

    folder = tmp_path / "umt5"
    sizes = dict(vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    UMT5EncoderModel(UMT5Config(**sizes)).save_pretrained(folder)
    with (folder / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a person walks forward and waves", "someone jumps", "he sits down"] * 20),
            model_writer=file,
            vocab_size=50,
            hard_vocab_limit=False,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
        )
    return folder


def test_with_a_text_encoder_it_is_a_pipeline(tmp_path, encoder):
    dit = write_checkpoint(tmp_path / "model.pt")
    (tmp_path / "options.json").write_text(json.dumps(SMALL))
    for name, value in (("mean", np.zeros(276)), ("std", np.full(276, 0.1))):
        np.save(tmp_path / f"{name}.npy", value)
    command = ["convert", "dit", str(tmp_path / "model.pt"), "-o", str(tmp_path / "pipe")]
    for name in ("options.json", "mean.npy", "std.npy"):
        command += [f"--{name.split('.')[0]}", str(tmp_path / name)]
    result = CliRunner().invoke(app, [*command, "--text-encoder", str(encoder)], catch_exceptions=False)
    assert result.stdout.splitlines()[-1] == str(tmp_path / "pipe")
    settings = json.loads((tmp_path / "pipe" / "pipeline.json").read_text())
    assert settings["kind"] == "dit" and settings["defaults"] == dict(PUBLISHED_SAMPLING)
    texts = json.loads((tmp_path / "pipe" / "text_encoder.json").read_text())
    assert texts == {"name": str(encoder), "sentence": False, "max_length": 226, "dim": 16}
    pipe = MotionPipeline.from_pretrained(tmp_path / "pipe")
    assert same_numbers(pipe.dit, dit)
    assert pipe("a person walks", seconds=1, steps=2)[0].num_frames == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dtype", "float16"], "dtype must be one of .*bfloat16.*, got 'float16'"),
        (["--text-encoder", "nosuch"], "mean and std must be given for a pipeline, got none; add --mean and --std"),
        (["--tokenizer", "x"], "--tokenizer must be left out for a dit, got 'x'"),
        (["--shard-size", "2GB"], "--shard-size must be left out for a dit, got '2GB'"),
        (["--rope-precision", "float32"], "--rope-precision must be left out for a dit, got 'float32'"),
    ],
)
def test_mistakes_on_the_command_line_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        command = ["convert", "dit", str(tmp_path / "model.pt"), "-o", str(tmp_path / "dit"), *options]
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert not (tmp_path / "dit").exists()


def test_an_encoder_of_another_width_is_refused(tmp_path):
    write_checkpoint(tmp_path / "model.pt")
    (tmp_path / "options.json").write_text(json.dumps(SMALL))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "umt5", "d_model": 24}))
    for name in ("mean", "std"):
        np.save(tmp_path / f"{name}.npy", np.ones(276))
    files = (tmp_path / name for name in ("options.json", "mean.npy", "std.npy"))
    with pytest.raises(ValueError, match="text_encoder must give features of width 16, got 24 .*google/umt5-xxl"):
        convert_dit(tmp_path / "model.pt", tmp_path / "pipe", *files, text_encoder=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": None}, r"options\['dim'\] must be a positive whole number"),
        ({"in_dim": 272}, r"options\['in_dim'\] must be 276 to be converted, got 272"),
        ({"ref_motion_dim": 276}, r"options\['ref_motion_dim'\] must be 138 to be converted"),
        ({"eps": 1e-5}, r"options\['eps'\] must be 1e-06 to be converted"),
        ({"qk_norm": False}, r"options\['qk_norm'\] must be True to be converted"),
        ({"text_len": 0}, r"options\['text_len'\] must be a positive whole number"),
        ({"num_head": 2}, "known keys only, got 'num_head'; did you mean num_heads"),
    ],
)
def test_options_are_checked_before_anything_is_read(change, message):
    with pytest.raises(ValueError, match=message):
        load_upstream_dit("nosuch.pt", {**SMALL, **change})
    with pytest.raises(ValueError, match="got none for num_heads; add them"):
        load_upstream_dit("nosuch.pt", {name: value for name, value in SMALL.items() if name != "num_heads"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 1}, "left over in .*blocks.1"),
        ({"num_layers": 3}, "missing in .*blocks.2"),
        ({"ffn_dim": 40}, "checkpoint must fit its options"),
        ({"dim": 30}, "checkpoint must fit its options"),
    ],
)
def test_weights_that_do_not_fit_the_options_are_named(tmp_path, change, message):
    write_checkpoint(tmp_path / "model.pt")
    with pytest.raises(ValueError, match=message):
        load_upstream_dit(tmp_path / "model.pt", {**SMALL, **change})


def test_damaged_checkpoints_are_named(tmp_path):
    path = tmp_path / "model.pt"
    write_checkpoint(path)
    state = torch.load(path, weights_only=True)
    for change, message in (
        ({"blocks.1.ffn.0.bias": torch.full((48,), torch.nan)}, "NaN or infinity in .*: blocks.1.ffn.0.bias"),
        ({"blocks.1.norm9.bias": torch.zeros(3)}, "1 weights left over in .*: blocks.1.norm9.bias"),
        ({"blocks.1.ffn.0.bias": [1, 2]}, "checkpoint must hold its weights under 'model' or 'state_dict'"),
    ):
        torch.save({**state, **change}, path)
        with pytest.raises(ValueError, match=message):
            load_upstream_dit(path, SMALL)
    with pytest.raises(ValueError, match="checkpoint must be an existing file, got .*nosuch.pt"):
        load_upstream_dit(tmp_path / "nosuch.pt", SMALL)


def test_nothing_reads_the_file_of_a_refused_model():
    """Else writing over it would end the process: threads would read mapped pages that are gone."""
    config = MotionDiTConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    values = dict(MotionDiT(config).named_parameters())
    bad, slow = sorted(values)[:2]  # transformers sorts them
    started, reading = threading.Event(), threading.Event()

    def refuse() -> Tensor:
        started.wait(10)
        raise ValueError("broken")

    def linger() -> Tensor:
        reading.set()
        started.set()
        time.sleep(2)  # longer than it takes to refuse the model
        reading.clear()
        return values[slow]

    weights = {name: StoredWeight(functools.partial(values.get, name), torch.float32) for name in values}
    weights |= {bad: StoredWeight(refuse, torch.float32), slow: StoredWeight(linger, torch.float32)}
    with pytest.raises(ValueError, match="broken"):
        MotionDiT.from_state(config, weights, "model.pt", dtype=torch.float32)
    assert started.is_set() and not reading.is_set()
    with pytest.raises(ValueError, match="got a read after that"):
        weights[slow][...]


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (torch.zeros(276), None, "got mean alone; add std"),
        (torch.zeros(272), torch.ones(272), r"mean must be finite and of shape \[276\]"),
        (torch.zeros(276), torch.zeros(276), "std must be above 0"),
    ],
)
def test_statistics_are_checked(tmp_path, mean, std, message):
    write_checkpoint(tmp_path / "model.pt")
    with pytest.raises(ValueError, match=message):
        load_upstream_dit(tmp_path / "model.pt", SMALL, mean, std)
