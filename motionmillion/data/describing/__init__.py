"""Rule-based captions: facts measured on the joints, expressed in several wordings.

    facts = measure_facts(motion)
    describe_motion(motion)          # ["walk forward, then turn left", "a person walks forward, then turns left", ...]

`motionmillion data describe FOLDER` does this for a folder. No model is involved: the sentences are simple but true.
Only clear facts are described; a motion without any has no captions.
"""

from motionmillion.data.describing.facts import MotionFacts
from motionmillion.data.describing.measures import measure_facts
from motionmillion.data.describing.wording import describe_clip, describe_motion

__all__ = ["MotionFacts", "describe_clip", "describe_motion", "measure_facts"]
