"""File handling of the command line: prompts in, motions out, codes in and out; safe to interrupt.

jobs = output_jobs(["a person waves"], [Path("wave.html")], num_samples=1, seed=0, resume=False)
generate_files(jobs, "mini", "cpu", RunOptions({"seconds": 4}))
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motionmillion.cli.finishing import Finish
from motionmillion.cli.mapping import load_motion
from motionmillion.cli.messages import option_names
from motionmillion.configuration import check_whole
from motionmillion.io import check_output, write_motion
from motionmillion.io.files import atomic_path
from motionmillion.io.outputs import check_outputs
from motionmillion.motion import Motion
from motionmillion.pipeline.checks import check_length
from motionmillion.pipeline.folder import find_pipeline, folder_options, load_tokenizer
from motionmillion.pipeline.options import RunOptions
from motionmillion.progress import doing, progress_bar, say

if TYPE_CHECKING:
    from motionmillion.pipeline import MotionPipeline
    from motionmillion.pipeline.dit.gate import Decision
    from motionmillion.pipeline.ways import Way


_ROUNDING = 0.1
"""Seconds by which a timeline may be shorter than its parts: lengths are whole frames."""


@dataclass(frozen=True)
class Job:
    """One motion to generate and the files to write it to; `row` is the index of its prompt."""

    prompt: str
    seed: int
    files: tuple[Path, ...]
    row: int = 0


@dataclass(frozen=True)
class Request:
    """Conditions of a batch of jobs besides the prompts.

    Args:
        timeline: texts and seconds of one motion; replaces the prompts.
        prefix: a motion to continue.
        end: with `prefix`, the motion to end with.
        references: one reference motion for all prompts, or one per prompt.
        reference_mode, judge: use of the references, see `motionmillion.pipeline.dit.pipeline`, and the gate's judge.
        edit: a motion to edit; `edit_frames` and `edit_joints` select the part to change, and `edit_keep_place` says
            whether the frames after it stay where they are.
        way: where to go: `path`, `speed`, `turn` and `facing`, see `motionmillion.pipeline.ways`.
    """

    timeline: tuple[tuple[str, float], ...] = ()
    prefix: Motion | None = None
    end: Motion | None = None
    references: tuple[Motion, ...] = ()
    reference_mode: str = "auto"
    judge: str | None = "similarity"
    edit: Motion | None = None
    edit_frames: tuple[int, int] | None = None
    edit_joints: tuple[str, ...] = ()
    edit_keep_place: bool = True
    way: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, Any]:
        """The arguments of a pipeline's call that say where to go."""
        return {name: value for name, value in self.way.items() if value is not None}

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise `ValueError` for conditions that cannot be combined."""
        if self.end is not None and (self.prefix is None or self.timeline or options.get("seconds") is None):
            raise ValueError("end must come with prefix and seconds and without timeline; name the motion before it")
        if self.timeline and options.get("seconds") is not None:
            raise ValueError(f"seconds must be left out with timeline, got {options['seconds']!r}; its parts set them")
        if self.references and (self.timeline or self.end is not None):
            raise ValueError("reference must be left out with timeline and end, got one; it goes with prompts")
        if not self.references and self.reference_mode != "auto":
            raise ValueError(f"reference_mode must come with reference, got {self.reference_mode!r} alone")
        if self.asked:
            self._check_way(options)
        others = {"timeline": self.timeline, "prefix": self.prefix, "reference": self.references or None}
        others |= {"seconds": options.get("seconds")}
        for name, value in others.items() if self.edit is not None else ():
            if value:
                raise ValueError(f"{name} must be left out with edit, which keeps the length of its motion")
        if self.edit is None and (self.edit_frames is not None or self.edit_joints or not self.edit_keep_place):
            raise ValueError(
                "edit_frames, edit_joints and edit_move_rest must come with edit; name the motion file to change"
            )

    def _check_way(self, options: Mapping[str, Any]) -> None:
        name, value = next(iter(self.asked.items()))
        if self.timeline or self.edit is not None or self.prefix is not None or self.references:
            raise ValueError(f"{name} must come without timeline, edit, prefix and reference, got {value!r}")
        self._way(options)

    def error(self, motion: Motion, options: Mapping[str, Any]) -> str:
        """How far a motion is from the way that was asked for; "" without one."""
        way = self._way(options)
        if way is None or way.path is None:
            return ""
        from motionmillion.kinematics.floor_paths import path_error

        return str(path_error(motion, way.path))

    def _way(self, options: Mapping[str, Any]) -> "Way | None":
        """The way that was asked for, checked; None without one."""
        from motionmillion.pipeline.ways import Way

        return Way.of(**self.asked, seconds=options.get("seconds"))

    def parts(self, motion: Motion) -> list[tuple[float, float, str]]:
        """Start, end (seconds) and text of each part of a timeline; none of a motion that is shorter than these."""
        start = motion.seconds - sum(seconds for _, seconds in self.timeline)  # after the prefix
        if start < -_ROUNDING:
            return []
        made = []
        for text, seconds in self.timeline:
            made.append((start, start + seconds, text))
            start += seconds
        return made

    def check_rows(self, rows: int) -> None:
        """Raise `ValueError` unless there is one reference, or one for each of `rows` prompts."""
        if self.references and len(self.references) not in (1, rows):
            raise ValueError(f"reference must be given once, or once per prompt, {rows}, got {len(self.references)}")

    def motions(self, pipe: "MotionPipeline", jobs: Sequence[Job], options: Mapping[str, Any]) -> list[Motion]:
        """Generate one motion per job; `options` are those of the pipeline's calls."""
        if self.timeline:
            return [pipe.timeline(self.timeline, 1, job.seed, self.prefix, **options)[0] for job in jobs]
        if self.prefix is not None and self.end is not None:
            both = (self.prefix, self.end)
            return [pipe.inbetween(job.prompt, *both, seed=job.seed, **options) for job in jobs]
        if self.edit is not None:
            changed = dict(frames=self.edit_frames, joints=self.edit_joints or None, keep_place=self.edit_keep_place)
            with option_names(frames="edit_frames", joints="edit_joints", keep_place="edit_move_rest"):
                return [pipe.edit(self.edit, job.prompt, seed=job.seed, **changed, **options) for job in jobs]
        prompts, seeds = [job.prompt for job in jobs], [job.seed for job in jobs]
        return pipe.sample(
            prompts, seeds, prefix=self.prefix, **self._followed(pipe, jobs, options), **self.asked, **options
        )

    def prepare(self, pipe: "MotionPipeline") -> None:
        """Set the requested judge in the pipeline's gate."""
        from motionmillion.pipeline.dit.pipeline import DiTPipeline

        if self.references and isinstance(pipe, DiTPipeline):
            from motionmillion.pipeline.dit.gate import Gate

            pipe.gate = Gate(judge=self.judge)

    def _followed(self, pipe: "MotionPipeline", jobs: Sequence[Job], options: Mapping[str, Any]) -> dict[str, Any]:
        """References of the jobs and their modes; the gate's decisions are printed to standard error."""
        if not self.references:
            return {}
        from motionmillion.pipeline.dit.pipeline import DiTPipeline

        own = [self.references[job.row if len(self.references) > 1 else 0] for job in jobs]
        if not isinstance(pipe, DiTPipeline):
            return {"reference": own}  # other pipelines raise an error
        pipe.check(own, options)  # fail before calling a judge

        def report(row: int, decision: "Decision") -> None:
            done = "followed" if decision.use else "left out"
            say(f"reference for {jobs[row].files[0]} {done}: {decision.reason}")

        return {
            "reference": own,
            "reference_mode": pipe.modes([j.prompt for j in jobs], own, self.reference_mode, report),
        }


def output_jobs(
    prompts: Sequence[str],
    outputs: Sequence[Path],
    num_samples: int,
    seed: int,
    resume: bool,
    settled: bool = True,
    sources: Sequence[Path] = (),
    overwrite: bool = False,
    finish: Finish | None = None,
) -> list[Job]:
    """One job per motion, with numbered files if there are several; checks all outputs before loading anything.

    Args:
        resume: skip jobs whose files all exist and are in the manifest, if there is one.
        settled: whether prompts are the same in every run, so that an existing file of another prompt is an error;
            prompts rewritten by a language model may differ.
        sources: files that the command reads, which are never written.
        overwrite: whether other files may be replaced; with `resume`, unfinished jobs replace theirs in any case.

        finish: what is done with the motions; a mirror image swaps the sides in prompts.

    Raises:
        ValueError: for outputs that exist or cannot be written, and files to resume that hold another prompt.
    """
    finish = Finish() if finish is None else finish
    if not outputs:
        raise ValueError("output must name at least one file, got none; add -o motion.html")
    check_whole("num_samples", num_samples, 1)
    for path in outputs:
        check_output(path)
    from motionmillion.pipeline.base import sample_seed

    rows = [(row, prompt, sample) for row, prompt in enumerate(prompts) for sample in range(num_samples)]
    digits = max(4, len(str(len(rows) - 1)))
    jobs = []
    for number, (row, prompt, sample) in enumerate(rows):
        numbered = [path.with_stem(f"{path.stem}-{number:0{digits}d}") for path in outputs]
        files = tuple(outputs) if len(rows) == 1 else tuple(numbered)
        # seeds and file names depend only on the index, so skipping jobs changes nothing else
        if resume and settled:
            _check_prompt(finish.caption(prompt), [file for file in files if file.exists()])
        if not (resume and all(file.exists() for file in files) and finish.lists(files)):
            jobs.append(Job(prompt, sample_seed(seed, sample), files, row))
    check_outputs([file for job in jobs for file in job.files], sources, overwrite or resume)
    return jobs


def _check_prompt(prompt: str, files: Sequence[Path]) -> None:
    """Raise `ValueError` for files whose caption is not `prompt`; files without one pass."""
    for file in files:
        said = " ".join(_caption(file).split())
        if said and said != " ".join(prompt.split()):
            raise ValueError(
                f"prompt must be that of the file to resume, {said!r}, got {prompt!r} for {str(file)!r}; remove the "
                "file or choose another output"
            )


def _caption(file: Path) -> str:
    """The caption in a generated .txt or .npz file; "" for others."""
    try:
        if file.suffix.lower() == ".txt":
            return file.read_text(encoding="utf-8")
        if file.suffix.lower() == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return str(arrays["caption"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not a generated file
    return ""


def generate_files(
    jobs: Sequence[Job],
    model: str,
    device: str,
    options: RunOptions,
    request: Request | None = None,
    finish: Finish | None = None,
) -> None:
    """Generate the motions of `jobs` in batches; the files of a batch are written as soon as it is done.

    Args:
        request: conditions besides the prompts of `jobs`.
        finish: what is done with the motions.

    Raises:
        ValueError: for conditions and options that do not fit, and at the end, for motions that could not be made into
            clips; the others are written.
    """
    request = Request() if request is None else request
    finish = Finish() if finish is None else finish
    failed: list[str] = []
    # all checks come before the model is loaded, which takes long
    check_length("seconds", options.given.get("seconds"))
    request.check(options.given)
    folder_options(find_pipeline(model)).updated(options.given)
    with doing("loading the model"):
        from motionmillion.pipeline import MotionPipeline

        pipe = MotionPipeline.from_pretrained(model, device, **options.loading)
        request.prepare(pipe)
    with progress_bar(len(jobs), "writing", "motions") as bar:
        for start in range(0, len(jobs), options.batch_size):
            part = jobs[start : start + options.batch_size]
            for job, motion in zip(part, request.motions(pipe, part, options.given), strict=True):
                try:
                    clip = finish.clip(motion, str(job.files[0]))
                except ValueError as error:
                    failed.append(f"{job.files[0]}: {error}")
                else:
                    finish.write(job.files, clip, job.prompt, job.seed, request.parts(clip.motion))
                    told = request.error(motion, options.given)
                    if told:
                        say(f"{job.files[0]}: {told}")
                bar.update()
    if failed:
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise ValueError(f"not written: {failed[0]}{more}")


def rewrite_prompts(
    prompts: Sequence[str], rewriter: str, cache: Path | None, on_error: str, device: str
) -> list[str]:
    """Rewrite prompts with a language model; both forms are printed to standard error."""
    from motionmillion.text.rewriting import make_rewriter

    rewrites = make_rewriter(rewriter, cache=cache, on_error=on_error, device=device)(prompts)
    for rewrite in rewrites:
        say(f"rewritten: {rewrite.original!r} -> {rewrite.rewritten!r}")
    return [rewrite.rewritten for rewrite in rewrites]


def tokenize_file(
    source: Path, output: Path, model: str, mapping: dict[str, str] | None = None, overwrite: bool = False
) -> Path:
    """Write the codes `[N]` of a motion file; the suffix of `output` is .npy, and `mapping` is that of `read_bvh`."""
    _check_code_file(output)
    check_outputs([output], [source], overwrite)
    motion = load_motion(source, mapping or {})
    tokenizer = load_tokenizer(model)
    features = tokenizer.representation.encode(motion.canonicalize())
    with atomic_path(output) as temporary:
        np.save(temporary, tokenizer.encode(features[None])[0].numpy())
    return output


def detokenize_file(source: Path, outputs: Sequence[Path], model: str, overwrite: bool = False) -> list[Path]:
    """Decode a code file and write the motion to every file of `outputs`."""
    import torch

    _check_code_file(source)
    for path in outputs:
        check_output(path)
    check_outputs(outputs, [source], overwrite)
    try:
        codes = np.load(source, allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"source must be an existing code file, got {str(source)!r}") from None
    except (ValueError, EOFError, OSError):
        raise ValueError(f"source must be a .npy file without pickled objects, got {str(source)!r}") from None
    if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"codes must be whole numbers of shape [N], got {codes.dtype} {codes.shape} in {source}")
    tokenizer = load_tokenizer(model)
    features = tokenizer.decode(torch.from_numpy(codes.astype(np.int64))[None])[0]
    motion = tokenizer.representation.decode(features)
    return [write_motion(motion, path) for path in outputs]


def _check_code_file(path: Path) -> None:
    if path.suffix.lower() != ".npy":
        raise ValueError(f"code file must end in .npy, got {str(path)!r}")
