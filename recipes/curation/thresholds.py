"""How well the measures of `motionmillion curate` find faults: ROC curves of faults put into clean motion.

    python recipes/curation/thresholds.py --data PATH/TO/cmu_text_motion --output docs/results/curation --clips 300

Clips of real motion that pass the audit are taken, at most `--clips` of each split, evenly spread, in windows of at
most 200 frames. Each is measured as it is, and once for each fault, with a seed of its own. Thresholds are chosen on
clips of train, such that each measure alone drops 1 % of the clean ones; everything else is reported on val and test,
whose subjects are others, also for the defaults of `motionmillion curate`. Writes `curation.md` with the tables and
`curation.png` with the curves. With `--values FILE.npz` the measured values are kept there, or read from there.

Seeds: number of the fault times 1000, plus the number of the clip.
"""

import argparse
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import roma
import torch

from motionmillion.curation.measures import MEASURES, measures_of
from motionmillion.curation.quality import QualityOptions
from motionmillion.data.audit import audit_clip
from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.io.files import write_text
from motionmillion.motion import Motion, rotation_y
from motionmillion.progress import shown, tracked
from motionmillion.provenance import describe_machine

FRAMES, SHORTEST = 200, 45
QUANTILE = 0.99
RATES = (0.01, 0.02, 0.05, 0.1)
"""Fractions of clean clips dropped, for which it is reported what one measure finds."""
LOW = ("range",)
"""Measures of which small values are faults."""

PARTS = ("train", "held")

Draw = torch.Generator
Fault = Callable[[Motion, Motion, Draw], Motion]


def jitter(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """Normal noise on every joint's rotation, 1.5 degrees, and on the path, 5 mm, in every frame."""
    vectors = math.radians(1.5) / 3**0.5 * torch.randn(motion.num_frames, 22, 3, generator=draw)
    path = motion.translation + 0.005 * torch.randn(motion.translation.shape, generator=draw)
    return motion.replace(rotations=motion.rotations @ roma.rotvec_to_rotmat(vectors), translation=path)


def spike(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """One frame in which every joint is turned by normal noise of 12 degrees."""
    frame = _frame(motion, draw)
    rotations = motion.rotations.clone()
    vectors = math.radians(12) / 3**0.5 * torch.randn(22, 3, generator=draw)
    rotations[frame] = rotations[frame] @ roma.rotvec_to_rotmat(vectors)
    return motion.replace(rotations=rotations)


def turned(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """From one frame on the body faces the other way: front taken for back."""
    frame = _frame(motion, draw)
    rotations = motion.rotations.clone()
    rotations[frame:, 0] = rotation_y(torch.tensor(math.pi)) @ rotations[frame:, 0]
    return motion.replace(rotations=rotations)


def swapped(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """Left and right limbs taken for one another in a third of a second."""
    frame, order = _frame(motion, draw, 10), list(motion.skeleton.mirror_order)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    rotations = motion.rotations.clone()
    part = rotations[frame : frame + 10]
    rotations[frame : frame + 10, 1:] = (part[:, order] * flip[:, None] * flip)[:, 1:]
    return motion.replace(rotations=rotations)


def switched(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """From one frame on the motion of another clip, continued in place and heading: a cut, or another person."""
    frame = min(_frame(motion, draw), other.num_frames - 1)
    rest = other.num_frames - frame
    rotations = torch.cat([motion.rotations[:frame], other.rotations[frame:]])
    path = torch.cat([motion.translation[:frame], other.translation[frame:]])
    path[frame:, [0, 2]] += motion.translation[frame - 1, [0, 2]] - other.translation[frame, [0, 2]]
    return motion.replace(rotations=rotations, translation=path) if rest else motion


def sliding(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """A drift of the whole body at 0.5 m/s, in a random direction."""
    angle = float(torch.rand((), generator=draw)) * 2 * math.pi
    step = 0.5 / motion.fps * torch.tensor([math.cos(angle), 0.0, math.sin(angle)])
    return motion.replace(translation=motion.translation + torch.arange(motion.num_frames)[:, None] * step)


def static(motion: Motion, other: Motion, draw: Draw) -> Motion:
    """A pose that is held, with noise of a tenth of `jitter`."""
    frame = _frame(motion, draw)
    held = motion.replace(
        rotations=motion.rotations[frame].expand_as(motion.rotations).clone(),
        translation=motion.translation[frame].expand_as(motion.translation).clone(),
    )
    vectors = math.radians(0.15) / 3**0.5 * torch.randn(motion.num_frames, 22, 3, generator=draw)
    return held.replace(rotations=held.rotations @ roma.rotvec_to_rotmat(vectors))


FAULTS: dict[str, Fault] = {
    "jitter": jitter,
    "spike": spike,
    "turned": turned,
    "left and right swapped": swapped,
    "another person": switched,
    "sliding": sliding,
    "static": static,
}


def _frame(motion: Motion, draw: Draw, margin: int = 5) -> int:
    return int(torch.randint(margin, motion.num_frames - margin, (), generator=draw))


def clean_clips(data: Path, split: str, count: int) -> Iterator[Motion]:
    """Motions of a split that pass the audit, in windows of at most `FRAMES`."""
    records, read = list_clips(data, (split,)), ClipReader(data)
    made = 0
    for record in tracked(records[:: max(1, len(records) // count)], f"reading {split}", "clips"):
        motion = read(record).motion
        motion = motion.slice(0, min(FRAMES, motion.num_frames))
        if motion.num_frames >= SHORTEST and made < count and not audit_clip(motion):
            made += 1
            yield motion


def measure(clips: list[Motion]) -> dict[str, np.ndarray]:
    """Measures `[N, M]` of the clean clips, and of those with each fault, by name."""
    values = {"clean": np.array([list(measures_of(clip).values()) for clip in clips])}
    for number, (name, fault) in enumerate(FAULTS.items()):
        rows = []
        for index, clip in enumerate(tracked(clips, name, "clips")):
            draw = torch.Generator().manual_seed(1000 * number + index)
            rows.append(list(measures_of(fault(clip, clips[(index + 7) % len(clips)], draw)).values()))
        values[name] = np.array(rows)
    return values


def roc(clean: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """False and true positive rates of thresholds on `[N]` and `[M]`, and the area under the curve."""
    thresholds = np.unique(np.concatenate([[-np.inf], clean, bad, [np.inf]]))[::-1]
    false = np.array([(clean >= value).mean() for value in thresholds])
    true = np.array([(bad >= value).mean() for value in thresholds])
    return false, true, float(np.trapezoid(true, false))


def directed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measures of which large values are faults."""
    sign = np.array([-1.0 if name in LOW else 1.0 for name in MEASURES])
    return {name: own * sign for name, own in values.items()}


def operating_points(train: dict[str, np.ndarray], held: dict[str, np.ndarray]) -> list[str]:
    """What the best measure of each fault finds, for several fractions of clean clips of train that it drops."""
    names = list(MEASURES)
    shares = " | ".join(f"{rate:.0%} dropped" for rate in RATES)
    lines = ["", f"| fault | best measure | AUC | {shares} |", "|---" * (3 + len(RATES)) + "|"]
    for fault in FAULTS:
        areas = [roc(held["clean"][:, index], held[fault][:, index])[2] for index in range(len(names))]
        best = int(np.argmax(areas))
        cells = []
        for rate in RATES:
            limit = np.quantile(train["clean"][:, best], 1 - rate)
            cells.append(f"{(held[fault][:, best] > limit).mean():.1%} at {abs(limit):.3g}")
        lines.append(f"| {fault} | {names[best]} | {areas[best]:.3f} | " + " | ".join(cells) + " |")
    return lines


def found_by_defaults(held: dict[str, np.ndarray]) -> list[str]:
    """What the defaults of the stage `quality` drop."""
    options, signs = dataclasses.asdict(QualityOptions()), [-1.0 if name in LOW else 1.0 for name in MEASURES]
    limits = np.array([sign * options[name] for name, sign in zip(MEASURES, signs, strict=True)])
    shown = ", ".join(f"{name} {options[name]:g}" for name in MEASURES)
    lines = ["", f"Dropped by the defaults ({shown}):", "", "| clips of val and test | dropped |", "|---|---|"]
    return lines + [f"| {name} | {(own > limits).any(1).mean():.1%} |" for name, own in held.items()]


def report(train: dict[str, np.ndarray], held: dict[str, np.ndarray]) -> str:
    """Tables: thresholds, areas under the curves, and what the thresholds find."""
    limits = np.quantile(train["clean"], QUANTILE, axis=0)
    names = list(MEASURES)
    lines = [
        "# Thresholds of curation",
        "",
        f"{len(train['clean'])} clean clips of train, {len(held['clean'])} of val and test. How they are used is in "
        "[curation](../curation.md).",
        "",
        "| measure | threshold (1 % of clean clips of train) | clean clips of val and test dropped |",
        "|---|---|---|",
    ]
    for index, name in enumerate(names):
        sign = "below" if name in LOW else "above"
        dropped = (held["clean"][:, index] > limits[index]).mean()
        lines.append(f"| {name} | {sign} {abs(limits[index]):.4g} | {dropped:.1%} |")
    lines += ["", "| fault | " + " | ".join(f"AUC of {name}" for name in names) + " | found by all thresholds |"]
    lines += ["|---" * (len(names) + 2) + "|"]
    for fault in FAULTS:
        areas = [roc(held["clean"][:, index], held[fault][:, index])[2] for index in range(len(names))]
        found = (held[fault] > limits).any(1).mean()
        lines.append(f"| {fault} | " + " | ".join(f"{area:.3f}" for area in areas) + f" | {found:.1%} |")
    lines += ["", f"All thresholds together drop {(held['clean'] > limits).any(1).mean():.1%} of clean clips."]
    lines += operating_points(train, held) + found_by_defaults(held)
    lines += ["", "![ROC curves](curation.png)"]
    return "\n".join(lines) + "\n"


def draw_curves(held: dict[str, np.ndarray], path: Path) -> None:
    """ROC curves: a panel for each fault, a line for each measure."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 4, figsize=(11, 5.6), sharex=True, sharey=True)
    for panel, fault in zip(panels.flat, FAULTS, strict=False):
        for index, name in enumerate(MEASURES):
            false, true, _ = roc(held["clean"][:, index], held[fault][:, index])
            panel.plot(false, true, label=name, linewidth=1)
        panel.set_title(fault, fontsize=9)
    panels.flat[-1].axis("off")
    panels.flat[-1].legend(*panels.flat[0].get_legend_handles_labels(), loc="center")
    figure.supxlabel("clean clips dropped")
    figure.supylabel("faulty clips dropped")
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})


def measured(data: Path, clips: int) -> dict[str, dict[str, np.ndarray]]:
    """Measures of train, and of val and test."""
    train = measure(list(clean_clips(data, "train", clips)))
    others = [*clean_clips(data, "val", clips * 3 // 4), *clean_clips(data, "test", clips // 4)]
    return {"train": train, "held": measure(others)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="path of the results without suffix")
    parser.add_argument("--clips", type=int, default=600, help="clips of train, and of val and test together")
    parser.add_argument("--values", type=Path, help=".npz file that keeps the measured values")
    args = parser.parse_args()
    if args.values and args.values.exists():
        with np.load(args.values) as kept:
            values = {part: {name: kept[f"{part} {name}"] for name in ("clean", *FAULTS)} for part in PARTS}
    else:
        with shown():
            values = measured(args.data, args.clips)
        if args.values:
            named = {f"{part} {name}": own for part in PARTS for name, own in values[part].items()}
            np.savez(args.values, allow_pickle=False, **named)
    train, held = (directed(values[part]) for part in PARTS)
    machine = describe_machine("cpu")
    text = report(train, held) + f"\nMade by `recipes/curation/thresholds.py --clips {args.clips}` on {machine}.\n"
    write_text(text, args.output.with_suffix(".md"))
    draw_curves(held, args.output.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    main()
