"""Checking and comparing prompts, shared by all parts that take prompts; no heavy imports."""

import re
from typing import Any


def check_texts(texts: Any) -> list[str]:
    """`texts` as a list, each stripped.

    Raises:
        ValueError: for an empty list, or an item that is not a string or has no words.
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
        if not has_words(text):
            raise ValueError(f'prompt must say what the person does, got {text!r}; try "a person waves"')
    return [text.strip() for text in texts]


def has_words(text: str) -> bool:
    """Whether a text holds a letter or a digit of any script."""
    return any(letter.isalnum() for letter in text)


def plain(text: str) -> str:
    """The words of `text` in lower case, so that texts can be compared."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
