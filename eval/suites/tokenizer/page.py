"""A tokenizer's report as a self-contained HTML page: protocol, sortable tables, plots.

    text = tokenizer_page("Tokenizer mini: reconstruction", facts, tables, lead, notes, protocol, [folder / "a.png"])

Unusual: plots are embedded as data URIs, so the file is complete; they keep their light background on a dark page. The
template is tokenizer_page.html, in the style of the suites' report.
"""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionmillion.eval.report.report import PACKAGE, facts_html, notes_html, section
from motionmillion.eval.report.tables import Table
from motionmillion.io.page import fill_page, page_part


def tokenizer_page(
    title: str,
    facts: Sequence[str],
    tables: Sequence[Table],
    lead: str,
    notes: Sequence[str],
    protocol: Mapping[str, Any],
    pictures: Mapping[str, Path],
) -> str:
    """The whole page.

    Args:
        facts: summary of the protocol.
        lead: a sentence above the tables.
        notes: sentences below them.
        protocol: the whole protocol, ready for JSON.
        pictures: PNG files to embed, by caption.
    """
    plots = "".join(_figure(caption, path) for caption, path in pictures.items())
    return fill_page(
        "motionmillion.eval.suites.tokenizer",
        "page.html",
        style=page_part(PACKAGE, "page.css"),
        sorting=page_part(PACKAGE, "tables.js"),
        title=html.escape(title),
        facts=facts_html(facts),
        lead=html.escape(lead),
        tables="".join(table.html() for table in tables),
        plots=section("Plots", f'<div class="panels">{plots}</div>' if plots else ""),
        notes=section("Notes", notes_html(notes)),
        protocol=html.escape(json.dumps(protocol, indent=2, ensure_ascii=False)),
    )


def _figure(caption: str, path: Path) -> str:
    data, words = base64.b64encode(path.read_bytes()).decode("ascii"), html.escape(caption, quote=True)
    image = f'<img src="data:image/png;base64,{data}" alt="Plot: {words}">'
    return f"<figure><figcaption>{words}</figcaption>{image}</figure>"
