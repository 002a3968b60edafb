"""Building data sets: `build` reads a layout with all cores and writes `motionmillion.data.shards.motions`."""

__all__: list[str] = []
