"""Suites of prompts by name.

    suite = get_suite("motionmillion-eval")                                # built in
    suite = get_suite("motionmillion-eval", "infer_batch_prompt.txt")      # MotionMillion's own 126 prompts
    suite = get_suite("mbench", "ViMoGen/data/meta_info")
    suite = get_suite("my_prompts.json")                                   # custom

A new suite is a new file and a line in `SUITES` and `get_suite`. Unusual: nothing heavy is imported.
"""

from pathlib import Path

from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.eval.suites.mbench.prompts import EVAL_INFO, FINAL, SOURCE, mbench_suite
from motionmillion.eval.suites.motionmillion_eval import OFFICIAL_SOURCE, motionmillion_eval, official_suite

__all__ = ["SUITES", "Prompt", "Suite", "get_suite"]

SUITES = {
    "motionmillion-eval": "168 prompts in seven categories; --prompts for MotionMillion's own 126, or a JSON suite",
    "motionmillion-eval-official": f"MotionMillion's own 126 prompts; --prompts for the file of {OFFICIAL_SOURCE}",
    "mbench": f"MBench's 450 prompts; --prompts for the folder of {FINAL} and {EVAL_INFO} ({SOURCE})",
}
"""Names for `get_suite`, each with a line of help."""


def get_suite(name: str, prompts: str | Path | None = None) -> Suite:
    """A suite by its name.

    Args:
        name: one of `SUITES`, or the path of a JSON suite.
        prompts: the user's file or folder of prompts. For "motionmillion-eval" a `.json` suite replaces the
            built-in one, and any other file is MotionMillion's.

    Raises:
        ValueError: for an unknown name, or prompts that are missing, damaged or not used.
    """
    if name not in SUITES:
        return _own_suite(name, prompts)
    if name == "motionmillion-eval" and prompts is None:
        return motionmillion_eval()
    if prompts is None:
        raise ValueError(f"--prompts PATH must be given for the suite {name!r}, got none; it is {SUITES[name]}")
    if name == "mbench":
        return mbench_suite(prompts)
    if name == "motionmillion-eval" and Path(prompts).suffix.lower() == ".json":
        return Suite.load(prompts)
    return official_suite(prompts)


def _own_suite(name: str, prompts: str | Path | None) -> Suite:
    if Path(name).suffix.lower() != ".json" and not Path(name).is_file():
        raise ValueError(f"suite must be one of {', '.join(SUITES)} or the path of a JSON suite, got {name!r}")
    if prompts is not None:
        raise ValueError(f"--prompts PATH must be left out if the suite is a file, got {str(prompts)!r}")
    return Suite.load(name)
