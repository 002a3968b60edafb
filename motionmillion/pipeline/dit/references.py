"""Checks on the references of a DiT's call: texts and references, the mode of each row, and starting motions."""

from collections.abc import Sequence
from typing import Any

from motionmillion.configuration import shown
from motionmillion.motion import Motion
from motionmillion.pipeline.base import check_motion
from motionmillion.pipeline.dit.steps import Settings
from motionmillion.text.encoder import check_texts

MODES = ("auto", "text", "motion", "both")
"""Values of `reference_mode`."""


def check_told(
    prompts: Any, reference: Motion | Sequence[Motion | None] | None
) -> tuple[list[str], list[Motion | None]]:
    """The checked texts, "" for empty ones, and a reference or None for each.

    Raises:
        ValueError: for texts that are not strings, empty texts without a reference, a wrong number of references, and
            references that are not motions.
    """
    texts = [prompts] if isinstance(prompts, str) else prompts
    references: list[Any] = list(reference) if isinstance(reference, list | tuple) else []
    if not isinstance(reference, list | tuple):
        references = [reference] * (len(texts) if isinstance(texts, list | tuple) else 1)
    if not isinstance(texts, list | tuple) or not texts:
        check_texts(texts)  # raises the error that fits
    if len(references) != len(texts):
        raise ValueError(f"reference must be one motion, or one per prompt, {len(texts)}, got {len(references)}")
    told = []
    for text, own in zip(texts, references, strict=True):
        if own is not None:
            check_motion(own, "reference")
        empty = isinstance(text, str) and not text.strip()
        if empty and own is None:
            raise ValueError(
                f'prompt must say what the person does, got {text!r}; try "a person waves", or a reference'
            )
        told += [""] if empty else check_texts([text])
    return told, references


def check_modes(
    mode: str | Sequence[str], texts: Sequence[str], references: Sequence[Motion | None], follows: bool
) -> list[str]:
    """The checked mode of each row; "auto" if the gate has to decide.

    Args:
        follows: whether the model can follow references.

    Raises:
        ValueError: for an unknown mode, and for a text or reference that a mode needs and a row lacks.
    """
    modes = list(mode) if isinstance(mode, list | tuple) else [mode] * len(texts)
    if len(modes) != len(texts):
        raise ValueError(f"reference_mode must be one, or one per prompt, {len(texts)}, got {len(modes)}")
    found = []
    for own, text, reference in zip(modes, texts, references, strict=True):
        if own not in MODES:
            raise ValueError(f"reference_mode must be one of {MODES}, got {shown(own)}")
        if own in ("motion", "both") and reference is None:
            raise ValueError(f"reference_mode must be auto or text without a reference, got {own!r}")
        if own in ("motion", "both") and not follows:
            raise ValueError(f"reference_mode must be auto or text for a text-only model, got {own!r}")
        if not text and (own in ("text", "both") or not follows):
            raise ValueError(
                f"prompt must say what the person does, got {text!r}; a reference alone needs "
                "reference_mode motion, and a model that can follow one"
            )
        # the gate decides only if there are both a text and a reference that the model can follow
        open_ = own == "auto" and reference is not None and follows
        found.append("motion" if open_ and not text else own if open_ or own != "auto" else "text")
    return found


def check_start(guide: Motion | None, frames: int, settings: Settings, fps: float) -> None:
    """Raise `ValueError` if a motion starts from a reference (`strength` below 1) that is shorter than it."""
    if settings.starts and guide is not None and guide.num_frames < frames:
        raise ValueError(
            f"seconds must be at most those of the reference, {guide.seconds:g}, where strength is below 1, got "
            f"{frames / fps:g}"
        )
