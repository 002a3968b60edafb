"""Data sets and collators for the Trainer: windows, tokens, pairs, packed rows."""

__all__: list[str] = []
