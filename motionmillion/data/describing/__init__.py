"""Captions from the motion itself: what is measured on the joints, said in several ways.

    facts = measure_facts(motion)
    describe_motion(motion)          # ["walk forward, then turn left", "a person walks forward, then turns left", ...]

`motionmillion data describe FOLDER` does so for a folder. No model takes part: the sentences say little, but what they
say is so. Only what is clear is said; a motion without anything clear has no captions.
"""

from motionmillion.data.describing.facts import MotionFacts
from motionmillion.data.describing.measures import measure_facts
from motionmillion.data.describing.wording import describe_clip, describe_motion

__all__ = ["MotionFacts", "describe_clip", "describe_motion", "measure_facts"]
