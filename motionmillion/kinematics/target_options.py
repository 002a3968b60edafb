"""Options of retargeting to a character of one's own; light, so that the command line can show them.

options = RetargetOptions(hands=True, scale=1.0)
"""

import math
from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class RetargetOptions:
    """How a motion is carried to another body.

    Raises:
        ValueError: for a value out of range.
    """

    feet: bool = field(
        default=True,
        metadata={"help": "Place feet by two-bone IK where the motion has them: they do not slide."},
    )
    hands: bool = field(
        default=False, metadata={"help": "Place hands by two-bone IK too, where the motion has them about the hips."}
    )
    scale: float | None = field(
        default=None,
        metadata={"help": "Units of the target per metre of the path; default: the path is scaled by leg length."},
    )
    sole: float | None = field(
        default=None,
        metadata={
            "help": "Height of the balls of the feet above the soles, in the target's units; default: from its skin."
        },
    )

    def __post_init__(self) -> None:
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be a positive number of the target's units per metre, got {self.scale!r}")
        if self.sole is not None and not (math.isfinite(self.sole) and self.sole >= 0):
            raise ValueError(f"sole must be a height of at least 0 in the target's units, got {self.sole!r}")


def help_of(name: str) -> str:
    """The help text of an option."""
    return next(field.metadata["help"] for field in fields(RetargetOptions) if field.name == name)
