"""Small results of a system with real motions, written into a folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import roma
import torch

from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup, Results, SampleResult
from motionmillion.motion import Motion

EVIL = '</script><script>alert("x")</script><b>a | dog & a cat</b>'
MEASURES = (
    Measure("align", "alignment (%)", "higher", "text alignment", 1),
    Measure("rank", "rank", "lower", "text alignment", 0),
    Measure("jerk", "jerk (m/s³)", "lower", "smoothness", 2),
    Measure("slide_mm", "sliding (mm)", "lower", "plausibility", 1),
    Measure("fid", "FID", "lower", "distribution", 3),
    Measure("speed", "speed (m/s)", "neither", "movement", 2),
)
CATEGORIES = ("sports", "dance", "sports", "dance", "others", "sports")


def walk(seed: int, frames: int = 12, fps: float = 30.0) -> Motion:
    """A body whose joints swing while it walks away."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 6, frames)[:, None, None]
    rotations = roma.rotvec_to_rotmat(0.3 * torch.sin(time + 6 * torch.rand(1, 22, 3, generator=generator)))
    path = torch.stack([0.05 * time[:, 0, 0], torch.full((frames,), 0.95), 0.1 * time[:, 0, 0]], dim=1)
    return Motion(rotations, path, fps=fps)


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Results]:
    """`make_results("mini", {"align": [70, 60, ...]})` writes `mini/results.json` and its motions."""

    def make(
        system: str,
        values: Mapping[str, Sequence[float]] | None = None,
        protocol: Mapping[str, Any] | None = None,
        folder: str = "",
        fps: float = 30.0,
        **changes: Any,
    ) -> Results:
        columns = {"align": [90, 20, 60, 70, 50, 40], "jerk": [3, 1, 2, 6, 5, 4], "slide_mm": [1, 2, 3, 4, 5, 6]}
        columns = {**columns, "speed": [1, 1, 1, 1, 1, 1], **(values or {})}
        root, samples = tmp_path / (folder or system), []
        for index, category in enumerate(CATEGORIES[: len(columns["align"])]):
            motion = walk(index, fps=fps)
            motion.save(root / "motions" / f"{index:03d}.npz")
            prompt = EVIL if index == 1 else f"a person does thing {index}"
            own = {name: float(column[index]) for name, column in columns.items()}
            file = f"motions/{index:03d}.npz"
            samples.append(SampleResult(f"{index:03d}", prompt, category, file, motion.num_frames, fps, own))
        groups = [_group(EVERYTHING, "all", samples, {"fid": Estimate(0.25, 0.2, 0.3, 20)})]
        groups += [
            _group(name, "category", [s for s in samples if s.category == name]) for name in dict.fromkeys(CATEGORIES)
        ]
        suite = {"name": "toy", "version": "1", "sha256": "ab" * 32}
        facts = {"suite": suite, "evaluator": {"sha256": "cd" * 32}, "lengths": "as it is", "seed": 0}
        edges = {"jerk": {"edges": [0, 2, 4, 6], "reference": [0.5, 0.25, 0.25]}}
        fields = {"suite": "toy", "histograms": edges, "notes": ["Chance is 50."], "measures": MEASURES, **changes}
        protocol = {**facts, **(protocol or {})}
        results = Results(system=system, protocol=protocol, groups=groups, samples=samples, **fields)
        results.save(root)
        return results

    return make


def _group(
    name: str, kind: str, samples: Sequence[SampleResult], more: Mapping[str, Estimate] | None = None
) -> ResultGroup:
    values = {}
    for measure in MEASURES:
        found = [sample.values[measure.name] for sample in samples if measure.name in sample.values]
        if found:
            mean = fmean(found)
            values[measure.name] = Estimate(mean, mean - 0.5, mean + 0.5, len(found))
    return ResultGroup(name, kind, len(samples), {**values, **(more or {})})
