"""Generates motions for a suite's prompts into a folder, batch by batch; the same command resumes.

    generate_suite(suite, "mini", "runs/mini/motions", GenerationOptions(seed=0))

| file | what |
|---|---|
| `generation.json` | settings of the motions; motions of other settings are never mixed in |
| `<id>.npz` | the motion of a prompt; with several samples `<id>_0.npz`, `<id>_1.npz`, ... |

Unusual: every sample has its own seed, derived from the option `seed` and the prompt's id, so a motion does not depend
on what else is generated, before or after an interruption.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionmillion.configuration import check_whole
from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.io import write_motion
from motionmillion.io.files import write_text
from motionmillion.progress import doing, progress_bar
from motionmillion.provenance import file_hashes, plain_name

if TYPE_CHECKING:
    from motionmillion.pipeline import MotionPipeline
    from motionmillion.pipeline.options import RunOptions

SETTINGS = "generation.json"
_LATER = {"dtype": "float32", "quantization": None}
"""Facts that are only written where they differ from these, so that older folders can be completed."""


@dataclass(frozen=True)
class GenerationOptions:
    """How motions are generated.

    Args:
        seed: determines everything random.
        num_samples: motions for each prompt.
        seconds: length of motions whose prompt has none; None: the model decides, or its default.
        batch_size: motions generated together; does not affect the result.
        sampling: options of the pipeline's calls, see `motionmillion.pipeline.options`; None: the model's own.
        dtype, quantization: how the model is loaded, see `RunOptions` there.
    """

    seed: int = 0
    num_samples: int = 1
    seconds: float | None = None
    batch_size: int = 16
    sampling: Mapping[str, Any] = field(default_factory=dict)

    dtype: str = "float32"
    quantization: str | None = None

    @classmethod
    def from_run(cls, options: "RunOptions", seed: int = 0, num_samples: int = 1) -> "GenerationOptions":
        """From what the command line says about a model."""
        sampling = {name: value for name, value in options.given.items() if name != "seconds"}
        seconds = options.given.get("seconds")
        return cls(seed, num_samples, seconds, options.batch_size, sampling, options.dtype, options.quantization)

    @property
    def run(self) -> "RunOptions":
        """How the model is run."""
        from motionmillion.pipeline.options import RunOptions

        return RunOptions(self.sampling, self.batch_size, self.dtype, self.quantization)

    def check(self) -> None:
        """Raise `ValueError` for invalid values."""
        from motionmillion.pipeline.base import sample_seed
        from motionmillion.pipeline.checks import check_length

        sample_seed(self.seed, 0)
        check_whole("num_samples", self.num_samples, 1)
        check_length("seconds", self.seconds)
        _ = self.run  # raises for the rest


def sample_files(prompt: Prompt, num_samples: int) -> list[str]:
    """File names of a prompt's motions."""
    if num_samples == 1:
        return [f"{prompt.id}.npz"]
    return [f"{prompt.id}_{sample}.npz" for sample in range(num_samples)]


def generate_suite(
    suite: Suite,
    model: str,
    folder: str | Path,
    options: GenerationOptions,
    device: str = "cpu",
    whole_sha256: str = "",
) -> dict[str, Any]:
    """Generate the motions that are not in the folder yet; returns their settings, for the protocol.

    Args:
        whole_sha256: hash of the suite that `suite` is a part of, so that a folder can be extended to the whole suite.

    Raises:
        ValueError: for a folder with motions of other settings, and errors of `MotionPipeline`.
    """
    from motionmillion.pipeline.folder import find_pipeline

    options.check()
    folder = Path(folder)
    facts = _facts(whole_sha256 or suite.sha256, model, find_pipeline(model), options)
    _check_settings(folder, facts)
    jobs = [
        (prompt, _seed(options.seed, prompt, sample), folder / file)
        for prompt in suite.prompts
        for sample, file in enumerate(sample_files(prompt, options.num_samples))
    ]
    todo = [job for job in jobs if not job[2].exists()]
    if todo:
        write_text(json.dumps(facts, indent=1) + "\n", folder / SETTINGS)
        _generate(todo, model, options, device)
    return facts


def _generate(todo: list[tuple[Prompt, int, Path]], model: str, options: GenerationOptions, device: str) -> None:
    from motionmillion.pipeline import MotionPipeline

    with doing("loading the model"):
        pipe = MotionPipeline.from_pretrained(model, device, **options.run.loading)
    with progress_bar(len(todo), "generating", "motions") as bar:
        for seconds in dict.fromkeys(_seconds(prompt, options) for prompt, _, _ in todo):  # a batch has one length
            jobs = [job for job in todo if _seconds(job[0], options) == seconds]
            for start in range(0, len(jobs), options.batch_size):
                part = jobs[start : start + options.batch_size]
                _write_batch(pipe, part, seconds, options)
                bar.update(len(part))


def _write_batch(
    pipe: "MotionPipeline", jobs: list[tuple[Prompt, int, Path]], seconds: float | None, options: GenerationOptions
) -> None:
    texts, seeds = [prompt.text for prompt, _, _ in jobs], [seed for _, seed, _ in jobs]
    motions = pipe.sample(texts, seeds, seconds=seconds, **options.sampling)
    for motion, (_, _, path) in zip(motions, jobs, strict=True):
        write_motion(motion, path)


def _seconds(prompt: Prompt, options: GenerationOptions) -> float | None:
    return options.seconds if prompt.seconds is None else prompt.seconds


def _seed(seed: int, prompt: Prompt, sample: int) -> int:
    """Seed of one motion, independent of the other prompts."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt.id}/{sample}".encode()).digest()[:4], "big")


def _facts(suite_sha256: str, model: str, source: Path, options: GenerationOptions) -> dict[str, Any]:
    from motionmillion.pipeline.folder import folder_options

    own = asdict(options)
    del own["batch_size"]
    own["sampling"] = folder_options(source).updated(options.sampling).changed()
    own = {name: value for name, value in own.items() if name not in _LATER or value != _LATER[name]}
    return {
        "model": plain_name(model),
        "weights_sha256": file_hashes(source) | file_hashes(source, "model.pt"),  # the latter of ViMoGen's layout
        "suite_sha256": suite_sha256,
        **own,
    }


def _check_settings(folder: Path, facts: dict[str, Any]) -> None:
    """Raise `ValueError` for a folder whose motions have other settings."""
    path = folder / SETTINGS
    if not path.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(f"output must hold no motions of unknown origin, got files in {str(folder)!r}; empty it")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        found = {}
    found, facts = {**_LATER, **found}, {**_LATER, **facts}
    for name, value in facts.items():
        if found.get(name) != value:
            raise ValueError(
                f"output must hold motions made with {name} {_short(value)}, got {_short(found.get(name))} in "
                f"{str(path)!r}; name another folder or give the same options"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
