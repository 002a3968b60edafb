"""A motion as one HTML file that plays in any browser, offline.

    write_html(motion, "wave.html", caption="a person waves")
    write_html([first, second], "compare.html")          # side by side, or as ghosts, on one clock
    write_html(motion, "both.html", parts=[(0, 4, "a person walks"), (4, 6, "a person jumps")])

The page shows a skinned body, a mannequin or a stick figure with a soft shadow; it can be orbited, scrubbed, slowed
down and looped, shows the path and foot contacts, saves BVH and GLB, and takes BVH, GLB and NPZ files dropped onto it.
Press ? in it for its keys.
Unusual: the page needs no network, and its content security policy allows none. It draws with WebGL (three.js, in
`motionmillion/io/viewer/viewer.js`); where a browser has none, a mannequin is drawn without it, and a line says so.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from motionmillion.io.files import write_text
from motionmillion.io.page import fill_page, script_json
from motionmillion.io.viewer.payload import AZIMUTH, Part, scene
from motionmillion.motion import Motion


def write_html(
    motion: Motion | Sequence[Motion],
    path: str | Path,
    caption: str | Sequence[str] | None = None,
    title: str | None = None,
    azimuth: float = AZIMUTH,
    body: str = "human",
    parts: Sequence[Part] | Sequence[Sequence[Part]] | None = None,
    generator: str = "motionmillion",
) -> Path:
    """Write a self-contained page that plays one motion, or several side by side.

    Args:
        motion: one motion, or a list of motions that start together; shorter ones stop at their last frame.
        caption: text above the figure, one per motion; None takes the motions' own. Shown as text, not as HTML.
        title: the page's title; None takes the caption.
        azimuth: degrees between the initial facing direction and the direction to the camera.
        body: "human", "man", "woman", "mannequin" or "stick", with which the page begins; motions without SMPL22's
            joints get the mannequin for a human.
        parts: texts of parts, such as those of a timeline, as (start, end, text) in seconds; a list for one motion, a
            list of lists for several.
        generator: what the page says that it was made by, see `motionmillion.io.page.made_by`.

    Raises:
        ValueError: for an empty list, a number of captions or of lists of parts that differs from that of motions, an
            unknown body, or a folder that cannot be written.
    """
    motions = [motion] if isinstance(motion, Motion) else list(motion)
    if not motions:
        raise ValueError("motion must hold at least one motion, got an empty list")
    if caption is None:
        captions = [one.caption for one in motions]
    else:
        captions = [caption] if isinstance(caption, str) else list(caption)
    if len(captions) != len(motions):
        raise ValueError(f"caption must have one text for each of {len(motions)} motions, got {len(captions)}")
    told = None if parts is None else [parts] if isinstance(motion, Motion) else list(parts)
    if told is not None and len(told) != len(motions):
        raise ValueError(f"parts must have one list for each of {len(motions)} motions, got {len(told)}")
    page = fill_page(
        "motionmillion.io.viewer",
        "viewer.html",
        body,
        generator=html.escape(generator),
        title=html.escape(title if title is not None else " | ".join(filter(None, captions)) or "Motion"),
        payload=script_json(scene(motions, captions, azimuth, body, told)),  # type: ignore[arg-type]
    )
    return write_text(page, path)
