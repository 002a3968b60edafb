"""All stages over many videos, with several processes, safe to interrupt.

    summary = curate(["a.mp4", "b.mp4"], "curated", {"smpl": {"folder": "results"}}, workers=4)
    summary.counts["people"]                     # Counts(kept=12, dropped={"no person": 3})

The folder of a run:

| file | content |
|---|---|
| 1-shots/VIDEO.json to 6-quality/VIDEO.json | what a stage keeps of a video and drops, with reasons and values |
| motions/CLIP-OPTIONS.npz | body motion of each clip of stage 5 |
| clips/CLIP.npz, clips.jsonl | the clips that are left, and their videos, frames and measures, for `data build` |
| summary.json, 1-shots.html to 6-quality.html | numbers, and pages that show what was kept and dropped, and why |

Each file is written whole and carries a fingerprint of what it depends on: the video, the options of its stage, and
the result before it. A file with the right one is not made again, so that a run goes on where it was killed, and
other options of a stage redo that stage and those after it only. A video that cannot be read is named and counted.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motionmillion.configuration import unknown_key_error
from motionmillion.curation.clips import Clip, Stage, Verdict
from motionmillion.curation.confidence import Confidence
from motionmillion.curation.page import write_page
from motionmillion.curation.people import People
from motionmillion.curation.quality import Quality
from motionmillion.curation.shots import Shots
from motionmillion.curation.smpl import Smpl
from motionmillion.curation.transitions import Transitions
from motionmillion.curation.video import Video, VideoError, video_key
from motionmillion.data.shards.pool import run_tasks
from motionmillion.io.files import check_writable, existing_file, write_bytes, write_text
from motionmillion.progress import progress_bar, say
from motionmillion.provenance import fingerprint

STAGES: tuple[type[Stage], ...] = (Shots, People, Confidence, Transitions, Smpl, Quality)
NAMES = tuple(stage.name for stage in STAGES)
_VERSION = 1
_MARK = "curation.json"
"""File that tells the folder of a run from any other."""


@dataclass
class Counts:
    """What a stage has kept and dropped."""

    kept: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass
class Summary:
    """What a run has done: counts by stage, and what is wrong with videos that cannot be read, by name."""

    videos: int
    counts: dict[str, Counts]
    faults: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        counts = {name: {**vars(own), "dropped": dict(own.dropped)} for name, own in self.counts.items()}
        return {"videos": self.videos, "counts": counts, "faults": self.faults}

    def text(self) -> str:
        """A line for each stage and fault."""
        lines = [f"{self.videos} videos, {len(self.faults)} of them cannot be read"]
        for name, counts in self.counts.items():
            reasons = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.most_common())
            lines.append(f"{name}: {counts.kept} clips kept, {counts.seconds:.1f} s; dropped: {reasons or 'none'}")
        return "\n".join([*lines, *(f"{name}: {fault}" for name, fault in self.faults.items())])


def curate(
    videos: Sequence[str | Path],
    folder: str | Path,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    last: str = NAMES[-1],
    workers: int = 1,
) -> Summary:
    """Run the stages up to `last`; call it again after an interruption to go on.

    Args:
        videos: video files.
        folder: for the results; may hold those of earlier runs.
        options: values of the options of each stage, by its name.
        last: name of the last stage.
        workers: processes; each loads the models.

    Raises:
        ValueError: for no videos, missing ones, unknown options, and a folder that cannot be written or holds
            something else.
    """
    folder, paths = Path(folder), [existing_file(video) for video in videos]
    if not paths:
        raise ValueError("videos must be at least one, got none")
    paths = _different(paths)
    stages = stage_options(options or {}, last)
    check_writable(folder / "summary.json")
    claim_folder(folder)
    results: dict[Path, list[Verdict]] = {}
    with progress_bar(len(paths), "curating", "videos") as bar:
        for path, verdicts in run_tasks(paths, make_curator, (folder, stages), min(workers, len(paths))):
            results[path] = verdicts
            bar.update()
    return _finish(folder, [results[path] for path in paths], paths, list(stages))


def _different(paths: Sequence[Path]) -> list[Path]:
    """The paths without those of equal content, which are named."""
    kept: dict[str, Path] = {}
    for path in paths:
        other = kept.setdefault(video_key(path), path)
        if other is not path:
            say(f"{path} has the content of {other} and is left out")
    return list(kept.values())


def claim_folder(folder: Path) -> None:
    """Mark a new folder as one of this command; raise `ValueError` for one that holds something else."""
    mark = folder / _MARK
    if not mark.exists() and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"output must be new, or a folder that motionmillion curate began, got {str(folder)!r} with other files"
        )
    write_text(json.dumps({"format": _VERSION}) + "\n", mark)


def stage_options(given: Mapping[str, Mapping[str, Any]], last: str = NAMES[-1]) -> dict[str, Any]:
    """Checked options of the stages up to `last`, by name.

    Raises:
        ValueError: for unknown stages, unknown keys and invalid values.
    """
    if last not in NAMES:
        raise ValueError(f"last must be one of {', '.join(NAMES)}, got {last!r}")
    if set(given) - set(NAMES):
        raise unknown_key_error("options", set(given) - set(NAMES), NAMES)
    return {
        stage.name: _options(stage.Options, given.get(stage.name, {}), stage.name)
        for stage in STAGES[: NAMES.index(last) + 1]
    }


def _options(kind: type, given: Mapping[str, Any], name: str) -> Any:
    known = {each.name for each in dataclasses.fields(kind)}
    if set(given) - known:
        raise unknown_key_error(name, set(given) - known, known)
    return kind(**given)


def make_curator(folder: Path, options: Mapping[str, Any]) -> Callable[[Path], list[Verdict]]:
    """A function that takes a video through the stages; for one process."""
    stages = [stage(options[stage.name], folder) for stage in STAGES if stage.name in options]

    def curator(path: Path) -> list[Verdict]:
        key, verdicts = video_key(path), []
        run, clips, fault = fingerprint([_VERSION, key, path.stem]), [], ""
        for number, stage in enumerate(stages, 1):
            inputs = [clip.name for clip in clips]  # fewer than before, or more, where an earlier stage was not final
            run = fingerprint([run, stage.name, dataclasses.asdict(stage.options), stage.inputs(), inputs])
            file = folder / f"{number}-{stage.name}" / f"{key}.json"
            verdict = _read(file, run)
            if verdict is None:
                verdict = Verdict(fault=fault) if fault else _attempt(stage, path, clips)
                if verdict.final:
                    content = {"run": run, "video": path.name, **verdict.to_json()}
                    write_text(json.dumps(content, ensure_ascii=False) + "\n", file)
            clips, fault = verdict.kept, verdict.fault
            verdicts.append(verdict)
        return verdicts

    return curator


def _attempt(stage: Stage, path: Path, clips: Sequence[Clip]) -> Verdict:
    try:
        return stage(Video.open(path), clips)
    except VideoError as error:
        return Verdict(fault=str(error))


def _read(file: Path, run: str) -> Verdict | None:
    """The result in a file, if it is there and of this run."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return Verdict.from_json(content) if content.get("run") == run else None


def _finish(folder: Path, results: Sequence[list[Verdict]], paths: Sequence[Path], names: list[str]) -> Summary:
    """Count, and write the list of clips, the summary and the pages."""
    counts = {name: Counts() for name in names}
    faults: dict[str, str] = {}
    for path, verdicts in zip(paths, results, strict=True):
        for name, verdict in zip(names, verdicts, strict=True):
            counts[name].kept += len(verdict.kept)
            counts[name].seconds += sum(clip.seconds for clip in verdict.kept)
            counts[name].dropped += verdict.reasons()
            if verdict.fault:
                faults[path.name] = verdict.fault
    summary = Summary(len(paths), counts, faults)
    for number, name in enumerate(names, 1):
        own = [(path, verdicts[number - 1]) for path, verdicts in zip(paths, results, strict=True)]
        write_page(folder, f"{number}-{name}", own, counts[name].dropped)
    lines = list(_lines(paths, results)) if names[-1] == NAMES[-1] else []
    kept = [clip for verdicts in results for clip in verdicts[-1].kept] if lines else []
    _copy_clips(folder, {f"{clip.name}.npz": clip.motion for clip in kept})
    write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), folder / "clips.jsonl")
    write_text(json.dumps(summary.to_json(), indent=2, ensure_ascii=False) + "\n", folder / "summary.json")
    for name, fault in faults.items():
        say(f"{name}: {fault}")
    return summary


def _copy_clips(folder: Path, motions: Mapping[str, str]) -> None:
    """Make `clips` hold copies of these motions, by name, and no others."""
    for other in (folder / "clips").glob("*.npz"):
        if other.name not in motions:
            other.unlink()
    for name, motion in motions.items():
        write_bytes((folder / motion).read_bytes(), folder / "clips" / name)


def _lines(paths: Sequence[Path], results: Sequence[list[Verdict]]) -> Iterator[dict[str, Any]]:
    """What the list of clips says of each clip that is left."""
    for path, verdicts in zip(paths, results, strict=True):
        for clip in verdicts[-1].kept:
            yield {
                "file": f"{clip.name}.npz",
                "subject": clip.video,
                "video": str(path),
                "first": clip.start,
                "frames": clip.frames,
                "fps": clip.fps,
                "person": clip.person,
                "boxes": clip.boxes,
                "measures": clip.measures,
            }
