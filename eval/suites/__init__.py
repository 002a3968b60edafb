"""Suites by name.

    suite = get_suite("motionmillion-eval")                                # built in
    suite = get_suite("motionmillion-eval", "infer_batch_prompt.txt")      # MotionMillion's own 126 prompts
    suite = get_suite("mbench", "ViMoGen/data/meta_info")
    suite = get_suite("my_prompts.json")                                   # custom
    kind = suite_kind("mbench")                  # the whole suite: prompts, questions, measures, scores

To add a suite, write a `SuiteKind` in a new file and add a line to `KINDS`, or call `register(Mine())` in your code.
Unusual: nothing heavy is imported.
"""

from pathlib import Path

from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.eval.suites.base import JsonSuite, SuiteKind, SuiteSource
from motionmillion.eval.suites.mbench.suite import MBench
from motionmillion.eval.suites.motionmillion_eval import MotionMillionEval, MotionMillionEvalOfficial
from motionmillion.eval.suites.text_to_motion.suite import TextToMotion

__all__ = ["KINDS", "SUITES", "Prompt", "Suite", "SuiteKind", "SuiteSource", "get_suite", "register", "suite_kind"]

KINDS: dict[str, SuiteKind] = {
    kind.name: kind
    for kind in (
        MotionMillionEval(),
        MotionMillionEvalOfficial(),
        MBench(),
        TextToMotion(),
    )
}
"""Suites of text-to-motion models, by name."""
SUITES = {name: kind.help for name, kind in KINDS.items() if "data" not in kind.options}
"""Names for `get_suite`, each with a line of help."""
_OTHERS = ("tokenizer",)  # measures no text-to-motion model; see .tokenizer.run


def register(kind: SuiteKind) -> None:
    """Add a suite, for `evaluate` and the command line, in this process.

    Raises:
        ValueError: if its name is empty or taken.
    """
    if not kind.name or kind.name in (*KINDS, *_OTHERS):
        raise ValueError(f"name must be that of no other suite, got {kind.name!r} beside {[*KINDS, *_OTHERS]}")
    KINDS[kind.name] = kind
    if "data" not in kind.options:
        SUITES[kind.name] = kind.help


def suite_kind(name: str) -> SuiteKind:
    """A suite by its name, or by the path of its JSON file.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in KINDS and Path(name).suffix.lower() != ".json":
        raise ValueError(f"suite must be one of {', '.join([*KINDS, *_OTHERS])} or a JSON suite, got {name!r}")
    return KINDS.get(name) or JsonSuite(name)


def get_suite(name: str, prompts: str | Path | None = None) -> Suite:
    """The prompts of a suite by its name.

    Args:
        name: one of `SUITES`, or the path of a JSON suite.
        prompts: the user's file or folder of prompts. For "motionmillion-eval" a `.json` suite replaces the
            built-in one, and any other file is MotionMillion's.

    Raises:
        ValueError: for an unknown name, or prompts that are missing, damaged, or given without being used.
    """
    if name not in SUITES and Path(name).suffix.lower() != ".json" and not Path(name).is_file():
        raise ValueError(f"suite must be one of {', '.join(SUITES)} or the path of a JSON suite, got {name!r}")
    kind = KINDS[name] if name in SUITES else JsonSuite(name)
    return kind.read(SuiteSource(prompts))
