"""Models that come with the package: one pipeline folder each."""
