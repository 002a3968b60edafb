"""From folders to a tokenizer's report in files: what `motionmillion evaluate --suite tokenizer` does.

    table, paths = evaluate_folders("mini", ["my_motions"], "test", "runs/evaluation")

| file | what |
|---|---|
| `results.json` | the protocol and the figures of all groups, each mean with its interval |
| `clips.jsonl` | the figures of every clip, one a line |
| `report.md` | tables: data sets, categories |
| `error_by_category.png`, `acceleration.png`, `code_usage.png` | plots |

Unusual: arguments are checked before anything is loaded. Paths of the machine are not written: data and models are
named by their folder.
"""

import json
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from motionmillion.batch import load_tokenizer
from motionmillion.data.clips import SPLITS, load_clips
from motionmillion.eval.protocol import file_hashes, machine, plain_name, versions
from motionmillion.eval.tokenizer_plots import check_matplotlib, write_plots
from motionmillion.eval.tokenizer_report import Group, TokenizerReport, check_sizes, tokenizer_report
from motionmillion.io.files import check_writable, write_text
from motionmillion.tokenizer import MotionTokenizer

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
    "usage": "code usage (share of the codebook)",
    "perplexity": "code perplexity",
    "entropy_bits": "code entropy (bits)",
}
CATEGORY_MEASURES = {
    "mpjpe_mm": "MPJPE (mm)",
    "pa_mpjpe_mm": "PA-MPJPE (mm)",
    "rotation_degrees": "rotation error (degrees)",
    "excess_acceleration_mm": "excess acceleration (mm/frame^2)",
    "foot_sliding_mm": "foot sliding before (mm per 1/20 s)",
    "reconstructed_foot_sliding_mm": "foot sliding after (mm per 1/20 s)",
}
NOTES = """Means weigh frames. In brackets: 95 % bootstrap interval. Whole takes are drawn, because clips cut from one
take are not independent; intervals of few takes are too narrow, and a single take has none.

- Root-aligned: the pelvis is moved to its place in every frame and nothing is turned, so a heading that drifts counts
  as error. Global: nothing is aligned.
- Position route: joints as the features give them. Rotation route: joints by forward kinematics, which is what motion
  files are written from.
- Accelerations and jerks are those of joints about the pelvis, position route. Excess is reconstruction minus ground
  truth: above 0 is jitter, below 0 is smoothing.
- Foot sliding is MBench's: the horizontal speed of feet that touch the floor.
- Few codes cannot use a large codebook evenly: compare usage and perplexity only between samples of one size."""


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
) -> tuple[str, list[Path]]:
    """Measure a tokenizer on one split of motion folders and write everything into the folder `output`.

    Args:
        model: bundled name, pipeline, tokenizer folder or hub id.
        data: folders of motions, see `motionmillion.data.clips`.
        seed, resamples: of the bootstrap intervals.
        batch_size: clips that go through the tokenizer together; no influence on the results.

    Returns:
        the main table (Markdown) and the files written.

    Raises:
        ValueError: for arguments that do not fit, a folder without clips of the split, or a model that is not there.
        ImportError: for plots without matplotlib.
    """
    output = Path(output)
    names = _check(data, split, output, seed, batch_size, resamples)
    if plots:
        check_matplotlib()
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("loading", total=None)
        tokenizer = load_tokenizer(model).to(device)  # type: ignore[arg-type]
        datasets = {name: load_clips(folder, [split]) for name, folder in zip(names, data, strict=True)}
        progress.update(task, description="reconstructing", total=sum(map(len, datasets.values())))
        advance = partial(progress.advance, task)
        report = tokenizer_report(tokenizer, datasets, batch_size, resamples, seed, advance)
        progress.update(task, description="writing", total=None)
        options = {
            "model": plain_name(model),
            "data": [plain_name(folder, 1) for folder in data],
            "split": split,
            "seed": seed,
        }
        options |= {"batch_size": batch_size, "device": str(tokenizer.device), "resamples": resamples}
        return main_table(report), write_report(report, protocol(tokenizer, options), output, plots)


def write_report(report: TokenizerReport, facts: dict[str, Any], folder: Path, plots: bool = True) -> list[Path]:
    """Write `results.json`, `clips.jsonl`, `report.md` and the plots; `facts` are those of `protocol`."""
    results = {"protocol": facts, **report.as_dict()}
    lines = [json.dumps(clip.as_dict()) for clip in report.clips]
    text = [f"# Tokenizer {facts['model']}: reconstruction", "", _protocol_line(facts), "", main_table(report), ""]
    text += [*NOTES.split("\n"), "", "## By category", "", category_table(report), ""]
    paths = [
        write_text(json.dumps(results, indent=1) + "\n", folder / "results.json"),
        write_text("\n".join(lines) + "\n", folder / "clips.jsonl"),
    ]
    pictures = write_plots(report, folder) if plots else []
    if pictures:
        text += [f"![{path.stem.replace('_', ' ')}]({path.name})" for path in pictures] + [""]
    return [*paths, write_text("\n".join(text), folder / "report.md"), *pictures]


def protocol(tokenizer: MotionTokenizer, options: dict[str, Any]) -> dict[str, Any]:
    """What one must know to get the same figures: options, versions, machine, the tokenizer and its weights."""
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
    """Markdown, one column a data set, and one for all where there are several."""
    groups = dict(report.datasets)
    if len(groups) > 1:
        groups = {"all": report.overall, **groups}
    heads = [f"{name} ({_size(group, report.fps)})" for name, group in groups.items()]
    lines = [["measure", *heads]]
    lines += [[label, *(_cell(group, key) for group in groups.values())] for key, label in MEASURES.items()]
    if report.codebook_size:
        codes = [group.codes or {} for group in groups.values()]
        lines += [[label, *(_number(own[key]) for own in codes)] for key, label in CODES.items()]
    return _markdown(lines)


def category_table(report: TokenizerReport) -> str:
    """Markdown, one line a category of action, the longest first."""
    lines = [["category", "clips", "takes", "minutes", *CATEGORY_MEASURES.values()]]
    for name, group in report.categories.items():
        minutes = f"{group.frames / report.fps / 60:.1f}"
        cells = [_cell(group, key) for key in CATEGORY_MEASURES]
        lines.append([name, f"{group.clips}", f"{group.takes}", minutes, *cells])
    return _markdown(lines)


def _check(
    data: Sequence[str | Path], split: str, output: Path, seed: int, batch_size: int, resamples: int
) -> list[str]:
    """Names of the data sets, after a look at every argument but the model."""
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


def _protocol_line(facts: dict[str, Any]) -> str:
    versions = facts["versions"]
    weights = ", ".join(f"{name} sha256 {digest[:16]}" for name, digest in facts["weights_sha256"].items())
    return (
        f"`{facts['command']}`\n\nSplit {facts['split']}, seed {facts['seed']}, {facts['resamples']:,} resamples; "
        f"motionmillion {versions['motionmillion']}, torch {versions['torch']}, Python {versions['python']}; "
        f"{facts['machine']}; {weights or 'weights that are in no file'}."
    )


def _size(group: Group, fps: float) -> str:
    clips, takes = (f"{n} {word}{'s' if n != 1 else ''}" for n, word in ((group.clips, "clip"), (group.takes, "take")))
    return f"{clips}, {takes}, {group.frames / fps / 60:.1f} min"


def _cell(group: Group, key: str) -> str:
    interval = group.interval[key]
    bounds = "one take" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
    return f"{_number(group.mean[key])} ({bounds})"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]])
