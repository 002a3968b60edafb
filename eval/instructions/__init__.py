"""Checks whether a motion follows an instruction, by rules on joints, one for each family of instructions.

    follows("kick_left", motion)                  # True: the left foot kicked, the right one did not
    FAMILIES["kick_left"].rule(body_tracks(positions, fps=60))

A family is an action that many sentences ask for: "kick_left", "walk_then_sit", "jump_twice". Its rule only uses joint
positions, so any model or recording can be judged. `scoring` computes rates, `families` lists the families, and the
other modules contain the rules.
"""

from motionmillion.eval.instructions.families import FAMILIES
from motionmillion.eval.instructions.family import Family
from motionmillion.eval.instructions.scoring import RealRates, follows, instruction_check, real_rates, wilson
from motionmillion.eval.instructions.tracks import BodyTracks, body_tracks

__all__ = [
    "FAMILIES",
    "BodyTracks",
    "Family",
    "RealRates",
    "body_tracks",
    "follows",
    "instruction_check",
    "real_rates",
    "wilson",
]
