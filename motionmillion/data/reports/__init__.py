"""What is in a data set on disk, and what is wrong with it: `verify`, `stats`, and the page of the audit."""

__all__: list[str] = []
