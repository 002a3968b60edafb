"""MotionPipeline: text to motion in one call, whatever the kind of model.

    pipe = MotionPipeline.from_pretrained("mini")               # a CodesPipeline, because of its folder
    motion = pipe(["a person waves"], seconds=4, seed=0)[0]

What the kinds share is here: loading and saving, device, text, seeds and batches. A kind is a subclass, with its own
options (`motionmillion.pipeline.options`), and one line in `_KINDS`.

Unusual: `MotionPipeline(tokenizer, lm, text_encoder)` makes a `CodesPipeline`.
"""

import hashlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from motionmillion.configuration import check_device, check_number, check_whole, shown
from motionmillion.motion import Motion
from motionmillion.pipeline.checks import check_seconds
from motionmillion.pipeline.folder import find_pipeline, layout_of, read_pipeline_settings, write_pipeline_parts
from motionmillion.pipeline.options import Options
from motionmillion.text.encoder import TextEncoder
from motionmillion.text.prompts import check_texts
from motionmillion.text.rewriting import PromptRewriter

if TYPE_CHECKING:
    from motionmillion.eval.evaluator.model import TextMotionEvaluator

MATCHER = "matcher"
"""Folder of a pipeline's matcher."""
_KINDS = {
    None: "motionmillion.pipeline.codes:CodesPipeline",
    "dit": "motionmillion.pipeline.dit.pipeline:DiTPipeline",
}
"""Class of each `kind` in `pipeline.json`; None is a tokenizer with a language model."""


def pipeline_class(kind: Any) -> "type[MotionPipeline] | None":
    """The class for a `kind` in `pipeline.json`; None for unknown kinds."""
    if not isinstance(kind, str | None) or kind not in _KINDS:
        return None
    module, name = _KINDS[kind].split(":")
    return getattr(importlib.import_module(module), name)


class MotionPipeline:
    """A text encoder, a model, and the steps from text to motion; see the subclasses.

    `default_options` are the options of a call that leaves them out; assign others to change them.
    """

    kind: ClassVar[str | None]
    """The `kind` in `pipeline.json`."""
    noun: ClassVar[str]
    """The kind in errors."""
    text_encoder: TextEncoder
    default_options: Options
    matcher: "TextMotionEvaluator | None" = None
    """An evaluator that helps to choose among candidates, see `motionmillion.pipeline.choosing`."""

    def __new__(cls, *parts: Any, **named: Any) -> Self:
        made: Any = pipeline_class(None) if cls is MotionPipeline else cls
        return object.__new__(made)

    # calls

    def __call__(
        self,
        prompts: str | list[str],
        seconds: float | None = None,
        num_samples: int = 1,
        seed: int = 0,
        *,
        batch_size: int = 32,
        prefix: Motion | None = None,
        rewriter: PromptRewriter | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate motions for prompts, `num_samples` consecutive ones for each."""
        raise NotImplementedError

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        seconds: float | None = None,
        prefix: Motion | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate one batch: a motion per prompt, each with its own seed."""
        raise NotImplementedError

    def timeline(
        self,
        parts: Sequence[tuple[str, float]],
        num_samples: int = 1,
        seed: int = 0,
        prefix: Motion | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate one motion through several texts, each with its own length."""
        raise NotImplementedError

    def inbetween(self, prompt: str, start: Motion, end: Motion, seconds: float, **options: Any) -> Motion:
        """One motion of `start`, `seconds` of new motion that follow the prompt, and `end`."""
        raise NotImplementedError

    def stream(
        self,
        prompt: str | Sequence[tuple[str, float]],
        seconds: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Iterator[Motion]:
        """Yield a motion in pieces while it is being generated; `Motion.join` puts them together."""
        raise NotImplementedError

    def edit(self, motion: Motion, prompt: str, **options: Any) -> Motion:
        """Regenerate frames or joints of a motion; only a DiT can, see `DiTPipeline`.

        Raises:
            ValueError: for other kinds.
        """
        raise ValueError(f"edit must be called on a DiT, such as the bundled mini-dit, got {self.noun}")

    # options, text, seeds and batches

    @property
    def defaults(self) -> dict[str, Any]:
        """The default options as they are written into the pipeline's folder."""
        return self.default_options.saved()

    def set_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Change some default options.

        Raises:
            ValueError: for unknown options, and for values that no call would accept.
        """
        self.default_options = type(self.default_options).from_defaults({**self.defaults, **defaults})

    def options(self, given: Mapping[str, Any], timed: bool = False) -> Options:
        """The checked options of a call over the defaults, see `Options.updated`."""
        return self.default_options.updated(given, timed)

    @property
    def device(self) -> torch.device:
        raise NotImplementedError

    @property
    def fps(self) -> float:
        """Frame rate of the motions."""
        raise NotImplementedError

    def read(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Features `[B, L, C]` and mask `[B, L]` of texts, on the model's device."""
        features, mask = self.text_encoder(prompts)
        self.text_encoder.warn_of_cuts(prompts)
        return features.to(self.device), mask.to(self.device)

    # folders

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        quantization: str | None = None,
    ) -> Self:
        """Load a bundled model by name, a folder, or a hub id; returns the class of its kind.

        A folder is one of ours or holds weights as another project publishes them, see
        `motionmillion.pipeline.layouts`.

        Args:
            dtype: of the model; a tokenizer and the text encoder stay in float32, but the large text encoders of other
                projects follow bfloat16.
            quantization: low-bit weights of a language model, a name of `motionmillion.quantization`.

        Raises:
            ValueError: if there is no such pipeline, it is of another kind than the class, or a part of it is missing
                or damaged.
        """
        folder, device = find_pipeline(name), check_device(device)
        settings = read_pipeline_settings(folder)
        found: Any = pipeline_class(settings["kind"])
        if found is None:
            raise ValueError(f"pipeline must be of a known kind, got {settings['kind']!r} in {str(folder)!r}")
        if not issubclass(found, cls):
            raise ValueError(f"pipeline must be {cls.noun}, got {found.noun} in {str(folder)!r}; use MotionPipeline")
        layout = layout_of(folder)
        if layout is not None:
            made: Any = layout.load(folder, device, dtype, quantization)
        else:
            made = found.load(folder, settings["defaults"], device, dtype, quantization)
            made.matcher = load_matcher(folder, made.text_encoder, device)
        return made

    @classmethod
    def load(
        cls,
        folder: Path,
        defaults: Mapping[str, Any] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        quantization: str | None = None,
    ) -> "MotionPipeline":
        """Load the pipeline in a folder; `from_pretrained` calls it for the kind of the folder."""
        raise NotImplementedError

    def to(self, device: str | torch.device) -> Self:
        """Move all parts."""
        for part in (self.text_encoder, *self._saved_parts().values()):
            part.to(device)  # type: ignore[arg-type]
        return self

    def weighted_parts(self) -> dict[str, PreTrainedModel]:
        """The parts that generate, by the name of their folder."""
        raise NotImplementedError

    def _saved_parts(self) -> dict[str, PreTrainedModel]:
        """The parts with their own folder, by its name."""
        return self.weighted_parts() | ({} if self.matcher is None else {MATCHER: self.matcher})

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write a pipeline folder; weights are stored in `dtype` (buffers such as the statistics stay exact)."""
        folder = Path(folder)
        for name, part in self._saved_parts().items():
            weights = None
            if dtype is not None:
                cast = {name for name, _ in part.named_parameters()}
                weights = {k: v.to(dtype) if k in cast else v for k, v in part.state_dict().items()}
            part.save_pretrained(folder / name, state_dict=weights)
        self.save_settings(folder)
        return folder

    def save_settings(self, folder: str | Path) -> None:
        """Write the files of a pipeline folder besides the models."""
        write_pipeline_parts(folder, self.text_encoder.settings, self.defaults, self.kind)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the pipeline's folder to the Hugging Face hub; returns the URL of the commit.

        Args:
            options: further arguments of `HfApi.upload_folder`.
        """
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(repo_id, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, **options))


def load_matcher(folder: Path, encoder: TextEncoder, device: str | torch.device) -> "TextMotionEvaluator | None":
    """The matcher in the folder of a pipeline, which reads texts with the pipeline's encoder where it can.

    Raises:
        ValueError: if it is damaged.
    """
    if not (folder / MATCHER).is_dir():
        return None
    from motionmillion.eval.evaluator.model import TextMotionEvaluator

    matcher = TextMotionEvaluator.from_pretrained(folder / MATCHER)
    matcher.to(device)  # type: ignore[arg-type]
    config = matcher.config
    if (config.text_encoder, config.sentence, config.text_length) == (
        encoder.name,
        encoder.sentence,
        encoder.max_length,
    ):
        matcher.use_text_encoder(encoder)
    return matcher


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


def batches(rows: Sequence[tuple[Any, ...]], num_samples: int, seed: int, batch_size: int) -> Iterator[list[list]]:
    """The columns of each batch: every row `num_samples` times in a row, with a column of seeds at the end.

    Batches bound memory and do not change results, because each row has its own seed.

    Raises:
        ValueError: for numbers out of range.
    """
    check_whole("num_samples", num_samples, 1)
    check_whole("batch_size", batch_size, 1)
    seeds = [sample_seed(seed, n) for n in range(num_samples)]
    every = [(*row, own) for row in rows for own in seeds]
    for start in range(0, len(every), batch_size):
        yield [list(column) for column in zip(*every[start : start + batch_size], strict=True)]


def rewritten(texts: list[str], rewriter: PromptRewriter | None) -> list[str]:
    """The texts after the rewriter, if there is one; empty texts stay empty."""
    if rewriter is None or not any(texts):
        return texts
    rewrites = iter(rewriter([text for text in texts if text]))
    return [next(rewrites).rewritten if text else text for text in texts]


def check_parts(parts: Sequence[tuple[str, float]]) -> None:
    """Raise `ValueError` unless `parts` are pairs of a text with words and seconds."""
    if isinstance(parts, str) or not parts or not all(isinstance(p, tuple | list) and len(p) == 2 for p in parts):
        raise ValueError(f'parts must be pairs of text and seconds, got {parts!r}; try [("a person walks", 4)]')
    check_texts([text for text, _ in parts])
    for number, (_, seconds) in enumerate(parts):
        check_number(f"seconds of part {number}", seconds)
        check_seconds(f"seconds of part {number}", seconds)


def check_motion(motion: Any, name: str) -> Motion:
    """Return `motion` if it is a `Motion`; raises `ValueError` otherwise."""
    if not isinstance(motion, Motion):
        raise ValueError(f"{name} must be a Motion, got {shown(motion)}; read a file with Motion.load")
    return motion
