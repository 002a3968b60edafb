"""Additional captions for clips by user-defined rules.

    rules = load_caption_rules("recipes/mini/captions.yaml")
    clips = [add_captions(clip, rules) for clip in clips]

A rules file is a YAML list; each entry has `match`, a regular expression that a caption of the clip must contain,
optionally `unless`, one that none of its captions may contain, and `captions`, the sentences to add. `{1}` in a
sentence is replaced by the expression's first group. If the expression matches a caption of the window itself
(`own_captions`), the sentences become captions of the window. Matching ignores case. The new captions' source is
"rule".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from motionmillion.configuration import unknown_key_error
from motionmillion.data.clips import MotionClip, sources_of

RULE = "rule"
"""Source of the captions that rules add."""


@dataclass(frozen=True)
class CaptionRule:
    """One entry of a rules file."""

    match: str
    captions: tuple[str, ...]
    unless: str | None = None

    def __post_init__(self) -> None:
        for name in ("match", "unless"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ValueError(f"{name} must be a regular expression, got {pattern!r}: {error}") from None
        if not self.captions:
            raise ValueError(f"captions must hold at least one sentence, got none for {self.match!r}")


def load_caption_rules(path: str | Path) -> list[CaptionRule]:
    """Read a rules file.

    Raises:
        ValueError: if it does not exist, is not a list, or an entry has unknown or missing keys.
    """
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError):
        raise ValueError(f"caption rules must be an existing YAML file, got {str(path)!r}") from None
    if not isinstance(entries, list):
        raise ValueError(f"caption rules must be a YAML list, got {type(entries).__name__} in {str(path)!r}")
    known = {"match", "unless", "captions"}
    for entry in entries:
        if set(entry) - known or not {"match", "captions"} <= set(entry):
            raise unknown_key_error(f"caption rule of {str(path)!r}", set(entry) ^ {"match", "captions"}, known)
    return [CaptionRule(e["match"], tuple(e["captions"]), e.get("unless")) for e in entries]


def add_captions(clip: MotionClip, rules: Sequence[CaptionRule]) -> MotionClip:
    """The clip with the sentences of all matching rules, without duplicates."""
    added: list[str] = []
    own: list[str] = []
    for rule in rules:
        if rule.unless and any(re.search(rule.unless, text, re.IGNORECASE) for text in clip.captions):
            continue
        for text in clip.captions:
            found = re.search(rule.match, text, re.IGNORECASE)
            if found:
                sentences = [s.replace("{1}", found.group(1) or "") if found.groups() else s for s in rule.captions]
                added += sentences
                own += sentences if text in clip.own_captions else []
    captions = tuple(dict.fromkeys((*clip.captions, *added)))
    blank = ("",) * len(clip.captions)
    sources = sources_of(captions, (*clip.captions, *added), (*(clip.sources or blank), *([RULE] * len(added))))
    own_captions = tuple(dict.fromkeys((*clip.own_captions, *own)))
    return clip.replace(captions=captions, own_captions=own_captions, sources=sources)
