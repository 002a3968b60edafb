"""Numbers of a data set: clips, hours, lengths, captions, verbs, quality and findings; from disk without its motions.

overview = overview_of_table(MotionTable("my_set"))
print(overview.text())
overview.numbers()                                 # the same for JSON
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from motionmillion.data.composition.grammar import base_form, gerunds, verbs
from motionmillion.data.quality import QUALITY
from motionmillion.data.shards.motion_table import MotionTable

QUANTILES = (0.05, 0.5, 0.95, 0.99)
_SHOWN = 20
_BUFFER = 1 << 20


class Distinct:
    """Counts different texts by their hashes, 8 bytes each."""

    def __init__(self) -> None:
        self.known, self.new = np.zeros(0, np.int64), array("q")

    def update(self, texts: Iterable[str]) -> None:
        self.new.extend(map(hash, texts))
        if len(self.new) >= _BUFFER:
            len(self)

    def __len__(self) -> int:
        self.known = np.union1d(self.known, np.frombuffer(self.new, np.int64))
        self.new = array("q")
        return len(self.known)


def numbers() -> array:
    """An empty list of numbers, 8 bytes each."""
    return array("d")


@dataclass
class Overview:
    """What is in a data set.

    Args:
        seconds: length of each clip.
        captions: number of captions of each clip.
        splits, sources: clips by split and by source.
        origins: texts by who wrote them.
        verbs: clips by verb, in its base form, of any of their captions.
        told: clips with a verb that is known.
        flags: clips by finding of the audit.
        quality: numbers of `motionmillion.data.quality` of the clips that have them.
        made: by source, where its motion comes from, and what made it, for sources whose manifest says so.
    """

    seconds: array = field(default_factory=numbers)
    captions: array = field(default_factory=numbers)
    splits: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    verbs: Counter[str] = field(default_factory=Counter)
    told: int = 0
    words: int = 0
    texts: Distinct = field(default_factory=Distinct)
    flags: Counter[str] = field(default_factory=Counter)
    quality: dict[str, array] = field(default_factory=lambda: {name: numbers() for name in QUALITY})
    made: dict[str, str] = field(default_factory=dict)

    def add_texts(self, texts: Iterable[str], origins: Iterable[str]) -> None:
        """Count the captions of a clip."""
        texts = list(texts)
        self.captions.append(len(texts))
        self.origins.update(origins)
        found: set[str] = set()
        for text in texts:
            words = re.findall(r"[a-z']+", text.lower())
            self.words += len(words)
            found |= {base for word in words if (base := _verb(word)) is not None}
        self.texts.update(texts)
        self.told += bool(found)
        self.verbs.update(found)

    def numbers(self) -> dict[str, Any]:
        """All of it as JSON values."""
        count = len(self.seconds)
        return {
            "clips": count,
            "hours": round(sum(self.seconds) / 3600, 4),
            "splits": dict(self.splits),
            "sources": dict(self.sources.most_common()),
            "made": self.made,
            "seconds": _quantiles(self.seconds),
            "captions": {
                "texts": int(sum(self.captions)),
                "different": len(self.texts),
                "words_of_a_text": round(self.words / max(sum(self.captions), 1), 2),
                "of_a_clip": _quantiles(self.captions),
                "clips_without": sum(number == 0 for number in self.captions),
                "origins": dict(self.origins.most_common()),
            },
            "verbs": {"known": len(self.verbs), "clips_with_one": self.told, "clips": dict(self.verbs.most_common())},
            "quality": {name: _quantiles(values) for name, values in self.quality.items() if values},
            "findings": dict(self.flags.most_common()),
        }

    def text(self) -> str:
        """A line a fact."""
        facts = self.numbers()
        told, seen = facts["captions"], facts["verbs"]
        lines = [
            f"clips      {facts['clips']:,}, {facts['hours']:,.2f} hours",
            f"splits     {_listed(facts['splits'])}",
            f"sources    {_listed(facts['sources'])}",
            *(f"made       {name}: {said}" for name, said in self.made.items()),
            f"seconds    {_spread(facts['seconds'])}",
            f"captions   {told['texts']:,}, {told['different']:,} different, {told['words_of_a_text']:g} words each; "
            f"{_spread(told['of_a_clip'])} a clip; {told['clips_without']:,} clips without",
            f"origins    {_listed(told['origins'])}",
            f"verbs      {seen['known']} in {seen['clips_with_one']:,} clips: {_listed(seen['clips'])}",
        ]
        lines += [f"{name:<10} {_spread(own)}  {QUALITY[name]}" for name, own in facts["quality"].items()]
        lines.append(f"findings   {_listed(facts['findings']) or 'none'}")
        return "\n".join(lines)


def overview_of_table(table: MotionTable) -> Overview:
    """The numbers of a data set on disk; reads no motion."""
    overview = Overview(made=made_by(table.header))
    for file in range(len(table.files)):
        part = table.table(file)
        overview.seconds.extend((part["frames"].to_numpy() / part["fps"].to_numpy()).tolist())
        overview.splits.update(part["split"].to_pylist())
        overview.sources.update(part["source"].to_pylist())
        for texts, origins in zip(part["texts"].to_pylist(), part["text_origins"].to_pylist(), strict=True):
            overview.add_texts(texts, origins)
        for flags in part["flags"].to_pylist():
            overview.flags.update(set(flags))
        for name, values in overview.quality.items():
            own = part["quality"].combine_chunks().field(name).to_numpy(zero_copy_only=False)
            values.extend(own[np.isfinite(own)].tolist())
    return overview


def made_by(header: Mapping[str, Any]) -> dict[str, str]:
    """What the header of a data set says of where the motion of each source comes from."""
    made = {}
    for name, entry in header["sources"].items():
        words = [entry.get("kind"), f"made by {entry['made_by']}" if entry.get("made_by") else None]
        if any(words):
            made[name] = ", ".join(filter(None, words))
    return made


def _verb(word: str) -> str | None:
    """The base form of a verb, "walk" for "walks" and "walking"; None for other words."""
    return word if word in verbs() else base_form(word) or gerunds().get(word)


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    own = np.asarray(values, float)
    if not len(own):
        return {}
    found = {f"{share:.0%}": float(f"{np.quantile(own, share):.4g}") for share in QUANTILES}
    return {"mean": float(f"{own.mean():.4g}"), **found}


def _spread(quantiles: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in quantiles.items()) or "none"


def _listed(counts: dict[str, int]) -> str:
    shown = [f"{name or 'unknown'} {count:,}" for name, count in list(counts.items())[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
