"""The rows of numbers at the end of a `.bvh` file, read block by block; and the frame rate.

    values = read_rows(data, position, line, width, "240", "walk.bvh")     # [T, width]

Unusual: 100 MB are read in about two seconds with little more memory than the numbers need. Lines are counted, so
errors name one. A frame is one line; files that wrap their frames over several lines are read if all numbers are
there.

Shapes: T frames.
"""

import re
import warnings
from decimal import Decimal

import numpy as np

_BLOCK = 1 << 21
_SPACE = np.zeros(256, bool)
_SPACE[list(b" \t\r\n\v\f")] = True
_POINT = ord(".")
_EXACT = 1 << 53
_POWERS = 10.0 ** np.arange(19)
_PADDING = b"\x00\x1a \t\r\n"
_COMMENT = re.compile(rb"^[ \t]*(#|//|;)[^\n]*", re.MULTILINE)
_RATES = (10, 12, 15, 20, 24, 25, 30, 40, 48, 50, 60, 72, 75, 80, 90, 100, 120, 144, 150, 180, 200, 240, 250, 300)
_RATES += (360, 400, 480, 500, 600, 1000, 1200, 2000)
_VIDEO_RATES = (24000 / 1001, 30000 / 1001, 60000 / 1001, 120000 / 1001)


def decoded(data: bytes) -> bytes:
    """The file as bytes of UTF-8 (or of an encoding that extends ASCII) without a mark, with `\\n` between lines."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            data = data.decode(encoding, errors="replace").encode("utf-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r", b"\n") if b"\r" in data and b"\n" not in data else data


def decimal_points(word: str) -> str:
    """A number whose decimal sign may be a comma, with a point."""
    return word if "." in word else word.replace(",", ".")


def read_rows(data: bytes, position: int, line: int, width: int, count: str, path: str) -> np.ndarray:
    """All whole rows `[T, width]` behind `position`.

    Args:
        line: number of the last line before `position`.
        width: numbers in a row.
        count: the number of frames that the file announces.
        path: the file's name for messages.

    Raises:
        ValueError: if there is no whole row, or a row is not `width` finite numbers.
    """
    block, cut, comma = _block(data, position)
    words, ends = _lines(block)
    announced = int(count[:18])
    filled = np.flatnonzero(words)
    last, dropped = len(words), False
    if len(filled) and (words[filled[:-1]] == width).all():
        final = int(words[filled[-1]])
        # the last number of a row that ends the file may have lost digits
        dropped = final < width or (cut and final == width and len(filled) < announced)
        last = int(filled[-1]) if dropped else last
    total = int(words[:last].sum())
    if total < width:
        raise ValueError(
            f"{path}, line {line + len(words)}: the file must hold at least one frame of {width} values, got "
            f"{int(words.sum())} values; the file is truncated or damaged"
        )
    values = _numbers_of(block, words[:last], ends[:last], comma, line, path)
    wrong = filled[(words[filled] != width) & (filled < last)]
    if len(wrong) and total != width * announced:  # nor frames of several lines
        raise ValueError(
            f"{path}, line {line + 1 + int(wrong[0])}: a frame must be {width} values, got {int(words[wrong[0]])}; "
            "the file is truncated or damaged"
        )
    rows = total // width
    if dropped:
        warnings.warn(f"{path} ends within a frame; the {rows} whole frames before it are read", stacklevel=4)
    elif announced != rows:
        warnings.warn(f"{path} announces {announced} frames but holds {rows}; all {rows} are read", stacklevel=4)
    return values.reshape(rows, width)


def _block(data: bytes, position: int) -> tuple[memoryview, bool, bool]:
    """The rows without comments and padding; whether the file ends within a line; whether commas are decimal signs."""
    end = len(data)
    while end > position and data[end - 1] in _PADDING:
        end -= 1
    cut = data[end : end + 1] not in (b"\n", b"\r")
    comma = data.find(b",", position, end) >= 0 and data.find(b".", position, end) < 0
    block = memoryview(data)[position:end]
    if any(data.find(sign, position, end) >= 0 for sign in (b"#", b"//", b";")):
        block = memoryview(_COMMENT.sub(b"", bytes(block)))
    return block, cut, comma


def _lines(block: memoryview) -> tuple[np.ndarray, np.ndarray]:
    """Number of words in each line, and where it ends."""
    counts, stops = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    carry, blank_before = 0, True  # words so far of the line that continues in the next piece
    for start in range(0, len(block), _BLOCK):
        characters = np.frombuffer(block[start : start + _BLOCK], np.uint8)
        blank = _SPACE[characters]
        begins = ~blank
        begins[1:] &= blank[:-1]
        begins[0] &= blank_before
        begins, ends = np.flatnonzero(begins), np.flatnonzero(characters == ord("\n"))
        words = np.diff(np.searchsorted(begins, ends), prepend=-carry, append=len(begins))
        carry, blank_before = int(words[-1]), bool(blank[-1])
        counts.append(words[:-1])
        stops.append(ends + start + 1)
    return np.concatenate([*counts, [carry]]), np.concatenate([*stops, [len(block)]])


def _numbers_of(
    block: memoryview, words: np.ndarray, ends: np.ndarray, comma: bool, line: int, path: str
) -> np.ndarray:
    """The numbers of lines that hold `words` words each and end at `ends`."""
    values = np.empty(int(words.sum()))
    done, first, start = 0, 0, 0
    while first < len(words):
        after = max(int(np.searchsorted(ends, start + _BLOCK)), first + 1)
        stop, expected = int(ends[after - 1]), int(words[first:after].sum())
        text = bytes(block[start:stop])
        numbers = _numbers(text.replace(b",", b".") if comma else text)
        if len(numbers) != expected or not np.isfinite(numbers).all():
            raise _bad_line(text, comma, line + first + 1, path)
        values[done : done + expected] = numbers
        done, first, start = done + expected, after, stop
    return values


def _numbers(text: bytes) -> np.ndarray:
    """The numbers of a text up to the first word that is none."""
    if not text.strip():
        return np.zeros(0)
    values = _fixed_point(text)
    return _parsed(text, np.float64) if values is None else values


def _fixed_point(text: bytes) -> np.ndarray | None:
    """The numbers of a text if all have as many decimals, four times faster; None otherwise.

    They are read as whole numbers without their points. A whole number below 2**53 divided by a power of ten is
    rounded once, so the result is the nearest number, as from `float`.
    """
    characters = np.frombuffer(text, np.uint8)
    inside = ~_SPACE[characters]
    ends = np.flatnonzero(np.diff(inside, append=False) & inside) + 1
    points = np.flatnonzero(characters == _POINT)
    if len(points) != len(ends) or not len(ends):
        return None
    decimals = int(ends[0] - points[0]) - 1
    if not 0 < decimals < len(_POWERS) or (ends - points != decimals + 1).any() or (points[1:] < ends[:-1]).any():
        return None
    whole = _parsed(text.replace(b".", b""), np.int64)
    if len(whole) != len(ends) or (np.abs(whole) >= _EXACT).any():
        return None
    return whole / _POWERS[decimals]


def _parsed(text: bytes, kind: type) -> np.ndarray:
    """The numbers of a text up to the first word that is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return np.fromstring(text, dtype=kind, sep=" ")
        except ValueError:
            return np.zeros(0, kind)


def _bad_line(text: bytes, comma: bool, number: int, path: str) -> ValueError:
    """The error about the first line of `text`, which has that number, that is not finite numbers."""
    lines = text.split(b"\n")
    for place, row in enumerate(lines):
        numbers = _numbers(row.replace(b",", b".") if comma else row)
        if len(numbers) != len(row.split()) or not np.isfinite(numbers).all():
            number, lines = number + place, [row]
            break
    shown = lines[0].strip()[:40].decode("utf-8", errors="replace")
    return ValueError(f"{path}, line {number}: a frame must be finite numbers, got {shown!r}")


def frame_rate(step: str) -> float:
    """Frames per second of a printed frame time, which may be rounded or cut off.

    A common rate whose frame time prints the same is taken: "0.033333", "0.033" and "0.03" are 30, "0.016" is 60 (and
    not 62.5), "0.0333667" is 30000 / 1001. Else an integer that prints the same, else the inverse of the number.
    """
    seconds = float(step)
    exponent = Decimal(step).as_tuple().exponent
    precision = 10.0**exponent if isinstance(exponent, int) else 0.0
    for rates in (_RATES, _VIDEO_RATES):
        # printed exactly, rounded, cut off
        for allowed in (1e-3 * precision, 0.501 * precision, 0.999 * precision):
            near = [rate for rate in rates if abs(1.0 / rate - seconds) < allowed]
            if allowed > precision / 2:
                near = [rate for rate in near if allowed < 0.6 * precision or 1.0 / rate > seconds]
            if near:
                return float(min(near, key=lambda rate: abs(1.0 / rate - seconds)))
    whole = round(1.0 / seconds)
    if whole > 0 and abs(1.0 / whole - seconds) < precision:
        return float(whole)
    return 1.0 / seconds
