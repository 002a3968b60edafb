"""The tokenizer suite: reconstruction of clips, by group."""
