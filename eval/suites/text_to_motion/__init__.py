"""Text-to-motion: a suite from captioned real motion, and its figures."""
