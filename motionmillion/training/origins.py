"""What a run was trained on, as hashes: compared at the start with what the codes say, and at every resume.

    check_tokens(["my_codes"], "runs/tokenizer/final", force=False)
    found = {"tokenizer": weights_of("runs/tokenizer/final"), **shards_of(["my_codes"], "my_texts")}
    check_origins(recipe.output, found, force=False)       # raises if a run to resume had others, else notes them
    check_origins(recipe.output, clips_of(train_set), force=False)

The first process compares; what it finds is raised on all of them.

Weights and codes of the right shape load whatever they were made with, so a model would be trained on the codes of one
tokenizer and paired with another, and its pipeline would move at random. With `force` a warning takes the place of the
error. `origins.json` in the output folder holds the hashes; runs without it (of earlier versions) are noted when they
are resumed.
"""

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from motionmillion.data.clips import list_clips
from motionmillion.data.shards.motion_table import MotionTable, is_table
from motionmillion.data.shards.texts import read_text_header
from motionmillion.data.shards.tokens import read_header
from motionmillion.io.files import write_text
from motionmillion.progress import say
from motionmillion.provenance import ends_hash, files_hash, fingerprint

ORIGINS = "origins.json"


def check_origins(output: str | Path, found: Mapping[str, Any], force: bool = False) -> None:
    """Compare what a run is about to be trained on with what it was trained on so far, then note it.

    Args:
        output: folder of the run.
        found: hashes and numbers by name; names that are new are not compared.

    Raises:
        ValueError: for anything that differs, unless `force`.
    """
    on_the_first(lambda: _compare(Path(output) / ORIGINS, found, force))


def _compare(file: Path, found: Mapping[str, Any], force: bool) -> None:
    noted = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    now = json.loads(json.dumps(found))
    differing = [name for name, value in now.items() if name in noted and noted[name] != value]
    if differing:
        shown = ", ".join(f"{name} {_short(noted[name])} is now {_short(now[name])}" for name in differing)
        _refuse(
            f"{differing[0]} must be that of the run to resume, got another in {str(file.parent)!r}: {shown}",
            "restore it, choose another output, or resume with --force",
            force,
        )
    write_text(json.dumps({**noted, **now}, indent=2) + "\n", file)


def check_tokens(folders: Sequence[str | Path], tokenizer: str | Path, force: bool = False) -> None:
    """Raise `ValueError`, unless `force`, if codes were not made with the weights of a tokenizer.

    Args:
        folders: token shards, see `motionmillion.data.shards.tokens`.
        tokenizer: folder of the tokenizer.
    """
    on_the_first(lambda: _compare_tokens(folders, tokenizer, force))


def _compare_tokens(folders: Sequence[str | Path], tokenizer: str | Path, force: bool) -> None:
    own = weights_of(tokenizer)
    for folder in folders:
        theirs = read_header(folder)["tokenizer"].get("weights_sha256")
        if theirs is None:
            say(f"{folder} does not say which tokenizer made its codes: not checked whether it is {str(tokenizer)!r}")
        elif theirs != own:
            _refuse(
                f"data.tokenizer must be the tokenizer that made the codes of {str(folder)!r}, weights {theirs[:12]}, "
                f"got {str(tokenizer)!r} with weights {own[:12]}",
                "name the other tokenizer, tokenize again, or train with --force",
                force,
            )


def _refuse(message: str, remedy: str, force: bool) -> None:
    """Raise `ValueError`, or with `force` only warn."""
    if not force:
        raise ValueError(f"{message}; {remedy}")
    warnings.warn(f"training goes on because of --force, although {message}", stacklevel=4)


def on_the_first(check: Callable[[], None]) -> None:
    """Run a check on the first process only, while the others wait; its error is raised on all of them."""
    found: list[str | None] = [None]
    if os.environ.get("RANK", "0") == "0":
        try:
            check()
        except ValueError as error:
            found = [str(error)]
    if (message := broadcast_object_list(found)[0]) is not None:
        raise ValueError(message)


def weights_of(folder: str | Path) -> str:
    """SHA-256 of a model's weight files, as `motionmillion tokenize` notes it."""
    return files_hash(sorted(Path(folder).glob("*.safetensors")))


def model_of(folder: str | Path) -> str:
    """A quick hash of a model that a training starts from."""
    return ends_hash(folder)


def clips_of(dataset: Any, folders: Sequence[str | Path] = (), skip_bad: bool = False) -> dict[str, Any]:
    """Number and names of the clips of a training set, on which the order of visits depends, and their content.

    Clips of token shards are identified by `shards_of`, so that of them only the number is noted; data sets on disk by
    their own hash.

    Args:
        folders: where the clips are from; their motion files are hashed.
        skip_bad: whether what is wrong with lists is left out.
    """
    if hasattr(dataset, "origin"):
        return {"training clips": [len(dataset), dataset.origin]}
    name = None if hasattr(dataset, "table") else getattr(dataset, "name", None)
    names = [] if name is None else [name(item) for item in range(len(dataset))]
    found: dict[str, Any] = {"training clips": [len(dataset), fingerprint(names)]}
    if folders and os.environ.get("RANK", "0") == "0":  # only the first process compares
        found["motions"] = fingerprint([_content(Path(folder), skip_bad) for folder in folders])
    return found


def _content(folder: Path, skip_bad: bool) -> Any:
    """Captions and labels of a folder, and a hash of its motion files."""
    if is_table(folder):
        return MotionTable(folder).header["content"]
    records = list_clips(folder, skip_bad=skip_bad)
    paths = [folder / name for name in sorted({"skeleton.json", *(record.file for record in records)})]
    return [[record.facts() for record in records], files_hash(path for path in paths if path.is_file())]


def shards_of(tokens: Sequence[str | Path], texts: str | Path | None) -> dict[str, Any]:
    """What identifies token shards and text features: the fingerprints of the runs that wrote them."""
    found: dict[str, Any] = {}
    if tokens:
        headers = [read_header(folder) for folder in tokens]
        found["tokens"] = [[header["run"], header["shards"], header.get("clips")] for header in headers]
    if texts:
        found["text features"] = read_text_header(texts)["run"]
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 30 else f"{text[:26]}..."
