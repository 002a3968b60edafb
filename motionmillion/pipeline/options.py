"""Options of generation: one frozen dataclass per kind of model, with default, help and check of every option.

    options = CodesOptions.from_defaults({"temperature": 0.8})      # a folder's defaults over the built-in ones
    chosen = options.updated({"top_k": 50, "seconds": 4.0})         # options of a call over those
    chosen.sampling()                                               # Sampling(temperature=0.8, top_k=50, ...)

The options of `generate` and `evaluate` on the command line are made from these classes
(`motionmillion.cli.options`), as are the errors for options that a kind of model does not have.

Unusual: torch is imported only when values are checked, so that `motionmillion --help` is fast. The sampling options
are checked by `Sampling` and `FlowSampling` of `motionmillion.lm`, which know their ranges.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from motionmillion.configuration import DTYPES, check_number, check_share, find_dtype, shown, unknown_key_error
from motionmillion.pipeline.checks import (
    Check,
    at_least,
    check_cache,
    check_flag,
    check_length,
    check_noise,
    check_quantization,
    check_seconds,
    check_smoothing,
    one_of,
    or_none,
)

if TYPE_CHECKING:
    from motionmillion.lm.flow import FlowSampling
    from motionmillion.lm.generation.sampling import Sampling

RECOVERIES = {"direct": "", "velocity": "_velocity"}
"""Suffix of the representation's name for each kind of recovery."""

LENGTHS = ("min_seconds", "max_seconds", "default_seconds")
"""Options for motions whose length is not given."""

REFERENCE_ARGUMENTS = ("reference", "reference_mode")
"""Arguments of a DiT's call that related methods, such as `timeline`, do not have."""

CODES_ARGUMENTS = ("chunk_tokens",)
"""Arguments of a language model's `stream`."""

SAMPLING, LENGTH, FLOW = "Sampling", "Length", "Flow models (flow head and DiT)"
DIT, SPEED = "Reference and editing (DiT)", "Speed and memory"
"""Panels of the command line's `--help`."""


def option(default: Any, help: str, panel: str, check: Check | None = None, saved: bool = True) -> Any:
    """A field of an options class.

    Args:
        help: one line for the command line.
        panel: group of the option in `--help`.
        check: None for options that the sampler's own dataclass checks.
        saved: whether a pipeline's folder may set the default.
    """
    return dataclasses.field(default=default, metadata={"help": help, "panel": panel, "check": check, "saved": saved})


def with_default(base: type["Options"], name: str, default: Any) -> Any:
    """The field `name` of `base` with another default."""
    return dataclasses.field(default=default, metadata=base.__dataclass_fields__[name].metadata)


def _check_fields(options: Any) -> None:
    for field in dataclasses.fields(options):
        check = field.metadata["check"]
        if check is not None:
            check(field.name, getattr(options, field.name))


@dataclasses.dataclass(frozen=True)
class Options:
    """Options that every kind of model has; each value is checked when an instance is made.

    Raises:
        ValueError: for values out of range, by the name of the option.
    """

    seconds: float | None = option(None, "Length; by default the model decides.", LENGTH, check_length, saved=False)
    min_seconds: float = option(0.0, "Shortest length that the model may choose.", LENGTH, check_number)
    max_seconds: float = option(10.0, "Longest length that the model may choose.", LENGTH, check_seconds)
    transition: float = option(
        0.3, "Seconds of the preceding motion used as context; more stays closer to it.", LENGTH, check_seconds
    )
    temperature: float = option(1.0, "Randomness of sampling; 0 is greedy.", SAMPLING)
    guidance_scale: float = option(1.0, "How closely to follow the text; 1 is off.", SAMPLING)
    candidates: int | None = option(
        None,
        "Motions sampled for each one, of which the best is kept; by default as the model says, on a path 8.",
        SAMPLING,
        or_none(at_least(1)),
    )
    compiled: bool = option(
        False, "Compile the model first; worth it for many motions.", SPEED, check_flag, saved=False
    )

    def __post_init__(self) -> None:
        _check_fields(self)
        self.sampling()  # raises for invalid values
        if self.min_seconds > self.max_seconds:
            raise ValueError(
                f"min_seconds must be at most max_seconds, {self.max_seconds!r}, got {self.min_seconds!r}"
            )

    def sampling(self) -> "Sampling | FlowSampling":
        """The sampler's own, checked options."""
        raise NotImplementedError

    @classmethod
    def names(cls) -> set[str]:
        """Names of all options."""
        return {field.name for field in dataclasses.fields(cls)}

    @classmethod
    def defaults_of_folder(cls) -> set[str]:
        """Names of the options whose default a pipeline's folder may set."""
        return {field.name for field in dataclasses.fields(cls) if field.metadata["saved"]}

    @classmethod
    def refusal(cls, name: str, value: Any) -> ValueError | None:
        """The error for an option that only another kind of model has; None for unknown names."""
        raise NotImplementedError

    @classmethod
    def from_defaults(cls, defaults: Mapping[str, Any] | None, name: str = "pipeline defaults") -> Self:
        """A folder's defaults over the built-in ones; None leaves an option as it is.

        Args:
            name: name of the mapping in errors.

        Raises:
            ValueError: if it is not a mapping, for unknown options, and for values that no call would accept.
        """
        if not isinstance(defaults, Mapping | None):
            raise ValueError(f"{name} must be a mapping of options, got {defaults!r}")
        check_known(defaults or {}, cls.defaults_of_folder(), name)
        return cls(**given_only(defaults or {}))

    def updated(self, given: Mapping[str, Any], timed: bool = False) -> Self:
        """The options of a call over these; None leaves an option as it is.

        Args:
            timed: whether the length is given by something other than `seconds`, such as the parts of a timeline.

        Raises:
            ValueError: for options of another kind of model, unknown options, values out of range, and bounds of the
                length if the length itself is given.
        """
        foreign = set(given) - self.names()
        refused = {name: self.refusal(name, given[name]) for name in sorted(foreign)}
        for name, error in refused.items():
            if error is not None and not _is_nothing(given[name]):
                raise error
        check_known({name for name, error in refused.items() if error is None}, self.names(), "options")
        own = {name: value for name, value in given_only(given).items() if name not in foreign}
        if timed or "seconds" in own:
            leave_out(own, LENGTHS, "where seconds are given")
        return dataclasses.replace(self, **own)

    def saved(self) -> dict[str, Any]:
        """The options that a pipeline's folder may set, as they are written into it."""
        values = {name: getattr(self, name) for name in _in_order(self) if name in self.defaults_of_folder()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def changed(self) -> dict[str, Any]:
        """`saved`, and options of a call that differ from the built-in default; documents how a motion was made."""
        fields = {field.name: field.default for field in dataclasses.fields(self) if not field.metadata["saved"]}
        own = {name: getattr(self, name) for name, default in fields.items() if getattr(self, name) != default}
        return {**self.saved(), **own}


@dataclasses.dataclass(frozen=True)
class _FlowOptions(Options):
    """Options of models with a flow."""

    steps: int = option(50, "Solver steps; fewer are faster.", FLOW)
    solver: str = option("euler", "Solver: euler, heun or midpoint.", FLOW)
    shift: float | None = option(
        None, "Timestep shift; above 1, more steps near noise; default: that of the training.", FLOW
    )
    guidance_interval: tuple[float, float] = option(
        (0.0, 1.0), "Noise levels, 0 to 1, between which the text is followed more closely.", FLOW
    )

    def __post_init__(self) -> None:
        if isinstance(self.guidance_interval, list):  # as read from JSON
            object.__setattr__(self, "guidance_interval", tuple(self.guidance_interval))
        super().__post_init__()

    def sampling(self, shift: float | None = None) -> "FlowSampling":
        """The solver's options.

        Args:
            shift: that of the training, used where the option is None.
        """
        from motionmillion.lm.flow import FlowSampling

        fields = ("steps", "solver", "guidance_scale", "guidance_interval", "temperature")
        chosen: dict[str, Any] = {name: getattr(self, name) for name in fields}
        shift = shift if self.shift is None else self.shift
        if shift is not None:
            chosen["shift"] = shift
        return FlowSampling(**chosen, strength=self._noise())

    def _noise(self) -> float:
        return 1.0


@dataclasses.dataclass(frozen=True)
class LanguageModelOptions(Options):
    """Options of language models over codes or latents."""

    continuous: ClassVar[bool]

    cache: str = option(
        "auto", "Cache of language models: auto, static, dynamic or none.", SPEED, check_cache, saved=False
    )
    int8: bool = option(
        False, "Language models on CPUs: 8-bit weights in the decoding steps.", SPEED, check_flag, saved=False
    )

    @classmethod
    def refusal(cls, name: str, value: Any) -> ValueError | None:
        if name in (FlowHeadOptions if not cls.continuous else CodesOptions).names():
            from motionmillion.lm.generation.sampling import other_kind_error

            return other_kind_error(name, value, cls.continuous)
        if name in DiTOptions.names() or name in REFERENCE_ARGUMENTS:
            return ValueError(f"{name} must be left out for a language model, got {shown(value)}; a DiT takes it")
        return None


@dataclasses.dataclass(frozen=True)
class CodesOptions(LanguageModelOptions):
    """Options of a language model over codes."""

    continuous = False

    top_k: int = option(0, "Codes: sample from the k most likely ones; 0 is off.", SAMPLING)
    top_p: float = option(1.0, "Codes: sample from the most likely ones up to this probability.", SAMPLING)
    min_p: float = option(0.0, "Codes: drop those below this fraction of the top probability.", SAMPLING)
    repetition_penalty: float = option(1.0, "Codes: above 1, repeated ones are less likely.", SAMPLING)
    no_repeat_ngram_size: int = option(0, "Codes: never repeat an n-gram of this size; 0 is off.", SAMPLING)

    def sampling(self) -> "Sampling":
        """The sampler's options."""
        from motionmillion.lm.generation.sampling import Sampling

        names = {field.name for field in dataclasses.fields(Sampling)} & self.names()
        return Sampling(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True)
class FlowHeadOptions(_FlowOptions, LanguageModelOptions):
    """Options of a language model over latents, with a flow head."""

    continuous = True

    steps: int = with_default(_FlowOptions, "steps", 16)


@dataclasses.dataclass(frozen=True)
class DiTOptions(_FlowOptions):
    """Options of a DiT."""

    max_seconds: float = with_default(Options, "max_seconds", 60.0)
    transition: float = with_default(Options, "transition", 0.5)
    default_seconds: float = option(
        5.0, "DiT: length where neither --seconds nor a reference gives one.", LENGTH, check_seconds
    )
    strength: float = option(
        1.0,
        "Below 1, start from the reference or the edited motion, with this much noise.",
        DIT,
        check_noise,
        saved=False,
    )
    denoising_strength: float = option(
        1.0,
        "Noise level of the first step, though it is pure noise; released ViMoGen: 0.7.",
        DIT,
        check_noise,
    )
    reference_weight: float = option(0.5, "Weight of a reference in reference mode both, 0 to 1.", DIT, check_share)
    rounds: int = option(1, "Resampling rounds per step, to fit kept frames better.", DIT, at_least(1))
    smoothing: float = option(0.0, "Gaussian smoothing, sigma in frames; 0 is off.", DIT, check_smoothing)
    recovery: str = option("direct", "direct, or velocity, which integrates velocities.", DIT, one_of(*RECOVERIES))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds > 1 and self._noise() != 1:
            raise ValueError(f"rounds must be 1 where strength or denoising_strength is below 1, got {self.rounds}")

    def _noise(self) -> float:
        return self.denoising_strength if self.strength == 1 else self.strength

    @classmethod
    def from_defaults(cls, defaults: Mapping[str, Any] | None, name: str = "pipeline defaults") -> Self:
        rounds = defaults.get("rounds") if isinstance(defaults, Mapping) else None
        if rounds is None or defaults is None:
            return super().from_defaults(defaults, name)
        # set last, so that the error for the two together does not name `strength`, which folders do not have
        at_least(1)("rounds", rounds)
        options = super().from_defaults({**defaults, "rounds": None}, name)
        if rounds > 1 and options.denoising_strength != 1:
            raise ValueError(f"rounds must be 1 where denoising_strength is below 1, got {rounds}")
        return dataclasses.replace(options, rounds=rounds)

    def check_features(self, features: str) -> None:
        """Raise `ValueError` for options that a model of these features cannot follow."""
        from motionmillion.features import available

        if features + RECOVERIES[self.recovery] not in available():
            raise ValueError(f'recovery must be "direct" for features {features!r}, got "{self.recovery}"')

    @classmethod
    def refusal(cls, name: str, value: Any) -> ValueError | None:
        if name in CodesOptions.names() or name in CODES_ARGUMENTS:
            return ValueError(
                f"{name} must be left out for a DiT, which has no codes to choose from, got {value!r}; use "
                "steps, temperature and guidance_scale"
            )
        if name in REFERENCE_ARGUMENTS:
            return ValueError(
                f"{name} must be left out here, got {shown(value)}; only a call takes it: pipe(text, reference=motion)"
            )
        return None


KINDS: tuple[type[Options], ...] = (CodesOptions, FlowHeadOptions, DiTOptions)
"""The options of all kinds of model."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """A user's options for a model before its kind is known: how it is run, and the options of its calls.

    Args:
        given: options of a call, see the classes above; None means the default.
    """

    given: Mapping[str, Any] = dataclasses.field(default_factory=dict, metadata={"check": None})
    batch_size: int = option(16, "Motions generated together; does not change results.", SPEED, at_least(1))
    dtype: str = option("float32", "Data type of the model: float32, bfloat16 or float16.", SPEED, one_of(*DTYPES))
    quantization: str | None = option(None, "Low-bit weights: 8bit, 4bit or int8.", SPEED, check_quantization)

    def __post_init__(self) -> None:
        check_known(self.given, set().union(*(kind.names() for kind in KINDS)), "options")
        _check_fields(self)

    @property
    def loading(self) -> dict[str, Any]:
        """Arguments of `MotionPipeline.from_pretrained`."""
        return {"dtype": find_dtype(self.dtype), "quantization": self.quantization}


def check_known(given: Any, known: set[str], name: str) -> None:
    """Raise `ValueError` for names in `given` that are not in `known`; `name` is the mapping's name in the error."""
    if set(given) - known:
        raise unknown_key_error(name, set(given) - known, known)


def given_only(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def leave_out(given: Mapping[str, Any], names: tuple[str, ...], where: str, why: str = "") -> None:
    """Raise `ValueError` for options of these names that were given although they would have no effect."""
    for name in names:
        if given.get(name) is not None:
            raise ValueError(f"{name} must be left out {where}, got {given[name]!r}{why}")


def _is_nothing(value: Any) -> bool:
    """Whether an argument is left out; a list of None is what callers pass for no references."""
    return value is None or (isinstance(value, list | tuple) and all(each is None for each in value))


def _in_order(options: Options) -> list[str]:
    return [field.name for field in dataclasses.fields(options)]
