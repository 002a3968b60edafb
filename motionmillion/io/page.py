"""Self-contained HTML pages from templates that are stored next to modules.

    page = fill_page("motionmillion.io", "viewer.html", title=escape(title), payload=script_json(data))

Every page gets `$palette` (the colours of player.css) and `$player` (player.js, which draws and plays motions) in
addition to the given values. A template is a `string.Template`: `$name` is replaced, `$$` is a dollar sign.

Unusual: values are inserted unescaped. Use `html.escape` for text and `script_json` for data in a script.
"""

import importlib.resources
import json
import string
from typing import Any


def fill_page(package: str, name: str, **values: str) -> str:
    """Fill the template `name` of `package` with values.

    Raises:
        KeyError: if a value of the template is missing.
    """
    shared = {
        "palette": page_part("motionmillion.io", "player.css"),
        "player": page_part("motionmillion.io", "player.js"),
    }
    return string.Template(page_part(package, name)).substitute({**shared, **values})


def page_part(package: str, name: str) -> str:
    """Text of a file next to the modules of `package`."""
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that cannot close the script element that contains it."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
