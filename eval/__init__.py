"""Motions -> numbers: functions on positions and embeddings, each with its units in the docstring."""
