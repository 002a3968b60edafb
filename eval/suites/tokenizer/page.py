"""A tokenizer's report as a self-contained HTML page: protocol, sortable tables, plots.

    text = tokenizer_page("Tokenizer mini: reconstruction", facts, tables, lead, notes, protocol, [folder / "a.png"])

Unusual: plots are embedded as data URIs, so the file is complete; they keep their light background on a dark page. The
template is page.html, in the style of the suites' report.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionmillion.eval.report.page import render
from motionmillion.eval.report.tables import Table


def tokenizer_page(
    title: str,
    facts: Sequence[str],
    tables: Sequence[Table],
    lead: str,
    notes: Sequence[str],
    protocol: Mapping[str, Any],
    pictures: Mapping[str, Path],
) -> str:
    """Render the whole page.

    Args:
        facts: summary of the protocol.
        lead: a sentence above the tables.
        notes: sentences below the tables.
        protocol: the whole protocol, ready for JSON.
        pictures: PNG files to embed, by caption.
    """
    return render(
        "suites/tokenizer/page.html",
        title=title,
        facts=facts,
        lead=lead,
        tables=tables,
        plots={caption: b64encode(path.read_bytes()).decode("ascii") for caption, path in pictures.items()},
        notes=notes,
        protocol=protocol,
    )
