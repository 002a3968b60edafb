"""Text-to-motion: a suite from captioned real motion, and its metrics."""

__all__: list[str] = []
