"""The pipeline of the DiT: options, windows, references, editing."""
