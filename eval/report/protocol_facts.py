"""Summaries of protocols, and differences between them.

    protocol_line(results.protocol)              # ["suite name mbench", "generation model mini", "seed 0", ...]
    notes = protocol_differences(results)        # sentences; empty if all protocols agree
    check_same_suite(results)

A protocol is nested JSON; keys are written with dots: `evaluator.sha256`. Unusual: every difference between two
protocols is reported, except for entries of the system itself and seeds (`_OWN`, `_NOTED`), so protocols may grow
without a change here. A line of facts may be truncated, but never the keys of `_FIRST`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from motionmillion.eval.results import Results

_OWN = {
    *("seed", "seeds", "system", "model", "command", "machine", "device", "batch", "output", "motions", "folder"),
    *("weights", "tokenizer", "pipeline", "generation", "foreign", "date", "time", "created", "finished", "took"),
}
"""First words of top-level keys that may differ between comparable systems."""
_NOTED = {"seed", "seeds", "source", "answers"}
"""Words of keys, at any depth, that may differ too."""
_IDENTITY = {"name", "version", "sha256", "hash"}
_FIRST = (
    *("suite.name", "suite.version", "suite.sha256", "limit", "generation.model", "motions", "lengths"),
    *("judge.judge", "judge.model", "judge.address", "judge.evaluator", "evaluator.name", "evaluator.sha256"),
    *("physics.axes", "seed", "generation.seed", "generation.seconds", "generation.num_samples"),
    "generation.sampling",
)
"""Keys, or beginnings of keys, that a line of facts starts with, in this order."""
_LONGEST = 60


def flat(protocol: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Entries of a protocol by dotted keys; lists are kept whole, an empty mapping is None."""
    entries: dict[str, Any] = {}
    for key, value in protocol.items():
        if isinstance(value, Mapping) and value:
            entries |= flat(value, f"{prefix}{key}.")
        else:
            entries[f"{prefix}{key}"] = None if isinstance(value, Mapping) else value
    return entries


def protocol_line(protocol: Mapping[str, Any], most: int = 24) -> list[str]:
    """The entries of a protocol, such as `evaluator sha256 53aa51172d14`; hashes shortened to 12 characters.

    The keys of `_FIRST` come first and always. Then, up to `most` in total, plain entries, names, versions and hashes,
    and the rest, if they are short. The last fact gives the number of omitted ones.
    """
    entries = flat(protocol)
    first = sorted((key for key in entries if _place(key) < len(_FIRST)), key=_place)
    shown = [_fact(key, "default" if entries[key] is None else _short(entries[key])) for key in first]
    rest = sorted((key for key in entries if key not in first and entries[key] is not None), key=_rank)
    short = [key for key in rest if len(_short(entries[key])) <= _LONGEST][: max(most - len(first), 0)]
    shown += [_fact(key, _short(entries[key])) for key in short]
    return shown + ([f"and {len(rest) - len(short)} more in results.json"] if len(rest) > len(short) else [])


def suite_identity(results: Results) -> dict[str, str]:
    """Identity of a suite: its name, and the version and hash in the protocol."""
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
        different = [key for key in {**first, **own} if first.get(key) != own.get(key)]
        for key in different:
            one, two = (repr(_short(entry[key]) if key in entry else None) for entry in (first, own))
            got = f"{key} {one} of {results[0].system!r} and {two} of {other.system!r}"
            if set(different) <= {"sha256", "hash"} and None not in (first.get(key), own.get(key)):
                raise ValueError(
                    f"results must come from the same prompts, got different ones of the suite {results[0].suite!r} "
                    f"({got}), as when one was made with --limit or other --prompts; evaluate both with the same"
                )
            raise ValueError(f"results must come from one suite, got {got}; evaluate both with the same suite")


def protocol_differences(results: Sequence[Results], names: Sequence[str] | None = None) -> list[str]:
    """A sentence for each protocol entry in which a system differs from the first one.

    Args:
        names: names of the systems; None: their own.
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


def _place(key: str) -> int:
    """Index of a key in `_FIRST`; its length if it is not there."""
    found = (place for place, own in enumerate(_FIRST) if key == own or key.startswith(f"{own}."))
    return next(found, len(_FIRST))


def _fact(key: str, text: str) -> str:
    """`judge.judge` and a name as `judge NAME`; long values are truncated."""
    words = re.split("[._]", key)
    own = [word for place, word in enumerate(words) if place == 0 or word != words[place - 1]]
    return f"{' '.join(own)} {text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}"


def _rank(key: str) -> int:
    return 0 if "." not in key else 1 if key.rpartition(".")[2] in _IDENTITY else 2


def _short(value: Any) -> str:
    text = (
        "nothing" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    )
    return text[:12] if re.fullmatch(r"[0-9a-f]{32,}", text) else text
