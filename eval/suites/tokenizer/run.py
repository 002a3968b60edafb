"""Writes a tokenizer's report on folders of motions, as in `motionmillion evaluate --suite tokenizer`.

    table, paths = evaluate_folders("mini", ["my_motions"], "test", "runs/evaluation")

| file | what |
|---|---|
| `results.json` | the protocol and the values of all groups, each mean with its interval |
| `clips.jsonl` | the values of every clip, one per line |
| `report.md` | tables: data sets, categories |
| `report.html` | the same as a self-contained page, with plots and protocol |
| `error_by_category.png`, `acceleration.png`, `code_usage.png` | plots |

Unusual: arguments are checked before anything is loaded. Local paths are not written: data and models are identified
by the names of their folders.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionmillion.data.clips import SPLITS, load_clips
from motionmillion.eval.report.tables import Cell, Table
from motionmillion.eval.results import (
    EVERYTHING,
    Better,
    Estimate,
    Measure,
    ResultGroup,
    Results,
    SampleResult,
    check_results_folder,
)
from motionmillion.eval.suites.tokenizer.page import tokenizer_page
from motionmillion.eval.suites.tokenizer.plots import check_matplotlib, write_plots
from motionmillion.eval.suites.tokenizer.report import Group, TokenizerReport, check_sizes, tokenizer_report
from motionmillion.io.files import check_writable, write_text
from motionmillion.pipeline.folder import load_tokenizer
from motionmillion.progress import doing
from motionmillion.provenance import file_hashes, machine, plain_name, versions
from motionmillion.tokenizer import MotionTokenizer

SUITE = "tokenizer"
FILES = ("clips.jsonl", "report.md", "report.html", "error_by_category.png", "acceleration.png", "code_usage.png")
MEASURES = {
    "mpjpe_mm": "MPJPE, root-aligned, position route (mm)",
    "mpjpe_rotations_mm": "MPJPE, root-aligned, rotation route (mm)",
    "global_mpjpe_mm": "MPJPE, global, position route (mm)",
    "global_mpjpe_rotations_mm": "MPJPE, global, rotation route (mm)",
    "pa_mpjpe_mm": "PA-MPJPE (mm)",
    "rotation_degrees": "rotation error, heading included (degrees)",
    "root_path_m": "pelvis path error (m)",
    "acceleration_error_mm": "acceleration error (mm/frame^2)",
    "acceleration_mm": "acceleration of the ground truth (mm/frame^2)",
    "excess_acceleration_mm": "excess acceleration over ground truth (mm/frame^2)",
    "jerk_mm": "jerk of the ground truth (mm/frame^3)",
    "excess_jerk_mm": "excess jerk over ground truth (mm/frame^3)",
    "foot_sliding_mm": "foot sliding before (mm per 1/20 s)",
    "reconstructed_foot_sliding_mm": "foot sliding after, position route (mm per 1/20 s)",
    "reconstructed_foot_sliding_rotations_mm": "foot sliding after, rotation route (mm per 1/20 s)",
}
CODES = {
    "usage": "code usage (fraction of the codebook)",
    "perplexity": "code perplexity",
    "entropy_bits": "code entropy (bits)",
}
_LOWER = ("mpjpe", "rotation_degrees", "root_path", "acceleration_error", "reconstructed_foot_sliding")
_BETTER: dict[str, Better] = {key: "lower" for key in MEASURES if any(word in key for word in _LOWER)}
CATEGORY_MEASURES = {
    "mpjpe_mm": "MPJPE (mm)",
    "pa_mpjpe_mm": "PA-MPJPE (mm)",
    "rotation_degrees": "rotation error (degrees)",
    "excess_acceleration_mm": "excess acceleration (mm/frame^2)",
    "foot_sliding_mm": "foot sliding before (mm per 1/20 s)",
    "reconstructed_foot_sliding_mm": "foot sliding after (mm per 1/20 s)",
}
LEAD = "Means are weighted by frames and given with 95 % bootstrap intervals."
NOTES = (
    "Intervals: whole takes are resampled, because clips of one take are not independent; intervals of few takes "
    "are too narrow, and a single take has none.",
    "Root-aligned: only the pelvis position is aligned in every frame, without rotation, so heading drift "
    "counts as error. Global: nothing is aligned.",
    "Position route: joints from the position features. Rotation route: joints by forward kinematics, as in "
    "exported motion files.",
    "Accelerations and jerks are those of joints relative to the pelvis, position route. Excess is "
    "reconstruction minus ground truth: above 0 is jitter, below 0 is smoothing.",
    "Foot sliding is MBench's: the horizontal speed of feet that touch the floor.",
    "Few codes cannot use a large codebook evenly: compare usage and perplexity only between samples of equal size.",
)


def evaluate_folders(
    model: str | Path,
    data: Sequence[str | Path],
    split: str = "test",
    output: str | Path = "evaluation",
    seed: int = 0,
    batch_size: int = 16,
    device: str = "cpu",
    resamples: int = 2000,
    plots: bool = True,
    overwrite: bool = False,
) -> tuple[str, list[Path]]:
    """Measure a tokenizer on one split of motion folders and write all files into the folder `output`.

    Args:
        model: bundled name, pipeline, tokenizer folder or hub id.
        data: folders of motions, see `motionmillion.data.clips`.
        seed, resamples: for the bootstrap intervals.
        batch_size: clips per batch; does not affect the results.
        overwrite: replace the results of another evaluation in `output`.

    Returns:
        the main table (Markdown) and the files written.

    Raises:
        ValueError: for inconsistent arguments, a folder without clips of the split, or a missing model.
        ImportError: for plots without matplotlib.
    """
    output = Path(output)
    names = _check(data, split, output, seed, batch_size, resamples)
    same = {"data": [plain_name(folder, 1) for folder in data], "split": split}
    check_results_folder(output, FILES, SUITE, plain_name(model), overwrite, same)
    if plots:
        check_matplotlib()
    with doing("loading the tokenizer"):
        tokenizer = load_tokenizer(model).to(device)  # type: ignore[arg-type]
    datasets = {name: load_clips(folder, [split]) for name, folder in zip(names, data, strict=True)}
    report = tokenizer_report(tokenizer, datasets, batch_size, resamples, seed)
    options = {"model": plain_name(model), **same, "seed": seed}
    options |= {"batch_size": batch_size, "device": str(tokenizer.device), "resamples": resamples}
    with doing("writing the report"):
        return main_table(report), write_report(report, protocol(tokenizer, options), output, plots)


def write_report(report: TokenizerReport, facts: dict[str, Any], folder: Path, plots: bool = True) -> list[Path]:
    """Write the files of the module's docstring and return their paths; `facts` come from `protocol`."""
    lines = [json.dumps(clip.as_dict()) for clip in report.clips]
    pictures = {path.stem.replace("_", " "): path for path in (write_plots(report, folder) if plots else [])}
    title, words = f"Tokenizer {facts['model']}: reconstruction", _protocol_words(facts)
    tables = [_main_table(report), _category_table(report)]
    text = [f"# {title}", "", f"`{facts['command']}`", "", "; ".join(words) + ".", "", tables[0].markdown(), ""]
    text += [LEAD, "", *(f"- {note}" for note in NOTES), "", "## By category", "", tables[1].markdown(), ""]
    if pictures:
        text += [f"![{caption}]({path.name})" for caption, path in pictures.items()] + [""]
    page = tokenizer_page(title, words, tables, LEAD, NOTES, facts, pictures)
    return [
        results_of(report, facts).save(folder),
        write_text("\n".join(lines) + "\n", folder / "clips.jsonl"),
        write_text("\n".join(text), folder / "report.md"),
        write_text(page, folder / "report.html"),
        *pictures.values(),
    ]


def results_of(report: TokenizerReport, facts: dict[str, Any]) -> Results:
    """The report in the form of every suite; clips are named `<data set>/<clip>`."""
    own = {f"{clip.dataset}/{clip.clip}": clip for clip in report.clips}
    digest = hashlib.sha256("\n".join(f"{name} {clip.frames}" for name, clip in sorted(own.items())).encode())
    suite = {"name": SUITE, "version": "1.0", "sha256": digest.hexdigest()}
    groups = [_result_group(EVERYTHING, "all", report.overall)]
    for kind, members in (("dataset", report.datasets), ("category", report.categories)):
        groups += [_result_group(name, kind, group) for name, group in members.items()]
    measures = [Measure(key, label, _BETTER.get(key, "neither"), "reconstruction") for key, label in MEASURES.items()]
    return Results(
        suite=SUITE,
        system=facts["model"],
        protocol={**facts, "suite": suite, "fps": report.fps, "codebook_size": report.codebook_size},
        measures=measures
        + [Measure(key, label, axis="codes") for key, label in CODES.items() if report.codebook_size],
        groups=groups,
        samples=[
            SampleResult(name, "", clip.category, frames=clip.frames, fps=report.fps, values=_measured(clip.values))
            for name, clip in own.items()
        ],
        notes=[LEAD, *NOTES, "Where two tokenizers are compared, a test weighs clips alike."],
    )


def _measured(values: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if key in MEASURES}


def _result_group(name: str, kind: str, group: Group) -> ResultGroup:
    values = {
        key: Estimate(mean, *(group.interval[key] or (None, None)), count=group.clips)
        for key, mean in _measured(group.mean).items()
    }
    codes = {key: Estimate(value, count=group.clips) for key, value in (group.codes or {}).items() if key in CODES}
    return ResultGroup(name, kind, group.clips, {**values, **codes})


def protocol(tokenizer: MotionTokenizer, options: dict[str, Any]) -> dict[str, Any]:
    """Facts needed to reproduce the results: options, versions, machine, tokenizer and weights."""
    config = {key: value for key, value in tokenizer.config.to_diff_dict().items() if key != "_name_or_path"}
    words = ["motionmillion", "evaluate", "--suite", "tokenizer", "--model", options["model"]]
    words += [word for folder in options["data"] for word in ("--data", folder)]
    for name in ("split", "seed", "batch_size", "device", "resamples"):
        words += [f"--{name.replace('_', '-')}", str(options[name])]
    words += ["--output", "evaluation"]
    return {
        "command": shlex.join(words),
        **options,
        "versions": versions(),
        "machine": machine(tokenizer.device),
        "tokenizer": config,
        "weights_sha256": file_hashes(tokenizer.name_or_path, "*.safetensors") if tokenizer.name_or_path else {},
    }


def main_table(report: TokenizerReport) -> str:
    """Markdown with one column per data set, and one for all if there are several."""
    return _main_table(report).markdown()


def category_table(report: TokenizerReport) -> str:
    """Markdown with one row per category of action, the longest first."""
    return _category_table(report).markdown()


def _main_table(report: TokenizerReport) -> Table:
    groups = dict(report.datasets)
    if len(groups) > 1:
        groups = {"all": report.overall, **groups}
    heads = ["measure", *(f"{name} ({_size(group, report.fps)})" for name, group in groups.items())]
    rows = [[Cell(label), *(_cell(group, key) for group in groups.values())] for key, label in MEASURES.items()]
    if report.codebook_size:
        codes = [group.codes or {} for group in groups.values()]
        rows += [[Cell(label), *(_figure(own[key]) for own in codes)] for key, label in CODES.items()]
    return Table("reconstruction", [Cell(head) for head in heads], rows)


def _category_table(report: TokenizerReport) -> Table:
    heads = ["category", "clips", "takes", "minutes", *CATEGORY_MEASURES.values()]
    rows = []
    for name, group in report.categories.items():
        minutes = group.frames / report.fps / 60
        sizes = [_figure(group.clips), _figure(group.takes), Cell(f"{minutes:.1f}", value=minutes)]
        rows.append([Cell(name), *sizes, *(_cell(group, key) for key in CATEGORY_MEASURES)])
    return Table("by category", [Cell(head) for head in heads], rows)


def _check(
    data: Sequence[str | Path], split: str, output: Path, seed: int, batch_size: int, resamples: int
) -> list[str]:
    """Names of the data sets, after checking every argument but the model."""
    check_sizes(batch_size, resamples)
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not data:
        raise ValueError("data must name at least one folder of motions, got none; add --data FOLDER")
    for folder in data:
        if not Path(folder).is_dir():
            raise ValueError(f"data must be an existing folder of motions, got {str(folder)!r}")
    names = [Path(folder).resolve().name for folder in data]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"data must be folders of different names, got {twice[0]!r} twice; rename one")
    if output.exists() and not output.is_dir():
        raise ValueError(f"output must be a folder, got the file {str(output)!r}; choose another name")
    check_writable(output / "results.json")
    return names


def _protocol_words(facts: dict[str, Any]) -> list[str]:
    versions = facts["versions"]
    weights = ", ".join(f"{name} sha256 {digest[:16]}" for name, digest in facts["weights_sha256"].items())
    return [
        *(f"split {facts['split']}", f"seed {facts['seed']}", f"{facts['resamples']:,} resamples"),
        *(f"motionmillion {versions['motionmillion']}", f"torch {versions['torch']}", f"Python {versions['python']}"),
        *(facts["machine"], weights or "weights without a file"),
    ]


def _size(group: Group, fps: float) -> str:
    clips, takes = (f"{n} {word}{'s' if n != 1 else ''}" for n, word in ((group.clips, "clip"), (group.takes, "take")))
    return f"{clips}, {takes}, {group.frames / fps / 60:.1f} min"


def _cell(group: Group, key: str) -> Cell:
    interval = group.interval[key]
    bounds = "one take" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
    return Cell(_number(group.mean[key]), bounds, group.mean[key])


def _figure(value: float) -> Cell:
    return Cell(_number(value) if isinstance(value, float) else f"{value}", value=value)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"
