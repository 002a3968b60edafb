"""How real motion measures: the distribution that smoothness and plausibility are read against.

    reference = Calibration.bundled()                      # of the real clips that the bundled models were trained on
    reference = Calibration.measure({"jitter_degree": [...], ...}, source="my recordings")
    reference.typical("jitter_degree", values)             # [N] in 0..1, 0.5 on average for real motion
    reference.unharmful("foot_sliding", values)            # [N] in 0..1, 0.75 on average for real motion

A raw figure such as a foot sliding of 0.004 says little; that one real clip in ten slides as much says enough.

- `typical` is two-sided, like a p-value: what is far smoother than people move is no better than what is rougher.
- `unharmful` is one-sided, for faults such as sliding: 1 for motions that do no worse than the median of real ones.
- `moving` tells statues, which have no faults: 0 for what moves less than any real clip, 1 for nearly all others.

Unusual: what is kept is quantiles, so a file has a few kilobytes and shows no single recording.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from motionmillion.io.files import existing_file, write_text

BUNDLED = "bundled/evaluator/real_motion.json"
_POINTS = 201
_FEWEST = 20


@dataclass(frozen=True)
class Calibration:
    """Quantiles of measures of real motion.

    Args:
        source: what was measured, in words.
        count: clips that were measured.
        quantiles: by the name of a measure, rising values at even shares from 0 to 1.
    """

    source: str
    count: int
    quantiles: Mapping[str, Sequence[float]]

    @staticmethod
    def measure(values: Mapping[str, Sequence[float]], source: str) -> "Calibration":
        """The distribution of the values of many clips.

        Raises:
            ValueError: for fewer than 20 clips, or values that are not finite.
        """
        counts = {name: len(given) for name, given in values.items()}
        fewest = min(counts, key=counts.__getitem__)
        if counts[fewest] < _FEWEST:
            raise ValueError(
                f"values must be of {_FEWEST} clips or more to tell how real motion is, got {counts[fewest]} of "
                f"{fewest!r}; add clips"
            )
        shares = np.linspace(0, 1, _POINTS)
        quantiles = {}
        for name, given in values.items():
            array = np.asarray(given, dtype=np.float64)
            if not np.isfinite(array).all():
                raise ValueError(f"values must be finite, got NaN or infinity among those of {name!r}")
            quantiles[name] = [float(f"{value:.6g}") for value in np.quantile(array, shares)]
        return Calibration(source, counts[fewest], quantiles)

    @staticmethod
    def bundled() -> "Calibration":
        """That of the package, made by `recipes/evaluator/calibrate.py`."""
        return Calibration.load(Path(str(resources.files("motionmillion"))) / BUNDLED)

    @staticmethod
    def load(path: str | Path) -> "Calibration":
        """Read what `save` wrote.

        Raises:
            ValueError: if there is no such file, or it holds something else.
        """
        try:
            data = json.loads(existing_file(path).read_text(encoding="utf-8"))
            quantiles = {str(name): [float(value) for value in given] for name, given in data["quantiles"].items()}
            found = Calibration(str(data["source"]), int(data["count"]), quantiles)
        except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"calibration must be a file that Calibration.save wrote, got {str(path)!r}") from None
        if not quantiles or any(len(q) != _POINTS or q != sorted(q) for q in quantiles.values()):
            raise ValueError(f"calibration must hold {_POINTS} rising values a measure, got others in {str(path)!r}")
        return found

    def save(self, path: str | Path) -> Path:
        """Write the distribution as JSON."""
        data = {"source": self.source, "count": self.count, "quantiles": self.quantiles}
        return write_text(json.dumps(data) + "\n", path)

    def typical(self, name: str, values: Sequence[float]) -> np.ndarray:
        """Twice the share of real clips on the side of each value that has fewer, at most 1; `[N]`."""
        below, above = self._shares(name, values)
        return np.minimum(2 * np.minimum(below, above), 1.0)

    def unharmful(self, name: str, values: Sequence[float]) -> np.ndarray:
        """Twice the share of real clips that measure as much or more, at most 1; `[N]`."""
        return np.minimum(2 * self._shares(name, values)[1], 1.0)

    def moving(self, name: str, values: Sequence[float]) -> np.ndarray:
        """1 for what measures no less than a fiftieth of real clips, falling to 0 for what measures less than all."""
        return np.minimum(50 * self._shares(name, values)[0], 1.0)

    def histogram(self, name: str, bins: int = 24) -> dict[str, list[float]]:
        """Shares of real clips between even edges from the 0.5th to the 99.5th percentile; the ends hold the rest."""
        points = np.asarray(self.quantiles[name])
        low, high = np.quantile(points, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1e-6, bins + 1)
        counts, _ = np.histogram(np.clip(points, edges[0], edges[-1]), edges)
        return {"edges": edges.tolist(), "reference": (counts / counts.sum()).tolist()}

    def _shares(self, name: str, values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Shares of real clips that measure as much or less, and as much or more, `[N]` each."""
        if name not in self.quantiles:
            raise ValueError(f"measure must be one of {', '.join(self.quantiles)}, got {name!r}; calibrate again")
        points, given = np.asarray(self.quantiles[name]), np.asarray(values, dtype=np.float64)
        shares = np.linspace(0, 1, len(points))
        first, behind = np.searchsorted(points, given, "left"), np.searchsorted(points, given, "right")
        between = np.interp(given, points, shares, left=0.0, right=1.0)
        equal = behind > first  # all real clips that measure just as much count on both sides
        below = np.where(equal, shares[np.maximum(behind - 1, 0)], between)
        above = 1 - np.where(equal, shares[np.minimum(first, len(points) - 1)], between)
        return below, above
