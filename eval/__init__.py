"""Evaluation of motions: functions on positions and embeddings, each with its units in the docstring."""
