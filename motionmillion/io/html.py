"""A motion as one HTML file that plays in any browser, offline.

    write_html(motion, "wave.html", caption="a person waves")
    write_html([first, second], "compare.html")          # side by side, synchronised

Controls: play and pause (button or space), scrubbing, speed, arrow keys to step, drag to rotate, wheel to zoom. The
camera follows the body over a floor with 1 m squares.
Unusual: the page, `viewer.html` with `player.js`, is plain JavaScript on a 2D canvas: no library, no WebGL and no
network, so it works from a local file, in an e-mail and without a GPU. Positions are stored with a resolution of 0.1
mm. Other pages with players use the same `player.js` and `scene` (`motionmillion.io.page`).
"""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.figure import COLORS, Figure
from motionmillion.io.files import write_text
from motionmillion.io.page import fill_page, script_json
from motionmillion.motion import Motion, heading

_UNIT = 1e-4  # metres per step of the 16-bit positions
_AZIMUTH = 35.0


def write_html(
    motion: Motion | Sequence[Motion],
    path: str | Path,
    caption: str | Sequence[str] | None = None,
    title: str | None = None,
    azimuth: float = _AZIMUTH,
) -> Path:
    """Write a self-contained page that plays one motion, or several side by side.

    Args:
        motion: one motion, or a list of motions that start together; shorter ones stop at their last frame.
        caption: text above the figure, one per motion; None takes the motions' own. Shown as text, not as HTML.
        title: the page's title; None takes the caption.
        azimuth: degrees between the initial facing direction and the direction to the camera.

    Raises:
        ValueError: for an empty list, a number of captions that differs from that of motions, a body larger than 3 m
            around its root, or a folder that cannot be written.
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
    page = fill_page(
        "motionmillion.io",
        "viewer.html",
        title=html.escape(title if title is not None else " | ".join(filter(None, captions)) or "Motion"),
        payload=script_json(scene(motions, captions, azimuth)),
    )
    return write_text(page, path)


def scene(motions: Sequence[Motion], captions: Sequence[str], azimuth: float = _AZIMUTH) -> dict[str, Any]:
    """The data of a `Player` of player.js: synchronised motions side by side, as JSON values.

    Args:
        motions: at least one; they start together.
        captions: one per motion.
        azimuth: degrees between the initial facing direction and the direction to the camera.

    Raises:
        ValueError: for a body larger than 3 m around its root.
    """
    figures = [Figure.of(one.skeleton) for one in motions]
    return {
        "azimuth": np.deg2rad(azimuth),
        "limbs": [_limbs(figure) for figure in figures],
        "motions": [
            _motion(*parts, index) for index, parts in enumerate(zip(motions, figures, captions, strict=True))
        ],
    }


def _limbs(figure: Figure) -> list[list[Any]]:
    return [[limb.start, limb.stop, limb.start_radius, limb.stop_radius, COLORS[limb.side]] for limb in figure.limbs]


def _motion(motion: Motion, figure: Figure, caption: str, index: int) -> dict[str, Any]:
    points = figure.points(motion)  # [T, P, 3]
    # positions relative to the root fit into 16 bits; the root's path is float32
    near = np.round((points - points[:, :1]) / _UNIT)
    if np.abs(near).max() > np.iinfo(np.int16).max:
        raise ValueError(f"motion must lie within 3 m of its root, got {np.abs(near).max() * _UNIT:.1f} m; rescale it")
    return {
        "caption": caption,
        "figure": index,
        "fps": motion.fps,
        "frames": motion.num_frames,
        "anchors": points.shape[1],
        "facing": float(heading(motion.rotations[:1, 0].detach().cpu())[0]),
        "unit": _UNIT,
        "root": _base64(points[:, 0].astype("<f4")),
        "points": _base64(near.astype("<i2")),
    }


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
