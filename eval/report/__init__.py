"""A report of one system: tables, charts, gallery, and the page that holds them."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.report.report import (
        ARROWS,
        INTERVALS,
        MARKDOWN,
        PAGE,
        chart_panels,
        markdown,
        summary,
        write_report,
    )

__all__ = [
    "ARROWS",
    "INTERVALS",
    "MARKDOWN",
    "PAGE",
    "chart_panels",
    "markdown",
    "summary",
    "write_report",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "report": [
            "ARROWS",
            "INTERVALS",
            "MARKDOWN",
            "PAGE",
            "chart_panels",
            "markdown",
            "summary",
            "write_report",
        ]
    },
)
