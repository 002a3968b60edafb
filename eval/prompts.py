"""Suites of prompts: what a text-to-motion model is asked to show, sorted into categories.

    suite = Suite.load("my_prompts.json")        # a suite of one's own, in the form that `save` writes
    suite = get_suite("motionmillion-eval")      # motionmillion.eval.suites

A motion belongs to a prompt by its name: that of prompt "017" lies in `017.npz`.
"""

import hashlib
import json
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from motionmillion.configuration import unknown_key_error
from motionmillion.io.files import existing_file, write_text
from motionmillion.text.prompts import check_texts

FORMAT = 1
_UNFIT = set('/\\:*?"<>|')


@dataclass(frozen=True)
class Prompt:
    """One line of a suite.

    Args:
        id: unique in its suite and fit for a file name.
        text: what the motion should show.
        category: or dimension; tables have one line for each.
        seconds: length of the motion; None leaves it to the model, or to an option of the command.
        distractors: other texts that a judge is to tell it from.
        level: how the text asks, such as "command" or "composition"; None where the suite does not say.

    Raises:
        ValueError: for an id that is no file name, a text that says nothing, or a field of another type.
    """

    id: str
    text: str
    category: str
    seconds: float | None = None
    distractors: tuple[str, ...] = ()
    level: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _fits_file_name(self.id):
            raise ValueError(f"prompt id must be fit for a file name, got {self.id!r} for {self.text!r}")
        for text in (self.text, *self.distractors):
            try:
                check_texts([text])
            except ValueError as error:
                raise ValueError(f"{error} (prompt id {self.id!r})") from None
        words = {"category": self.category} if self.level is None else {"category": self.category, "level": self.level}
        for name, word in words.items():
            if not isinstance(word, str) or not word.strip():
                raise ValueError(f"{name} must be a word, got {word!r} for prompt id {self.id!r}")
        if self.seconds is not None:
            if not _positive(self.seconds):
                raise ValueError(f"seconds must be a positive number, got {self.seconds!r} for prompt id {self.id!r}")
            object.__setattr__(self, "seconds", float(self.seconds))  # 4 and 4.0 have one hash


@dataclass(frozen=True)
class Suite:
    """Prompts under one name.

    Args:
        name: such as "motionmillion-eval".
        version: changes when a prompt does.
        prompts: in order.
        source: where they come from: "built in", or the name of the user's file.

    Raises:
        ValueError: for no prompts, or an id that comes twice.
    """

    name: str
    version: str
    prompts: tuple[Prompt, ...]
    source: str = "built in"

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError(f"suite must hold at least one prompt, got none in {self.name!r}")
        for name, count in Counter(prompt.id.casefold() for prompt in self.prompts).items():
            if count > 1:  # some file systems take "A.npz" and "a.npz" for one
                raise ValueError(f"prompt ids must be unique, got {name!r} {count} times in suite {self.name!r}")

    @property
    def categories(self) -> list[str]:
        """In the order of their first prompts."""
        return list(dict.fromkeys(prompt.category for prompt in self.prompts))

    @property
    def levels(self) -> list[str]:
        """In the order of their first prompts; empty where the suite does not say."""
        return list(dict.fromkeys(prompt.level for prompt in self.prompts if prompt.level is not None))

    @property
    def sha256(self) -> str:
        """Hash of the prompts; part of every protocol."""
        return hashlib.sha256(json.dumps([_entry(p) for p in self.prompts]).encode()).hexdigest()

    def only(self, ids: Sequence[str]) -> "Suite":
        """The same suite with the prompts of `ids` alone.

        Raises:
            ValueError: for an id that the suite does not have.
        """
        unknown = set(ids) - {prompt.id for prompt in self.prompts}
        if unknown:
            raise ValueError(f"ids must be of suite {self.name!r}, got {sorted(unknown)[0]!r}; see its prompts")
        return Suite(self.name, self.version, tuple(p for p in self.prompts if p.id in set(ids)), self.source)

    def save(self, path: str | Path) -> Path:
        """Write the suite as JSON, a prompt a line."""
        data = {"format": FORMAT, "name": self.name, "version": self.version}
        lines = ",\n".join("  " + json.dumps(_entry(prompt), ensure_ascii=False) for prompt in self.prompts)
        head = json.dumps(data, ensure_ascii=False)[:-1]
        return write_text(f'{head}, "prompts": [\n{lines}\n]}}\n', path)

    @staticmethod
    def load(path: str | Path) -> "Suite":
        """Read what `save` wrote, or wrote by hand: a JSON object with `name`, `version` and `prompts`.

        Raises:
            ValueError: for a file that is not there or has another form.
        """
        path = existing_file(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            entries, name, version = data["prompts"], str(data["name"]), str(data["version"])
            if not isinstance(entries, list) or data.get("format", FORMAT) != FORMAT:
                raise TypeError
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise ValueError(
                f"suite must be a JSON object with name, version and a list of prompts, got {str(path)!r}"
            ) from None
        return Suite(name, version, tuple(_prompt(entry, path) for entry in entries), path.name)


def known_file(path: Path, sha256: str) -> bool:
    """Whether a file of others is the one that was read when its reader was written; warns if it is not.

    Line ends make no difference.
    """
    if hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == sha256:
        return True
    warnings.warn(
        f"{str(path)!r} is not the file that was published: figures made with it compare with no others", stacklevel=3
    )
    return False


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _fits_file_name(name: str) -> bool:
    return name.strip(" .") == name != "" and not any(letter in _UNFIT or ord(letter) < 32 for letter in name)


def _entry(prompt: Prompt) -> dict[str, Any]:
    """A prompt without the fields that say nothing."""
    return {key: value for key, value in asdict(prompt).items() if value not in (None, ())}


def _prompt(entry: Any, path: Path) -> Prompt:
    known = set(Prompt.__dataclass_fields__)
    if not isinstance(entry, dict) or not {"id", "text", "category"} <= set(entry):
        raise ValueError(f"prompt must have id, text and category, got {entry!r} in {str(path)!r}")
    if set(entry) - known:
        raise unknown_key_error(f"prompt {entry['id']!r} of {str(path)!r}", set(entry) - known, known)
    distractors = entry.get("distractors", [])
    if not isinstance(distractors, list):
        raise ValueError(
            f"distractors must be a list of texts, got {distractors!r} for prompt id {entry['id']!r} in {str(path)!r}"
        )
    return Prompt(**{**entry, "distractors": tuple(distractors)})
