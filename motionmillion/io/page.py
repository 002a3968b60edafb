"""Self-contained HTML pages: a template beside a module, filled in.

    page = fill_page("motionmillion.io", "viewer.html", title=escape(title), payload=script_json(data))

Every page gets `$palette` (the colours of player.css) and `$player` (player.js, which draws and plays motions) on top
of the values that are given. A template is a `string.Template`: `$name` is filled in, `$$` is a dollar sign.

Unusual: values are put in as they are. Text must go through `html.escape`, data for a script through `script_json`.
"""

import importlib.resources
import json
import string
from typing import Any


def fill_page(package: str, name: str, **values: str) -> str:
    """The template `name` of `package` with its values.

    Raises:
        KeyError: if the template asks for a value that is not there.
    """
    shared = {
        "palette": page_part("motionmillion.io", "player.css"),
        "player": page_part("motionmillion.io", "player.js"),
    }
    return string.Template(page_part(package, name)).substitute({**shared, **values})


def page_part(package: str, name: str) -> str:
    """Text of a file that lies beside the modules of `package`."""
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
