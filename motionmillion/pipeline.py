"""MotionPipeline: text to motion in one call.

    pipe = MotionPipeline.from_pretrained("mini")
    motion = pipe(["a person waves"], seconds=4, seed=0)[0]
    for chunk in pipe.stream("a person walks"):
        ...

A pipeline folder holds `pipeline.json` (versions and default sampling options), `tokenizer/`, `lm/` and
`text_encoder.json`.

Unusual: what a prompt gives depends on the prompt, the seed and the options alone, never on the other prompts of the
call or the batch size; sample n of a prompt draws from a seed derived from `seed` and n.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import motionmillion
from motionmillion.configuration import unknown_key_error
from motionmillion.io.files import write_text
from motionmillion.lm import MotionLM
from motionmillion.lm.generation import stream as stream_tokens
from motionmillion.motion import Motion
from motionmillion.text import TextEncoder, check_texts
from motionmillion.tokenizer import MotionTokenizer

MAX_SECONDS = 60.0
"""Longest motion that one call makes."""

_DEFAULTS: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "guidance_scale": 1.0, "max_seconds": 10.0}


class MotionPipeline:
    """Text encoder, language model and tokenizer, joined.

    Args:
        defaults: sampling options used where a call does not name them: `temperature`, `top_k`, `top_p`,
            `guidance_scale`, and `max_seconds`, which ends motions whose length is left to the model.
    """

    def __init__(
        self,
        tokenizer: MotionTokenizer,
        lm: MotionLM,
        text_encoder: TextEncoder,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        if lm.config.codebook_size != tokenizer.config.codebook_size:
            raise ValueError(
                f"lm and tokenizer must share one codebook, got {lm.config.codebook_size} and "
                f"{tokenizer.config.codebook_size} codes"
            )
        if lm.config.text_dim != text_encoder.dim:
            raise ValueError(
                f"lm must read the text encoder's features, got a width of {lm.config.text_dim} for {text_encoder.dim}"
            )
        if set(defaults or {}) - set(_DEFAULTS):
            raise unknown_key_error("pipeline defaults", set(defaults or {}) - set(_DEFAULTS), _DEFAULTS)
        self.tokenizer, self.lm, self.text_encoder = tokenizer.eval(), lm.eval(), text_encoder
        self.defaults = {**_DEFAULTS, **(defaults or {})}

    @property
    def device(self) -> torch.device:
        return self.lm.device

    @property
    def fps(self) -> float:
        return self.tokenizer.representation.fps

    def __call__(
        self,
        prompts: str | list[str],
        seconds: float | None = None,
        num_samples: int = 1,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance_scale: float | None = None,
        batch_size: int = 32,
    ) -> list[Motion]:
        """Motions for prompts, `num_samples` in a row for each.

        Args:
            prompts: sentences.
            seconds: length of every motion; None lets the model end it, at `max_seconds` at the latest.
            seed: the same seed gives the same motions.
            temperature: 0 is greedy.
            top_k, top_p, guidance_scale: see `motionmillion.lm.generation.stream`.
            batch_size: rows that are generated together; bounds memory, changes no result.

        Raises:
            ValueError: for prompts without words and options out of range.
        """
        prompts = check_texts(prompts)
        for name, value in (("num_samples", num_samples), ("batch_size", batch_size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be at least 1 and whole, got {value!r}")
        rows = [(prompt, sample_seed(seed, n)) for prompt in prompts for n in range(num_samples)]
        motions = []
        for start in range(0, len(rows), batch_size):
            texts, seeds = zip(*rows[start : start + batch_size], strict=True)
            motions += self.sample(texts, seeds, seconds, temperature, top_k, top_p, guidance_scale)
        return motions

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        seconds: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance_scale: float | None = None,
    ) -> list[Motion]:
        """One batch: a motion for each prompt with its own seed; the other arguments are those of a call."""
        # 1. check the options
        options = self.options(seconds, temperature, top_k, top_p, guidance_scale)
        # 2. read the text
        features, mask = self.text_encoder(list(prompts))
        # 3. generate tokens
        tokens = self.lm.generate(
            text_features=features.to(self.device), text_mask=mask.to(self.device), seeds=seeds, **options
        )
        # 4. decode them
        return [self.decode(row, seconds).replace(caption=text) for text, row in zip(prompts, tokens, strict=True)]

    def stream(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance_scale: float | None = None,
        chunk_tokens: int = 8,
    ) -> Iterator[Motion]:
        """Yield a prompt's motion in pieces while tokens are still being generated; joined, they are `pipe(prompt)`.

        A frame leaves as soon as no later token can change it. A wavelet longer than Haar ties the first frames to
        the last ones; then everything leaves at once.

        Args:
            chunk_tokens: new tokens between two pieces.
        """
        options = self.options(seconds, temperature, top_k, top_p, guidance_scale)
        if chunk_tokens < 1:
            raise ValueError(f"chunk_tokens must be at least 1, got {chunk_tokens!r}")
        features, mask = self.text_encoder(check_texts(prompt))
        steps = stream_tokens(
            self.lm, features.to(self.device), mask.to(self.device), seeds=[sample_seed(seed, 0)], **options
        )
        return self._pieces(steps, prompt, seconds, chunk_tokens)

    def _pieces(
        self, steps: Iterator[Tensor], prompt: str, seconds: float | None, chunk_tokens: int
    ) -> Iterator[Motion]:
        longest = None if seconds is None else max(round(seconds * self.fps), 1)
        features = torch.empty(0)
        for piece in self.tokenizer.decode_stream(self._chunks(steps, chunk_tokens)):
            sent = features.shape[0]
            features = torch.cat([features, piece[0].float().cpu()]) if sent else piece[0].float().cpu()
            features = features[:longest]
            if sent < features.shape[0]:
                motion = self.tokenizer.representation.decode(features)  # paths and headings are sums from the start
                yield motion.slice(sent, motion.num_frames).replace(caption=prompt)

    def _chunks(self, steps: Iterator[Tensor], size: int) -> Iterator[Tensor]:
        """Codes `[1, n]` of single tokens `[1]`, `size` at a time, up to END."""
        tokens: list[Tensor] = []
        for token in steps:
            if int(token) >= self.lm.config.end_token_id:
                break
            tokens.append(token)
            if len(tokens) == size:
                yield torch.stack(tokens, dim=1).to(self.tokenizer.device)
                tokens = []
        if tokens:
            yield torch.stack(tokens, dim=1).to(self.tokenizer.device)

    def options(
        self,
        seconds: float | None,
        temperature: float | None,
        top_k: int | None,
        top_p: float | None,
        guidance_scale: float | None,
    ) -> dict[str, Any]:
        """Arguments of `MotionLM.generate`: what is not None, over the pipeline's defaults."""
        given = dict(temperature=temperature, top_k=top_k, top_p=top_p, guidance_scale=guidance_scale)
        options = {name: self.defaults[name] if value is None else value for name, value in given.items()}
        check_seconds(seconds)
        rate = self.fps / self.tokenizer.config.frames_per_token
        longest = math.ceil((self.defaults["max_seconds"] if seconds is None else seconds) * rate - 1e-6)
        options["max_new_tokens"] = max(longest, 1)
        options["min_new_tokens"] = 1 if seconds is None else options["max_new_tokens"]
        return options

    def decode(self, tokens: Tensor, seconds: float | None = None) -> Motion:
        """Motion of one row of tokens `[N]`, cut at END or PAD and, where given, to `seconds`."""
        codes = tokens[tokens < self.lm.config.end_token_id]
        features = self.tokenizer.decode(codes[None].to(self.tokenizer.device))[0]
        if seconds is not None:
            features = features[: max(round(seconds * self.fps), 1)]
        return self.tokenizer.representation.decode(features.float().cpu())

    def to(self, device: str | torch.device) -> "MotionPipeline":
        for part in (self.tokenizer, self.lm, self.text_encoder):
            part.to(device)  # type: ignore[arg-type]
        return self

    @classmethod
    def from_pretrained(cls, name: str | Path, device: str | torch.device = "cpu") -> "MotionPipeline":
        """Load a bundled model by name, a folder, or a hub id.

        Raises:
            ValueError: if there is no such pipeline or a part of it is missing or damaged.
        """
        folder = find_pipeline(name)
        try:
            defaults = json.loads((folder / "pipeline.json").read_text(encoding="utf-8")).get("defaults")
        except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError, AttributeError):
            raise ValueError(
                f"pipeline must be a folder with a pipeline.json, got {str(name)!r}; the bundled ones are {bundled()}"
            ) from None
        tokenizer = MotionTokenizer.from_pretrained(folder / "tokenizer", dtype=torch.float32)
        lm = MotionLM.from_pretrained(folder / "lm", dtype=torch.float32)
        encoder = TextEncoder.from_pretrained(folder)
        return cls(tokenizer, lm, encoder, defaults).to(device)

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write a pipeline folder; `dtype` is what weights are stored in (buffers, the statistics, stay exact)."""
        folder = Path(folder)
        for name, part in (("tokenizer", self.tokenizer), ("lm", self.lm)):
            weights = None
            if dtype is not None:
                cast = {name for name, _ in part.named_parameters()}
                weights = {k: v.to(dtype) if k in cast else v for k, v in part.state_dict().items()}
            part.save_pretrained(folder / name, state_dict=weights)
        self.text_encoder.save_pretrained(folder)
        settings = {"format": 1, "motionmillion": motionmillion.__version__, "defaults": self.defaults}
        write_text(json.dumps(settings, indent=2) + "\n", folder / "pipeline.json")
        return folder

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the pipeline's folder to the Hugging Face hub; the address of the commit."""
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(repo_id, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, **options))


def bundled() -> list[str]:
    """Names of the models that come with the package."""
    root = resources.files("motionmillion") / "bundled"
    return sorted(entry.name for entry in root.iterdir() if (entry / "pipeline.json").is_file())


def check_seconds(seconds: float | None) -> None:
    """Raise `ValueError` unless `seconds` is None or within 0..MAX_SECONDS."""
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds <= MAX_SECONDS):
        raise ValueError(f"seconds must be above 0 and at most {MAX_SECONDS:g}, got {seconds!r}")


def sample_seed(seed: int, sample: int) -> int:
    """Seed of sample number `sample` of a prompt; sample 0 has `seed` itself.

    Raises:
        ValueError: unless `seed` is in 0..2**63-1.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number in 0..2**63-1, got {seed!r}")
    if sample == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{sample}".encode()).digest()[:4], "big")


def find_pipeline(name: str | Path) -> Path:
    """Folder of a pipeline: bundled, on disk, or downloaded.

    Raises:
        ValueError: if there is none of that name.
    """
    if str(name) in bundled():
        return Path(str(resources.files("motionmillion") / "bundled" / str(name)))
    if Path(name).is_dir():
        return Path(name)
    if str(name).count("/") != 1 or str(name).startswith((".", "/")):
        raise ValueError(f"pipeline must be one of {bundled()}, a folder, or a hub id, got {str(name)!r}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors", "*.md"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"pipeline must be a folder or on the hub, got {str(name)!r}: {reason}") from None
