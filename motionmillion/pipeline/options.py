"""Options of calls of a DiT: their names, defaults and checks.

Unusual: options that only apply to models of codes raise errors with a remedy, and vice versa.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from motionmillion.configuration import check_number, check_share, check_whole, shown, unknown_key_error
from motionmillion.lm.flow import FlowSampling, check_strength
from motionmillion.lm.generation.sampling import Sampling
from motionmillion.lm.latents.sampler import DEFAULT_STEPS
from motionmillion.motion import Motion
from motionmillion.text.encoder import check_texts

MAX_SECONDS = 60.0
"""Longest motion from one text; a timeline has no limit."""

DEFAULTS: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "guidance_scale": 1.0,
    "min_seconds": 0.0,
    "max_seconds": 10.0,
    "transition": 0.3,
}
"""Sampling options and their defaults, which the pipeline's folder and the call can override."""

FLOW_DEFAULTS: Mapping[str, Any] = {
    "temperature": 1.0,
    "steps": DEFAULT_STEPS,
    "solver": "euler",
    "shift": None,
    "guidance_scale": 1.0,
    "guidance_interval": [0.0, 1.0],
    **{name: DEFAULTS[name] for name in ("min_seconds", "max_seconds", "transition")},
}
"""The same for a language model with a flow head; a shift of None means that of the training."""

_NOT_SAMPLING = ("min_seconds", "max_seconds", "transition")

_SPEED = ("cache", "compiled", "int8")
_DIT_ONLY = ("reference", "reference_mode", "reference_weight", "strength", "denoising_strength")
_DIT_ONLY += ("recovery", "smoothing", "default_seconds", "rounds")


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


def check_defaults(
    defaults: Mapping[str, Any] | None, continuous: bool, name: str = "pipeline defaults"
) -> dict[str, Any]:
    """The checked default options of a pipeline with a language model, without those that are None.

    Args:
        continuous: whether it has a flow head.
        name: name of the mapping in errors.

    Raises:
        ValueError: if it is not a mapping, for unknown options, and for values that no call would accept.
    """
    known = FLOW_DEFAULTS if continuous else DEFAULTS
    if not isinstance(defaults, Mapping | None):
        raise ValueError(f"{name} must be a mapping of options, got {defaults!r}")
    if set(defaults or {}) - set(known):
        raise unknown_key_error(name, set(defaults or {}) - set(known), known)
    own = {option: value for option, value in (defaults or {}).items() if value is not None}
    # checks of values are those of a call
    chosen = {**known, **own}
    fields = {option: value for option, value in chosen.items() if option not in _NOT_SAMPLING and value is not None}
    if continuous:
        FlowSampling(**fields)
    else:
        Sampling(**fields)
    check_bounds(chosen)
    return own


def check_bounds(options: Mapping[str, Any]) -> None:
    """Raise `ValueError` for default lengths, in seconds, that no call would accept."""
    for name in ("default_seconds", "max_seconds", "transition"):
        check_seconds(options.get(name), name)
    if check_number("min_seconds", options["min_seconds"]) > options["max_seconds"]:
        raise ValueError(
            f"min_seconds must be at most max_seconds, {options['max_seconds']!r}, got {options['min_seconds']!r}"
        )


def check_parts(parts: Sequence[tuple[str, float]]) -> None:
    """Raise `ValueError` unless `parts` are pairs of a text with words and seconds."""
    if isinstance(parts, str) or not parts or not all(isinstance(p, tuple | list) and len(p) == 2 for p in parts):
        raise ValueError(f'parts must be pairs of text and seconds, got {parts!r}; try [("a person walks", 4)]')
    check_texts([text for text, _ in parts])
    for number, (_, seconds) in enumerate(parts):
        check_number(f"seconds of part {number}", seconds)
        check_seconds(seconds, f"seconds of part {number}")


def check_seconds(seconds: float | None, name: str = "seconds") -> None:
    """Raise `ValueError` unless `seconds` is None or within 0..MAX_SECONDS."""
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds <= MAX_SECONDS):
        hint = "; a timeline can be longer" if name == "seconds" else ""
        raise ValueError(f"{name} must be above 0 and at most {MAX_SECONDS:g}, got {seconds!r}{hint}")


def check_motion(motion: Any, name: str) -> Motion:
    """Return `motion` if it is a `Motion`; raises `ValueError` otherwise."""
    if not isinstance(motion, Motion):
        raise ValueError(f"{name} must be a Motion, got {shown(motion)}; read a file with Motion.load")
    return motion
