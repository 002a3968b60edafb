"""Two systems or more side by side: tests, pages, and votes of people."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.compare.comparison import Comparison, compare
    from motionmillion.eval.compare.pages import write_comparison
    from motionmillion.eval.compare.side_by_side import SideBySide

__all__ = ["Comparison", "SideBySide", "compare", "write_comparison"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "comparison": ["Comparison", "compare"],
        "pages": ["write_comparison"],
        "side_by_side": ["SideBySide"],
    },
)
