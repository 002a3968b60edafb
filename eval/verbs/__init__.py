"""Which verb a motion shows: a descriptor of motions and a classifier on top."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.verbs.classifier import (
        MORE_VERBS,
        VERBS,
        VerbClassifier,
        VerbClips,
        VerbScore,
        clip_verb,
        clip_verb_of_twenty,
        score_verbs,
        verb_check,
    )

__all__ = [
    "MORE_VERBS",
    "VERBS",
    "VerbClassifier",
    "VerbClips",
    "VerbScore",
    "clip_verb",
    "clip_verb_of_twenty",
    "score_verbs",
    "verb_check",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "classifier": [
            "MORE_VERBS",
            "VERBS",
            "VerbClassifier",
            "VerbClips",
            "VerbScore",
            "clip_verb",
            "clip_verb_of_twenty",
            "score_verbs",
            "verb_check",
        ]
    },
)
