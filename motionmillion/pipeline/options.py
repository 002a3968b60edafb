"""Options of calls of a DiT: their names, defaults and checks.

Unusual: options that only apply to models of codes raise errors with a remedy, and vice versa.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from motionmillion.configuration import check_number, check_whole, shown, unknown_key_error
from motionmillion.lm.flow import FlowSampling, check_strength
from motionmillion.motion import Motion
from motionmillion.pipeline.codes_steps import check_bounds, check_motion
from motionmillion.text.encoder import check_texts

DIT_DEFAULTS: Mapping[str, Any] = {
    "temperature": 1.0,
    "steps": 50,
    "solver": "euler",
    "shift": None,
    "guidance_scale": 1.0,
    "guidance_interval": [0.0, 1.0],
    "denoising_strength": 1.0,
    "recovery": "direct",
    "smoothing": 0.0,
    "default_seconds": 5.0,
    "min_seconds": 0.0,
    "max_seconds": 60.0,
    "transition": 0.5,
    "rounds": 1,
    "reference_weight": 0.5,
}
"""Options of a DiT and their defaults, which the pipeline's folder and the call can override."""

CODES_ONLY = ("top_k", "top_p", "min_p", "repetition_penalty", "no_repeat_ngram_size", "cache", "int8", "chunk_tokens")
"""Options that only apply to models of codes."""

OF_A_CALL = ("strength", "compiled")
"""Options of a call that have no default in the pipeline."""

OF_REFERENCES = ("reference", "reference_mode")
"""Arguments of a call that related methods, such as `timeline`, do not have."""

MAX_SMOOTHING = 100
"""Upper bound of `smoothing`, in frames."""

OF_SAMPLING = ("temperature", "steps", "solver", "shift", "guidance_scale", "guidance_interval")
"""Fields of `FlowSampling` among the options."""

RECOVERIES = {"direct": "", "velocity": "_velocity"}
"""Suffix of the representation's name for each kind of recovery."""

MODES = ("auto", "text", "motion", "both")
"""Values of `reference_mode`."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Checked settings of a call: how windows are sampled and decoded.

    Args:
        sampling: of the solver.
        recovery, smoothing: see `DiTPipeline`.
        overlap: frames that a window keeps from the previous one.
        rounds: resampling rounds per step when some features are kept.
        compiled: whether the transformer is compiled.
        starts: whether windows start from a motion, noised according to the sampling's strength.
    """

    sampling: FlowSampling
    recovery: str
    smoothing: float
    overlap: int
    rounds: int
    compiled: bool
    starts: bool


def check_dit_defaults(defaults: Mapping[str, Any] | None, features: str | None = None) -> dict[str, Any]:
    """The checked default options of a pipeline, without those that are None.

    Args:
        features: representation of the model; None skips the checks that depend on it.

    Raises:
        ValueError: if it is not a mapping, for unknown options, and for values that no call would accept.
    """
    if not isinstance(defaults, Mapping | None):
        raise ValueError(f"pipeline defaults must be a mapping of options, got {defaults!r}")
    unknown = set(defaults or {}) - set(DIT_DEFAULTS)
    if unknown:
        raise unknown_key_error("pipeline defaults", unknown, DIT_DEFAULTS)
    own = {name: value for name, value in (defaults or {}).items() if value is not None}
    _check_values({**DIT_DEFAULTS, **own}, features)
    return own


def _check_values(options: Mapping[str, Any], features: str | None) -> None:
    """Raise `ValueError` for values of `DIT_DEFAULTS`' options that are out of range."""
    # raises for invalid values
    FlowSampling(**{name: options[name] for name in OF_SAMPLING if options[name] is not None})
    check_strength("denoising_strength", options["denoising_strength"])
    check_share("reference_weight", options["reference_weight"])
    if check_whole("rounds", options["rounds"], 1) > 1 and options["denoising_strength"] != 1:
        raise ValueError(f"rounds must be 1 where denoising_strength is below 1, got {options['rounds']}")
    if options["recovery"] not in RECOVERIES:
        raise ValueError(f"recovery must be one of {tuple(RECOVERIES)}, got {options['recovery']!r}")
    if options["recovery"] == "velocity" and features not in (None, "rot276"):
        raise ValueError(f'recovery must be "direct" for features {features!r}, got "velocity"')
    check_smoothing(options["smoothing"])
    check_bounds(options)


def check_dit_options(given: Mapping[str, Any]) -> None:
    """Raise `ValueError` for options of a call that a DiT does not have."""
    for name in CODES_ONLY:
        if given.get(name) is not None:
            raise ValueError(
                f"{name} must be left out for a DiT, which has no codes to choose from, got {given[name]!r}; use "
                "steps, temperature and guidance_scale"
            )
    for name in OF_REFERENCES:
        if given.get(name) is not None:
            raise ValueError(
                f"{name} must be left out here, got {shown(given[name])}; only a call takes it: "
                "pipe(text, reference=motion)"
            )
    known = {*DIT_DEFAULTS, *OF_A_CALL}
    unknown = set(given) - known - {*CODES_ONLY, *OF_REFERENCES}
    if unknown:
        raise unknown_key_error("options", unknown, known)


def check_share(name: str, value: Any) -> float:
    """`value` if it is a number in 0..1; raises `ValueError` otherwise."""
    if check_number(name, value) > 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return float(value)


def check_smoothing(value: Any) -> float:
    """`value` if it is a valid number of frames for smoothing; raises `ValueError` otherwise."""
    if check_number("smoothing", value) > MAX_SMOOTHING:
        raise ValueError(f"smoothing must be at most {MAX_SMOOTHING} frames, got {value!r}; 0 is off, 1 is usual")
    return float(value)


def no_lengths(given: Mapping[str, Any]) -> None:
    """Raise `ValueError` for length options of an edit, whose motion already has a length."""
    for name in ("default_seconds", "min_seconds", "max_seconds"):
        if given.get(name) is not None:
            raise ValueError(f"{name} must be left out of an edit, got {given[name]!r}; the motion already has one")


def check_told(
    prompts: Any, reference: Motion | Sequence[Motion | None] | None
) -> tuple[list[str], list[Motion | None]]:
    """The checked texts, "" for empty ones, and a reference or None for each.

    Raises:
        ValueError: for texts that are not strings, empty texts without a reference, a wrong number of references, and
            references that are not motions.
    """
    texts = [prompts] if isinstance(prompts, str) else prompts
    references: list[Any] = list(reference) if isinstance(reference, list | tuple) else []
    if not isinstance(reference, list | tuple):
        references = [reference] * (len(texts) if isinstance(texts, list | tuple) else 1)
    if not isinstance(texts, list | tuple) or not texts:
        check_texts(texts)  # raises the error that fits
    if len(references) != len(texts):
        raise ValueError(f"reference must be one motion, or one per prompt, {len(texts)}, got {len(references)}")
    told = []
    for text, own in zip(texts, references, strict=True):
        if own is not None:
            check_motion(own, "reference")
        empty = isinstance(text, str) and not text.strip()
        if empty and own is None:
            raise ValueError(
                f'prompt must say what the person does, got {text!r}; try "a person waves", or a reference'
            )
        told += [""] if empty else check_texts([text])
    return told, references


def check_modes(
    mode: str | Sequence[str], texts: Sequence[str], references: Sequence[Motion | None], follows: bool
) -> list[str]:
    """The checked mode of each row; "auto" where the gate has to decide.

    Args:
        follows: whether the model can follow references.

    Raises:
        ValueError: for an unknown mode, and for a text or reference that a mode needs and a row lacks.
    """
    modes = list(mode) if isinstance(mode, list | tuple) else [mode] * len(texts)
    if len(modes) != len(texts):
        raise ValueError(f"reference_mode must be one, or one per prompt, {len(texts)}, got {len(modes)}")
    found = []
    for own, text, reference in zip(modes, texts, references, strict=True):
        if own not in MODES:
            raise ValueError(f"reference_mode must be one of {MODES}, got {shown(own)}")
        if own in ("motion", "both") and reference is None:
            raise ValueError(f"reference_mode must be auto or text without a reference, got {own!r}")
        if own in ("motion", "both") and not follows:
            raise ValueError(f"reference_mode must be auto or text for a text-only model, got {own!r}")
        if not text and (own in ("text", "both") or not follows):
            raise ValueError(
                f"prompt must say what the person does, got {text!r}; a reference alone needs "
                "reference_mode motion, and a model that can follow one"
            )
        # the gate decides only if there are both a text and a reference that the model can follow
        open_ = own == "auto" and reference is not None and follows
        found.append("motion" if open_ and not text else own if open_ or own != "auto" else "text")
    return found


def check_start(guide: Motion | None, frames: int, settings: Settings, fps: float) -> None:
    """Raise `ValueError` if a motion starts from a reference (`strength` below 1) that is shorter than it."""
    if settings.starts and guide is not None and guide.num_frames < frames:
        raise ValueError(
            f"seconds must be at most those of the reference, {guide.seconds:g}, where strength is below 1, got "
            f"{frames / fps:g}"
        )
