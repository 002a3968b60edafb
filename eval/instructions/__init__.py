"""Does a motion do what an instruction asks? Rules on joints, one for each family of instructions."""

from motionmillion.eval.instructions.families import FAMILIES, Family
from motionmillion.eval.instructions.tracks import BodyTracks, body_tracks

__all__ = ["FAMILIES", "BodyTracks", "Family", "body_tracks"]
