"""What every part that takes prompts shares: their check, and when two say the same; loads nothing heavy."""

import re
from typing import Any


def check_texts(texts: Any) -> list[str]:
    """`texts` as a list, each stripped.

    Raises:
        ValueError: for an empty list, or an item that is no text or says nothing.
    """
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list | tuple):
        raise ValueError(f"prompts must be a text or a list of texts, got {texts!r} of type {type(texts).__name__}")
    if not texts:
        raise ValueError("prompts must hold at least one sentence, got none")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"prompt must be a text, got {text!r} of type {type(text).__name__}")
        if not any(letter.isalnum() for letter in text):
            raise ValueError(f'prompt must say what the person does, got {text!r}; try "a person waves"')
    return [text.strip() for text in texts]


def plain(text: str) -> str:
    """`text` as its words in small letters: texts that are equal so say the same."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
