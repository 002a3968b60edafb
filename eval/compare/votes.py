"""Counts the votes of human raters from the files of the rating page.

    table = read_votes(["anna.json", "ben.json"])
    table.markdown(), table.facts["agreement"]

On each axis a prompt is won by the system with more votes; equal counts are a tie, regardless of the number of votes
for a tie. The sign test counts prompts, not votes, because several votes on one pair of motions are not independent.
Agreement is the fraction of equal votes among all pairs of raters on one question, and Krippendorff's alpha for
nominal votes, which allows for raters who did not answer everything.

Unusual: files are untrusted input. Everything in them is checked, and nothing is used as a path or as HTML.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from motionmillion.eval.compare.side_by_side import AXES, Outcome, SideBySide, Winner
from motionmillion.eval.report.tables import p_text
from motionmillion.eval.statistics.significance import equal_votes, krippendorff_alpha
from motionmillion.io.files import existing_file

FORMAT = 1
KIND = "motionmillion side-by-side votes"
_SAME = ("suite", "suite_sha256", "systems")  # must be equal in all files
_VOTES: tuple[str, ...] = get_args(Winner)


def read_votes(paths: Sequence[str | Path]) -> SideBySide:
    """Combine the votes of several raters.

    Args:
        paths: one file per rater, written by the rating page.

    Raises:
        ValueError: for no files or no votes, a file that is missing or not a file of votes, files of different suites
            or systems, or a duplicate rater.
    """
    if not paths:
        raise ValueError("votes must name at least one rater's file, got none")
    files = [_read(existing_file(path)) for path in paths]
    raters: dict[str, Path] = {}
    for path, data in zip(map(Path, paths), files, strict=True):
        for key in _SAME:
            if data[key] != files[0][key]:
                raise ValueError(
                    f"votes must be about one suite and one pair of systems, got {key} {files[0][key]!r} in "
                    f"{str(paths[0])!r} and {data[key]!r} in {str(path)!r}; count them apart"
                )
        if data["rater"] in raters:
            raise ValueError(
                f"votes must have one file per rater, got {data['rater']!r} in {str(raters[data['rater']])!r} and "
                f"{str(path)!r}; keep one of them"
            )
        raters[data["rater"]] = path
    questions: dict[tuple[str, str], list[str]] = defaultdict(list)
    categories: dict[str, str] = {}
    for data in files:
        for vote in data["votes"]:
            questions[vote["prompt"], vote["axis"]].append(vote["vote"])
            categories.setdefault(vote["prompt"], vote["category"])
    if not questions:
        raise ValueError(f"votes must hold at least one vote, got none in {len(files)} files; rate a prompt first")
    outcomes = [_outcome(*key, categories[key[0]], votes) for key, votes in sorted(questions.items(), key=_place)]
    facts = _facts(files, questions)
    systems = files[0]["systems"]
    table = SideBySide(files[0]["suite"], (systems["first"], systems["second"]), outcomes, (), facts)
    return SideBySide(table.suite, table.systems, outcomes, _notes(table), facts)


def _read(path: Path) -> dict[str, Any]:
    wrong = ValueError(f"votes must be a JSON file that the rating page wrote, got {str(path)!r}; export it again")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise wrong from None
    if isinstance(data, dict) and "outcomes" in data:
        raise ValueError(
            f"votes must be files that raters saved from the page, got {str(path)!r}, which is the count of such "
            "files by motionmillion compare; name the raters' files"
        )
    if not isinstance(data, dict) or (data.get("kind"), data.get("format")) != (KIND, FORMAT):
        raise wrong
    systems, votes = data.get("systems"), data.get("votes")
    texts = (data.get("rater"), data.get("suite"), data.get("suite_sha256"))
    if not all(isinstance(text, str) and text for text in texts) or not isinstance(votes, list):
        raise wrong
    if not isinstance(systems, dict) or set(systems) != {"first", "second"}:
        raise wrong
    if not all(isinstance(name, str) for name in systems.values()):
        raise wrong
    seen = set()
    for vote in votes:
        if not isinstance(vote, dict) or not all(isinstance(vote.get(k), str) for k in ("prompt", "category", "axis")):
            raise wrong
        if vote.get("vote") not in _VOTES or vote["axis"] not in AXES or (vote["prompt"], vote["axis"]) in seen:
            raise ValueError(
                f"votes must be one of {', '.join(_VOTES)} for each prompt and axis, got {vote.get('vote')!r} for "
                f"{vote['axis']!r} of prompt {vote['prompt']!r} in {str(path)!r}; export the file again"
            )
        seen.add((vote["prompt"], vote["axis"]))
    return data


def _outcome(prompt: str, axis: str, category: str, votes: Sequence[str]) -> Outcome:
    first, second = votes.count("first"), votes.count("second")
    winner: Winner = "first" if first > second else "second" if second > first else "tie"
    return Outcome(prompt, category, axis, winner, first, second, votes.count("tie"))


def _place(entry: tuple[tuple[str, str], list[str]]) -> tuple[int, str]:
    (prompt, axis), _ = entry
    return AXES.index(axis), prompt


def _facts(files: Sequence[dict[str, Any]], questions: dict[tuple[str, str], list[str]]) -> dict[str, Any]:
    axes = [axis for axis in AXES if any(own == axis for _, own in questions)]
    groups = {axis: [votes for (_, own), votes in questions.items() if own == axis] for axis in axes}
    groups["all"] = list(questions.values())
    agreement = {
        name: {"equal_votes": equal_votes(items), "krippendorff_alpha": krippendorff_alpha(items)}
        for name, items in groups.items()
    }
    raters = {data["rater"]: len(data["votes"]) for data in files}
    return {"suite_sha256": files[0]["suite_sha256"], "raters": raters, "agreement": agreement}


def _notes(table: SideBySide) -> list[str]:
    raters = table.facts["raters"]
    told = ", ".join(f"{name} {count}" for name, count in raters.items())
    notes = [f"Votes of {len(raters)} {'raters' if len(raters) > 1 else 'rater'}: {told}."]
    notes.append("A prompt goes to the system with more votes; the sign test counts prompts, not votes.")
    for name, values in table.facts["agreement"].items():
        equal, alpha = values["equal_votes"], values["krippendorff_alpha"]
        if equal is not None:
            words = "undefined" if alpha is None else f"{alpha:.3f}"
            notes.append(f"Agreement, {name}: {100 * equal:.1f} % equal votes, Krippendorff's alpha {words}.")
    tests = ", ".join(f"{axis} {p_text(table.tally(axis).p)}" for axis in table.axes)
    return [*notes, f"Over all prompts: {tests}; not corrected for the number of axes."]
