"""What a Trainer reads: windows, tokens, pairs, packed rows."""
