"""Checks of single options, see `motionmillion.pipeline.options`: each takes a name and a value; raises `ValueError`.

Unusual: torch is imported only by those checks that ask another module for its range.
"""

from collections.abc import Callable
from typing import Any

from motionmillion.configuration import check_number, check_whole

Check = Callable[[str, Any], object]
"""Raises `ValueError` for the name and value of an option that is out of range."""

MAX_SECONDS = 60.0
"""Longest motion from one text; a timeline has no limit."""

MAX_SMOOTHING = 100
"""Upper bound of `smoothing`, in frames."""


def check_seconds(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is a number of seconds above 0 and at most MAX_SECONDS."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value <= MAX_SECONDS):
        hint = "; a timeline can be longer" if name == "seconds" else ""
        raise ValueError(f"{name} must be above 0 and at most {MAX_SECONDS:g}, got {value!r}{hint}")


def check_flag(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def check_smoothing(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is a valid number of frames for smoothing."""
    if check_number(name, value) > MAX_SMOOTHING:
        raise ValueError(f"{name} must be at most {MAX_SMOOTHING} frames, got {value!r}; 0 is off, 1 is usual")


def check_noise(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is a noise level above 0 and at most 1."""
    from motionmillion.lm.flow import check_strength

    check_strength(name, value)


def check_cache(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` names a cache of the language model's decoder."""
    from motionmillion.lm.generation.loop import CACHES

    one_of(*CACHES)(name, value)


def check_quantization(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is None or names low-bit weights."""
    from motionmillion.quantization import LIBRARIES

    if value is not None and value not in LIBRARIES:
        raise ValueError(f"{name} must be one of {sorted(LIBRARIES)}, got {value!r}")


def one_of(*known: str) -> Check:
    """A check that a value is one of these."""

    def check(name: str, value: Any) -> None:
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, got {value!r}")

    return check


def at_least(least: int) -> Check:
    """A check that a value is an integer of at least `least`."""
    return lambda name, value: check_whole(name, value, least)


def or_none(check: Check) -> Check:
    """A check that lets None pass."""
    return lambda name, value: None if value is None else check(name, value)


check_length = or_none(check_seconds)
"""Raises `ValueError` unless the value is None or a valid number of seconds."""
