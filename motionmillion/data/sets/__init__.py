"""What a Trainer reads: windows, tokens, pairs, packed rows."""

__all__: list[str] = []
