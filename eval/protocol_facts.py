"""What a protocol says, in few words, and where two of them differ.

    protocol_line(results.protocol)              # ["seed 0", "evaluator sha256 53aa51172d14", ...]
    notes = protocol_differences(results)        # sentences; empty where all were measured alike
    check_same_suite(results)

A protocol is nested JSON; keys are written with dots: `evaluator.sha256`.
Unusual: nothing here knows single keys. Everything that differs between two protocols is told, but for what belongs to
the system itself and for seeds (`_OWN`, `_NOTED`), so a protocol may grow without a change here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from motionmillion.eval.results import Results

_OWN = {
    *("seed", "seeds", "system", "model", "command", "machine", "device", "batch", "output", "motions", "folder"),
    *("weights", "tokenizer", "pipeline", "generation", "foreign", "date", "time", "created", "finished", "took"),
}
"""First words of top-level keys that may differ between systems that were measured alike."""
_NOTED = {"seed", "seeds", "source", "answers"}
"""Words of keys, at any depth, for which the same holds."""
_IDENTITY = {"name", "version", "sha256", "hash"}
_LONGEST = 60


def flat(protocol: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Entries of a protocol by dotted keys; lists stay whole."""
    entries: dict[str, Any] = {}
    for key, value in protocol.items():
        entries |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return entries


def protocol_line(protocol: Mapping[str, Any], most: int = 24) -> list[str]:
    """The short entries of a protocol, such as `evaluator sha256 53aa51172d14`; hashes by their first 12 letters.

    Plain entries such as lengths and seed come first, then names, versions and hashes, then the rest.
    """
    known = {key: _short(value) for key, value in flat(protocol).items() if value is not None}
    entries = sorted(known.items(), key=lambda entry: _rank(entry[0]))
    return [f"{re.sub('[._]', ' ', key)} {text}" for key, text in entries if len(text) <= _LONGEST][:most]


def suite_identity(results: Results) -> dict[str, str]:
    """What tells a suite from another: its name, and the version and hash that the protocol states."""
    entries = {"name": results.suite}
    for key, value in flat(results.protocol).items():
        words = re.split(r"[._]", key)
        if words[0] == "suite" and words[-1] in _IDENTITY - {"name"}:
            entries[words[-1]] = str(value)
    return entries


def check_same_suite(results: Sequence[Results]) -> None:
    """Raise `ValueError` unless all results come from one version of one suite."""
    first = suite_identity(results[0])
    for other in results[1:]:
        own = suite_identity(other)
        for key in {**first, **own}:
            if first.get(key) != own.get(key):
                raise ValueError(
                    f"results must come from one suite, got {key} {first.get(key)!r} of {results[0].system!r} and "
                    f"{own.get(key)!r} of {other.system!r}; evaluate both with the same suite"
                )


def protocol_differences(results: Sequence[Results], names: Sequence[str] | None = None) -> list[str]:
    """A sentence for each entry in which a system was measured differently from the first one.

    Args:
        names: of the systems; None takes their own.
    """
    names = names or [one.system for one in results]
    first, notes = flat(results[0].protocol), []
    for name, other in zip(names[1:], results[1:], strict=True):
        own = flat(other.protocol)
        for key in {**first, **own}:
            words = re.split(r"[._]", key)
            if words[0] not in _OWN and not _NOTED & set(words) and first.get(key) != own.get(key):
                values = f"{_short(first.get(key))} for {names[0]}, {_short(own.get(key))} for {name}"
                notes.append(f"Protocols differ in {key}: {values}.")
        if len(other.samples) != len(results[0].samples):
            counts = f"{len(results[0].samples)} for {names[0]}, {len(other.samples)} for {name}"
            notes.append(f"Numbers of samples differ: {counts}.")
    return notes


def _rank(key: str) -> int:
    return 0 if "." not in key else 1 if key.rpartition(".")[2] in _IDENTITY else 2


def _short(value: Any) -> str:
    text = (
        "nothing" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    )
    return text[:12] if re.fullmatch(r"[0-9a-f]{32,}", text) else text
