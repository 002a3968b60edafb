"""Plots of a tokenizer's report: error by category, acceleration before and after, code usage.

    paths = write_plots(report, Path("runs/evaluation"))

Needs matplotlib (`pip install "motionmillion[eval]"`). Unusual: figures are drawn without pyplot, so that nothing
opens a window and no state outlives the call.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motionmillion.eval.suites.tokenizer.report import ACCELERATION_BINS, TokenizerReport
from motionmillion.io.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CATEGORIES = 40
_BLUE, _ORANGE, _GREY = "#2b6cb0", "#dd6b20", "#718096"


def check_matplotlib() -> None:
    """Raise `ImportError` unless matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        message = 'matplotlib must be installed for plots; run: pip install "motionmillion[eval]", or add --no-plots'
        raise ImportError(message) from error


def write_plots(report: TokenizerReport, folder: Path) -> list[Path]:
    """Write the plots of a report as PNG files into `folder`; code usage only with a codebook."""
    check_matplotlib()
    figures = {"error_by_category": plot_categories(report), "acceleration": plot_accelerations(report)}
    if report.codebook_size:
        figures["code_usage"] = plot_codes(report)
    return [_save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def plot_categories(report: TokenizerReport) -> "Figure":
    """MPJPE of each category with its interval; the longest categories if there are too many."""
    shown = list(report.categories.items())[:MOST_CATEGORIES]
    shown.sort(key=lambda item: item[1].mean["mpjpe_mm"])
    height = np.arange(len(shown))
    means = np.array([group.mean["mpjpe_mm"] for _, group in shown])
    bounds = [group.interval["mpjpe_mm"] or (mean, mean) for (_, group), mean in zip(shown, means, strict=True)]
    lengths = np.clip(np.abs(np.array(bounds).T - means), 0, None)
    figure, axes = _figure(7, 1.6 + 0.28 * len(shown))
    axes.barh(height, means, color=_BLUE, alpha=0.85)
    several = [index for index, (_, group) in enumerate(shown) if group.takes > 1]
    whiskers = {"fmt": "none", "ecolor": "black", "capsize": 2, "label": "95 % interval over takes"}
    axes.errorbar(means[several], height[several], xerr=lengths[:, several], **whiskers)
    overall = report.overall.mean["mpjpe_mm"]
    axes.axvline(overall, color=_ORANGE, linewidth=1.5, label=f"all clips: {overall:.3g} mm")
    axes.set_yticks(height, [f"{name} ({_takes(group.takes)})" for name, group in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel("MPJPE, root-aligned, position route (mm)")
    left_out = len(report.categories) - len(shown)
    axes.set_title("Reconstruction error by category" + (f", {left_out} shorter ones left out" if left_out else ""))
    axes.legend(loc="lower right", frameon=False)
    return figure


def plot_accelerations(report: TokenizerReport) -> "Figure":
    """Histogram of joint accelerations, original against reconstruction."""
    counts = np.sum([clip.histogram for clip in report.clips], axis=0)  # [2, bins]
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axes = _figure(7, 4)
    mean = report.overall.mean
    rows = (("ground truth", "acceleration_mm", _GREY), ("reconstruction", "reconstructed_acceleration_mm", _ORANGE))
    for own, (name, key, colour) in zip(share, rows, strict=True):
        label = f"{name}, mean {mean[key]:.3g} mm/frame$^2$"
        axes.stairs(own, ACCELERATION_BINS, color=colour, linewidth=1.8, label=label)
    axes.set_xscale("log")
    axes.set_xlim(ACCELERATION_BINS[0], ACCELERATION_BINS[-1])
    axes.set_ylim(0, 1.3 * max(share.max(), 1))  # room for the legend
    axes.set_xlabel(f"acceleration relative to the pelvis (mm/frame$^2$, {report.fps:g} frames per second)")
    axes.set_ylabel("fraction of joints and frames (%)")
    axes.set_title("Acceleration before and after the tokenizer")
    axes.legend(loc="upper center", frameon=False)
    return figure


def plot_codes(report: TokenizerReport) -> "Figure":
    """Frequencies of the codes, the most frequent first, one line per data set."""
    figure, axes = _figure(7, 4)
    for name, group in report.datasets.items():
        codes = np.concatenate(
            [c.codes.cpu().numpy() for c in report.clips if c.dataset == name and c.codes is not None]
        )
        share = np.sort(np.bincount(codes, minlength=report.codebook_size))[::-1] / len(codes)
        used = int((share > 0).sum())
        perplexity = group.codes["perplexity"] if group.codes else 0.0
        label = f"{name}: {used:,} of {report.codebook_size:,} codes, perplexity {perplexity:,.0f}"
        axes.plot(np.arange(1, used + 1), 100 * share[:used], linewidth=1.8, label=label)
    axes.axhline(100 / report.codebook_size, color=_GREY, linestyle="--", linewidth=1, label="all codes equally often")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, report.codebook_size)
    axes.set_xlabel("code, the most frequent first")
    axes.set_ylabel("fraction of all codes (%)")
    axes.set_title("Code usage")
    axes.legend(frameon=False)
    return figure


def _takes(count: int) -> str:
    return "1 take" if count == 1 else f"{count} takes"


def _figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: "Figure", path: Path) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, metadata={"Software": None})
    return path
