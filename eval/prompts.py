"""Suites of prompts for text-to-motion models, sorted into categories.

    suite = Suite.load("my_prompts.json")        # a custom suite, in the format of `save`
    suite = get_suite("motionmillion-eval")      # motionmillion.eval.suites

Motions are matched to prompts by file name: that of prompt "017" is `017.npz`.
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

from motionmillion.configuration import shown, unknown_key_error
from motionmillion.io.files import existing_file, read_text, write_text
from motionmillion.text.prompts import check_texts

FORMAT = 1
_UNFIT = set('/\\:*?"<>|')


@dataclass(frozen=True)
class Prompt:
    """One prompt of a suite.

    Args:
        id: unique in its suite and a valid file name.
        text: what the motion should show.
        category: category or dimension; tables have one row for each.
        seconds: length of the motion; None: the model decides, or an option of the command.
        distractors: wrong answers for a judge.
        level: form of the text, such as "command" or "composition"; None if unspecified.

    Raises:
        ValueError: for an id that is not a file name, a text without words, or a field of a wrong type.
    """

    id: str
    text: str
    category: str
    seconds: float | None = None
    distractors: tuple[str, ...] = ()
    level: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _fits_file_name(self.id):
            raise ValueError(f"prompt id must be a valid file name, got {self.id!r} for {self.text!r}")
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
            object.__setattr__(self, "seconds", float(self.seconds))  # 4 and 4.0 have the same hash


@dataclass(frozen=True)
class Suite:
    """A named set of prompts.

    Args:
        name: such as "motionmillion-eval".
        version: changes whenever a prompt changes.
        prompts: in order.
        source: origin of the prompts: "built in", or the name of the user's file.

    Raises:
        ValueError: for no prompts, or a duplicate id.
    """

    name: str
    version: str
    prompts: tuple[Prompt, ...]
    source: str = "built in"

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError(f"suite must hold at least one prompt, got none in {self.name!r}")
        for name, count in Counter(prompt.id.casefold() for prompt in self.prompts).items():
            if count > 1:  # some file systems do not distinguish "A.npz" and "a.npz"
                raise ValueError(f"prompt ids must be unique, got {name!r} {count} times in suite {self.name!r}")

    @property
    def categories(self) -> list[str]:
        """Categories in the order of their first prompts."""
        return list(dict.fromkeys(prompt.category for prompt in self.prompts))

    @property
    def levels(self) -> list[str]:
        """Levels in the order of their first prompts; empty if unspecified."""
        return list(dict.fromkeys(prompt.level for prompt in self.prompts if prompt.level is not None))

    @property
    def sha256(self) -> str:
        """Hash of the prompts; part of every protocol."""
        return hashlib.sha256(json.dumps([_entry(p) for p in self.prompts]).encode()).hexdigest()

    def only(self, ids: Sequence[str]) -> "Suite":
        """The suite restricted to the prompts of `ids`.

        Raises:
            ValueError: for an id that the suite does not have.
        """
        unknown = set(ids) - {prompt.id for prompt in self.prompts}
        if unknown:
            raise ValueError(f"ids must be of suite {self.name!r}, got {sorted(unknown)[0]!r}; see its prompts")
        return Suite(self.name, self.version, tuple(p for p in self.prompts if p.id in set(ids)), self.source)

    def save(self, path: str | Path) -> Path:
        """Write the suite as JSON, one prompt per line."""
        data = {"format": FORMAT, "name": self.name, "version": self.version}
        lines = ",\n".join("  " + json.dumps(_entry(prompt), ensure_ascii=False) for prompt in self.prompts)
        head = json.dumps(data, ensure_ascii=False)[:-1]
        return write_text(f'{head}, "prompts": [\n{lines}\n]}}\n', path)

    @staticmethod
    def load(path: str | Path) -> "Suite":
        """Read a file written by `save` or by hand: a JSON object with `name`, `version` and `prompts`.

        Raises:
            ValueError: for a file that is missing or has another format.
        """
        path = existing_file(path)
        needs = "suite must be a JSON object with name, version and a list of prompts"
        try:
            data = json.loads(read_text(path, "suite"))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{needs}, got {str(path)!r}, which is no JSON at line {error.lineno}, column {error.colno}: "
                f"{error.msg}"
            ) from None
        problem = _problem(data)
        if problem:
            raise ValueError(f"{needs}, got {str(path)!r} {problem}")
        prompts = tuple(_prompt(entry, path, number) for number, entry in enumerate(data["prompts"], 1))
        return Suite(str(data["name"]), str(data["version"]), prompts, path.name)


def known_file(path: Path, sha256: str) -> bool:
    """Whether a file is the published version; warns if it is not.

    Line endings are ignored.
    """
    if hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == sha256:
        return True
    warnings.warn(
        f"{str(path)!r} is not the published file: results made with it are not comparable with others", stacklevel=3
    )
    return False


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _fits_file_name(name: str) -> bool:
    return name.strip(" .") == name != "" and not any(letter in _UNFIT or ord(letter) < 32 for letter in name)


def _entry(prompt: Prompt) -> dict[str, Any]:
    """A prompt without empty fields."""
    return {key: value for key, value in asdict(prompt).items() if value not in (None, ())}


def _problem(data: Any) -> str:
    """What is wrong with the content of a suite's file, apart from its prompts; "" if nothing is."""
    if not isinstance(data, dict):
        return f"with a {type(data).__name__} at its top"
    lost = [key for key in ("name", "version", "prompts") if key not in data]
    if lost:
        return f"without the key {lost[0]!r}"
    if not isinstance(data["prompts"], list):
        return f"with prompts that are a {type(data['prompts']).__name__}"
    known = {"format", "name", "version", "prompts"}
    if set(data) - known:
        return f"with the unknown key {min(set(data) - known)!r}"
    return "" if data.get("format", FORMAT) == FORMAT else f"of format {data['format']!r} instead of {FORMAT}"


def _prompt(entry: Any, path: Path, number: int) -> Prompt:
    known = set(Prompt.__dataclass_fields__)
    lost = [key for key in ("id", "text", "category") if not isinstance(entry, dict) or key not in entry]
    if lost:
        raise ValueError(
            f"prompt must have id, text and category, got no {lost[0]} in prompt {number} of {str(path)!r}: "
            f"{shown(entry)}"
        )
    if set(entry) - known:
        raise unknown_key_error(f"prompt {entry['id']!r} of {str(path)!r}", set(entry) - known, known)
    distractors = entry.get("distractors", [])
    if not isinstance(distractors, list):
        raise ValueError(
            f"distractors must be a list of texts, got {distractors!r} for prompt id {entry['id']!r} in {str(path)!r}"
        )
    return Prompt(**{**entry, "distractors": tuple(distractors)})
