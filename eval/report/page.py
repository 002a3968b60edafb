"""HTML pages from jinja2 templates; every value is escaped.

    text = render("compare/comparison.html", title=title, tables=tables)

A template is named by its path below `motionmillion/eval`. It extends `report/base.html`, takes tables, charts and
notes from `report/parts.html`, and may use the colours `palette`, the `style` of all pages, the script elements
`player()` (which draw and play motions) and the script `sorting` (of tables). Its content security `policy` allows no
requests.

Unusual: only `Markup` is inserted as it is: charts, and data of `script_json` for script elements.
"""

import html
import json
import re
from functools import cache
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from motionmillion.io.page import POLICY, page_part, player_scripts, script_json

_SHARED = {
    "palette": ("motionmillion.io.viewer", "player.css"),
    "style": ("motionmillion.eval.report", "page.css"),
    "sorting": ("motionmillion.eval.report", "tables.js"),
}


def render(template: str, **values: Any) -> str:
    """A filled template.

    Raises:
        jinja2.UndefinedError: if a value of the template is missing.
    """
    shared = {name: Markup(page_part(*place)) for name, place in _SHARED.items()}
    more = {"policy": POLICY, "player": lambda: Markup(player_scripts())}
    return _templates().get_template(template).render(**shared, **more, **values)


def data_script(name: str, value: Any) -> Markup:
    """A script element with the id `name` that holds a value as JSON."""
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, Markup(script_json(value)))


@cache
def _templates() -> Environment:
    loader = FunctionLoader(lambda name: page_part("motionmillion.eval", name))
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"label": _label, "json": _json}
    return environment


def _label(text: str) -> str:
    """A label whose arrow stays with its last word."""
    return re.sub(" ([↑↓])$", "\u00a0\\1", text)


def _json(value: Any) -> Markup:
    """A value as JSON to read, with named entities."""
    return Markup(html.escape(json.dumps(value, indent=2, ensure_ascii=False)))
