"""Draw the pictures of the pages about concepts: `python docs/concepts/draw.py` writes the .svg files beside it.

A test compares the files with what this script draws. Colours are readable on light and dark pages.
"""

from pathlib import Path
from xml.sax.saxutils import escape

INK, BLUE, ORANGE, GREEN, PALE = "#1f2933", "#9ec5f4", "#f6c28b", "#a8d8b0", "#eef1f4"
ARROW = (
    f'<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0 8 4 0 8z" fill="{INK}"/></marker>'
)


def picture(width: int, height: int, title: str, parts: list[str]) -> str:
    """A whole SVG file on a white card."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}"'
    card = f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
    style = f'font-family="sans-serif" font-size="13" fill="{INK}"'
    body = "\n".join(parts)
    return f"{head} {style}>\n<title>{title}</title>\n<defs>{ARROW}</defs>\n{card}\n{body}\n</svg>\n"


def text(x: float, y: float, line: str, anchor: str = "middle", size: int = 13) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}">{escape(line)}</text>'


def box(x: float, y: float, width: float, height: float, lines: str, fill: str = PALE) -> str:
    """A rounded box with centred lines, separated by `|`."""
    rows = lines.split("|")
    first = y + height / 2 + 4.5 - 8 * (len(rows) - 1)
    shape = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="{INK}"/>'
    return shape + "".join(text(x + width / 2, first + 16 * i, row) for i, row in enumerate(rows))


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{INK}" fill="none" marker-end="url(#tip)"/>'


def tokenizer() -> str:
    """Eight frames become two codes and frames again."""
    parts = [
        text(40, 24, "8 frames", "start"),
        text(262, 24, "4 + 4 bands", "start"),
        text(470, 24, "2 latents", "start"),
    ]
    for i in range(8):
        parts.append(box(20 + 22 * i, 34, 18, 60, "", BLUE))
    for i in range(4):
        parts.append(box(258 + 22 * i, 34, 18, 28, "", BLUE) + box(258 + 22 * i, 66, 18, 28, "", GREEN))
    parts += [box(470 + 40 * i, 34, 30, 60, "", ORANGE) for i in range(2)]
    parts += [box(606, 34, 44, 26, "417", PALE), box(606, 68, 44, 26, "52", PALE), text(628, 24, "2 codes")]
    parts += [arrow(200, 64, 252, 64), arrow(350, 64, 464, 64), arrow(546, 64, 600, 64)]
    parts += [
        text(226, 56, "wavelet", size=12),
        text(407, 56, "convolutions,", size=12),
        text(407, 82, "stride 2", size=12),
    ]
    parts += [text(573, 56, "FSQ", size=12)]
    parts += [box(606, 130, 44, 30, "codes"), box(462, 130, 90, 30, "look up"), box(258, 130, 150, 30, "convolutions")]
    parts += [box(20, 130, 180, 30, "inverse wavelet, frames"), arrow(628, 98, 628, 126)]
    parts += [arrow(606, 145, 556, 145), arrow(462, 145, 412, 145), arrow(258, 145, 204, 145)]
    return picture(670, 176, "A tokenizer with one wavelet level and one stride of two: four frames a code", parts)


def attention() -> str:
    """Which positions see which: text in both directions, motion backwards."""
    names = ["a", "person", "waves", "1", "2", "3", "END"]
    parts = [text(250, 20, "may attend to")]
    for column, name in enumerate(names):
        parts.append(text(120 + 46 * column + 21, 42, name, size=12))
    for row, name in enumerate(names):
        parts.append(text(110, 52 + 30 * row + 18, name, "end", 12))
        for column in range(len(names)):
            both_text = row < 3 and column < 3
            seen = both_text or (row >= 3 and column <= row)
            fill = "#ffffff" if not seen else BLUE if column < 3 else ORANGE
            parts.append(box(120 + 46 * column, 52 + 30 * row, 42, 26, "", fill))
    parts += [box(460, 70, 20, 20, "", BLUE), text(488, 85, "text", "start")]
    parts += [box(460, 100, 20, 20, "", ORANGE), text(488, 115, "motion", "start")]
    parts += [box(460, 130, 20, 20, "", "#ffffff"), text(488, 145, "hidden", "start")]
    return picture(
        560, 272, "The mixed attention mask: text sees all text, motion sees text and earlier motion", parts
    )


def flow() -> str:
    """The straight path from noise to motion and the steps of a solver on it."""
    parts = [arrow(60, 150, 600, 150), text(80, 172, "sigma = 1, noise"), text(580, 172, "sigma = 0, motion")]
    for i, (x, name) in enumerate(((90, "noise"), (240, ""), (390, ""), (540, "motion"))):
        fill = (PALE, "#cfe0f5", "#b6d3f5", BLUE)[i]
        parts.append(box(x - 32, 50, 64, 44, name, fill))
        parts.append(f'<path d="M{x} 146v8" stroke="{INK}"/>')
    parts += [arrow(90 + 150 * i + 34, 72, 90 + 150 * i + 114, 72) for i in range(3)]
    parts += [text(165 + 150 * i, 64, "velocity", size=12) for i in range(3)]
    parts += [box(180, 108, 270, 28, "network(x, 1000 sigma, text)", ORANGE)]
    parts += [text(315, 30, "x(sigma) = (1 - sigma) motion + sigma noise")]
    return picture(670, 186, "Flow matching: a solver follows the predicted velocity from noise to motion", parts)


def gate() -> str:
    """The two questions of the gate, and what follows from the answers."""
    parts = [box(16, 60, 110, 44, "reference|motion", BLUE), arrow(128, 82, 164, 82)]
    parts += [
        box(168, 54, 130, 56, "jitter below|0.04 m/frame²?"),
        arrow(300, 82, 352, 82),
        text(325, 74, "yes", size=12),
    ]
    parts += [box(356, 54, 130, 56, "does it show|the text?"), arrow(488, 82, 540, 82), text(513, 74, "yes", size=12)]
    parts += [box(544, 60, 120, 44, "motion branch", GREEN), box(262, 160, 130, 40, "text branch", ORANGE)]
    parts += [
        arrow(233, 112, 290, 156),
        arrow(421, 112, 364, 156),
        text(240, 142, "no", size=12),
        text(412, 142, "no", size=12),
    ]
    parts += [text(420, 40, "judge", size=12), text(233, 40, "measured", size=12)]
    return picture(680, 216, "The gate: a reference is followed if it is smooth and shows the text", parts)


PICTURES = {"tokenizer": tokenizer, "attention": attention, "flow": flow, "gate": gate}


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw(), encoding="utf-8")
