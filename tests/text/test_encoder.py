"""Text encoders of every family, with random weights and tokenizers trained on the spot."""

import json
import random
import sys
import warnings
from pathlib import Path

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5EncoderModel,
)

from motionmillion.text.encoder import TextEncoder

WORDS = (
    "a person walks forward and waves then turns to the left jumps slowly someone kicks sits down dances runs".split()
)
TEXTS = ["a person waves", "someone walks slowly forward and then turns to the left", "jumps"]
LONG = "walks " * 200


def sentences() -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=8)) for _ in range(200)]


def write_sentencepiece(folder: Path) -> None:
    with (folder / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences()),
            model_writer=file,
            vocab_size=100,
            hard_vocab_limit=False,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
        )


def write_t5(folder: Path) -> None:
    write_sentencepiece(folder)
    sizes = dict(vocab_size=220, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
    T5ForConditionalGeneration(T5Config(**sizes, feed_forward_proj="gated-gelu")).save_pretrained(folder)


def write_umt5(folder: Path) -> None:
    write_sentencepiece(folder)
    UMT5EncoderModel(
        UMT5Config(vocab_size=220, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    ).save_pretrained(folder)


def write_bert(folder: Path) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=40).save_pretrained(folder)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=40, **sizes)).save_pretrained(folder)


def clip_tokenizer() -> CLIPTokenizer:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|startoftext|>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=150, special_tokens=special, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return CLIPTokenizer(model["vocab"], [tuple(pair) for pair in model["merges"]], model_max_length=20)


def clip_text_sizes(tokenizer: CLIPTokenizer) -> dict:
    return dict(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=20,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def write_clip(folder: Path) -> None:
    tokenizer = clip_tokenizer()
    tokenizer.save_pretrained(folder)
    vision = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32)
    CLIPModel(CLIPConfig(text_config=clip_text_sizes(tokenizer), vision_config=vision)).save_pretrained(folder)


def write_clip_text(folder: Path) -> None:
    tokenizer = clip_tokenizer()
    tokenizer.save_pretrained(folder)
    CLIPTextModel(CLIPTextConfig(**clip_text_sizes(tokenizer))).save_pretrained(folder)


WRITERS = {"t5": write_t5, "umt5": write_umt5, "bert": write_bert, "clip": write_clip, "clip_text": write_clip_text}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A folder of each family, as its hub page would have it."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("encoders")
    for name, write in WRITERS.items():
        (root / name).mkdir()
        write(root / name)
    return {name: root / name for name in WRITERS}


@pytest.mark.parametrize("family", WRITERS)
def test_a_text_reads_the_same_alone_and_in_company(folders, family):
    encoder = TextEncoder(str(folders[family]))
    features, mask = encoder(TEXTS)
    assert features.dtype == torch.float32 and features.shape[2] == encoder.dim == 32
    assert mask[:, 0].all() and (mask.sum(1)[1] > mask.sum(1)[0]) and (features[~mask] == 0).all()
    assert all((mask[row].int().diff() <= 0).all() for row in range(3))  # padding stands on the right
    for row, text in enumerate(TEXTS):
        alone, valid = encoder([text])
        assert valid.all() and torch.allclose(alone[0], features[row, mask[row]], atol=1e-5)
    assert not torch.allclose(features[0, 0], features[1, 0], atol=1e-3) or family.startswith("clip")


@pytest.mark.parametrize("family", WRITERS)
def test_long_texts_keep_their_end_token(folders, family):
    encoder = TextEncoder(str(folders[family]), max_length=12)
    end = encoder.tokenizer.sep_token_id if family == "bert" else encoder.tokenizer.eos_token_id
    ids = encoder.tokenizer(LONG, truncation=True, max_length=encoder.max_length)["input_ids"]
    assert len(ids) == 12 and ids[-1] == end and ids.count(end) == 1
    assert encoder([LONG])[0].shape[1] == 12
    short = encoder.tokenizer("walks")["input_ids"]
    assert short[-1] == end and short.count(end) == 1


@pytest.mark.parametrize(("family", "positions"), [("t5", 150), ("bert", 40), ("clip", 20)])
def test_length_ends_at_the_positions_of_the_encoder(folders, family, positions):
    encoder = TextEncoder(str(folders[family]))
    assert encoder.max_length == positions
    assert encoder([LONG])[0].shape[1] == positions


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_tokens_are_those_of_sentencepiece(folders, family):
    encoder = TextEncoder(str(folders[family]))
    reference = sentencepiece.SentencePieceProcessor(model_file=str(folders[family] / "spiece.model"))
    for text in (*TEXTS, "someone  waves twice", "a person, then jumps", "naïve walks"):
        assert encoder.tokenizer(text)["input_ids"] == [*reference.encode(text), 1]


def test_the_text_half_of_clip_is_that_of_the_whole_model(folders):
    encoder = TextEncoder(str(folders["clip"]))
    whole = CLIPModel.from_pretrained(folders["clip"]).eval()
    tokens = encoder.tokenizer(TEXTS[:1], return_tensors="pt")
    with torch.no_grad():
        expected = whole.text_model(**tokens).last_hidden_state
    assert torch.allclose(encoder(TEXTS[:1])[0], expected, atol=1e-5)


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_lower_precision_gives_nearly_the_same_features(folders, family, dtype):
    exact, mask = TextEncoder(str(folders[family]))(TEXTS)
    encoder = TextEncoder(str(folders[family]), dtype=dtype)
    assert next(encoder.model.parameters()).dtype == torch.bfloat16
    rough, same_mask = encoder(TEXTS)
    assert rough.dtype == torch.float32 and torch.equal(mask, same_mask)
    assert 0 < (rough - exact).norm() / exact.norm() < 0.05


def test_the_mean_over_the_words_stands_first(folders):
    plain, mask = TextEncoder(str(folders["t5"]))(TEXTS)
    features, longer = TextEncoder(str(folders["t5"]), sentence=True)(TEXTS)
    assert torch.equal(features[:, 1:], plain) and longer.sum(1).tolist() == (mask.sum(1) + 1).tolist()
    assert torch.allclose(features[0, 0], plain[0, mask[0]].mean(0), atol=1e-6)


def test_device_asked_for(folders):
    encoder = TextEncoder(str(folders["t5"]), device="meta")
    assert encoder.device.type == "meta"
    assert all(value.device.type == "meta" for value in encoder.model.state_dict().values())


def test_settings_name_the_encoder_and_are_checked(folders, tmp_path):
    encoder = TextEncoder(str(folders["clip"]), sentence=True, max_length=9)
    encoder.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "text_encoder.json").read_text())
    assert settings == {"name": str(folders["clip"]), "sentence": True, "max_length": 9, "dim": 32}
    loaded = TextEncoder.from_pretrained(tmp_path, dtype="bfloat16")
    assert (loaded.sentence, loaded.max_length, loaded.dim) == (True, 9, 32)
    (tmp_path / "text_encoder.json").write_text(json.dumps({**settings, "dim": 48}))
    with pytest.raises(ValueError, match="must have the width 48 .*, got 32"):
        TextEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("family", "missing"), [("t5", "sentencepiece"), ("umt5", "sentencepiece"), ("umt5", "google.protobuf")]
)
def test_libraries_of_the_tokenizer_that_are_missing_are_named(folders, family, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "google.protobuf":
        for name in [
            name for name in sys.modules if name.startswith("google.protobuf.") or "sentencepiece_model" in name
        ]:
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=f"{missing.removeprefix('google.')} must be installed.*motionmillion.train"):
        TextEncoder(str(folders[family]))


def test_bad_encoders_are_named(folders, tmp_path):
    with pytest.raises(ValueError, match="must be a folder or on the hub, and it cannot be loaded: check the name"):
        TextEncoder(str(tmp_path / "nosuch"))
    with pytest.raises(ValueError, match="dtype must be one of"):
        TextEncoder(str(folders["t5"]), dtype="int8")
    with pytest.raises(ValueError, match="max_length must be a whole number of at least 2, got 1"):
        TextEncoder(str(folders["t5"]), max_length=1)
    for file in folders["bert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="must have all its weights, got 1 missing: encoder.layer.0"):
        TextEncoder(str(tmp_path))


def test_cut_prompts_are_said_once_each_and_only_when_asked(text_encoder, recwarn):
    text_encoder(["walks " * 600])
    assert not recwarn
    short = TextEncoder(max_length=6)
    with pytest.warns(UserWarning, match='prompt "a person walks and then waves to someone ..." has 12 tokens .* 6,'):
        short.warn_of_cuts(["walk", "a person walks and then waves to someone tall twice"])
    recwarn.clear()
    short.warn_of_cuts(["a person walks and then waves to someone tall twice"])
    assert not recwarn


def test_a_pipeline_says_which_prompt_is_cut(tiny_pipeline):
    long = f"a person walks {'and walks ' * 80}"
    with pytest.warns(UserWarning, match='prompt "a person walks and walks and walks and ...'):
        tiny_pipeline.read([long])


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("a person pirouettes", False),
        ("a ballerina does glissades and finishes in an arabesque", False),
        ("JumpSmallForward", False),
        ("tiptoe stealthily, crouched low", False),
        ("he stretches his hamstrings", False),
        ("somersault, backflip, handspring, cartwheel", False),
        ("eine Person geht vorwärts und winkt", True),
        ("una persona camina hacia adelante y saluda", True),
        ("la donna balla lentamente", True),
        ("een persoon loopt vooruit en zwaait", True),
        ("человек идёт вперёд", True),
        ("一个人向前走", True),
    ],
)
def test_texts_in_an_unknown_language_are_warned_of(text_encoder, text, foreign):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text_encoder.warn_of_cuts([text])
        text_encoder.warn_of_cuts([text])
    assert len(caught) == foreign and all("language that the text encoder" in str(w.message) for w in caught)
