"""The tokenizer suite: reconstruction of clips, by group."""

__all__: list[str] = []
