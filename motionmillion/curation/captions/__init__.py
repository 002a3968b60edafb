"""Captions of clips: watched by a vision-language model, measured by rules, and paraphrased with checks."""

__all__: list[str] = []
