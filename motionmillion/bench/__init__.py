"""Benchmarks: speed and memory as ratios against a baseline of the same run."""

__all__: list[str] = []
