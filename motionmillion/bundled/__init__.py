"""Models that come with the package: one pipeline folder each."""

__all__: list[str] = []
