"""Intervals, tests of significance, and places in a distribution."""
