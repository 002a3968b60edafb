"""Self-contained HTML pages from templates that are stored next to modules.

    page = fill_page("motionmillion.io.viewer", "viewer.html", title=escape(title), payload=script_json(data))

Every page gets `$palette` (the colours of player.css) and `$player` (script elements: the bundle `viewer.js`, which
draws and plays motions, and the data that all its players share) in addition to the given values. A template is a
`string.Template`: `$name` is replaced, `$$` is a dollar sign.

Unusual: values are inserted unescaped. Use `html.escape` for text and `script_json` for data in a script. `POLICY`
lets a page run its own scripts and load nothing.
"""

import html
import importlib.resources
import json
import re
import string
from functools import cache
from pathlib import Path
from typing import Any

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""Content security policy of pages: no request leaves them."""
_HEAD = 1000
"""Characters of a page in which it says what it was made by."""


def fill_page(package: str, name: str, body: str = "human", **values: str) -> str:
    """Fill the template `name` of `package` with values.

    Args:
        body: body of the page's scenes, see `motionmillion.io.viewer.payload.shared_data`.

    Raises:
        KeyError: if a value of the template is missing.
    """
    shared = {
        "palette": page_part("motionmillion.io.viewer", "player.css"),
        "player": player_scripts(body),
        "policy": POLICY,
    }
    return string.Template(page_part(package, name)).substitute({**shared, **values})


@cache
def player_scripts(body: str = "human") -> str:
    """Script elements of a page with players: the data that they share, with the id `player-data`, and the bundle."""
    from motionmillion.io.viewer.payload import shared_data

    data, bundle = script_json(shared_data(body)), page_part("motionmillion.io.viewer", "viewer.js")
    return f'<script type="application/json" id="player-data">{data}</script>\n<script>{bundle}</script>'


def made_by(path: str | Path) -> str | None:
    """What a page says that it was made by; None for another file, and if there is none."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            said = re.search(r'<meta name="generator" content="([^"]*)">', file.read(_HEAD))
    except (OSError, UnicodeDecodeError):
        return None
    return None if said is None else html.unescape(said.group(1))


def page_part(package: str, name: str) -> str:
    """Text of a file next to the modules of `package`."""
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that cannot close the script element that contains it."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
