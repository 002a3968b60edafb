"""From videos to clean motion clips: six stages, each a class in a file of its own, run by `curate`."""

__all__: list[str] = []
