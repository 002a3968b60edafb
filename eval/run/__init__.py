"""One run of `evaluate`: motions of a suite, questions about them, results in files."""
