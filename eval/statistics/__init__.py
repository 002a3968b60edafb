"""Intervals, tests of significance, and places in a distribution."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.statistics.bootstrap import bootstrap_intervals
    from motionmillion.eval.statistics.calibration import Calibration
    from motionmillion.eval.statistics.significance import holm, krippendorff_alpha, sign_flip_test, sign_test

__all__ = ["Calibration", "bootstrap_intervals", "holm", "krippendorff_alpha", "sign_flip_test", "sign_test"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "bootstrap": ["bootstrap_intervals"],
        "calibration": ["Calibration"],
        "significance": ["holm", "krippendorff_alpha", "sign_flip_test", "sign_test"],
    },
)
