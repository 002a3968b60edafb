"""Distributions of measures of real motion, the reference for smoothness and plausibility.

    reference = Calibration.bundled()                      # the real clips that the bundled models were trained on
    reference = Calibration.measure({"jitter_degree": [...], ...}, source="my recordings")
    reference.typical("jitter_degree", values, speeds)     # [N] in 0..1, 0.5 on average for real motion
    reference.unharmful("foot_sliding", values)            # [N] in 0..1, 0.75 on average for real motion

A raw value such as a foot sliding of 0.004 means little by itself; that one real clip in ten slides as much is
informative.

- `typical` is two-sided, like a p-value: motion far smoother than real motion is no better than rougher motion. It
  compares with real clips of similar speed, because running has higher acceleration than standing.
- `unharmful` is one-sided, for faults such as sliding: 1 for motions no worse than the median of real ones.
- `moving` detects statues, which have no faults: 0 without movement, 1 for the range of real motion.

Unusual: only quantiles are stored, so a file takes a few kilobytes and does not reveal single recordings.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from motionmillion.io.files import existing_file, write_text
from motionmillion.provenance import fingerprint

BUNDLED = "bundled/evaluator/real_motion.json"
SPEED, BANDED = "dynamic_degree", ("jitter_degree", "jerk")
"""The measure by which clips of similar speed are selected, and the measures that depend on speed."""
_POINTS, _BAND_POINTS = 201, 101
_BANDS = 9
_BAND_SHARE = 1 / 6  # of all clips
_FEWEST = 20
_TINY = 1e-6


@dataclass(frozen=True)
class Calibration:
    """Quantiles of measures of real motion.

    Args:
        source: description of the measured motion.
        count: number of measured clips.
        quantiles: by measure, increasing values at evenly spaced probabilities from 0 to 1.
        speeds: centres of the speed bands, increasing.
        bands: by measure, the quantiles of the clips in each speed band.
    """

    source: str
    count: int
    quantiles: Mapping[str, Sequence[float]]
    speeds: Sequence[float] = field(default_factory=list)
    bands: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)

    @staticmethod
    def measure(values: Mapping[str, Sequence[float]], source: str) -> "Calibration":
        """The distribution of the values of many clips, with speed bands if `SPEED` is among the measures.

        Raises:
            ValueError: for fewer than 20 clips, or non-finite values.
        """
        counts = {name: len(given) for name, given in values.items()}
        fewest = min(counts, key=counts.__getitem__)
        if counts[fewest] < _FEWEST:
            raise ValueError(
                f"values must be of {_FEWEST} clips or more to describe real motion, got {counts[fewest]} of "
                f"{fewest!r}; add clips"
            )
        arrays = {name: np.asarray(given, dtype=np.float64) for name, given in values.items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"values must be finite, got NaN or infinity among those of {name!r}")
        quantiles = {name: _quantiles(array, _POINTS) for name, array in arrays.items()}
        if SPEED not in arrays:
            return Calibration(source, counts[fewest], quantiles)
        speed = np.log(arrays[SPEED] + _TINY)
        middles = np.quantile(speed, np.linspace(0.05, 0.95, _BANDS))
        size = max(round(len(speed) * _BAND_SHARE), _FEWEST)
        members = [np.argsort(np.abs(speed - middle), kind="stable")[:size] for middle in middles]
        bands = {n: [_quantiles(arrays[n][own], _BAND_POINTS) for own in members] for n in BANDED if n in arrays}
        return Calibration(source, counts[fewest], quantiles, _rounded(np.exp(middles) - _TINY), bands)

    @staticmethod
    def bundled() -> "Calibration":
        """The bundled calibration, made by `recipes/evaluator/calibrate.py`."""
        return Calibration.load(Path(str(resources.files("motionmillion"))) / BUNDLED)

    @staticmethod
    def load(path: str | Path) -> "Calibration":
        """Read a file written by `save`.

        Raises:
            ValueError: if the file is missing or is not a calibration.
        """
        try:
            data = json.loads(existing_file(path).read_text(encoding="utf-8"))
            quantiles = {str(name): [float(value) for value in given] for name, given in data["quantiles"].items()}
            bands = {str(n): [[float(v) for v in band] for band in own] for n, own in data["bands"].items()}
            speeds = [float(speed) for speed in data["speeds"]]
            found = Calibration(str(data["source"]), int(data["count"]), quantiles, speeds, bands)
        except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"calibration must be a file that Calibration.save wrote, got {str(path)!r}") from None
        lists = [*quantiles.values(), *(band for own in bands.values() for band in own), speeds]
        whole = all(len(own) == len(speeds) > 0 and all(own) for own in bands.values())
        if not quantiles or not all(quantiles.values()) or not whole or any(each != sorted(each) for each in lists):
            raise ValueError(f"calibration must hold rising values for every measure, got others in {str(path)!r}")
        return found

    def save(self, path: str | Path) -> Path:
        """Write the distribution as JSON."""
        return write_text(json.dumps(asdict(self)) + "\n", path)

    @property
    def sha256(self) -> str:
        """Hash of the stored content; part of every protocol."""
        return fingerprint(asdict(self))

    def typical(self, name: str, values: Sequence[float], speeds: Sequence[float] | None = None) -> np.ndarray:
        """Two-sided tail probability of each value among real clips, at most 1; `[N]`.

        Args:
            speeds: `SPEED` of the same motions `[N]`; compares with real clips of similar speed.
        """
        below, above = self._shares(name, values) if speeds is None else self._shares_at(name, values, speeds)
        return np.minimum(2 * np.minimum(below, above), 1.0)

    def unharmful(self, name: str, values: Sequence[float]) -> np.ndarray:
        """Twice the fraction of real clips with an equal or larger value, at most 1; `[N]`."""
        return np.minimum(2 * self._shares(name, values)[1], 1.0)

    def moving(self, name: str, values: Sequence[float]) -> np.ndarray:
        """0 for a value of 0, rising to 1 at a tenth of the 2nd percentile of real clips."""
        slow = float(np.quantile(self._known(name), 0.02))
        return np.minimum(np.asarray(values, dtype=np.float64) / max(slow / 10, _TINY), 1.0)

    def histogram(self, name: str, bins: int = 24) -> dict[str, list[float]]:
        """Histogram of real clips between the 0.5th and the 99.5th percentile; the end bins hold the rest."""
        points = np.asarray(self.quantiles[name])
        low, high = np.quantile(points, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1e-6, bins + 1)
        counts, _ = np.histogram(np.clip(points, edges[0], edges[-1]), edges)
        return {"edges": edges.tolist(), "reference": (counts / counts.sum()).tolist()}

    def _shares(self, name: str, values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Fractions of real clips with values at most, and at least, as large, `[N]` each."""
        return _shares(self._known(name), values)

    def _known(self, name: str) -> Sequence[float]:
        if name not in self.quantiles:
            raise ValueError(f"measure must be one of {', '.join(self.quantiles)}, got {name!r}; calibrate again")
        return self.quantiles[name]

    def _shares_at(self, name: str, values: Sequence[float], speeds: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """The same among real clips of similar speed, interpolated between two speed bands."""
        if name not in self.bands:
            raise ValueError(f"measure must be one of {', '.join(self.bands)}, got {name!r}; calibrate again")
        shares = np.array([_shares(band, values) for band in self.bands[name]])  # [bands, 2, N]
        speed = np.log(np.maximum(np.asarray(speeds, dtype=np.float64), 0) + _TINY)
        place = np.interp(speed, np.log(np.asarray(self.speeds) + _TINY), np.arange(len(shares)))  # [N]
        left, rows = np.minimum(place.astype(int), len(shares) - 2), np.arange(len(place))
        weight = place - left
        below, above = (
            (1 - weight) * shares[left, side, rows] + weight * shares[left + 1, side, rows] for side in (0, 1)
        )
        return below, above


def _shares(quantiles: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    points, given = np.asarray(quantiles), np.asarray(values, dtype=np.float64)
    shares = np.linspace(0, 1, len(points))
    first, behind = np.searchsorted(points, given, "left"), np.searchsorted(points, given, "right")
    between = np.interp(given, points, shares, left=0.0, right=1.0)
    equal = behind > first  # real clips with exactly this value count on both sides
    below = np.where(equal, shares[np.maximum(behind - 1, 0)], between)
    above = 1 - np.where(equal, shares[np.minimum(first, len(points) - 1)], between)
    return below, above


def _quantiles(values: np.ndarray, points: int) -> list[float]:
    return _rounded(np.quantile(values, np.linspace(0, 1, points)))


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
