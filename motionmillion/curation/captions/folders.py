"""Captions for every clip of a folder, each with its origin, in a table that `motionmillion data build` reads.

    write_captions("curated", "captions.jsonl", CaptionOptions("https://host/v1#qwen-vl", "gemini:flash"))

The folder is one of `motionmillion curate`, whose videos are watched, or any folder of motions, which are drawn. A
line of the table has `file`, of films `subject` (the film, whose clips belong into one split) and `video`, `captions`,
`origins` ("measured": by rules, free; "watched"; "paraphrase"), `models`, and `refused`, how many paraphrases were
refused for what. Lines are appended and synced one by one: after an interruption the same call goes on with the clips
that are not in the table. A clip for which a server gives no answer is named in a line of its own, and asked again by
the next call.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.chat.endpoint import ChatEndpoint, EndpointError
from motionmillion.chat.gemini import GeminiChat
from motionmillion.chat.local import LocalChat
from motionmillion.chat.model import ChatModel, make_by_name
from motionmillion.configuration import check_whole
from motionmillion.curation.captions.meaning import SameMeaning
from motionmillion.curation.captions.writing import distinct, paraphrase, watch
from motionmillion.curation.video import Video
from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.data.describing import describe_motion
from motionmillion.eval.judges.pictures import Rendering
from motionmillion.io.files import check_writable, write_bytes
from motionmillion.io.render import optional_package
from motionmillion.motion import Motion
from motionmillion.progress import progress_bar, say

_PICTURES, _SIDE = 16, 512
_FAILURES = 3
"""Failures one after another that end a run: the server is down."""


@dataclass(frozen=True)
class CaptionOptions:
    """Which captions are made.

    Args:
        watcher, writer: vision-language model and language model, see `motionmillion.chat.model`; None for none.
        rules: whether there are captions by rules.
        count: paraphrases of a clip at the most, spread over what was watched (over the rules' if nothing was).
        device: of models that run here.
        parallel: clips that are asked about at once.
    """

    watcher: str | None = None
    writer: str | None = None
    rules: bool = True
    count: int = 20
    device: str = "cpu"
    parallel: int = 1

    def __post_init__(self) -> None:
        check_whole("count", self.count, 1)
        check_whole("parallel", self.parallel, 1)
        if not (self.rules or self.watcher):
            raise ValueError("captions must come from rules or a watcher, got neither; name a watcher")


@dataclass(frozen=True)
class _Shown:
    """A clip: where its motion is, how it is shown, and columns of the table that are known before."""

    file: str
    motion: Any  # () -> Motion
    pictures: Any  # () -> (pictures, whether there is a red box)
    labels: dict[str, Any] = field(default_factory=dict)


class Captioner:
    """Makes the captions of one clip after another; thread-safe."""

    def __init__(self, options: CaptionOptions) -> None:
        self.options = options
        self.watcher = make_chat(options.watcher, True, options.device) if options.watcher else None
        self.writer = make_chat(options.writer, False, options.device) if options.writer else None
        for chat in (self.watcher, self.writer):
            if chat is not None:
                chat.check()

    @cached_property
    def same(self) -> SameMeaning:
        return SameMeaning()

    def __call__(self, clip: _Shown) -> dict[str, Any]:
        """The line of a clip; with `fault` if a server gives no answer."""
        try:
            return {"file": clip.file, **clip.labels, **self._captions(clip)}
        except (EndpointError, OSError, ValueError) as error:
            return {"file": clip.file, "fault": " ".join(str(error).split())}

    def _captions(self, clip: _Shown) -> dict[str, Any]:
        motion = clip.motion()
        told: list[tuple[str, str]] = []
        if self.options.rules:
            told += [(text, "measured") for text in describe_motion(motion)]
        if self.watcher is not None:
            pictures, boxed = clip.pictures()
            told += [(text, "watched") for text in watch(self.watcher, pictures, motion.seconds, boxed)]
        sources = [text for text, origin in told if origin == "watched"] or [text for text, _ in told[:1]]
        refused: Counter[str] = Counter()
        if self.writer is not None and sources:
            each = -(-self.options.count // len(sources))
            for text in sources:
                more, own = paraphrase(self.writer, text, self.same, each)
                told += [(line, "paraphrase") for line in more]
                refused += own
        first = {text: origin for text, origin in reversed(told)}
        texts = distinct(text for text, _ in told)
        models = {"watched": self.options.watcher, "paraphrase": self.options.writer}
        return {
            "captions": texts,
            "origins": [first[text] for text in texts],
            "models": {key: value for key, value in models.items() if value},
            "refused": dict(refused),
        }


def write_captions(folder: str | Path, output: str | Path, options: CaptionOptions) -> str:
    """Write the table; returns a summary in a line.

    Raises:
        ValueError: for a folder without clips, a table that cannot be read or written, a model that is not there, and
            after several failures of a server one after another.
    """
    folder, output = Path(folder), Path(output)
    if output.suffix != ".jsonl":
        raise ValueError(f"output must end in .jsonl, got {str(output)!r}")
    check_writable(output)
    done = read_done(output)
    clips = [clip for clip in _clips(folder) if clip.file not in done]
    captioner, failures, total = Captioner(options), 0, 0
    with ThreadPoolExecutor(options.parallel) as pool, progress_bar(len(clips), "captioning", "clips") as bar:
        for start in range(0, len(clips), 4 * options.parallel):
            for line in pool.map(captioner, clips[start : start + 4 * options.parallel]):
                _append(output, line)
                bar.update()
                failures = failures + 1 if "fault" in line else 0
                total += "fault" in line
                if failures:
                    say(f"{line['file']}: {line['fault']}")
                if failures >= _FAILURES:
                    raise ValueError(f"models must answer, got {failures} failures in a row: {line['fault']}")
    return f"{len(clips) - total} clips captioned, {len(done)} were before, {total} failed"


def make_chat(name: str, sees: bool, device: str) -> ChatModel:
    """The chat model of that name; see `motionmillion.chat.model`."""
    warm = 0.2 if sees else 0.9
    return make_by_name(
        name,
        lambda model, device="cpu": LocalChat(model, device, max_new_tokens=1024, sees=sees, purpose="model"),
        lambda url, model: ChatEndpoint(url, model, {"temperature": warm, "max_tokens": 2048}, timeout=120.0),
        lambda model: GeminiChat(model, {"temperature": warm, "maxOutputTokens": 8192}, timeout=120.0),
        demand="watcher and writer must name a model after the address",
        example="model",
        device=device,
    )


def read_done(path: Path) -> set[str]:
    """Files whose captions are in a table; failures, and a last line that is not whole, are removed from it.

    Raises:
        ValueError: for a file that is no such table, which is left as it is.
    """
    if not path.exists():
        return set()
    if not _is_table(path):
        raise ValueError(f"output must be a new file, or a table of this command, got {str(path)!r}; name another")
    lines = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            content = json.loads(line) if line.strip() else {"fault": ""}
            lines += [line] if "fault" not in content else []
        except ValueError:
            say(f"line {number} of {path.name} is not whole and is made again")
    write_bytes(b"".join(line + b"\n" for line in lines), path)
    return {json.loads(line)["file"] for line in lines}


def _is_table(path: Path) -> bool:
    """Whether the first line of a file is one of captions, or has not been written whole."""
    first, end, _ = path.read_bytes().partition(b"\n")
    try:
        line = json.loads(first)
    except ValueError:
        return not end and (not first or first.startswith(b'{"file": '))
    return isinstance(line, dict) and "file" in line and ("fault" in line or "origins" in line)


def _append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
        os.fsync(file.fileno())


def _clips(folder: Path) -> Iterator[_Shown]:
    table = folder / "clips.jsonl"
    if table.is_file() and (folder / "clips").is_dir():
        for line in table.read_text(encoding="utf-8").splitlines():
            yield _filmed(folder, json.loads(line))
        return
    read = ClipReader(folder)
    for record in list_clips(folder):
        motion = lambda record=record: read(record).motion  # noqa: E731
        yield _Shown(record.file if not record.take else record.name, motion, lambda motion=motion: _drawn(motion()))


def _drawn(motion: Motion) -> tuple[list[Any], bool]:
    return Rendering(size=256, most=_PICTURES).show(motion).pictures, False


def _filmed(folder: Path, line: dict[str, Any]) -> _Shown:
    """A clip of `motionmillion curate`."""

    def pictures() -> tuple[list[Any], bool]:
        video, first, frames = Video.open(line["video"]), line["first"], line["frames"]
        wanted = first + np.unique(np.linspace(0, frames - 1, min(frames, _PICTURES)).round().astype(int))
        shown = []
        pil, drawing = optional_package("PIL.Image"), optional_package("PIL.ImageDraw")
        for number, picture in enumerate(video.read(first, first + frames), first):
            if number in wanted:
                image = pil.fromarray(picture)
                box = line["boxes"][number - first][:4]
                drawing.Draw(image).rectangle(box, outline="red", width=max(1, image.height // 150))
                image.thumbnail((_SIDE, _SIDE))
                shown.append(image)
        return shown, True

    labels = {"subject": line["subject"], "video": line["video"]}
    return _Shown(line["file"], lambda: Motion.load(folder / "clips" / line["file"]), pictures, labels)
