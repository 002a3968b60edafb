"""What `motionmillion generate` is asked for, read from its arguments; no heavy imports.

read_prompts(["a person waves"], Path("prompts.txt"))
read_timeline(["4: a person walks forward", "2: a person jumps"])       # (("a person walks forward", 4.0), ...)
read_span("20:60")
"""

from collections.abc import Sequence
from pathlib import Path

from motionmillion.io.files import PathError, read_text
from motionmillion.text.prompts import check_texts, has_words


def read_timeline(parts: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Texts and seconds of lines such as "4: a person walks forward".

    Raises:
        ValueError: for a line that does not begin with a number and a colon.
    """
    found = []
    for part in parts:
        seconds, _, text = part.partition(":")
        try:
            found.append((text.strip(), float(seconds)))
        except ValueError:
            raise ValueError(
                f'timeline must look like "4: a person walks", got {part!r}; begin with seconds'
            ) from None
    return tuple(found)


def read_span(text: str) -> tuple[int, int]:
    """Parse frames such as "20:60".

    Raises:
        ValueError: for anything else.
    """
    start, _, stop = text.partition(":")
    if not (start.isdecimal() and stop.isdecimal()):
        raise ValueError(f'edit_frames must look like "20:60", got {text!r}; the second is the frame after the last')
    return int(start), int(stop)


def read_prompts(prompts: Sequence[str], file: Path | None, empty: bool = False) -> list[str]:
    """Sentences of the command line, then those of a file, one per line.

    Args:
        empty: whether "" is allowed, because there is a reference.

    Raises:
        ValueError: if there is no sentence, or one has no words.
    """
    texts = list(prompts)
    if file is not None:
        texts += _prompt_lines(file)
    if empty and texts:
        return [check_texts(text)[0] if text.strip() else "" for text in texts]
    return check_texts(texts)


def _prompt_lines(file: Path) -> list[str]:
    """The lines of a file that are not blank; raises `ValueError` with the numbers of those without words."""
    try:
        lines = read_text(file).splitlines()
    except PathError:
        raise ValueError(f"prompts file must be an existing UTF-8 text file, got {str(file)!r}") from None
    bad = [number for number, line in enumerate(lines, 1) if line.strip() and not has_words(line)]
    if bad:
        more = f", and in lines {', '.join(map(str, bad[1:6]))}" if len(bad) > 1 else ""
        raise ValueError(
            f"prompts file must say what a person does in every line, got {lines[bad[0] - 1].strip()[:60]!r} in line "
            f"{bad[0]} of {str(file)!r}{more}; correct or remove it"
        )
    return [line for line in lines if line.strip()]
