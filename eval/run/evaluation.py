"""Checked arguments of `motionmillion.eval.run.evaluate.evaluate_suite`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motionmillion.configuration import check_whole
from motionmillion.eval.run.generation import GenerationOptions
from motionmillion.eval.statistics.bootstrap import check_resamples
from motionmillion.eval.suites import KINDS, SuiteKind, SuiteSource, suite_kind
from motionmillion.eval.suites.base import Axes
from motionmillion.io.files import check_writable


@dataclass(frozen=True)
class ForeignMotions:
    """How to read another system's files, see `motionmillion.eval.run.motion_files.MotionFolder`."""

    fps: float | None = None
    up: str | None = None
    representation: str | None = None
    route: str = "positions"
    allow_missing: bool = False
    mapping: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate, and how.

    Args:
        suite: "motionmillion-eval", "motionmillion-eval-official", "mbench", "text-to-motion" or a JSON suite.
        output: folder for results, reports and generated motions.
        model: generates the motions: bundled name, folder or hub id; None if `motions` are given.
        motions: folder of another system's motions.
        foreign: how to read these.
        prompts: the user's file or folder of prompts, see `get_suite`.
        data, split: for "text-to-motion", a folder of captioned real motion and its split.
        evaluator: bundled name, folder or hub id.
        judge: "" for none (the evaluator in MBench); see `motionmillion.eval.judges.make_judge`.
        axes: "corrected", or "released" for MBench's physics with the height axis of its released code.
        generation: options of generation, see `GenerationOptions`.
        nrdf, smpl: the user's files for MBench's pose quality and body penetration.
        calibration: file with the distribution of real motion; None: the bundled one.
        name: name of the system in tables; "": that of the model or folder.
        resamples, repeats, seed: for intervals and random draws; `seed` also selects captions.
        limit: number of prompts per category; 0: all.
        ask_again: repeat questions that the judge answered unclearly.
        overwrite: replace the results of another evaluation in `output`.
        device: device of the models.
    """

    suite: str
    output: str | Path
    model: str | None = None
    motions: str | Path | None = None
    foreign: ForeignMotions = field(default_factory=ForeignMotions)
    prompts: str | Path | None = None
    data: str | Path | None = None
    split: str = "test"
    evaluator: str = "mini"
    judge: str = ""
    judge_options: Mapping[str, Any] = field(default_factory=dict)
    axes: Axes = "corrected"
    generation: GenerationOptions = field(default_factory=GenerationOptions)
    nrdf: str | Path | None = None
    smpl: str | Path | None = None
    calibration: str | Path | None = None
    name: str = ""
    resamples: int = 2000
    repeats: int = 20
    seed: int = 0
    limit: int = 0
    ask_again: bool = False
    overwrite: bool = False
    device: str = "cpu"

    @property
    def kind(self) -> SuiteKind:
        """The suite; raises `ValueError` for an unknown name."""
        return suite_kind(self.suite)

    @property
    def source(self) -> SuiteSource:
        """Where the suite's prompts come from."""
        return SuiteSource(self.prompts, self.data, self.split, self.seed)

    def check(self) -> None:
        """Raise `ValueError` for inconsistent arguments."""
        kind = self.kind
        if (self.model is None) == (self.motions is None):
            raise ValueError(
                f"model or motions must be given, and not both, got {self.model!r} and {self.motions!r}; name a model "
                "that generates, or a folder of motions"
            )
        if (self.data is None) == ("data" in kind.options):
            raise ValueError(
                f"data must name a folder of captioned motion for the suite {_suites_with('data')} and no other, got "
                f"{self.data!r} for {self.suite!r}"
            )
        if self.axes not in ("corrected", "released") or (self.axes == "released" and "axes" not in kind.options):
            raise ValueError(
                f'axes must be "corrected", or "released" for the suite {_suites_with("axes")}, got {self.axes!r} for '
                f"{self.suite!r}"
            )
        for name in ("nrdf", "smpl"):
            if getattr(self, name) is not None and name not in kind.options:
                raise ValueError(
                    f"{name} must come with the suite {_suites_with(name)}, got it for {self.suite!r}; leave it out"
                )
        self.generation.check()
        check_resamples(self.resamples)
        check_whole("repeats", self.repeats, 1)
        check_whole("limit", self.limit, 0)
        check_whole("seed", self.seed, 0)
        if Path(self.output).is_file():
            raise ValueError(f"output must be a folder, got the file {str(self.output)!r}; choose another name")
        check_writable(Path(self.output) / "results.json")


def _suites_with(option: str) -> str:
    """The suites that read an option, in words."""
    return " or ".join(repr(name) for name, kind in KINDS.items() if option in kind.options)
