"""A page for human comparison of two systems: both motions of a prompt side by side, one vote per axis.

    path = write_rating_page(first, second, "rating", motions=("runs/mini", "runs/large"), seed=0)

The page is a single file that needs no network. It is blind: the system on the left is random for each prompt, names
are not shown, and prompts are in a random order given by the seed. Votes are kept in the browser's local storage, so a
reload loses nothing, and are saved as JSON by a button; `motionmillion.eval.compare.votes` counts them.

Unusual: the page's source reveals the sides; it is blind to honest raters only. Motions are shown on mannequins, whose
joints are exactly the motion's. A page contains all its motions, about 8 kB per second of each at 30 frames a second;
`prompts` selects fewer, evenly over the categories.
"""

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.eval.compare.comparison import unique_names
from motionmillion.eval.compare.side_by_side import AXES
from motionmillion.eval.compare.votes import FORMAT, KIND
from motionmillion.eval.report.page import data_script, render
from motionmillion.eval.report.protocol_facts import check_same_suite, suite_identity
from motionmillion.eval.results import Results, SampleResult
from motionmillion.io.files import write_text
from motionmillion.io.viewer.payload import scene
from motionmillion.motion import Motion

PAGE = "rating.html"

QUESTIONS = {
    "text alignment": "Which one shows better what the sentence says?",
    "smoothness": "Which one moves more smoothly, without jerks and jumps?",
    "plausibility": "Which one could a real body do: no sliding, floating, sinking or broken poses?",
}


def write_rating_page(
    first: Results,
    second: Results,
    folder: str | Path,
    motions: tuple[str | Path, str | Path],
    seed: int = 0,
    prompts: int | None = None,
) -> Path:
    """Write `rating.html` into a folder and return its path.

    Args:
        motions: folders of the two `results.json`; motion paths are relative to them.
        seed: seed of the order of prompts and of the sides.
        prompts: number to show, drawn evenly over the categories; None: all that both systems have.

    Raises:
        ValueError: for results of different suites, no common prompt with motions, a motion that cannot be read, or a
            number of prompts below 1.
    """
    if prompts is not None and prompts < 1:
        raise ValueError(f"prompts must be at least 1, got {prompts!r}; leave it out to show all")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}")
    check_same_suite([first, second])
    pairs = _pairs(first, second)
    generator = np.random.default_rng(seed)
    order = _drawn([one for one, _ in pairs], prompts, generator)
    flipped = _balanced(len(order), generator)
    scripts, entries = [], []
    for place, (index, flip) in enumerate(zip(order, flipped, strict=True)):
        one, other = pairs[index]
        shown = [Motion.load(Path(root) / s.motion) for root, s in zip(motions, (one, other), strict=True)]
        data = scene(shown[::-1] if flip else shown, ["", ""], body="mannequin")
        scripts.append(data_script(f"motion-{place}", data))
        left = "second" if flip else "first"
        entries.append({"id": one.id, "text": one.prompt or one.id, "category": one.category, "left": left})
    names = unique_names([first, second])
    facts = _facts(first, names, entries, seed)
    facts["page"] = hashlib.sha256("".join([json.dumps(facts), *scripts]).encode()).hexdigest()
    title = f"Which motion is better? {first.suite}"
    page = render(f"compare/{PAGE}", title=title, facts=data_script("facts", facts), motions=scripts)
    return write_text(page, Path(folder) / PAGE)


def suite_hash(results: Results, entries: list[dict[str, Any]]) -> str:
    """The suite's hash from the protocol, or a hash of the prompts' ids and texts."""
    texts = [[entry["id"], entry["text"]] for entry in sorted(entries, key=lambda entry: entry["id"])]
    own = hashlib.sha256(json.dumps([results.suite, texts]).encode()).hexdigest()
    return suite_identity(results).get("sha256", own)


def _facts(first: Results, names: list[str], entries: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    return {
        "kind": KIND,
        "format": FORMAT,
        "suite": first.suite,
        "suite_sha256": suite_hash(first, entries),
        "systems": {"first": names[0], "second": names[1]},
        "seed": seed,
        "axes": [{"name": axis, "question": QUESTIONS[axis]} for axis in AXES],
        "prompts": entries,
    }


def _pairs(first: Results, second: Results) -> list[tuple[SampleResult, SampleResult]]:
    """The first sample with a motion for each common id."""
    held: dict[str, SampleResult] = {}
    for sample in reversed(second.samples):
        if sample.motion:
            held[sample.id] = sample
    pairs = {s.id: (s, held[s.id]) for s in reversed(first.samples) if s.motion and s.id in held}
    if not pairs:
        raise ValueError(
            f"results must share prompts with motions, got none for {first.system!r} and {second.system!r}; "
            "evaluate both with one suite and keep the motions"
        )
    return list(pairs.values())[::-1]


def _drawn(samples: list[SampleResult], count: int | None, generator: np.random.Generator) -> list[int]:
    """Indices of the prompts in shuffled order; a subset takes one of each category in turn."""
    order = generator.permutation(len(samples)).tolist()
    if count is None or count >= len(order):
        return order
    queues = defaultdict(list)
    for index in order:
        queues[samples[index].category].append(index)
    ranked = [(turn, index) for queue in queues.values() for turn, index in enumerate(queue)]
    chosen = {index for _, index in sorted(ranked, key=lambda entry: entry[0])[:count]}
    return [index for index in order if index in chosen]


def _balanced(count: int, generator: np.random.Generator) -> list[bool]:
    """Which prompts have swapped sides: a random half."""
    return (generator.permutation(count) % 2 == 1).tolist()
